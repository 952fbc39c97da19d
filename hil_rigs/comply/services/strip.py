"""Strip of zinc-halogen racks: each inside its interval, while what is sold never fails.

No standard bounds it. That zinc cells have to be emptied now and then is their makers' rule (REDFLOW, ZBM3 manual: a
maintenance cycle to 0 % at least every 72 h of operation; others after some cycles); here the site's own `interval_h`.

What is sold: Japan's secondary reserve, half an hour of full power in store, called at random. Weeks are judged on a
bench without wires (rack_bench.py); that a rack leaves, is emptied and comes back without a pause of power is judged on
the simulated wire, in the full form only.
"""

from collections.abc import Callable

import numpy as np

from bms.dispatch.applications.frequency_response import FrequencyResponse
from bms.dispatch.applications.signal_following import SignalFollowing
from bms.dispatch.applications.strip import Strip
from bms.site import Site
from hil_rigs.comply.rack_bench import SIGNAL, RackBench, RackCurves
from hil_rigs.comply.service import Chart, Judged, Order, Row, Service
from hil_rigs.comply.site_loads import DAY_S
from hil_rigs.grid_spec import SteadyGrid
from hil_rigs.rig import RigFile
from hil_rigs.run import simulate

RACKS, SOLD_W = 4, 60e3
TOO_MUCH_W = 120e3
"""Two racks carry it, one does not: 135 A at 745 V are 101 kW."""
SHORT_DAYS, FULL_DAYS = 8, 42
SHORT_STEP_S, FULL_STEP_S = 60.0, 30.0
BLOCK_S = 900.0
"""A call lasts so long; three of four blocks are quiet."""
SOC_FRAC_MIN, SOC_FRAC_MAX = 0.1, 0.9
LEFT_FRAC = 0.06
"""Of the plating's irregularity after half an hour of rest: three time constants of the simulated zinc."""
WIRE_S, WIRE_FROM_S, CONTROL_ROWS = 3120.0, 10.0, 5
"""From then on the limits have risen so far; a control tick has so many rows."""
WIRE_SOLD_W, WIRE_FRAC, WIRE_OFF_FRAC = 600.0, 0.05 + 0.95 / 3.0, 0.02
"""Dynamic Containment at 49.7 Hz: 5 % and a third of the way from 0.2 to 0.5 Hz."""
WHOLE_STRIP = ("strip", "refill", "entering", "online")
PLAN = Strip(kind="strip", recharge_power_w_max=30e3)


def judge(order: Order) -> Judged:
    """Eight days in the short form, six weeks and the wire otherwise."""
    days, step_s = (SHORT_DAYS, SHORT_STEP_S) if order.short else (FULL_DAYS, FULL_STEP_S)
    calls = _calls(days, np.random.default_rng(order.seed))
    curves = RackBench(order.rig, RACKS, [_sold(SOLD_W), PLAN], calls, step_s).run(days * DAY_S)
    rows = [*_weeks(order.rig, curves, days), *_too_much(order, step_s)]
    lines = {f"rack {number + 1}": curves.soc_frac[:, number] for number in range(RACKS)}
    charts = [Chart("SoC of the racks", "1", curves.time_s, lines), Chart("power", "W", curves.time_s,
                                                                          {"battery": curves.power_w})]  # fmt: skip
    return Judged(rows if order.short else [*rows, *_on_the_wire(order)], charts)


def _sold(power_w: float) -> SignalFollowing:
    return SignalFollowing(
        kind="signal-following", product="jp-secondary", signal=SIGNAL, discharge_power_w=power_w,
        charge_power_w=power_w, soc_frac_min=SOC_FRAC_MIN, soc_frac_max=SOC_FRAC_MAX,
    )  # fmt: skip


def _calls(days: int, rng: np.random.Generator) -> Callable[[float], float]:
    """Per unit of what is sold, block by block; the first hour is quiet."""
    blocks = int(days * DAY_S / BLOCK_S) + 1
    levels = np.where(rng.random(blocks) < 0.25, rng.uniform(-1.0, 1.0, blocks), 0.0)
    levels[: int(3600.0 / BLOCK_S)] = 0.0
    return lambda now_s: float(levels[int(now_s / BLOCK_S)])


def _weeks(rig: RigFile, curves: RackCurves, days: int) -> list[Row]:
    limits, name = rig.site.limits, f"{RACKS} racks, {days} days without wires"
    most_a = max(limits.rack_current_a("discharge", "operating"), limits.rack_current_a("charge", "operating"))
    break_a, largest_a = rig.plant.contactor_break_current_a, float(np.abs(curves.rack_current_a).max())
    waited_h = [hours for _, _, hours in curves.strips] + [_since_h(curves, number) for number in range(RACKS)]
    counts = [sum(rack == number for _, rack, _ in curves.strips) for number in range(RACKS)]
    together = int(curves.out.sum(axis=1).max())
    mean_soc = np.where(curves.out, np.nan, curves.soc_frac)
    low, high = (float(each) for each in (np.nanmean(mean_soc, axis=1).min(), np.nanmean(mean_soc, axis=1).max()))
    failed = int((curves.failed_w > 0.01 * SOLD_W).sum())
    called = np.abs(curves.power_w[curves.failed_w <= 0.01 * SOLD_W]).max()
    left = _left_frac(curves)
    return [
        Row(f"{name}: longest time without a strip", f"<= {PLAN.interval_h:.0f} h",
            f"{max(waited_h):.0f} h ({', '.join(map(str, counts))} strips)",
            min(counts) > 0 and max(waited_h) <= PLAN.interval_h),
        Row(f"{name}: steps in which {SOLD_W / 1e3:.0f} kW of reserve were not there or a call was not met", "0",
            f"{failed} of {len(curves.failed_w)} (most called {called / 1e3:.0f} kW)", failed == 0),
        Row(f"{name}: racks out at once", f"<= {PLAN.racks_out_max}", str(together), together <= PLAN.racks_out_max),
        Row(f"{name}: SoC of the racks that serve", f"{SOC_FRAC_MIN:.0%} to {SOC_FRAC_MAX:.0%}",
            f"{low:.0%} to {high:.0%}", low >= SOC_FRAC_MIN and high <= SOC_FRAC_MAX),
        Row(f"{name}: rack current, equalising included", f"<= {most_a:.0f} A", f"{largest_a:.0f} A",
            largest_a <= most_a),
        Row(f"{name}: current at which a rack opened", f"<= {break_a:.0f} A", f"{curves.opened_a:.0f} A",
            curves.opened_a <= break_a),
        Row(f"{name}: plating that a strip leaves uneven", f"<= {LEFT_FRAC:.0%} of before", f"{left:.1%}",
            left <= LEFT_FRAC),
    ]  # fmt: skip


def _since_h(curves: RackCurves, number: int) -> float:
    """Of the time at the end that no strip has ended."""
    last_s = max((at_s for at_s, rack, _ in curves.strips if rack == number), default=0.0)
    return (float(curves.time_s[-1]) - last_s) / 3600.0


def _left_frac(curves: RackCurves) -> float:
    """Most that a strip left, by what there was before it; 1 without any strip."""
    left = []
    for at_s, rack, _ in curves.strips:
        at = int(np.searchsorted(curves.time_s, at_s))
        before = max(at - round(DAY_S / (curves.time_s[1] - curves.time_s[0])), 0)
        worst = float(curves.plating_frac[before:at, rack].max())
        left.append(float(curves.plating_frac[at, rack]) / worst if worst > 0.0 else 0.0)
    return max(left, default=1.0)


def _too_much(order: Order, step_s: float) -> list[Row]:
    """More is sold than the others carry: nobody goes, and it is said."""
    hours = PLAN.interval_h * (1.0 - PLAN.start_frac) + 12.0
    quiet = RackBench(order.rig, 2, [_sold(TOO_MUCH_W), PLAN], lambda _: 0.0, 10.0 * step_s)
    curves = quiet.run(hours * 3600.0)
    failed, name = int((curves.failed_w > 0.01 * TOO_MUCH_W).sum()), f"2 racks, {TOO_MUCH_W / 1e3:.0f} kW sold"
    said = curves.overdue[-1] if curves.overdue else "nothing"
    return [
        Row(f"{name}: racks taken out", "0", str(int(curves.out.any(axis=0).sum())), not curves.out.any()),
        Row(f"{name}: steps without the reserve", "0", f"{failed} of {len(curves.failed_w)}", failed == 0),
        Row(f"{name}: alarm", "names rack and reason", said, "rack-1" in said and "the others" in said),
    ]


def _on_the_wire(order: Order) -> list[Row]:
    """The deployed controller: three racks of 32 of the rig's cells, whose shunts and resistors are so strong that one
    goes through its strip in an hour, at a frequency that asks for a third of what is sold."""
    outcome = simulate(
        _small(order.rig), seed=order.seed, duration_s=WIRE_S, adjust=_with_plan,
        signals=("contactors_closed", "rack_current_a"),
    )  # fmt: skip
    columns = outcome.recorder.table().to_pydict()
    passed = _passed([each.split(",")[0] for each in columns["rack_states"]])
    served = outcome.curves.time_s > WIRE_FROM_S
    off_w = float(np.abs(outcome.curves.battery_power_w[served] - WIRE_SOLD_W * WIRE_FRAC).max())
    named = sorted({trip.fault_id for trip in outcome.trips})
    first = next((at for at, each in enumerate(columns["rack_states"]) if each.startswith("refill")), None)
    soc_frac = np.nan if first is None else columns["soc_min_frac"][first + CONTROL_ROWS]
    closed = int(outcome.signals["contactors_closed"][served].min())
    break_a = order.rig.plant.contactor_break_current_a
    name = f"wire, {WIRE_S / 60.0:.0f} min"
    return [
        Row(f"{name}: rack 1 is emptied and comes back", ", ".join(WHOLE_STRIP), ", ".join(passed) or "never",
            passed == WHOLE_STRIP),
        Row(f"{name}: battery power off what is sold", f"<= {WIRE_OFF_FRAC:.0%} of {WIRE_SOLD_W:.0f} W",
            f"{off_w:.1f} W", off_w <= WIRE_OFF_FRAC * WIRE_SOLD_W),
        Row(f"{name}: racks that carry at once", ">= 2 of 3", str(closed), closed >= 2),
        Row(f"{name}: current at which a contactor opened", f"<= {break_a:.0f} A",
            f"{outcome.end.opened_under_load_a:.0f} A", outcome.end.opened_under_load_a <= break_a),
        Row(f"{name}: estimated SoC after the strip", "0 %", f"{soc_frac:.1%}", bool(abs(soc_frac) < 0.001)),
        Row(f"{name}: faults", "none", ", ".join(named) or "none", not named),
    ]  # fmt: skip


def _passed(states: list[str]) -> tuple[str, ...]:
    """What became of a rack from its strip on until it was online again, without what lasts a tick."""
    if "strip" not in states:
        return ()
    left = states[states.index("strip") :]
    until = left.index("online") + 1 if "online" in left else len(left)
    return tuple(dict.fromkeys(each for each in left[:until] if each not in ("off", "standby")))


def _small(rig: RigFile) -> RigFile:
    plant = rig.plant.model_copy(
        update={"racks": 3, "modules_per_rack": 2, "cells_per_module": 16, "soc_frac": 0.2, "inverter_power_w": 12e3,
                "bleed_ohm": 0.015, "precharge_ohm": 0.6}
    )  # fmt: skip
    return rig.model_copy(
        update={"plant": plant, "grid": SteadyGrid(kind="constant", nominal_hz=50, frequency_hz=49.7)}
    )


def _with_plan(site: Site) -> Site:
    sold = FrequencyResponse(
        kind="frequency-response", product="uk-dc", discharge_power_w=WIRE_SOLD_W, soc_frac_min=0.0, soc_frac_max=1.0
    )
    plan = Strip(kind="strip", interval_h=12.0, start_frac=0.0, duration_h=3.0, rest_min=2.0)
    precharge = site.precharge.model_copy(update={"join_window_v": 4.0, "circulating_current_a_max": 100.0})
    return site.model_copy(update={"applications": (sold, plan), "precharge": precharge})


SERVICE = Service("strip", "zinc racks stripped in turn while what is sold never fails", ("zinc",), judge)
