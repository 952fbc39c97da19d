"""Rows of a log without a current: bridged where that is short, with what may have flowed beside the bridge."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bms.estimate.log import Log, LogError
from bms.estimate.log_table import Floats
from bms.estimate.string import GAP_CURRENT_PER_H, STEP_S_MAX

RATE_PER_H_MAX = 50.0
"""By capacity: more than any cell carries for a sample. Such a reading is none."""
BEYOND_SHARE_MAX = 0.05
"""So many readings beyond that are not slips of a sensor but another unit, or the log of a larger cell."""
STEADY_PER_H = 0.05
"""The ends of a bridge differ by less: the voltage between them still tells. A cell drops some 5 mV by so much more."""
PAIRS_MIN = 10
"""Below so many stretches of a length the log does not tell how its current varies over it."""
SHARED_ENDS = (8.0 / 3.0) ** 0.5
"""Bridges one after another share their ends, and with them errors: of samples that have nothing to do with each other,
at equal distances, each strays the charge by sigma times the distance; one sample between two ends shows sqrt(3/8) of
that sigma."""


@dataclass(frozen=True, slots=True)
class Bridged:
    """`log` is without absences that are short. Of the rows without a current, `beyond` had one that no cell carries,
    and `bridged` have one now."""

    log: Log
    absent: int
    beyond: int
    bridged: int


def bridge(log: Log, capacity_ah: float) -> Bridged:
    """A current that is absent for no longer than the estimator lets two samples be apart (STEP_S_MAX) runs straight
    from the sample before to that after, and `charge_sigma_ah` is what may have flowed besides. A voltage there counts
    only where both ends are about the same. LogError for a current that is in another unit."""
    usual = np.abs(log.current_a) <= RATE_PER_H_MAX * capacity_ah
    given = np.isfinite(log.current_a)
    beyond = int((given & ~usual).sum())
    if beyond > BEYOND_SHARE_MAX * given.sum():
        wrong = f"current_a is beyond {RATE_PER_H_MAX * capacity_ah:g} A in {beyond} of {given.sum()} rows"
        raise LogError(f"{log.path}: {wrong}, expected A (not mA) through one cell of {capacity_ah:g} Ah")
    if usual.all():
        return Bridged(log, 0, 0, 0)
    known = np.flatnonzero(usual)
    rows = np.arange(len(usual))
    after = np.searchsorted(known, rows)
    before, after = known[np.maximum(after - 1, 0)], known[np.minimum(after, len(known) - 1)]
    time_s, current_a = log.time_s, log.current_a
    length_s = time_s[after] - time_s[before]
    inside = (before < rows) & (rows <= after) & (after - before > 1) & (length_s <= STEP_S_MAX)
    filled = inside & ~usual
    straight_a = np.interp(time_s, time_s[known], current_a[known])
    steady = np.abs(current_a[after] - current_a[before]) <= STEADY_PER_H * capacity_ah
    sigma_ah = np.zeros(len(rows))
    sigma_a = beside_a(time_s[known], current_a[known], length_s[inside], GAP_CURRENT_PER_H * capacity_ah)
    dt_s = np.diff(time_s, prepend=time_s[0])
    sigma_ah[inside] = sigma_a * np.sqrt(dt_s[inside] * length_s[inside]) / 3600
    bridged = replace(
        log,
        current_a=np.where(filled, straight_a, np.where(usual, current_a, np.nan)),
        voltage_v=np.where(filled & ~steady, np.nan, log.voltage_v),
        charge_sigma_ah=sigma_ah,
    )
    return Bridged(bridged, int((~usual).sum()), beyond, int(filled.sum()))


def beside_a(time_s: Floats, current_a: Floats, length_s: Floats, unknown_a: float) -> Floats:
    """By how much (standard deviation) the mean current of a stretch of each length is beside the mean of its ends. The
    log itself says it, over stretches twice as long, which have samples inside."""
    octave = np.ceil(np.log2(length_s)).astype(np.intp)
    sigma_a = np.full(len(length_s), unknown_a)
    dt_s = np.diff(time_s)
    charge_as = np.concatenate([[0.0], np.cumsum(0.5 * (current_a[1:] + current_a[:-1]) * dt_s)])
    pauses = np.concatenate([[0], np.cumsum(dt_s > STEP_S_MAX)])
    for each in np.unique(octave):
        strayed_a = _beside_over(2.0 * 2.0**each, time_s, current_a, charge_as, pauses)
        if len(strayed_a) >= PAIRS_MIN:
            sigma_a[octave == each] = SHARED_ENDS * np.sqrt(np.mean(strayed_a**2))
    return sigma_a


def _beside_over(
    length_s: float, time_s: Floats, current_a: Floats, charge_as: Floats, pauses: NDArray[np.intp]
) -> Floats:
    """Mean current less the mean of both ends, of every stretch of this length, or up to twice that."""
    end = np.searchsorted(time_s, time_s + length_s)
    first = np.flatnonzero(end < len(time_s))
    last = end[first]
    took_s = time_s[last] - time_s[first]
    told = (took_s <= 2 * length_s) & (pauses[last] == pauses[first]) & (last - first > 1)
    first, last, took_s = first[told], last[told], took_s[told]
    return np.asarray((charge_as[last] - charge_as[first]) / took_s - 0.5 * (current_a[last] + current_a[first]))
