"""How evenly and how late the fast lane works, measured on itself."""

from collections import deque
from math import nan

KEPT = 100
"""Readings and set-points over which it is measured."""
LATE_MAX = KEPT // 10
EVERY = 10
"""The figures are made anew after so many."""


class LanePace:
    """`jitter_s` is what a tenth of the last readings is further off its period than, `age_s` what a tenth of the last
    set-points took longer from reading to acknowledgement than; NaN before the first ten."""

    def __init__(self, period_s: float, jitter_s_max: float, age_s_max: float) -> None:
        self._period_s = period_s
        self._jitter, self._age = _Tenth(jitter_s_max), _Tenth(age_s_max)
        self._read_ns: int | None = None

    @property
    def jitter_s(self) -> float:
        return self._jitter.value_s

    @property
    def age_s(self) -> float:
        return self._age.value_s

    def read(self, at_ns: int) -> None:
        """A reading of this time came."""
        if self._read_ns is not None:
            self._jitter.note(abs((at_ns - self._read_ns) / 1e9 - self._period_s))
        self._read_ns = at_ns

    def wrote(self, read_ns: int, acknowledged_ns: int) -> None:
        """The set-point that follows the reading of `read_ns` was acknowledged."""
        self._age.note((acknowledged_ns - read_ns) / 1e9)

    def beyond(self) -> str:
        """What is beyond its bound; empty = nothing."""
        if self._jitter.beyond:
            return f"jitter {self.jitter_s * 1e3:.1f} ms, limit {self._jitter.limit_s * 1e3:g} ms"
        if self._age.beyond:
            return f"age {self.age_s * 1e3:.1f} ms, limit {self._age.limit_s * 1e3:g} ms"
        return ""

    def forget(self) -> None:
        self._jitter, self._age = _Tenth(self._jitter.limit_s), _Tenth(self._age.limit_s)
        self._read_ns = None


class _Tenth:
    """The value that a tenth of the last KEPT is above, and whether more than a tenth of KEPT is above the limit."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._kept: deque[float] = deque(maxlen=KEPT)
        self._late = self._noted = 0
        self._value_s = nan

    @property
    def beyond(self) -> bool:
        return self._late > LATE_MAX

    @property
    def value_s(self) -> float:
        return sorted(self._kept)[-1 - len(self._kept) // 10] if self.beyond else self._value_s

    def note(self, value_s: float) -> None:
        if len(self._kept) == KEPT:
            self._late -= self._kept[0] > self.limit_s
        self._kept.append(value_s)
        self._late += value_s > self.limit_s
        self._noted += 1
        if self._noted % EVERY == 0:
            self._value_s = sorted(self._kept)[-1 - len(self._kept) // 10]
