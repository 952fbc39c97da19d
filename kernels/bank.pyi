from kernels.bank_model import BankModel, Floats, Tuning
from kernels.cell_tables import CellTables

class SocBank:
    model: BankModel
    soc_frac: float
    soc_sigma_frac: float
    current_bias_a: float
    voltage_predicted_v: float
    hysteresis: float
    drop_v: float
    resistance_factor: float
    resistance_factor_sigma: float
    capacity_ah: float
    capacity_ah_sigma: float
    hypotheses: int
    def __init__(self, cell: CellTables, tuning: Tuning | None = None) -> None: ...
    def start(self, soc_frac: float | None = None, sigma_frac: float = 0.3) -> None: ...
    def step(
        self, voltage_v: float, current_a: float, charge_ah: float, temperature_degc: float, dt_s: float
    ) -> None: ...
    def gap(self, dt_s: float, charge_sigma_ah: float, current_sigma_a: float) -> None: ...
    def shift(self, soc_frac: float) -> None: ...
    def rc_current_a(self) -> Floats: ...
