import numpy as np
from numpy.typing import NDArray

def ramp_limited(wanted: NDArray[np.float64], level: float, step: float) -> NDArray[np.float64]: ...
