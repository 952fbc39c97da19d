from numpy.typing import ArrayLike

from kernels.cell_tables import CellTables
from kernels.checks import Floats
from kernels.limits_model import Limit, Window

class LimitSolver:
    def __init__(
        self,
        tables: CellTables,
        cells_n: int,
        window: Window,
        horizon_s: ArrayLike = ...,
        sigmas: float = 2.0,
        soc_sigmas: float = 0.0,
    ) -> None: ...
    def solve(
        self,
        soc_frac: Floats,
        soc_sigma_frac: Floats,
        resistance_factor: Floats,
        resistance_sigma_frac: Floats,
        capacity_ah: Floats,
        capacity_sigma_frac: Floats,
        temperature_degc: Floats,
        rc_current_a: Floats,
        hysteresis: float,
        voltage_v: Floats | None = None,
        current_a: float = 0.0,
        series_factor: Floats | None = None,
        series_sigma_frac: Floats | None = None,
        powers: bool = True,
    ) -> tuple[Limit, Limit]: ...
    @property
    def horizon_s(self) -> Floats: ...
