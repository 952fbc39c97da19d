"""Which temperatures of a cell's tables are measured, and which follow from those by what is usual."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from hil_rigs.identify.runs import Run, rows_inside

Floats = NDArray[np.float64]

MIDDLE = 0.05, 0.95
"""Where a run is counted as measured: the share of its rows in between. A spike, or the minute in which a cold cell
warms up, is no measurement of that temperature."""
TOUCHED = 0.01, 0.99
"""The same for the range in which the estimator trusts the tables: a cell's own warmth counts, stray rows do not."""
NEAR_K = 3.0
"""A table row is measured when the middle of a run comes so near to it."""


class Basis(StrEnum):
    """What a table row stands on: data near its temperature, data on both sides of it, or on one side only."""

    MEASURED = "measured"
    BETWEEN = "between"
    EXTRAPOLATED = "extrapolated"


def measured_degc(runs: Sequence[Run]) -> tuple[float, float]:
    """Lowest and highest temperature at which a meaningful share of some run lies."""
    spans = _spans(runs)
    return float(spans[:, 0].min()), float(spans[:, 1].max())


def touched_degc(runs: Sequence[Run]) -> tuple[float, float]:
    """Lowest and highest temperature of the rows that take part in the fit, but for a hundredth of each run's."""
    spans = np.array([np.quantile(run.temperature_degc[rows_inside(run.soc_frac)], TOUCHED) for run in runs])
    return float(spans[:, 0].min()), float(spans[:, 1].max())


def bases(runs: Sequence[Run], degc: Floats) -> tuple[Basis, ...]:
    """One for each of `degc`."""
    spans = _spans(runs)
    return tuple(_basis(spans, at) for at in degc.tolist())


def _basis(spans: Floats, degc: float) -> Basis:
    if (np.abs(degc - np.clip(degc, spans[:, 0], spans[:, 1])) <= NEAR_K).any():
        return Basis.MEASURED
    between = spans[:, 0].min() < degc < spans[:, 1].max()
    return Basis.BETWEEN if between else Basis.EXTRAPOLATED


def _spans(runs: Sequence[Run]) -> Floats:
    """[run, (low, high)], degC."""
    return np.array([np.quantile(run.temperature_degc, MIDDLE) for run in runs])
