"""Whether a log's current has the sign that is claimed for it, told by what the current does to the cell."""

from collections.abc import Iterator

import numpy as np

from bms.estimate.log import Log
from bms.estimate.log_charge import Floats, charge_taken_ah

GAP_S = 120.0
"""A longer pause of the logger says nothing about the current in it."""
ROWS_MIN = 10
STEP_PER_H = 0.1
STEP_V = 0.003
"""A step of the current counts from here on when the voltage answers it by more than a sensor's noise."""
STEPS_MIN = 10
STEPS_PLAIN = -0.8
"""Nine steps of ten go the wrong way: with the right sign hardly any does, through the cell's own resistance."""
REFERENCE_SPAN = 0.3
REFERENCE_PLAIN = -0.9
SWING = 0.8
"""A run that moves this share of the capacity comes from near one end of the open-circuit curve to the other."""
VOLTAGE_PLAIN = -0.5


def contradiction(log: Log, nominal_ah: float) -> str | None:
    """What shows plainly that `current_a` is positive on charge, None = nothing does, or something speaks against."""
    said = list(_evidence(log, nominal_ah))
    if any(agreement > 0.0 for agreement, _, _ in said):
        return None
    return next((what for agreement, plain, what in said if agreement <= plain), None)


def _evidence(log: Log, nominal_ah: float) -> Iterator[tuple[float, float, str]]:
    """(agreement with a current positive on discharge from -1 to 1, from where down it is plain, the words for it)."""
    known = np.isfinite(log.current_a) & np.isfinite(log.voltage_v)
    time_s, current_a, voltage_v = log.time_s[known], log.current_a[known], log.voltage_v[known]
    if known.sum() < ROWS_MIN:
        return
    step_a, step_v = np.diff(current_a), np.diff(voltage_v)
    seen = (np.abs(step_a) > STEP_PER_H * nominal_ah) & (np.abs(step_v) > STEP_V) & (np.diff(time_s) <= GAP_S)
    steps, wrong = int(seen.sum()), int((step_a * step_v > 0)[seen].sum())
    if steps >= STEPS_MIN:
        what = f"in {wrong} of {steps} steps voltage_v rises with the discharge or falls with the charge"
        yield 1 - 2 * wrong / steps, STEPS_PLAIN, what
    taken_ah = charge_taken_ah(time_s, current_a, GAP_S)
    if log.soc_frac is not None:
        soc = log.soc_frac[known]
        given = np.isfinite(soc)
        if given.sum() >= ROWS_MIN and np.ptp(soc[given]) > REFERENCE_SPAN:
            what = "soc rises in discharge or falls in charge"
            yield -_correlation(taken_ah[given], soc[given]), REFERENCE_PLAIN, what
    if np.ptp(taken_ah) > SWING * nominal_ah:
        what = "over the run voltage_v rises in discharge or falls in charge"
        yield -_correlation(*_at_one_current(current_a, taken_ah, voltage_v)), VOLTAGE_PLAIN, what


def _at_one_current(current_a: Floats, *values: Floats) -> list[Floats]:
    """The values less what in them is linear in the current, such as the drop in the cell's resistance."""
    of_current = np.column_stack([current_a, np.ones(len(current_a))])
    return [each - of_current @ np.linalg.lstsq(of_current, each, rcond=None)[0] for each in values]


def _correlation(a: Floats, b: Floats) -> float:
    """0 where one of them does not change."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0.0 else 0.0
