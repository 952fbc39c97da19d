"""Keeps a limit from sawing: it falls at once and rises only as far as it was allowed for a whole minute."""

import math
from collections import deque

LOOK_BACK_S = 60.0
"""A limit rises no further than the lowest that was allowed in this time: longer than a cell's fast relaxation (30 s),
which gives back what a smaller current has just freed."""

BUCKET_S = 5.0
"""The lowest is kept for slices of this length; the look back is up to one slice longer."""

RISE_TIME_S = 60.0
"""Time constant of the rise: as slow as the relaxation that answers it, so that the two meet without overshoot."""

RISE_FRAC_PER_S_MIN = 0.0005
"""Share of the highest current a second that it rises at least: an exponential alone would never arrive."""


class SteadyCurrent:
    """One rack's current limit in one direction; it starts with what is allowed first. `current_a` is at most what
    `step` was last allowed, and `reason` its cause."""

    __slots__ = ("_bucket_s", "_lows_a", "current_a", "reason")

    def __init__(self) -> None:
        self._lows_a: deque[float] = deque([math.inf], maxlen=1 + math.ceil(LOOK_BACK_S / BUCKET_S))
        self._bucket_s = 0.0
        self.current_a = math.inf
        self.reason = ""

    def step(self, allowed_a: float, reason: str, current_a_max: float, dt_s: float) -> None:
        """What the cells allow now; `current_a_max` is the scale of the slowest rise."""
        self._remember(allowed_a, dt_s)
        rising_a = self._rising(current_a_max, dt_s)
        if rising_a < allowed_a:
            self.current_a = rising_a
        else:
            self.current_a, self.reason = allowed_a, reason

    def _remember(self, allowed_a: float, dt_s: float) -> None:
        self._bucket_s += dt_s
        if self._bucket_s >= BUCKET_S:
            self._bucket_s -= BUCKET_S
            self._lows_a.append(allowed_a)
        elif allowed_a < self._lows_a[-1]:
            self._lows_a[-1] = allowed_a

    def _rising(self, current_a_max: float, dt_s: float) -> float:
        """The present limit, moved towards the lowest of the past minute if that lies above."""
        gap_a = min(self._lows_a) - self.current_a
        if not gap_a > 0.0:
            return self.current_a
        rise_a = max(gap_a * dt_s / RISE_TIME_S, RISE_FRAC_PER_S_MIN * current_a_max * dt_s)
        return self.current_a + min(rise_a, gap_a)
