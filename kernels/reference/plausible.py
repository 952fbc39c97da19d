"""The plausibility checks' questions as array expressions: what kernels.plausible must equal."""

import numpy as np

from kernels.checks import Floats


class Frozen:
    """See kernels.plausible.Frozen."""

    def __init__(self, values_n: int, forget_frac: float, lag_looks: int) -> None:
        if values_n < 1:
            raise ValueError(f"values_n: got {values_n}, expected at least 1")
        self._forget_frac, self._lag_looks = forget_frac, lag_looks
        self._last = np.full(values_n, np.nan)
        self._looks = np.zeros(values_n, np.int64)
        self._low, self._high = np.full(values_n, np.inf), np.full(values_n, -np.inf)

    def moved(self, values: Floats, other: float) -> Floats:
        if values.size != self._last.size:
            raise ValueError(f"values: got {values.size}, expected {self._last.size}")
        self._looks += 1
        self._looks[values != self._last] = 0
        self._last[:] = values
        moving = self._looks < self._lag_looks
        self._low[moving], self._high[moving] = other, other
        self._low += self._forget_frac * (other - self._low)
        self._high += self._forget_frac * (other - self._high)
        np.minimum(self._low, other, out=self._low)
        np.maximum(self._high, other, out=self._high)
        moved: Floats = self._high - self._low
        return moved


def shared_wire(voltage_v: Floats, mean_v: float, off_v: float, sum_v: float) -> tuple[int, float]:
    """See kernels.plausible.shared_wire."""
    away_v = voltage_v - mean_v
    apart_v = np.minimum(np.abs(away_v[1:]), np.abs(away_v[:-1]))
    shared = (apart_v > off_v) & (np.abs(away_v[1:] + away_v[:-1]) < sum_v)
    if not shared.any():
        return -1, 0.0
    first = int(shared.argmax())
    return first, float(apart_v[first])
