"""The Nordic fast frequency reserve.

ENTSO-E, Technical Requirements for Fast Frequency Reserve Provision in the Nordic Synchronous Area, and Fingrid's page
on the reserve: full within 1.3, 1.0 or 0.7 s of 49.7, 49.6 or 49.5 Hz; held for 30 s, or for 5 s with a fall of at most
20 % in any second after it; at most 35 % more than what is sold; no recovery until 10 s after the support, then at most
a quarter, and ready again 15 minutes after the activation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bms.dispatch.applications.frequency_response import FrequencyResponse
from hil_rigs.comply.frequency_judge import STEP_S, THERE_FRAC, fault_row, joined, sold
from hil_rigs.comply.grid_course import Course, Driven, Leg, drive
from hil_rigs.comply.quick_site import QuickBattery, QuickSite, run_quick
from hil_rigs.comply.service import Chart, Judged, Order, Row, Service

POWER_W = 200e3
FALL_FRAC_PER_S, OVER_FRAC = 0.2, 0.35
BUFFER_S, RECOVERY_FRAC, READY_S = 10.0, 0.25, 900.0
PHASE_S = 0.037


@dataclass(frozen=True, slots=True)
class Choice:
    """A threshold (Hz below nominal), in what time of it the power is full, and for how long it stays."""

    off_hz: float
    full_s: float
    support_s: float


SHORT = (Choice(0.5, 0.7, 5.0),)
FULL = (Choice(0.3, 1.3, 30.0), Choice(0.4, 1.0, 30.0), Choice(0.5, 0.7, 5.0))


def judge(order: Order) -> Judged:
    choices = SHORT if order.short else FULL
    return joined(*(_on_wire(order, choice, 2 if order.short else 6) for choice in choices), _after(choices[-1]))


def _on_wire(order: Order, choice: Choice, times: int) -> Judged:
    """Nearly there, a moment beyond, and events: steps at several phases of the controller's cycle, the last a ramp."""
    course = Course()
    quiet = [course.to(choice.off_hz - 0.01, 0.7), course.to(0.0, 0.5)]
    course.to(choice.off_hz + 0.2, 0.1)
    quiet.append(course.to(0.0, 1.0))
    events = [_event(course, choice, number, times) for number in range(times)]
    driven = drive(order, course, 50, [_sold(choice)])
    rows = [*_event_rows(driven, choice, events), _quiet_row(driven, choice, quiet), fault_row(driven)]
    chart = Chart(f"on the wire, {50.0 - choice.off_hz:g} Hz", "W", driven.time_s, {"battery": driven.power_w})
    return Judged(rows, [chart])


def _sold(choice: Choice) -> FrequencyResponse:
    return sold("nordic-ffr", POWER_W, 0.0, threshold_hz=choice.off_hz, support_s=choice.support_s)


def _event(course: Course, choice: Choice, number: int, times: int) -> Leg:
    """The leg from the crossing of the threshold until all is over."""
    course.to(0.0, PHASE_S * number)
    if number == times - 1:
        course.to(choice.off_hz, 0.0, 0.8)
        begin_s = course.now_s
        course.to(choice.off_hz + 0.1, 0.0, 0.2)
    else:
        begin_s = course.now_s
    course.to(choice.off_hz + 0.1, 1.0)
    course.to(0.0, choice.support_s + 1.0 / FALL_FRAC_PER_S + 1.0)
    return Leg(begin_s, course.now_s, 0.0, choice.off_hz)


def _event_rows(driven: Driven, choice: Choice, events: Sequence[Leg]) -> list[Row]:
    found = [_measure(driven, leg) for leg in events]
    full_s, held_s = max(each[0] for each in found), min(each[1] for each in found)
    fall_frac, most_frac = max(each[2] for each in found), max(each[3] for each in found)
    at = f"at {50.0 - choice.off_hz:g} Hz"
    return [
        Row(f"full power after the crossing {at}", f"<= {choice.full_s:g} s", f"{full_s:.2f} s (worst of {len(found)})",
            full_s <= choice.full_s),
        Row(f"full power held {at}", f">= {choice.support_s:g} s", f"{held_s:.2f} s", held_s >= choice.support_s),
        Row(f"fall in any second after the support {at}", f"<= {FALL_FRAC_PER_S:.0%}", f"{fall_frac:.1%}",
            fall_frac <= FALL_FRAC_PER_S + 1e-6),
        Row(f"most power {at}", f"<= {1.0 + OVER_FRAC:.0%}", f"{most_frac:.1%}", most_frac <= 1.0 + OVER_FRAC),
    ]  # fmt: skip


def _measure(driven: Driven, leg: Leg) -> tuple[float, float, float, float]:
    """When it was full, for how long, the largest fall in a second, and the most power, as shares of what is sold."""
    after_s, power_w = driven.over(leg)
    full = np.flatnonzero(power_w >= THERE_FRAC * POWER_W)
    if not full.size:
        return np.inf, 0.0, 0.0, 0.0
    second = round(1.0 / STEP_S)
    fall_w = (power_w[:-second] - power_w[second:]).max()
    held_s = float(after_s[full[-1]] - after_s[full[0]]) + STEP_S
    return float(after_s[full[0]]), held_s, float(fall_w) / POWER_W, float(power_w.max()) / POWER_W


def _quiet_row(driven: Driven, choice: Choice, legs: Sequence[Leg]) -> Row:
    most_frac = max(float(np.abs(driven.over(leg)[1]).max()) for leg in legs) / POWER_W
    name = f"power 0.01 Hz above {50.0 - choice.off_hz:g} Hz, and after 0.1 s below it"
    return Row(name, "<= 0.5%", f"{most_frac:.2%}", most_frac <= 0.005)


def _after(choice: Choice) -> Judged:
    """On the site without wires, with so small a battery that it has to recover before the next event."""
    rest_s, end_s = 5.0, 5.0 + READY_S
    battery = QuickBattery(500e3, 500e3, energy_wh=40e3, soc_frac=0.1 + 0.01 + 0.052)
    site = QuickSite(
        [_sold(choice)], battery, load_w=lambda _: 0.0,
        frequency_hz=lambda now_s: 49.2 if rest_s <= now_s < rest_s + 3.0 else 50.0,
    )  # fmt: skip
    curves = run_quick(site, end_s)
    share = curves.battery_w / POWER_W
    over_s = rest_s + 1.0 + choice.support_s + 1.0 / FALL_FRAC_PER_S
    wait = (curves.time_s > over_s) & (curves.time_s <= over_s + BUFFER_S - 0.5)
    early_frac, most_frac = float(np.abs(share[wait]).max()), float(-share.min())
    before, after, last = (float(np.interp(at_s, curves.time_s, curves.soc_frac)) for at_s in (rest_s, over_s, end_s))
    back_frac = (last - after) / (before - after)
    rows = [
        Row("recovery in the 10 s after the support, without wires", "none", f"{early_frac:.1%}", early_frac < 0.001),
        Row("recovery, without wires", f"<= {RECOVERY_FRAC:.0%} of full power", f"{most_frac:.1%}",
            most_frac <= RECOVERY_FRAC + 1e-6),
        Row("energy back 15 min after the activation, without wires", ">= 95%", f"{back_frac:.0%}", back_frac >= 0.95),
    ]  # fmt: skip
    return Judged(rows, [Chart("recovery", "W", curves.time_s, {"battery": curves.battery_w})])


SERVICE = Service(
    "nordic-ffr", "Nordic fast frequency reserve: full within 0.7, 1.0 or 1.3 s of its threshold", ("frequency",), judge
)
