"""A rack's main fuse: how long it bears how much, and that it never comes back."""

from bisect import bisect_left
from math import exp, log

TRIP_CURVE = ((1.45, 3600.0), (2.0, 100.0), (3.0, 10.0), (5.0, 1.0), (10.0, 0.05), (20.0, 0.008))
"""Multiple of the rated current and seconds until it melts: the shape of gPV fuses (IEC 60269-6: conventional fusing
current 1.45 times the rated one in the conventional time); beyond the last point by I²t."""

COOLS_S = 60.0
"""Time constant in which the damage of an overload that ended is forgotten."""


def trip_time_s(multiple: float) -> float:
    """Until it melts at a steady multiple of its rated current; straight in both logarithms. inf below the first
    point."""
    multiples = [point for point, _ in TRIP_CURVE]
    if multiple < multiples[0]:
        return float("inf")
    if multiple >= multiples[-1]:
        last, time_s = TRIP_CURVE[-1]
        return time_s * (last / multiple) ** 2
    right = max(bisect_left(multiples, multiple), 1)
    (m0, t0), (m1, t1) = TRIP_CURVE[right - 1], TRIP_CURVE[right]
    share = log(multiple / m0) / log(m1 / m0)
    return exp(log(t0) + share * (log(t1) - log(t0)))


class Fuse:
    """`rated_a` is what it bears for ever. Once `melted` it carries nothing any more."""

    def __init__(self, rated_a: float) -> None:
        if not rated_a > 0:
            raise ValueError(f"a fuse needs a rated current above 0 A, got {rated_a}")
        self.rated_a = rated_a
        self.melted = False
        self._damage = 0.0

    def step(self, current_a: float, dt_s: float) -> None:
        """Carry this current for `dt_s`."""
        multiple = abs(current_a) / self.rated_a
        if multiple >= TRIP_CURVE[0][0]:
            self._damage += dt_s / trip_time_s(multiple)
            self.melted |= self._damage >= 1.0
        elif self._damage > 0.0:
            self._damage *= exp(-dt_s / COOLS_S)
