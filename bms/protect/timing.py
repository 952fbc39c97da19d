"""The controller's own time: ticks that are missed, standstill, and a wall clock that jumps."""

from collections.abc import Iterator

from bms.protect.debounce import ErrorBucket
from bms.protect.levels import Condition
from bms.state.wall_time import WallClock

OVERRUNS, TOLERATED_FRAC = 25.0, 0.02
"""So many ticks missed beyond two in a hundred."""

STALLED_S = 0.5
"""Nothing was protected for so long; the devices' own watchdogs are longer."""

JUMP_S = 1.0
SLEW = 0.001
"""A clock that is set right moves against the loop's; what is faster than this share of the time is a jump."""


class TimingWatch:
    """Call once a tick. `wall_clock` None = none to watch."""

    def __init__(self, period_s: float, wall_clock: WallClock | None) -> None:
        self._period_s = period_s
        self._wall_clock = wall_clock
        self._bucket = ErrorBucket(OVERRUNS, TOLERATED_FRAC)
        self._ticks = self._overruns = 0
        self._apart_s: float | None = None
        self._at_s = 0.0

    def conditions(self, at_ns: int, overruns: int) -> Iterator[Condition]:
        """`overruns`: ticks missed since the start."""
        self._ticks += 1
        if self._bucket.step(self._ticks, overruns):
            yield Condition("tick_overruns", float(overruns), OVERRUNS, "ticks missed since the start")
        stalled_s, self._overruns = (overruns - self._overruns) * self._period_s, overruns
        if stalled_s > STALLED_S:
            yield Condition("controller_stalled", stalled_s, STALLED_S, "standstill in s")
        if self._wall_clock is not None:
            yield from self._look_at_clock(at_ns / 1e9, self._wall_clock())

    def _look_at_clock(self, at_s: float, wall_s: float) -> Iterator[Condition]:
        apart_s, passed_s = wall_s - at_s, at_s - self._at_s
        moved_s = 0.0 if self._apart_s is None else apart_s - self._apart_s
        self._at_s = at_s
        if abs(moved_s) > JUMP_S:
            yield Condition("clock_jump", moved_s, JUMP_S, "wall clock moved by s")
        if self._apart_s is None or abs(moved_s) > JUMP_S:
            self._apart_s = apart_s
        else:
            self._apart_s += max(min(moved_s, SLEW * passed_s), -SLEW * passed_s)
