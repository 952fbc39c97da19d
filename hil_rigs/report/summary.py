"""The figures that a grid operator asks of a power curve: peak, range, ramps; with and without the battery."""

from collections import deque
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RANGE_WINDOW_S = 5.0
"""Window of the ERCOT proposal for large loads: so many MW in any 5 s."""
PERCENTS = (1.0, 5.0, 50.0, 95.0, 99.0)


@dataclass(frozen=True, slots=True)
class GridSummary:
    """One power curve (W, import or consumption positive). Between samples the curve is a straight line.

    `range_5s_w`: largest max - min within any 5 s. `ramp_1s_w_per_s`, `ramp_5s_w_per_s`: steepest mean slope, up or
    down, over any 1 s or 5 s; NaN when the series is shorter. `percentile_w[i]` belongs to `PERCENTS[i]`, by time.
    `missing` rows had no finite value and were left out."""

    samples: int
    missing: int
    duration_s: float
    peak_w: float
    lowest_w: float
    mean_w: float
    range_5s_w: float
    ramp_1s_w_per_s: float
    ramp_5s_w_per_s: float
    percentile_w: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same minutes at the load (what the grid would have seen without battery) and at the grid meter."""

    without_battery: GridSummary
    with_battery: GridSummary

    @property
    def range_5s_kept_frac(self) -> float:
        """Share of the 5 s range that is left with the battery; above 1 it made things worse. NaN on a flat load."""
        before_w = self.without_battery.range_5s_w
        return self.with_battery.range_5s_w / before_w if before_w > 0 else nan


def compare(time_s: Floats, load_power_w: Floats, grid_power_w: Floats) -> Comparison:
    """Both curves on the same time axis; arguments and errors as of `summarise_power`."""
    return Comparison(summarise_power(time_s, load_power_w), summarise_power(time_s, grid_power_w))


def summarise_power(time_s: Floats, power_w: Floats) -> GridSummary:
    """Figures of one curve: `time_s[n]` strictly increasing, `power_w[n]`, NaN where absent. Linear in n.

    ValueError if lengths differ, time does not increase or fewer than two rows have a value."""
    if time_s.shape != power_w.shape or time_s.ndim != 1:
        raise ValueError(f"time and power need the same length, got shapes {time_s.shape} and {power_w.shape}")
    present = np.isfinite(power_w) & np.isfinite(time_s)
    times, powers = time_s[present], power_w[present]
    if times.size < 2:
        raise ValueError(f"needs two samples or more, got {times.size}")
    if np.any(np.diff(times) <= 0):
        raise ValueError("time must increase strictly")
    return _summarise(times, powers, missing=int(time_s.size - times.size))


def _summarise(time_s: Floats, power_w: Floats, missing: int) -> GridSummary:
    duration_s = float(time_s[-1] - time_s[0])
    return GridSummary(
        samples=time_s.size,
        missing=missing,
        duration_s=duration_s,
        peak_w=float(power_w.max()),
        lowest_w=float(power_w.min()),
        mean_w=float(np.trapezoid(power_w, time_s)) / duration_s,
        range_5s_w=range_within(time_s, power_w, RANGE_WINDOW_S),
        ramp_1s_w_per_s=steepest_ramp(time_s, power_w, 1.0),
        ramp_5s_w_per_s=steepest_ramp(time_s, power_w, 5.0),
        percentile_w=_percentiles(time_s, power_w),
    )


def steepest_ramp(time_s: Floats, power_w: Floats, over_s: float) -> float:
    """Largest |P(t + over_s) - P(t)| / over_s for any t; NaN if the series is shorter than `over_s`."""
    if time_s[-1] - time_s[0] < over_s:
        return nan
    # a straight line between samples is steepest where the span begins or ends on a sample
    starts, ends = time_s <= time_s[-1] - over_s, time_s >= time_s[0] + over_s
    ahead_w = np.interp(time_s[starts] + over_s, time_s, power_w) - power_w[starts]
    behind_w = power_w[ends] - np.interp(time_s[ends] - over_s, time_s, power_w)
    return float(max(np.abs(ahead_w).max(initial=0.0), np.abs(behind_w).max(initial=0.0))) / over_s


def range_within(time_s: Floats, power_w: Floats, window_s: float) -> float:
    """Largest max - min of the curve within any window of `window_s`."""
    largest_w = _range_of_samples(time_s.tolist(), power_w.tolist(), window_s)
    if time_s[-1] - time_s[0] < window_s:
        return largest_w
    # a window's edge may fall between two samples; then its two ends are the farthest apart
    return max(largest_w, steepest_ramp(time_s, power_w, window_s) * window_s)


def _range_of_samples(time_s: list[float], power_w: list[float], window_s: float) -> float:
    """Over the samples alone, with queues of candidates for the maximum and the minimum: each enters once."""
    highs: deque[int] = deque()
    lows: deque[int] = deque()
    largest_w = 0.0
    for newest, power in enumerate(power_w):
        while highs and power_w[highs[-1]] <= power:
            highs.pop()
        while lows and power_w[lows[-1]] >= power:
            lows.pop()
        highs.append(newest)
        lows.append(newest)
        oldest_s = time_s[newest] - window_s
        while time_s[highs[0]] < oldest_s:
            highs.popleft()
        while time_s[lows[0]] < oldest_s:
            lows.popleft()
        largest_w = max(largest_w, power_w[highs[0]] - power_w[lows[0]])
    return largest_w


def _percentiles(time_s: Floats, power_w: Floats) -> tuple[float, ...]:
    """By share of time, not of rows: each row counts for half the gap to either neighbour."""
    gaps_s = np.diff(time_s)
    weight_s = np.zeros(len(time_s))
    weight_s[:-1] += gaps_s / 2
    weight_s[1:] += gaps_s / 2
    order = np.argsort(power_w, kind="stable")
    share = (np.cumsum(weight_s[order]) - weight_s[order] / 2) / weight_s.sum()
    return tuple(float(value) for value in np.interp(np.array(PERCENTS) / 100, share, power_w[order]))
