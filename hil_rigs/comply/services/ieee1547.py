"""IEEE 1547-2018: frequency droop at 50 and 60 Hz, volt-watt and volt-var, category B, default settings.

Clause 6.5.2.7, table 24: deadband 0.036 Hz, 5 % of nominal frequency for the whole rated power, open-loop response time
of 5 s (90 % of a step); a site may choose 0.017 to 1 Hz, 2 to 5 % and up to 10 s (category III, as IEEE 1547.1-2020,
table 19 has them as the most and the least aggressive). Clause 5.4.2, table 31: active power down from 1.06 pu, to
nothing at 1.1 pu, 10 s. Clause 5.3.3, table 8: 44 % injected at 0.92 pu, nothing from 0.98 to 1.02 pu, 44 % absorbed at
1.08 pu, 5 s. Measured to 5 %, the accuracy that table 3 asks of reactive and active power."""

from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bms.dispatch.applications.reactive_power import ReactivePower
from hil_rigs.comply.frequency_judge import STEP_S, Floats, Standard, fault_row, joined, judge_on_wire, sold
from hil_rigs.comply.grid_course import SETTLE_S, drive_points
from hil_rigs.comply.service import Chart, Judged, Order, Row, Service
from hil_rigs.grid_spec import GridPoint

RATED_W = 500e3
"""Of the rig's converter."""
POWER_W = 100e3
DEADBAND_HZ, DROOP_FRAC, DROOP_RESPONSE_S = 0.036, 0.05, 5.0
TOLERANCE_FRAC = 0.05
VOLT_WATT_RESPONSE_S, VOLT_VAR_RESPONSE_S = 10.0, 5.0
RATED_VA = 550e3
"""Of the rig's converter."""
ASKED_FRAC = 0.6
LEG_S, SHORT_LEG_S = 20.0, 13.0
"""Twice the slower response; and in the short form as long as that and what the tolerance needs."""


class Level(NamedTuple):
    """At one voltage: reactive power (injected positive, of apparent power), and the most discharge (of rated
    power)."""

    voltage_pu: float
    var_frac: float
    watt_frac: float


SHORT_LEVELS = (Level(0.92, 0.44, 1.0), Level(1.08, -0.44, 0.5))
LEVELS = (
    Level(0.92, 0.44, 1.0), Level(0.95, 0.22, 1.0), Level(0.98, 0.0, 1.0), Level(1.02, 0.0, 1.0),
    Level(1.05, -0.22, 1.0), Level(1.08, -0.44, 0.5), Level(1.09, -0.44, 0.25), Level(1.095, -0.44, 0.125),
)  # fmt: skip


def judge(order: Order) -> Judged:
    return joined(
        *(judge_on_wire(order, droop(order, nominal_hz)) for nominal_hz in (50, 60)),
        _voltages(order),
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


def _voltages(order: Order) -> Judged:
    """Voltages step by step, while a frequency that stays off asks for more discharge than volt-watt will allow."""
    levels, leg_s = (SHORT_LEVELS, SHORT_LEG_S) if order.short else (LEVELS, LEG_S)
    asks = sold("own-curve", ASKED_FRAC * RATED_W, 0.0, nominal_hz=60.0, curve=[{"off_hz": 0.1, "power_frac": 1.0}])
    supports = ReactivePower(kind="reactive-power", mode="volt-var", volt_watt=True)
    starts_s = [SETTLE_S + leg_s * number for number in range(len(levels))]
    points = [GridPoint(time_s=0.0, frequency_hz=59.8)]
    for start_s, level in zip(starts_s, levels, strict=True):
        points += [
            GridPoint(time_s=start_s, frequency_hz=59.8, voltage_pu=points[-1].voltage_pu),
            GridPoint(time_s=start_s, frequency_hz=59.8, voltage_pu=level.voltage_pu),
        ]
    driven = drive_points(order, points, 60, starts_s[-1] + leg_s, [supports, asks])
    rows, before = [], Level(1.0, 0.0, 1.0)
    for start_s, level in zip(starts_s, levels, strict=True):
        along = (driven.time_s >= start_s) & (driven.time_s < start_s + leg_s)
        rows += _var_rows(driven.reactive_var[along] / RATED_VA, before, level)
        rows += _watt_rows(driven.power_w[along] / RATED_W, before, level)
        before = level
    lines = {"battery": driven.power_w, "reactive power": driven.reactive_var}
    return Judged([*rows, fault_row(driven)], [Chart("voltage, on the wire", "W, var", driven.time_s, lines)])


def _var_rows(share: Floats, before: Level, level: Level) -> list[Row]:
    error = float(np.abs(share[-100:] - level.var_frac).max())
    rows = [Row(f"volt-var: distance from the curve at {level.voltage_pu:g} pu", f"<= {TOLERANCE_FRAC:.0%} of rated",
                f"{error:.2%}", error <= TOLERANCE_FRAC)]  # fmt: skip
    step = level.var_frac - before.var_frac
    if step:
        response_s = _last_s((share - before.var_frac) / step < 0.9)
        rows.append(Row(f"volt-var: response to {level.voltage_pu:g} pu", f"<= {VOLT_VAR_RESPONSE_S:g} s",
                        f"{response_s:.2f} s", response_s <= VOLT_VAR_RESPONSE_S))  # fmt: skip
    return rows


def _watt_rows(share: Floats, before: Level, level: Level) -> list[Row]:
    if level.watt_frac >= before.watt_frac:
        return []
    response_s = _last_s(share > level.watt_frac + 0.1 * (before.watt_frac - level.watt_frac))
    most = float(share[-100:].max())
    return [
        Row(f"volt-watt: response to {level.voltage_pu:g} pu", f"<= {VOLT_WATT_RESPONSE_S:g} s", f"{response_s:.2f} s",
            response_s <= VOLT_WATT_RESPONSE_S),
        Row(f"volt-watt: power at {level.voltage_pu:g} pu", f"<= {level.watt_frac + TOLERANCE_FRAC:.1%} of rated",
            f"{most:.1%}", most <= level.watt_frac + TOLERANCE_FRAC),
    ]  # fmt: skip


def _last_s(missing: NDArray[np.bool_]) -> float:
    """From when on it is there."""
    late = np.flatnonzero(missing)
    return (int(late[-1]) + 1) * STEP_S if late.size else 0.0


SERVICE = Service(
    "ieee1547", "IEEE 1547-2018 category B: frequency droop at 50 and 60 Hz, volt-watt, volt-var", ("frequency",), judge
)
