"""The ramp limit sample by sample: what kernels.ramp must equal."""

from itertools import accumulate

import numpy as np

from kernels.checks import Floats


def ramp_limited(wanted: Floats, level: float, step: float) -> Floats:
    """See kernels.ramp.ramp_limited."""
    moved = accumulate(wanted.tolist(), lambda at, to: at + min(max(to - at, -step), step), initial=level)
    return np.array(list(moved)[1:], np.float64)
