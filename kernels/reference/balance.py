"""The choice of cells to bleed as array expressions: what kernels.balance must equal."""

import numpy as np
from numpy.typing import NDArray

from kernels.checks import Floats


def choose_bleed(
    soc_frac: Floats,
    voltage_v: Floats,
    temperature_degc: Floats,
    bleeding: NDArray[np.uint8],
    on_above_frac: float,
    off_above_frac: float,
    voltage_v_min: float,
    temperature_degc_max: float,
    cells_max: int,
) -> NDArray[np.uint8]:
    """See kernels.balance.choose_bleed."""
    n = soc_frac.size
    if not voltage_v.size == temperature_degc.size == bleeding.size == n:
        raise ValueError(f"soc_frac, voltage_v, temperature_degc, bleeding: expected {n} values each")
    if cells_max < 0:
        raise ValueError(f"cells_max: got {cells_max}, expected 0 or more")
    lowest = np.fmin.reduce(soc_frac, initial=np.inf)
    above = np.where(bleeding != 0, off_above_frac, on_above_frac)
    candidate = (soc_frac > lowest + above) & (voltage_v > voltage_v_min) & (temperature_degc < temperature_degc_max)
    highest_first = np.argsort(-soc_frac, kind="stable")
    chosen = np.zeros(n, np.uint8)
    chosen[highest_first[candidate[highest_first]][:cells_max]] = 1
    return chosen
