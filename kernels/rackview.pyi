import numpy as np
from numpy.typing import ArrayLike, NDArray

def rack_extremes(
    voltage_v: NDArray[np.float64],
    temperature_degc: NDArray[np.float64],
    voltage_at_ns: NDArray[np.int64],
    temperature_at_ns: NDArray[np.int64],
) -> tuple[float, float, int, int, float, float, int, int, int, int]: ...
def group_maxima(values: NDArray[np.float64], first: NDArray[np.int64], into: NDArray[np.float64]) -> None: ...

class CellTaker:
    def __init__(
        self,
        values: NDArray[np.float64],
        at_ns: NDArray[np.int64],
        voltage: ArrayLike,
        voltage_frame: ArrayLike,
        temperature: ArrayLike,
        temperature_frame: ArrayLike,
    ) -> None: ...
    def take(self) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]: ...
