"""Does a log's charge fit the capacity that somebody says its cell has? A slip of a digit, or another cell's file."""

import numpy as np
from numpy.typing import NDArray

from bms.estimate.log import Log

Floats = NDArray[np.float64]

MORE, LESS = 1.2, 0.6
"""A cell has hardly more than its nameplate, and below this share of it even a worn one is no use."""
SPAN_MIN = 0.3
"""So much of its charge must have moved to tell the capacity."""
GAP_S = 600.0
"""What flowed in a longer gap of the logger is not counted: there may have been more."""
THOUSAND = 300.0, 3000.0
"""A charge so many times that of the log's own `ah` or `soc` is that of milliseconds taken for seconds, be the capacity
what it may."""
OF_SPAN = 0.02
"""By capacity: less charge than this in `ah` or `soc` tells nothing."""
NO_CELLS = 100.0
"""A charge so many times the capacity is that of no cell, whichever file was taken for it."""
PAUSE_STEPS = 20.0
"""By the usual time between two rows: a longer one is a pause, over which the current of its ends did not flow."""


def wrong_unit(log: Log, capacity_ah: float, of: str) -> str | None:
    """One line about a log whose charge shows plainly that time or current are in another unit, None where nothing
    does. `of` says whose capacity that is."""
    good = np.isfinite(log.current_a)
    if good.sum() < 2:
        return None
    time_s = log.time_s[good]
    charge_ah = charge_taken_ah(time_s, log.current_a[good], PAUSE_STEPS * float(np.median(np.diff(time_s))))
    moved_ah = float(np.ptp(charge_ah))
    if moved_ah <= MORE * capacity_ah:
        return None
    for name, told_ah in (("ah", log.ah), ("soc", None if log.soc_frac is None else capacity_ah * log.soc_frac)):
        known = np.empty(0) if told_ah is None else told_ah[np.isfinite(told_ah)]
        span_ah = float(np.ptp(known)) if known.size else 0.0
        if span_ah > OF_SPAN * capacity_ah and THOUSAND[0] < moved_ah / span_ah < THOUSAND[1]:
            shown = f"its current moves {moved_ah:.3g} Ah over it, {span_ah:.3g} Ah by its {name}"
            return f"{log.named}: time_s is in other units: {shown}, expected s (not ms)"
    times = _moved_ah(charge_ah, SPAN_MIN * capacity_ah) / capacity_ah
    if times > NO_CELLS:
        shown = f"its current moves {times:.0f} times the {capacity_ah:g} Ah of {of} one way"
        return f"{log.named}: {shown}, expected time_s in s (not ms) and current_a in A (not mA)"
    return None


def capacity_doubt(log: Log, capacity_ah: float, of: str) -> str | None:
    """One line about a log that no cell of this capacity can have made, None where it fits or does not tell. `of` says
    whose capacity that is."""
    good = np.isfinite(log.current_a)
    if good.sum() < 2:
        return None
    charge_ah = charge_taken_ah(log.time_s[good], log.current_a[good], GAP_S)
    run = log.named
    shown_ah = None if log.soc_frac is None else _by_soc(charge_ah, log.soc_frac[good])
    least_ah = 0.0 if np.diff(log.time_s[good]).max() > GAP_S else LESS * capacity_ah
    if shown_ah is not None and not least_ah <= shown_ah <= MORE * capacity_ah:
        return f"{run}: by its soc and current its cell has {shown_ah:.3g} Ah, far from the {capacity_ah:g} Ah of {of}"
    moved_ah = _moved_ah(charge_ah, SPAN_MIN * capacity_ah)
    if moved_ah > MORE * capacity_ah:
        return f"{run}: its current moves {moved_ah:.3g} Ah one way, more than the {capacity_ah:g} Ah of {of} can hold"
    return None


def charge_taken_ah(time_s: Floats, current_a: Floats, gap_s: float) -> Floats:
    """Taken out since the first row, trapezoid; nothing over a longer gap of the logger than `gap_s`."""
    dt_s = np.diff(time_s)
    step = np.where(dt_s > gap_s, 0.0, dt_s) * (current_a[1:] + current_a[:-1]) / 7200
    return np.concatenate([[0.0], np.cumsum(step)])


def _by_soc(charge_ah: Floats, soc: Floats) -> float | None:
    known = np.flatnonzero(np.isfinite(soc))
    if not known.size:
        return None
    low, high = known[soc[known].argmin()], known[soc[known].argmax()]
    span = float(soc[high] - soc[low])
    return abs(float(charge_ah[high] - charge_ah[low])) / span if span >= SPAN_MIN else None


def _moved_ah(charge_ah: Floats, cycled_ah: float) -> float:
    """Between its fullest and emptiest point. Where both directions moved `cycled_ah`, losses and a sensor's offset may
    have added up in one of them, and the other one tells."""
    out = float((charge_ah - np.minimum.accumulate(charge_ah)).max())
    back = float((np.maximum.accumulate(charge_ah) - charge_ah).max())
    less, more = sorted((out, back))
    return less if less > cycled_ah else more
