"""Sees when a load has ended and no current flows, by the sensor alone: what it reads then is its own offset."""

import math

LOAD_PER_H = 0.025
"""Current, by capacity, that is a load beyond doubt. Until the first one sets in, a small reading is taken for what it
is: a slow test, or what a site draws while it waits."""
REST_PER_H = 0.01
"""Current, by capacity, below which a reading may be an offset and its noise."""
COUNTED_PER_H = 0.0005
"""A mean below this is no offset to speak of, and may as well flow: 0.15 A for 300 Ah."""
BLOCK_S = 60.0
"""A rest is two such stretches in a row with the same mean."""
SAME_PER_H = 0.0002
"""Means that differ by less, by capacity, are the same: the current at the end of a charge at constant voltage sinks
faster."""


class RestWatch:
    """Of one string."""

    def __init__(self, capacity_ah: float) -> None:
        self._capacity_ah = capacity_ah
        self._loaded = False
        self._pending_a: float | None = None
        self.interrupt()

    def interrupt(self) -> None:
        """What comes next does not go on from what was."""
        self._before_per_h = math.nan
        self._begin()

    def take(self, current_a: float, dt_s: float) -> float | None:
        """The offset (A) when one has been seen, else None: after each stretch that goes on a rest, and when the first
        load sets in that of the rest before it."""
        per_h = current_a / self._capacity_ah
        if not abs(per_h) <= REST_PER_H:
            self.interrupt()
            return self._first_load() if abs(per_h) > LOAD_PER_H and not self._loaded else None
        self._since_s += dt_s
        self._moved += per_h * dt_s
        if self._since_s < BLOCK_S:
            return None
        offset_a = self._end()
        if self._loaded or offset_a is None:
            return offset_a
        self._pending_a = offset_a
        return None

    def _first_load(self) -> float | None:
        self._loaded = True
        return self._pending_a

    def _begin(self) -> None:
        self._since_s = self._moved = 0.0

    def _end(self) -> float | None:
        mean_per_h, before_per_h = self._moved / self._since_s, self._before_per_h
        self._before_per_h = mean_per_h
        self._begin()
        if not abs(mean_per_h - before_per_h) <= SAME_PER_H:
            return None
        return mean_per_h * self._capacity_ah if abs(mean_per_h) > COUNTED_PER_H else 0.0
