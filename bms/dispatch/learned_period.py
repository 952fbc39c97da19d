"""A load that repeats itself: its period, how exactly it keeps it, and what it will do next if it does."""

from collections import deque
from itertools import pairwise
from math import isnan, nan

KEPT_S = 90.0
PERIODS = 5
"""Whole periods that are needed, and of which the mean counts."""
LOW_FRAC, HIGH_FRAC = 0.25, 0.5
"""A period begins where the load, after LOW_S below the one share of its range, rises through the other."""
LOW_S = 1.0
BETTER = 0.5
"""The forecast must have been this much nearer over the last period than the load's own last value."""


class LearnedPeriod:
    """Sees every new reading of the load with its time. `jitter_frac` is the standard deviation of the last periods by
    their mean, NaN before there are enough."""

    def __init__(self) -> None:
        self._time_s = 0.0
        self._samples: deque[tuple[float, float]] = deque()
        self._starts: deque[float] = deque(maxlen=PERIODS + 1)
        self._low_s = 0.0
        self._forecasts: deque[tuple[float, float, float]] = deque()
        self._misses: deque[tuple[float, float, float]] = deque()

    @property
    def period_s(self) -> float:
        """NaN before there are enough."""
        full = len(self._starts) == PERIODS + 1
        return (self._starts[-1] - self._starts[0]) / PERIODS if full else nan

    @property
    def jitter_frac(self) -> float:
        mean_s, starts = self.period_s, list(self._starts)
        periods_s = [later - earlier for earlier, later in pairwise(starts)]
        if isnan(mean_s):
            return nan
        return float((sum((period_s - mean_s) ** 2 for period_s in periods_s) / PERIODS) ** 0.5 / mean_s)

    def see(self, load_w: float, at_s: float) -> None:
        """A reading of a time that was seen before is not news."""
        if self._samples and at_s <= self._time_s:
            return
        since_s, self._time_s = at_s - self._time_s, at_s
        self._samples.append((self._time_s, load_w))
        while self._samples[0][0] < self._time_s - KEPT_S:
            self._samples.popleft()
        self._mark_start(load_w, since_s)
        while self._forecasts and self._forecasts[0][0] <= self._time_s:
            due_s, forecast_w, then_w = self._forecasts.popleft()
            due_w = self._at_w(due_s)
            if due_w is not None:
                self._misses.append((self._time_s, abs(due_w - forecast_w), abs(due_w - then_w)))
        kept_s = KEPT_S if isnan(self.period_s) else self.period_s
        while self._misses and self._misses[0][0] < self._time_s - kept_s:
            self._misses.popleft()

    def change_w(self, ahead_s: float, jitter_frac_max: float) -> float:
        """By how much the load will have changed `ahead_s` after its last reading; 0 while its jitter is above the
        limit, or while forecasts were not clearly better than none over a whole period."""
        period_s = self.period_s
        if isnan(period_s) or not 0.0 < ahead_s < period_s:
            return 0.0
        now_w, then_w = self._at_w(self._time_s - period_s), self._at_w(self._time_s - period_s + ahead_s)
        if now_w is None or then_w is None:
            return 0.0
        load_w = self._samples[-1][1]
        self._forecasts.append((self._time_s + ahead_s, load_w + then_w - now_w, load_w))
        return then_w - now_w if self._good(jitter_frac_max) else 0.0

    def _good(self, jitter_frac_max: float) -> bool:
        if not self.jitter_frac <= jitter_frac_max:
            return False
        if not self._misses or self._misses[-1][0] - self._misses[0][0] < 0.9 * self.period_s:
            return False
        return max(miss[1] for miss in self._misses) < BETTER * max(miss[2] for miss in self._misses)

    def _mark_start(self, load_w: float, since_s: float) -> None:
        powers_w = [power_w for _, power_w in self._samples]
        low_w, high_w = min(powers_w), max(powers_w)
        rises_w = low_w + HIGH_FRAC * (high_w - low_w)
        if load_w < low_w + LOW_FRAC * (high_w - low_w):
            self._low_s += since_s
        elif load_w > rises_w:
            if self._low_s >= LOW_S and len(self._samples) > 1:
                before_s, before_w = self._samples[-2]
                share = (rises_w - before_w) / (load_w - before_w) if load_w > before_w else 1.0
                self._starts.append(before_s + share * since_s)
            self._low_s = 0.0

    def _at_w(self, time_s: float) -> float | None:
        """Straight between samples; None outside."""
        if not self._samples[0][0] <= time_s <= self._samples[-1][0]:
            return None
        after_s, after_w = self._samples[-1]
        for before_s, before_w in reversed(self._samples):
            if before_s <= time_s:
                share = (time_s - before_s) / (after_s - before_s) if after_s > before_s else 0.0
                return before_w + share * (after_w - before_w)
            after_s, after_w = before_s, before_w
        return None
