import numpy as np
from numpy.typing import NDArray

from kernels.balance_model import BleedLimits

def variants() -> list[str]: ...
def choose_bleed(
    soc_frac: NDArray[np.float64],
    voltage_v: NDArray[np.float64],
    temperature_degc: NDArray[np.float64],
    bleeding: NDArray[np.uint8],
    on_above_frac: float,
    off_above_frac: float,
    voltage_v_min: float,
    temperature_degc_max: float,
    cells_max: int,
) -> NDArray[np.uint8]: ...

class StringBalancer:
    def __init__(
        self,
        limits: BleedLimits,
        strings: int,
        cells_per_string: int,
        cells_per_module: int,
        threads: int = 1,
        variant: str | None = None,
    ) -> None: ...
    def choose(
        self,
        soc_frac: NDArray[np.float32],
        soc_sigma_frac: NDArray[np.float32],
        voltage_v: NDArray[np.float64],
        temperature_degc: NDArray[np.float64],
        bleeding: NDArray[np.uint8],
        dt_s: float,
    ) -> NDArray[np.uint8]: ...
    @property
    def limits(self) -> BleedLimits: ...
    @property
    def chosen(self) -> NDArray[np.uint8]: ...
    @property
    def duty_frac(self) -> NDArray[np.float32]: ...
    @property
    def variant(self) -> str: ...
