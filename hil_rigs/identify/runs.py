"""From a log to a run that can be fitted: SoC reference, temperature, exact filters' inputs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bms.estimate import log_charge
from bms.estimate.coarse_rows import coarse
from bms.estimate.log import Log
from hil_rigs.identify.chemistry import Chemistry
from hil_rigs.identify.unlogged import unlogged_rows

Floats = NDArray[np.float64]

LOW_RATE_PER_H = 0.13
"""Up to about C/8 the drop is small enough to read the open-circuit voltage through it."""
LOW_RATE_SPAN = 0.5
FLOWING_PER_H = 0.005
DEFAULT_DEGC = 25.0
GAP_S = 120.0
"""The rows around a longer pause of the logger say nothing about the current in it; a count of the charge may."""
ROWS_MIN = 10
SOC_RANGE = -0.03, 1.03
"""Rows outside say nothing of the cell."""
ANCHOR_V = 0.03
BOTH_WAYS = 0.2
"""A run charges and discharges when the smaller of both is at least this share of the larger."""
EFFICIENCY_MIN = 0.8
AGREES_SOC, AGREES_FRAC = 0.01, 0.2
"""How near the SoC is to the charge of rows that are far apart, if they are means rather than samples."""


class IdentifyError(ValueError):
    """The measurements cannot be used; one line that names the file."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Rows of a run in which a small current flows in one direction: +1 = discharge."""

    rows: slice
    direction: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run; float64[n] each, `current_a` positive on discharge, `soc_frac` the reference. Rows that only say what
    flowed in a pause of the log have neither voltage nor reference (NaN). `sweeps` are its slow charges and discharges;
    `hysteresis` is what it starts with (+1 after discharge)."""

    name: str
    time_s: Floats
    current_a: Floats
    voltage_v: Floats
    temperature_degc: Floats
    soc_frac: Floats
    sweeps: tuple[Sweep, ...]
    hysteresis: float

    @property
    def mean_degc(self) -> float:
        return float(self.temperature_degc.mean())


@dataclass(frozen=True, slots=True)
class Capacity:
    """`sigma_frac` of `ah`; `efficiency` is the share of a charge that comes back: (mean degC, share) of runs."""

    ah: float
    sigma_frac: float
    efficiency: tuple[tuple[float, float], ...]


def capacity_of(logs: Sequence[Log], nominal_ah: float) -> Capacity:
    """What relates the references' SoC to charge; else the largest slow sweep; else the nominal value."""
    found = [pair for log in logs if (pair := _by_reference(log, nominal_ah)) is not None]
    capacities = [ah for ah, _, share in found if share != 0.0] or [ah for ah, _, _ in found]
    if not capacities:
        capacities = [ah for log in logs if (ah := _capacity_by_sweep(log, nominal_ah)) is not None]
    if not capacities:
        return Capacity(nominal_ah, 0.05, ())
    ah = float(np.median(capacities))
    measured = tuple((degc, share) for _, degc, share in found if share > 0.0)
    spread = 1.48 * float(np.median(np.abs(np.array(capacities) - ah))) / ah
    return Capacity(ah, float(np.hypot(spread, 0.01)), measured)


def run_of(log: Log, capacity_ah: float, chemistry: Chemistry) -> Run:
    """IdentifyError when the log has no SoC and reaches neither full nor empty, and for too few usable rows."""
    keep = np.isfinite(log.current_a) & np.isfinite(log.voltage_v)
    if keep.sum() < ROWS_MIN:
        raise IdentifyError(f"{log.path}: only {keep.sum()} usable rows, expected at least {ROWS_MIN}")
    time_s, current_a, voltage_v = log.time_s[keep], log.current_a[keep], log.voltage_v[keep]
    degc = np.where(np.isfinite(log.temperature_degc[keep]), log.temperature_degc[keep], DEFAULT_DEGC)
    soc = None if log.soc_frac is None else log.soc_frac[keep]
    if soc is None or not np.isfinite(soc).any():
        soc = _anchored(log, time_s, current_a, voltage_v, capacity_ah, chemistry)
    inside = len(rows_inside(soc))
    if inside < ROWS_MIN:
        low, high = SOC_RANGE
        raise IdentifyError(
            f"{log.path}: only {inside} rows with a soc between {low} and {high}, expected at least {ROWS_MIN}"
        )
    name = log.path.stem + (f" run {log.run}" if log.run else "")
    run = Run(name, time_s, current_a, voltage_v, degc, soc, (), _start_hysteresis(soc))
    run = run if log.ah is None else _completed(run, log.ah[keep], capacity_ah)
    return replace(run, sweeps=_sweeps(run.current_a, run.soc_frac, capacity_ah))


def _completed(run: Run, counted_ah: Floats, capacity_ah: float) -> Run:
    """With rows for what flowed in the pauses of the logger, as far as its count tells."""
    rest_a = FLOWING_PER_H * capacity_ah
    places, times_s, currents_a = unlogged_rows(
        run.time_s, run.current_a, counted_ah, capacity_ah=capacity_ah, gap_s=GAP_S, rest_a=rest_a
    )
    return replace(
        run,
        time_s=np.insert(run.time_s, places, times_s),
        current_a=np.insert(run.current_a, places, currents_a),
        voltage_v=np.insert(run.voltage_v, places, np.nan),
        temperature_degc=np.insert(run.temperature_degc, places, run.temperature_degc[places]),
        soc_frac=np.insert(run.soc_frac, places, np.nan),
    )


def rows_inside(soc_frac: Floats) -> NDArray[np.int64]:
    """Rows after the first whose SoC is known and within SOC_RANGE."""
    low, high = SOC_RANGE
    inside = np.flatnonzero(np.isfinite(soc_frac) & (soc_frac > low) & (soc_frac < high))
    return inside[inside > 0]


def reference_ah(log: Log, nominal_ah: float) -> float | None:
    """The capacity by the log's own SoC and charge, where it tells."""
    found = _by_reference(log, nominal_ah)
    return None if found is None else found[0]


def charge_ah(time_s: Floats, current_a: Floats) -> Floats:
    """Charge taken since the first row, trapezoid; nothing over a gap of the logger."""
    return log_charge.charge_taken_ah(time_s, current_a, GAP_S)


def _by_reference(log: Log, nominal_ah: float) -> tuple[float, float, float] | None:
    """(Ah, mean degC, efficiency): the reference SoC explained by charge taken and what of a charge is lost. What was
    taken is the log's own count, where it has one: rows miss some of a current that changes faster, and far apart they
    count only where the SoC agrees. The efficiency is NaN when little was charged, 0 when little was discharged (the
    charge then holds what is lost, too), else held within EFFICIENCY_MIN..1."""
    if log.soc_frac is None:
        return None
    known = np.isfinite(log.soc_frac) & np.isfinite(log.current_a)
    if known.sum() < ROWS_MIN or np.ptp(log.soc_frac[known]) < 0.3:
        return None
    time_s, current_a, soc = log.time_s[known], log.current_a[known], log.soc_frac[known]
    out, back = charge_ah(time_s, np.maximum(current_a, 0)), charge_ah(time_s, np.maximum(-current_a, 0))
    degc = float(np.nanmean(log.temperature_degc))
    both = min(out[-1], back[-1]) > BOTH_WAYS * max(out[-1], back[-1])
    taken = out - back if log.ah is None else log.ah[known]
    good = np.isfinite(taken)
    if good.sum() < ROWS_MIN or not np.ptp(taken[good]) > 0:
        return None
    if log.ah is None and coarse(log, nominal_ah) is not None and not _agree(taken[good], soc[good], nominal_ah):
        return None
    if not both:
        slope = float(np.polyfit(-taken[good], soc[good], 1)[0])
        return (1 / slope, degc, np.nan if out[-1] > back[-1] else 0.0) if slope > 0 else None
    columns = np.column_stack([-taken, -back, np.ones(len(out))])
    (per_ah, lost_per_ah, _), *_ = np.linalg.lstsq(columns[good], soc[good], rcond=None)
    if per_ah <= 0:
        return None
    return 1 / float(per_ah), degc, float(np.clip(1 - lost_per_ah / per_ah, EFFICIENCY_MIN, 1.0))


def _agree(taken_ah: Floats, soc: Floats, nominal_ah: float) -> bool:
    """Whether the SoC follows the charge that was counted, and by about the nominal capacity."""
    slope, start = np.polyfit(-taken_ah / nominal_ah, soc, 1)
    left = soc - np.polyval([slope, start], -taken_ah / nominal_ah)
    return bool(np.sqrt(np.mean(left**2)) < AGREES_SOC and abs(slope - 1) < AGREES_FRAC)


def _capacity_by_sweep(log: Log, nominal_ah: float) -> float | None:
    """Largest charge between two points of a slow run that moved more than 80 % of the nominal capacity."""
    good = np.isfinite(log.current_a)
    if np.abs(log.current_a[good]).max(initial=0.0) > 0.6 * nominal_ah:
        return None
    swing = float(np.ptp(charge_ah(log.time_s[good], log.current_a[good])))
    return swing if 0.8 * nominal_ah < swing < 1.2 * nominal_ah else None


def _anchored(
    log: Log, time_s: Floats, current_a: Floats, voltage_v: Floats, capacity_ah: float, chemistry: Chemistry
) -> Floats:
    """SoC by charge from the fullest point when that is full by its voltage, else from the emptiest."""
    charge = charge_ah(time_s, current_a)
    fullest, emptiest = int(charge.argmin()), int(charge.argmax())
    if voltage_v[max(fullest - 5, 0) : fullest + 6].max() > chemistry.full_v - ANCHOR_V:
        return np.asarray(1.0 - (charge - charge[fullest]) / capacity_ah)
    if voltage_v[max(emptiest - 5, 0) : emptiest + 6].min() < chemistry.empty_v + ANCHOR_V:
        return np.asarray((charge[emptiest] - charge) / capacity_ah)
    raise IdentifyError(
        f"{log.path}: has no soc, and reaches neither full ({chemistry.full_v} V) nor empty ({chemistry.empty_v} V): "
        "expected one of them to count the charge from"
    )


def _sweeps(current_a: Floats, soc: Floats, capacity_ah: float) -> tuple[Sweep, ...]:
    """Stretches without a change of direction or a large current that move more than half of the capacity."""
    flowing = np.abs(current_a) > FLOWING_PER_H * capacity_ah
    label = np.where(flowing, np.sign(current_a), 0.0)
    label[np.abs(current_a) > LOW_RATE_PER_H * capacity_ah] = 9.0
    known = np.flatnonzero(label)
    if not known.size:
        return ()
    changes = known[1:][label[known[1:]] != label[known[:-1]]]
    parts = zip([int(known[0]), *changes.tolist()], [*changes.tolist(), len(label)], strict=True)
    found = [Sweep(slice(first, end), int(label[first])) for first, end in parts if label[first] != 9.0]
    return tuple(sweep for sweep in found if np.nanmax(soc[sweep.rows]) - np.nanmin(soc[sweep.rows]) > LOW_RATE_SPAN)


def _start_hysteresis(soc: Floats) -> float:
    """A run that starts full came there by charging, one that starts empty by discharging."""
    first = soc[np.isfinite(soc)][0]
    return -1.0 if first > 0.9 else (1.0 if first < 0.1 else 0.0)
