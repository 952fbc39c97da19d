"""Which states of charge the runs went through, and how far off a curve may be where they did not."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hil_rigs.identify.chemistry import Chemistry
from hil_rigs.identify.runs import Run, rows_inside
from kernels.cell_tables import SOC_GRID

Floats = NDArray[np.float64]
Points = NDArray[np.bool_]

ONE_STEP = 0.05
"""From one row to the next a run went through what lies between them, if it is no more than that."""
NEAR = 0.02
"""As far as the curve is known beyond what was seen."""
FADES = 0.05
"""So much further on, two thirds of what is known by then are forgotten."""
USUAL_SIGMA_V = {"lfp": 0.03}
ELSE_SIGMA_V = 0.05
"""Of a usual curve that goes on from a measured one, where it is flat (NCR18650PF and INR18650 by 40 to 60 mV;
an NMC pouch by 20 mV below half charge and 300 mV above). The estimator takes it for an error that comes and goes:
with three times as much it believes its drifting count of charge. Cells also differ in where the curve bends:"""
BENDS_SIGMA = 0.03
STRETCHES_MAX = 3
LEAST_COVERED = 0.2
"""From less of a cell's range not much more than its resistance can be told."""


def covered(runs: Sequence[Run]) -> Points:
    """[221] on SOC_GRID: whether a run went through that point, from 0 to 1."""
    step = SOC_GRID[1] - SOC_GRID[0]
    times = np.zeros(len(SOC_GRID) + 1)
    for run in runs:
        soc = run.soc_frac[rows_inside(run.soc_frac)]
        at = np.rint((soc - SOC_GRID[0]) / step).astype(np.int64)
        first, last = np.minimum(at[1:], at[:-1]), np.maximum(at[1:], at[:-1])
        through = np.abs(np.diff(soc)) <= ONE_STEP
        np.add.at(times, np.concatenate([at, first[through]]), 1)
        np.add.at(times, np.concatenate([at, last[through]]) + 1, -1)
    inside = (SOC_GRID > -1e-9) & (SOC_GRID < 1 + 1e-9)
    return (np.cumsum(times)[:-1] > 0.5) & inside


def share_of(points: Points) -> float:
    """How much of the range from empty to full the points are."""
    return float(np.count_nonzero(points)) / float(1 / (SOC_GRID[1] - SOC_GRID[0]) + 1)


def spans(points: Points) -> list[tuple[float, float]]:
    """First and last SoC of each stretch, those no further apart than can be bridged taken as one."""
    known = _distance(points) <= NEAR
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]])))
    stretches = [np.flatnonzero(points[a:b]) + a for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return [(float(SOC_GRID[each[0]]), float(SOC_GRID[each[-1]])) for each in stretches]


def percent(stretches: Sequence[tuple[float, float]]) -> str:
    """In words."""
    if len(stretches) > STRETCHES_MAX:
        return f"{len(stretches)} stretches between {100 * stretches[0][0]:.0f} and {100 * stretches[-1][1]:.0f} %"
    return ", ".join(f"{100 * low:.0f} to {100 * high:.0f} %" for low, high in stretches)


def unseen_sigma_v(points: Points, chemistry: Chemistry) -> Floats:
    """[221]: how far the curve may be off for not having been seen; 0 where it was, or nearly."""
    usual_v = np.hypot(USUAL_SIGMA_V.get(chemistry.name, ELSE_SIGMA_V), bends_v(chemistry))
    return np.asarray(usual_v * -np.expm1(-np.maximum(_distance(points) - NEAR, 0.0) / FADES))


def bends_v(chemistry: Chemistry) -> Floats:
    """[221]: how far the usual curve may be off for bending at another SoC."""
    soc = SOC_GRID[10:-10]
    return np.pad(BENDS_SIGMA * np.gradient(chemistry.ocv_v(soc), soc[1] - soc[0]), 10, mode="edge")


def _distance(points: Points) -> Floats:
    """Of each point on the grid to the next one seen, within 0 to 1."""
    seen = SOC_GRID[points]
    if not seen.size:
        return np.ones(len(SOC_GRID))
    at = np.clip(SOC_GRID, 0, 1)
    above = np.clip(np.searchsorted(seen, at), 1, len(seen) - 1) if len(seen) > 1 else np.zeros(len(at), np.int64)
    return np.minimum(np.abs(at - seen[above]), np.abs(at - seen[above - 1]))
