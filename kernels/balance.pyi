import numpy as np
from numpy.typing import NDArray

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
