"""What smoothing makes of the load on this site, measured: ranges of load and grid, and what a delay would leave."""

from collections import deque
from math import nan
from typing import NamedTuple

WINDOW_S = 5.0
"""The grid's limits are put on ranges within 5 s (ERCOT proposal for large electronic loads)."""
KEPT_S = 20.0
"""The largest range of the last 20 s counts: a training iteration takes 17 s."""
GAP_S = 1.0
"""After a longer gap between two readings everything begins anew."""
HISTORY = 256
"""Readings of the load that are kept for the delay: 2.5 s at 10 ms."""


class Smoothed(NamedTuple):
    """Largest ranges within 5 s over the last 20 s, W; NaN before that time has passed. `left_w`: what is left of the
    load by a battery that follows it `delay_s` late."""

    load_w: float = nan
    grid_w: float = nan
    left_w: float = nan
    delay_s: float = nan


NOT_MEASURED = Smoothed()


class SmoothingWatch:
    """Sees every reading of the grid meter once, with the load at that time."""

    def __init__(self) -> None:
        self._load, self._grid, self._left = LargestRange(), LargestRange(), LargestRange()
        self._history: deque[tuple[int, float]] = deque(maxlen=HISTORY)
        self._at_ns: int | None = None
        self._delay_s = nan

    def see(self, at_ns: int, load_w: float | None, grid_w: float | None, delay_s: float) -> None:
        """`grid_w` None: others than the smoothing move the battery now."""
        if at_ns == self._at_ns:
            return
        gap = load_w is None or (self._at_ns is not None and at_ns - self._at_ns > GAP_S * 1e9)
        if gap or delay_s != self._delay_s:
            self._load, self._grid, self._left = LargestRange(), LargestRange(), LargestRange()
            self._history.clear()
        self._at_ns, self._delay_s = at_ns, delay_s
        if load_w is None:
            return
        self._history.append((at_ns, load_w))
        self._load.note(at_ns, load_w)
        if grid_w is None:
            self._grid = LargestRange()
        else:
            self._grid.note(at_ns, grid_w)
        before_w = self._load_at_w(at_ns - round(delay_s * 1e9))
        if before_w is not None:
            self._left.note(at_ns, load_w - before_w)

    @property
    def smoothed(self) -> Smoothed:
        return Smoothed(self._load.value, self._grid.value, self._left.value, self._delay_s)

    def _load_at_w(self, at_ns: int) -> float | None:
        """Straight between readings; None before the first that is kept."""
        after_ns, after_w = self._history[-1]
        for before_ns, before_w in reversed(self._history):
            if before_ns <= at_ns:
                share = (at_ns - before_ns) / (after_ns - before_ns) if after_ns > before_ns else 0.0
                return before_w + share * (after_w - before_w)
            after_ns, after_w = before_ns, before_w
        return None


class LargestRange:
    """The largest difference within WINDOW_S over the last KEPT_S, in a few steps a value."""

    def __init__(self) -> None:
        self._low: deque[tuple[int, float]] = deque()
        self._high: deque[tuple[int, float]] = deque()
        self._seconds: deque[tuple[int, float]] = deque()
        self._since_ns: int | None = None
        self._at_ns = 0

    @property
    def value(self) -> float:
        if self._since_ns is None or self._at_ns - self._since_ns < KEPT_S * 1e9:
            return nan
        return max([largest for _, largest in self._seconds])

    def note(self, at_ns: int, value: float) -> None:
        self._since_ns = at_ns if self._since_ns is None else self._since_ns
        self._at_ns = at_ns
        while self._low and self._low[-1][1] >= value:
            self._low.pop()
        while self._high and self._high[-1][1] <= value:
            self._high.pop()
        self._low.append((at_ns, value))
        self._high.append((at_ns, value))
        for extremes in (self._low, self._high):
            while extremes[0][0] < at_ns - WINDOW_S * 1e9:
                extremes.popleft()
        self._keep(at_ns // 1_000_000_000, self._high[0][1] - self._low[0][1])

    def _keep(self, second: int, range_now: float) -> None:
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = second, max(self._seconds[-1][1], range_now)
        else:
            self._seconds.append((second, range_now))
        while self._seconds[0][0] <= second - KEPT_S:
            self._seconds.popleft()
