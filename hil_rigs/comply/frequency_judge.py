"""How services that answer to frequency are judged: the start, the whole delivery, the line between, ramps and a trace
on the simulated wire; holding and recovering over hours on the site without wires."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bms.dispatch.applications.frequency_response import FrequencyResponse
from bms.dispatch.sold import SoldProduct
from hil_rigs.comply.grid_course import Course, Driven, Leg, drive
from hil_rigs.comply.quick_site import QuickBattery, QuickCurves, QuickSite, run_quick
from hil_rigs.comply.service import Chart, Judged, Order, Row

Floats = NDArray[np.float64]

More = Callable[[Course], Callable[[Driven], list[Row]]]

MOVED_FRAC = 0.02
"""Of a step: the response has started."""
THERE_FRAC = 0.99
"""Of a step: it is delivered in full."""
PHASE_S = 0.027
"""By how much each step is later in the controller's cycle than the one before."""
STEP_S = 0.01
QUICK_EFFICIENCY_FRAC = 0.96
REST_S = 60.0
"""Before an event, on the site without wires."""


@dataclass(frozen=True, slots=True)
class Standard:
    """What a standard requires of what is sold: `line` are points (Hz off nominal, W) of the response to a low
    frequency, straight between; `sides` 1 for low, -1 for high frequency. `step_hz` is where it is full; `legs_s` is
    how long each step is watched; `tolerance_frac` is of the full power. `wanders`: ramps and a trace are judged as
    well."""

    sold: FrequencyResponse
    nominal_hz: int
    line: Sequence[tuple[float, float]]
    step_hz: float
    full_s: float
    start_s: float | None = None
    full_frac: float = THERE_FRAC
    sides: tuple[int, ...] = (1, -1)
    legs_s: float = 1.0
    tolerance_frac: float = 0.03
    wanders: bool = True

    @property
    def power_w(self) -> float:
        """In full."""
        return self.line[-1][1]

    def ideal_w(self, off_hz: Floats) -> Floats:
        at_hz, power_w = np.array(self.line).T
        return np.asarray(np.sign(off_hz) * np.interp(np.abs(off_hz), at_hz, power_w))


def judge_on_wire(order: Order, standard: Standard, more: More | None = None) -> Judged:
    """Steps, a staircase, ramps and a seeded trace, one after the other; `more` adds legs, and what judges them."""
    course = Course()
    quiet = [course.to(side * standard.line[0][0], 1.0) for side in standard.sides]
    course.to(0.0, 0.5)
    steps = _steps(course, standard, 1 if order.short else 3)
    stairs = _stairs(course, standard, 1 if order.short else 6, steps if order.short else ())
    judge_more = more(course) if more else None
    begin_s = course.now_s + standard.legs_s
    if standard.wanders:
        course.to(0.0, standard.legs_s)
        _ramps(course, standard)
        _trace(course, standard, order.seed, 4.0 if order.short else 120.0)
    driven = drive(order, course, standard.nominal_hz, [standard.sold])
    rows = [
        *_step_rows(driven, standard, steps),
        _stair_row(driven, standard, stairs),
        *_quiet_rows(driven, standard, quiet),
        *(judge_more(driven) if judge_more else ()),
        *([_envelope_row(driven, standard, course, begin_s)] if standard.wanders else ()),
        fault_row(driven),
    ]
    ideal_w = standard.ideal_w(course.off_hz_at(driven.time_s))
    title = f"on the wire, {standard.nominal_hz} Hz"
    return Judged(rows, [Chart(title, "W", driven.time_s, {"battery": driven.power_w, "curve": ideal_w})])


def _steps(course: Course, standard: Standard, times: int) -> list[Leg]:
    """To full power and back, on each side, at other phases of the controller's cycle."""
    legs = []
    for number in range(times):
        for side in standard.sides:
            late_s = PHASE_S * (number * len(standard.sides) + standard.sides.index(side) + 1)
            course.to(0.0, late_s)
            legs += [course.to(side * standard.step_hz, standard.legs_s + late_s), course.to(0.0, standard.legs_s)]
    return legs


def _stairs(course: Course, standard: Standard, between: int, known: Sequence[Leg]) -> list[Leg]:
    """Each point of the line but the first, and points between, on each side, unless one of the legs that are `known`
    stays there."""
    levels_hz: list[float] = []
    for (low_hz, _), (high_hz, _) in pairwise(standard.line):
        levels_hz += np.linspace(low_hz, high_hz, between + 1)[1:].tolist()
    there = {leg.off_hz: leg for leg in known}
    wanted_hz = [side * level_hz for side in standard.sides for level_hz in levels_hz]
    return [there.get(off_hz) or course.to(off_hz, standard.legs_s) for off_hz in wanted_hz]


def _ramps(course: Course, standard: Standard) -> None:
    """There and back."""
    for side in standard.sides:
        for over_s in (1.0, 3.0):
            course.to(side * standard.step_hz, 0.5, over_s)
            course.to(0.0, 0.5, over_s)


def _trace(course: Course, standard: Standard, seed: int, duration_s: float) -> None:
    """A frequency that wanders as a large grid's, over the whole range of the line and a little more."""
    rng = np.random.default_rng([seed, 11])
    off_hz = 0.0
    for _ in range(round(duration_s / 0.2)):
        off_hz += -0.05 * off_hz + 0.12 * standard.step_hz * rng.standard_normal()
        one_sided = min(standard.sides) > 0
        course.to(
            float(np.clip(off_hz, 0.0 if one_sided else -1.2 * standard.step_hz, 1.2 * standard.step_hz)), 0.0, 0.2
        )


def _step_rows(driven: Driven, standard: Standard, legs: Sequence[Leg]) -> list[Row]:
    timed = [_timed(driven, standard, leg) for leg in legs]
    start_s, full_s = max(start for start, _ in timed), max(full for _, full in timed)
    steps = f"worst of {len(legs)} steps"
    share = "full power" if standard.full_frac == THERE_FRAC else f"{standard.full_frac:.0%} of the step"
    rows = [Row(f"{share} after a step, {standard.nominal_hz} Hz", f"<= {standard.full_s:g} s",
                f"{full_s:.2f} s ({steps})", full_s <= standard.full_s)]  # fmt: skip
    if standard.start_s is not None:
        rows.insert(0, Row(f"start after a step, {standard.nominal_hz} Hz", f"<= {standard.start_s:g} s",
                           f"{start_s:.2f} s ({steps})", start_s <= standard.start_s))  # fmt: skip
    return rows


def _timed(driven: Driven, standard: Standard, leg: Leg) -> tuple[float, float]:
    """When the power moved, and from when on it stayed there; infinite when it did not."""
    after_s, power_w = driven.over(leg)
    first_w, last_w = standard.ideal_w(np.array([leg.before_hz, leg.off_hz]))
    done_frac = (power_w - first_w) / (last_w - first_w)
    moved = np.flatnonzero(done_frac > MOVED_FRAC)
    missing = np.flatnonzero(done_frac < standard.full_frac)
    start_s = float(after_s[moved[0]]) if moved.size else np.inf
    last = int(missing[-1]) if missing.size else -1
    return start_s, float(after_s[last + 1]) if last + 1 < after_s.size else np.inf


def _stair_row(driven: Driven, standard: Standard, legs: Sequence[Leg]) -> Row:
    """At the end of each stair."""
    error_frac, limit = _worst_frac(driven, standard, legs), standard.tolerance_frac
    return Row(f"distance from the curve at rest, {standard.nominal_hz} Hz", f"<= {limit:.0%} of full power",
               f"{error_frac:.2%} ({len(legs)} levels)", error_frac <= limit)  # fmt: skip


def _quiet_rows(driven: Driven, standard: Standard, legs: Sequence[Leg]) -> list[Row]:
    """The edges of a deadband, before anything else has happened."""
    if standard.line[0][0] == 0.0:
        return []
    quiet_frac = _worst_frac(driven, standard, legs)
    name = f"power at the edge of the deadband ({standard.line[0][0]:g} Hz), {standard.nominal_hz} Hz"
    return [Row(name, "<= 0.5% of full power", f"{quiet_frac:.2%}", quiet_frac <= 0.005)]


def _worst_frac(driven: Driven, standard: Standard, legs: Sequence[Leg]) -> float:
    """Distance from the curve at the ends of legs."""
    late = round(0.3 / STEP_S)
    ideals_w = standard.ideal_w(np.array([leg.off_hz for leg in legs]))
    powers_w = [driven.over(leg)[1][-late:] for leg in legs]
    return (
        max(float(np.abs(power_w - w).max()) for power_w, w in zip(powers_w, ideals_w, strict=True)) / standard.power_w
    )


def _envelope_row(driven: Driven, standard: Standard, course: Course, begin_s: float) -> Row:
    """Ramps and trace: at each moment between the least and the most that the curve asked for in the time that a full
    delivery may take."""
    window = round(standard.full_s / STEP_S) + 1
    ideal_w = standard.ideal_w(course.off_hz_at(driven.time_s))
    padded_w = np.concatenate([np.full(window - 1, ideal_w[0]), ideal_w])
    recent_w = np.lib.stride_tricks.sliding_window_view(padded_w, window)
    beyond_w = np.maximum(recent_w.min(axis=1) - driven.power_w, driven.power_w - recent_w.max(axis=1))
    worst_frac = float(beyond_w[driven.time_s >= begin_s].max()) / standard.power_w
    return Row(
        f"ramps and trace: outside of what the curve asked for within {standard.full_s:g} s, {standard.nominal_hz} Hz",
        f"<= {standard.tolerance_frac:.0%} of full power",
        f"{max(worst_frac, 0.0):.2%}",
        worst_frac <= standard.tolerance_frac,
    )


@dataclass(frozen=True, slots=True)
class Duration:
    """What a standard requires over time: full power for `hold_s` from any SoC at which the service may stand by; then
    the energy back within `back_s`, by a baseline of at most `baseline_frac` of what is sold that moves at most
    `ramp_frac_per_min`. None = it has no rule."""

    hold_s: float
    back_s: float
    baseline_frac: float | None = None
    ramp_frac_per_min: float | None = None


def judge_over_hours(order: Order, standard: Standard, duration: Duration) -> Judged:
    """On the site without wires: the battery is little larger than both directions need, and begins at the SoC where
    its service only just lasts. The short form looks at one side."""
    sides = standard.sides[:1] if order.short else standard.sides
    return joined(*(_hold(standard, duration, side, 5.0 if order.short else 1.0) for side in sides))


def _hold(standard: Standard, duration: Duration, side: int, period_s: float) -> Judged:
    end_s = REST_S + duration.hold_s
    site = QuickSite(
        [standard.sold], small_battery(standard.sold, duration.hold_s, side), load_w=lambda _: 0.0, period_s=period_s,
        apparent_power_va_max=500e3,
        frequency_hz=lambda now_s: standard.nominal_hz - side * standard.step_hz * (REST_S <= now_s < end_s),
    )  # fmt: skip
    curves = run_quick(site, end_s + duration.back_s)
    name = f"{'low' if side > 0 else 'high'} frequency, without wires"
    charts = [
        Chart(f"hours, {name}", "W", curves.time_s, {"battery": curves.battery_w}),
        Chart(f"hours, {name}", "SoC", curves.time_s, {"SoC": curves.soc_frac}),
    ]
    return Judged(
        [_held_row(curves, standard, end_s, side, name), *_back_rows(curves, standard, duration, name)], charts
    )


def _held_row(curves: QuickCurves, standard: Standard, end_s: float, side: int, name: str) -> Row:
    late_s = REST_S + max(2.0 * standard.full_s, 10.0)
    during = (curves.time_s > late_s) & (curves.time_s <= end_s)
    held_frac = float((side * curves.battery_w[during]).min()) / standard.power_w
    minutes = (end_s - REST_S) / 60.0
    return Row(f"full power held at {name}", f">= 99% for {minutes:g} min", f"{held_frac:.1%}", held_frac >= 0.99)


def _back_rows(curves: QuickCurves, standard: Standard, duration: Duration, name: str) -> list[Row]:
    end_s = REST_S + duration.hold_s
    quiet_w = curves.battery_w[curves.time_s > end_s + max(2.0 * standard.full_s, 10.0)]
    period_s = float(curves.time_s[1] - curves.time_s[0])
    back_frac = _recovered_frac(curves, end_s)
    within = f">= 95% within {duration.back_s / 60.0:g} min"
    rows = [Row(f"energy back after {name}", within, f"{back_frac:.0%}", back_frac >= 0.95)]
    if duration.baseline_frac is not None:
        most_frac = float(np.abs(quiet_w).max()) / standard.power_w
        rows.append(Row(f"baseline after {name}", f"<= {duration.baseline_frac:.0%} of full power", f"{most_frac:.1%}",
                        most_frac <= duration.baseline_frac + 1e-6))  # fmt: skip
    if duration.ramp_frac_per_min is not None:
        ramp_frac = float(np.abs(np.diff(quiet_w)).max()) / period_s * 60.0 / standard.power_w
        rows.append(Row(f"change of the baseline after {name}", f"<= {duration.ramp_frac_per_min:.0%} a minute",
                        f"{ramp_frac:.1%} a minute", ramp_frac <= duration.ramp_frac_per_min + 1e-6))  # fmt: skip
    return rows


def _recovered_frac(curves: QuickCurves, end_s: float) -> float:
    """How much of what the event moved came back."""
    before, after = (float(curves.soc_frac[curves.time_s <= at_s][-1]) for at_s in (REST_S, end_s))
    return (float(curves.soc_frac[-1]) - after) / (before - after)


def small_battery(sold: SoldProduct, hold_s: float, side: int) -> QuickBattery:
    """Holds what both directions need and a fifth more, and stands where one direction only just lasts; `side` 0: in
    the middle."""
    hours = hold_s / 3600.0
    up_wh, down_wh = (
        sold.discharge_power_w * hours / QUICK_EFFICIENCY_FRAC,
        sold.charge_power_w * hours * QUICK_EFFICIENCY_FRAC,
    )
    usable_frac = sold.soc_frac_max - sold.soc_frac_min - 0.02
    energy_wh = 1.2 * (up_wh + down_wh) / usable_frac
    low_frac = sold.soc_frac_min + 0.01 + up_wh / energy_wh
    high_frac = sold.soc_frac_max - 0.01 - down_wh / energy_wh
    begin_frac = {1: low_frac + 0.001, -1: high_frac - 0.001, 0: (low_frac + high_frac) / 2.0}[side]
    return QuickBattery(500e3, 500e3, energy_wh, begin_frac, QUICK_EFFICIENCY_FRAC)


def fault_row(driven: Driven) -> Row:
    """The site's own; a test that trips it shows nothing."""
    return Row("faults of the site", "none", ", ".join(driven.faults) or "none", not driven.faults)


def joined(*parts: Judged) -> Judged:
    """One judgement of several."""
    return Judged([row for part in parts for row in part.rows], [chart for part in parts for chart in part.charts])


def sold(product: str, power_w: float, charge_w: float | None = None, **changes: object) -> FrequencyResponse:
    """So much of a product in both directions, or as much as is said of each."""
    both = {"discharge_power_w": power_w, "charge_power_w": power_w if charge_w is None else charge_w}
    return FrequencyResponse.model_validate({"kind": "frequency-response", "product": product, **both, **changes})
