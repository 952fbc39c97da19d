"""Rows of a log that are far apart: what flowed between them is known as well as the rows themselves foretell it."""

from dataclasses import dataclass, replace

import numpy as np

from bms.estimate.absent_current import beside_a
from bms.estimate.log import Log
from bms.estimate.log_table import Floats
from bms.estimate.string import GAP_CURRENT_PER_H, STEP_S_MAX

COARSE_S = 15.0
"""From rows this far apart on what a current does in seconds is not seen any more, nor how the voltage answers."""
SHARE_MIN = 0.5
"""Of a log's time."""
STEADY_PER_H = 0.01
"""By capacity: a current that strays by less between rows is as good as seen."""


@dataclass(frozen=True, slots=True)
class Coarse:
    """`apart_s`: how far rows are apart, by time. `sigma_a`: what the mean current between two of them may be beside
    that of both; None = they lie so far apart that nobody knows."""

    apart_s: float
    sigma_a: float | None

    @property
    def told(self) -> str:
        """In words."""
        if self.sigma_a is None:
            return f"its rows are {self.apart_s:.3g} s apart: what flowed between them is not known"
        return (
            f"its rows are {self.apart_s:.3g} s apart while its current changes from one to the next: what flowed "
            f"between them is known to ± {self.sigma_a:.2g} A only, and what the voltage does in seconds is not seen"
        )


def coarse(log: Log, capacity_ah: float) -> Coarse | None:
    """None for a log whose rows are near each other, or whose current hardly changes from one to the next."""
    dt_s = np.diff(log.time_s)
    order = np.argsort(dt_s)
    apart_s = float(dt_s[order][np.searchsorted(np.cumsum(dt_s[order]), SHARE_MIN * dt_s.sum())])
    if apart_s < COARSE_S:
        return None
    if apart_s > STEP_S_MAX:
        return Coarse(apart_s, None)
    sigma_a = float(_sigma_a(log, np.array([apart_s]), capacity_ah)[0])
    return Coarse(apart_s, sigma_a) if sigma_a > STEADY_PER_H * capacity_ah else None


def doubted(log: Log, capacity_ah: float) -> Log:
    """With what may have flowed beside the current of both rows in `charge_sigma_ah`, whether they are samples or
    means: a log does not say which. A pause that the estimator knows for one (STEP_S_MAX) is left to it."""
    dt_s = np.diff(log.time_s, prepend=log.time_s[0])
    apart = (dt_s >= COARSE_S) & (dt_s <= STEP_S_MAX)
    before_ah = np.zeros(len(dt_s)) if log.charge_sigma_ah is None else log.charge_sigma_ah
    more_ah = np.zeros(len(dt_s))
    more_ah[apart] = _sigma_a(log, dt_s[apart], capacity_ah) * dt_s[apart] / 3600
    return replace(log, charge_sigma_ah=np.hypot(before_ah, more_ah))


def _sigma_a(log: Log, length_s: Floats, capacity_ah: float) -> Floats:
    known = np.isfinite(log.current_a)
    return beside_a(log.time_s[known], log.current_a[known], length_s, GAP_CURRENT_PER_H * capacity_ah)
