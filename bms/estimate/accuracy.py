"""How far an estimate is from a log's reference: the figures that `bms estimate` and `hil evaluate` print."""

from dataclasses import dataclass

import numpy as np

from bms.estimate.log_table import Floats

SETTLE_S = 600.0
"""Errors count from here on: 10 min after the log's first row."""
REFERENCE_SIGMA_FRAC = 0.01
"""Standard deviation assumed of the reference SoC: charge counters and capacities of laboratory testers leave about
1 %, cold runs and aged cells more."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Over the rows with a reference from SETTLE_S on; each such row counts the same.

    `coverage_3sigma_pct`: rows with |error| <= 3 sqrt(sigma^2 + REFERENCE_SIGMA_FRAC^2); `coverage_alone_pct` the same
    without the reference's part, and `beyond_3sigma_s_max` the longest time that the former was left for.
    `time_to_5pct_s`: time since the first row from which on |error| stays within 5 % to the end, over all rows with a
    reference; None = it ends outside."""

    rmse_pct: float
    max_error_pct: float
    time_to_5pct_s: float | None
    time_to_2pct_s: float | None
    coverage_3sigma_pct: float
    coverage_alone_pct: float
    beyond_3sigma_s_max: float
    median_sigma_pct: float


def accuracy(time_s: Floats, soc_frac: Floats, soc_sigma_frac: Floats, reference_frac: Floats) -> Accuracy | None:
    """The figures of one replay, float64[n] each, NaN in the reference where it says nothing; None where no row with
    a reference lies SETTLE_S or more after the first row."""
    known = np.isfinite(reference_frac)
    since_s = (time_s - time_s[0])[known]
    error, sigma = (soc_frac - reference_frac)[known], soc_sigma_frac[known]
    settled = since_s >= SETTLE_S
    if not settled.any():
        return None
    size, sigma = np.abs(error), 3 * sigma
    beyond = size > np.hypot(sigma, 3 * REFERENCE_SIGMA_FRAC)
    return Accuracy(
        rmse_pct=100 * _rms(error[settled]),
        max_error_pct=100 * float(size[settled].max()),
        time_to_5pct_s=_stays_within(since_s, size, 0.05),
        time_to_2pct_s=_stays_within(since_s, size, 0.02),
        coverage_3sigma_pct=100 * float(1 - beyond[settled].mean()),
        coverage_alone_pct=100 * float((size <= sigma)[settled].mean()),
        beyond_3sigma_s_max=_longest_s(since_s[settled], beyond[settled]),
        median_sigma_pct=100 * float(np.median(sigma[settled])) / 3,
    )


def rmse_pct(time_s: Floats, soc_frac: Floats, reference_frac: Floats) -> float | None:
    """The `rmse_pct` alone, for an estimate that has no sigma."""
    counts = np.isfinite(reference_frac) & (time_s - time_s[0] >= SETTLE_S)
    return 100 * _rms((soc_frac - reference_frac)[counts]) if counts.any() else None


def _rms(error: Floats) -> float:
    return float(np.sqrt(np.mean(error**2)))


def _stays_within(since_s: Floats, size: Floats, bound: float) -> float | None:
    outside = np.flatnonzero(~(size <= bound))
    if outside.size == 0:
        return 0.0
    last = int(outside[-1])
    return None if last + 1 == len(since_s) else float(since_s[last + 1])


def _longest_s(since_s: Floats, beyond: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> float:
    """Longest time between the first and the last row of those next to each other that are beyond."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], beyond, [False])).astype(np.int8)))
    return max((float(since_s[end - 1] - since_s[first]) for first, end in edges.reshape(-1, 2)), default=0.0)
