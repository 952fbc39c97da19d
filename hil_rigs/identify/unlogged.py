"""What flowed while a log has no rows: pulse tests leave out how they got from one SoC to the next."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COUNTED_FRAC = 0.001
"""A counter that moved by less of the capacity in a gap says nothing."""
FLOWING_SHARE = 0.5
"""Of a pause after which the cell rests, current flows in this first part; with a tenth a fit is the same."""
BESIDE_S = 1e-3


def unlogged_rows(
    time_s: Floats, current_a: Floats, counted_ah: Floats, *, capacity_ah: float, gap_s: float, rest_a: float
) -> tuple[Ints, Floats, Floats]:
    """(places, times, currents) of rows to be put in before the rows at those places: over a pause of more than `gap_s`
    between two rows at rest (`rest_a`), in which the log's own count of charge taken went on, what that says flowed."""
    dt_s = np.diff(time_s)
    taken_ah = np.diff(counted_ah)
    resting = np.maximum(np.abs(current_a[1:]), np.abs(current_a[:-1])) < rest_a
    gaps = np.flatnonzero((dt_s > gap_s) & resting & (np.abs(taken_ah) > COUNTED_FRAC * capacity_ah))
    flowing_s = FLOWING_SHARE * dt_s[gaps]
    mean_a = taken_ah[gaps] * 3600 / flowing_s
    times = time_s[gaps, None] + np.stack([np.full(len(gaps), BESIDE_S), flowing_s, flowing_s + BESIDE_S], axis=1)
    currents = mean_a[:, None] * np.array([1.0, 1.0, 0.0])
    return np.repeat(gaps + 1, 3), times.ravel(), currents.ravel()
