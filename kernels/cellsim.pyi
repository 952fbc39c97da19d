import numpy as np
from numpy.typing import ArrayLike, NDArray

class CellPack:
    def __init__(
        self,
        ocv_v: ArrayLike,
        resistance_ohm: ArrayLike,
        rc_resistance_ohm: ArrayLike,
        rc_tau_s: ArrayLike,
        capacity_ah: ArrayLike,
        soc_frac: ArrayLike,
        hysteresis_v: float,
        heat_capacity_j_per_k: float,
        cooling_w_per_k: float,
        temperature_degc: ArrayLike,
    ) -> None: ...
    def step(self, current_a: float, bleed_a: NDArray[np.float64], ambient_degc: float, dt_s: float) -> None: ...
    def set_soc(self, cell: int, soc_frac: float) -> None: ...
    def heat(self, cell: int, temperature_degc: float) -> None: ...
    @property
    def voltage_v(self) -> NDArray[np.float64]: ...
    @property
    def soc_frac(self) -> NDArray[np.float64]: ...
    @property
    def temperature_degc(self) -> NDArray[np.float64]: ...
    @property
    def emf_v(self) -> float: ...
    @property
    def resistance_ohm(self) -> float: ...
