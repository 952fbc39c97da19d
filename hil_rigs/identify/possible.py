"""What of the logs is taken: each once, and without rows that no cell of the chemistry can have made."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bms.estimate.log import Log
from hil_rigs.identify.chemistry import Chemistry
from hil_rigs.identify.runs import GAP_S, IdentifyError

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

OVER_V, LEAST_SHARE = 0.3, 0.5
"""So far beyond full, and below this share of the voltage when empty, is no cell of the chemistry: a broken wire,
another chemistry. A pulse in the cold goes lower than empty, but not there."""
MOST_PER_H = 100.0
"""Of the nominal capacity; the strongest cells bear half of it for seconds."""
REFUSED_SHARE = 0.05
SPIKE_K, SPIKE_V, SPIKE_PER_H = 8.0, 0.15, 2.0
"""What one row differs from both of its neighbours, far more than a cell does from one row to the next and back."""
DROPS = 3.0
"""A voltage may answer to a step of the current by this many times its usual drop: near empty it does."""
SILENT_SHARE = 0.2
"""A current to which the voltage answers by less of its usual drop did not flow."""
STEP_PER_H, STEPS_MIN = 0.1, 10
PASSES = 5
"""Two spikes side by side hide each other until one is gone."""


def taken_logs(logs: Sequence[Log], chemistry: Chemistry, nominal_ah: float) -> tuple[list[Log], list[str]]:
    """The logs, each once, without their impossible rows; a line for every log of which something is left out. Taken
    again they stay as they are. IdentifyError where a log has too many such rows to be slips of a sensor."""
    taken: list[Log] = []
    said = []
    for log in logs:
        twin = next((other for other in taken if _same(other, log)), None)
        if twin is None:
            taken.append(log)
        else:
            said.append(f"{log.named}: the same measurement as {twin.named}, taken once")
    for place, log in enumerate(taken):
        taken[place] = _possible(log, chemistry, nominal_ah)
        dropped = len(log.time_s) - len(taken[place].time_s)
        if dropped:
            rows = f"{dropped} row{'s' if dropped > 1 else ''} of {len(log.time_s)}"
            said.append(f"{log.named}: {rows} dropped that no {chemistry.name} cell can have made (spikes)")
    return taken, said


def _same(one: Log, other: Log) -> bool:
    columns = "time_s", "current_a", "voltage_v", "temperature_degc"
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in columns)


def _possible(log: Log, chemistry: Chemistry, nominal_ah: float) -> Log:
    bad = _outside(log, chemistry, nominal_ah)
    log = _kept(log, ~bad) if bad.any() else log
    for _ in range(PASSES):
        bad = _spikes(log, nominal_ah)
        if not bad.any():
            break
        log = _kept(log, ~bad)
    return log


def _outside(log: Log, chemistry: Chemistry, nominal_ah: float) -> Rows:
    low_v, high_v = LEAST_SHARE * chemistry.empty_v, chemistry.full_v + OVER_V
    volts = (log.voltage_v < low_v) | (log.voltage_v > high_v)
    if volts.mean() > REFUSED_SHARE:
        first_v, last_v = np.nanmin(log.voltage_v), np.nanmax(log.voltage_v)
        raise IdentifyError(
            f"{log.path}: {100 * volts.mean():.0f} % of voltage_v (from {first_v:.2f} to {last_v:.2f} V) is no "
            f"{chemistry.name} cell's, expected {low_v:.2f} to {high_v:.2f} V or another --chemistry"
        )
    amps = np.abs(log.current_a) > MOST_PER_H * nominal_ah
    if amps.mean() > REFUSED_SHARE:
        raise IdentifyError(
            f"{log.path}: {100 * amps.mean():.0f} % of current_a is above {MOST_PER_H:g} times the {nominal_ah:g} Ah "
            "of --nominal-ah an hour, expected A (not mA)"
        )
    return volts | amps


def _spikes(log: Log, nominal_ah: float) -> Rows:
    """Single rows; a step of voltage and current together is none. The temperature's ends are judged too."""
    if len(log.time_s) < 3:
        return np.zeros(len(log.time_s), np.bool_)
    near = np.pad(np.diff(log.time_s) <= GAP_S, 1, mode="reflect")
    together = near[1:] & near[:-1]
    degc = _both(log.temperature_degc, np.minimum, "reflect") > SPIKE_K
    step_v, step_a = np.diff(log.voltage_v), np.diff(log.current_a)
    stepped = np.abs(step_a) > STEP_PER_H * nominal_ah
    ohm = max(float(np.median(-step_v[stepped] / step_a[stepped])), 0.0) if stepped.sum() >= STEPS_MIN else None
    most_a = _both(log.current_a, np.maximum, "edge", signed=False)
    if ohm is None:
        volts = (_both(log.voltage_v, np.minimum, "edge") > SPIKE_V) & (most_a < STEP_PER_H * nominal_ah)
        return together & (degc | volts)
    volts = _both(log.voltage_v + ohm * log.current_a, np.minimum, "edge") > SPIKE_V + DROPS * ohm * most_a
    least_a = _both(log.current_a, np.minimum, "edge")
    drop_v = ohm * least_a
    answer_v = _both(log.voltage_v, np.maximum, "edge", signed=False)
    amps = (least_a > SPIKE_PER_H * nominal_ah) & (drop_v > SPIKE_V) & (answer_v < SILENT_SHARE * drop_v)
    return together & (degc | volts | amps)


def _both(values: Floats, of: Callable[[Floats, Floats], Floats], beyond: str, *, signed: bool = True) -> Floats:
    """The smaller or larger difference of each row from its two neighbours; 0 where `signed` and they differ in sign.
    `beyond` the ends a neighbour is the same as the other one, or as the row itself."""
    padded = np.pad(values, 1, mode="reflect" if beyond == "reflect" else "edge")
    before, after = values - padded[:-2], values - padded[2:]
    size = of(np.abs(before), np.abs(after))
    return np.where(before * after > 0, size, 0.0) if signed else size


def _kept(log: Log, rows: Rows) -> Log:
    return replace(
        log,
        time_s=log.time_s[rows],
        current_a=log.current_a[rows],
        voltage_v=log.voltage_v[rows],
        temperature_degc=log.temperature_degc[rows],
        soc_frac=None if log.soc_frac is None else log.soc_frac[rows],
        ah=None if log.ah is None else log.ah[rows],
    )
