"""IEEE 1547-2018: frequency droop at 50 and 60 Hz, volt-watt and volt-var, category B, default settings.

Clause 6.5.2.7, table 24: deadband 0.036 Hz, 5 % of nominal frequency for the whole rated power, open-loop response time
of 5 s (90 % of a step). Clause 5.4.2, table 31: active power down from 1.06 pu, to nothing at 1.1 pu, 10 s. Clause
5.3.3, table 8: 44 % injected at 0.92 pu, nothing from 0.98 to 1.02 pu, 44 % absorbed at 1.08 pu, 5 s. Measured to 5 %,
the accuracy that table 3 asks of reactive and active power."""

from itertools import pairwise
from math import log

import numpy as np

from bms.dispatch.applications.reactive_power import ReactivePower
from hil_rigs.comply.frequency_judge import Standard, fault_row, joined, judge_on_wire, sold
from hil_rigs.comply.grid_course import SETTLE_S, drive_points
from hil_rigs.comply.quick_site import QuickBattery, QuickSite, run_quick
from hil_rigs.comply.service import Chart, Judged, Order, Row, Service
from hil_rigs.grid_spec import GridPoint

RATED_W = 500e3
"""Of the rig's converter."""
POWER_W = 100e3
DEADBAND_HZ, DROOP_FRAC, DROOP_RESPONSE_S = 0.036, 0.05, 5.0
TOLERANCE_FRAC = 0.05
VOLT_WATT_RESPONSE_S = 10.0
VOLT_WATT = ((1.07, 0.75), (1.08, 0.5), (1.1, 0.0))
VOLT_VAR = ((0.92, 0.44), (0.95, 0.22), (0.98, 0.0), (1.02, 0.0), (1.05, -0.22), (1.08, -0.44))
VOLT_VAR_RESPONSE_S = 5.0


def judge(order: Order) -> Judged:
    return joined(
        *(judge_on_wire(order, droop(order, nominal_hz)) for nominal_hz in (50, 60)),
        _volt_watt(order),
        _volt_var(order),
    )


def droop(order: Order, nominal_hz: int) -> Standard:
    """A fifth of rated power is asked for. The short form looks at low frequency at 50 Hz and at high frequency at
    60 Hz."""
    whole_hz = DEADBAND_HZ + DROOP_FRAC * nominal_hz * POWER_W / RATED_W
    return Standard(
        sold=sold("ieee1547-droop", POWER_W, nominal_hz=float(nominal_hz)),
        nominal_hz=nominal_hz,
        line=((DEADBAND_HZ, 0.0), (whole_hz, POWER_W)),
        step_hz=whole_hz,
        full_s=DROOP_RESPONSE_S,
        full_frac=0.9,
        legs_s=DROOP_RESPONSE_S * log(200.0) / log(10.0),
        tolerance_frac=TOLERANCE_FRAC,
        wanders=False,
        sides=(1, -1) if not order.short else (1,) if nominal_hz == 50 else (-1,),
    )


def _volt_watt(order: Order) -> Judged:
    """Nearly all of the rating (in the short form, less) is asked for all along, by a frequency that stays off;
    voltages rise step by step."""
    asked_frac = 0.6 if order.short else 0.98
    asks = sold("own-curve", asked_frac * RATED_W, 0.0, nominal_hz=60.0, curve=[{"off_hz": 0.1, "power_frac": 1.0}])
    bounds = ReactivePower(kind="reactive-power", mode="none", volt_watt=True)
    settle_s, leg_s = SETTLE_S + (0.0 if order.short else 10.0), 2.0 * VOLT_WATT_RESPONSE_S
    levels = VOLT_WATT[1:2] if order.short else VOLT_WATT
    points, starts_s, now_s, before_pu = [GridPoint(time_s=0.0, frequency_hz=59.8)], [], settle_s, 1.0
    for voltage_pu, _ in levels:
        starts_s.append(now_s)
        points += [
            GridPoint(time_s=now_s, frequency_hz=59.8, voltage_pu=before_pu),
            GridPoint(time_s=now_s, frequency_hz=59.8, voltage_pu=voltage_pu),
        ]
        now_s, before_pu = now_s + leg_s, voltage_pu
    driven = drive_points(order, points, 60, now_s, [bounds, asks])
    rows, before_frac = [], 1.0
    for start_s, (voltage_pu, share) in zip(starts_s, levels, strict=True):
        power = driven.power_w[(driven.time_s >= start_s) & (driven.time_s < start_s + leg_s)] / RATED_W
        late = np.flatnonzero(power > share + 0.1 * (before_frac - share) + 1e-3)
        response_s = (int(late[-1]) + 1) * 0.01 if late.size else 0.0
        rest_frac = float(power[-100:].max())
        rows += [
            Row(f"volt-watt: response at {voltage_pu:g} pu", f"<= {VOLT_WATT_RESPONSE_S:g} s", f"{response_s:.2f} s",
                response_s <= VOLT_WATT_RESPONSE_S),
            Row(f"volt-watt: power at {voltage_pu:g} pu", f"<= {share + TOLERANCE_FRAC:.0%} of rated",
                f"{rest_frac:.1%}", rest_frac <= share + TOLERANCE_FRAC),
        ]  # fmt: skip
        before_frac = share
    chart = Chart("volt-watt, on the wire", "W", driven.time_s, {"battery": driven.power_w})
    return Judged([*rows, fault_row(driven)], [chart])


def _volt_var(order: Order) -> Judged:
    """Each level of the curve for three response times, on the site without wires."""
    leg_s = 3.0 * VOLT_VAR_RESPONSE_S
    levels = [(1.0, 0.0), *VOLT_VAR]
    site = QuickSite(
        [ReactivePower(kind="reactive-power", mode="volt-var")], QuickBattery(RATED_W, RATED_W, 500e3),
        load_w=lambda _: 0.0, voltage_pu=lambda now_s: levels[min(int(now_s / leg_s), len(levels) - 1)][0],
        apparent_power_va_max=RATED_W,
    )  # fmt: skip
    curves = run_quick(site, leg_s * len(levels))
    share = curves.reactive_var / RATED_W
    errors, responses_s = [], []
    for number, ((_, before), (_, wanted)) in enumerate(pairwise(levels), start=1):
        along = share[(curves.time_s > number * leg_s) & (curves.time_s <= (number + 1) * leg_s)]
        errors.append(abs(float(along[-1]) - wanted))
        if wanted != before:
            responses_s.append(0.1 * (1 + int(np.flatnonzero(np.abs(along - before) >= 0.9 * abs(wanted - before))[0])))
    return Judged(
        [
            Row("volt-var: distance from the curve, without wires", f"<= {TOLERANCE_FRAC:.0%} of rated",
                f"{max(errors):.2%}", max(errors) <= TOLERANCE_FRAC),
            Row("volt-var: response, without wires", f"<= {VOLT_VAR_RESPONSE_S:g} s", f"{max(responses_s):.1f} s",
                max(responses_s) <= VOLT_VAR_RESPONSE_S),
        ],
        [Chart("volt-var, without wires", "var", curves.time_s, {"reactive power": curves.reactive_var})],
    )  # fmt: skip


SERVICE = Service(
    "ieee1547", "IEEE 1547-2018 category B: frequency droop at 50 and 60 Hz, volt-watt, volt-var", ("frequency",), judge
)
