"""Backup of an AI load behind a static switch: outage and voltage sags, life on the island, return without a bump.

The sags are those of SEMI F47-0706: 0.5 pu for 0.2 s, 0.7 pu for 0.5 s, 0.8 pu for 1 s. A load is unserved below 0.9 pu
for more than 20 ms, which power supplies bridge (ITI (CBEMA) curve, 2000). IEEE 1547-2018, table 5, bounds what is
joined: 10 deg, 0.1 Hz, 3 %. How large a step of power at closing may be no standard says: 10 % of the converter's
rating is the project's own bound.

A generator stands behind an automatic transfer switch on the grid's side: seen from the site its grid comes back at
another frequency, slows down under the load (droop and inertia of a diesel set of twice the converter's rating), and
ends again for a moment when the transfer switch goes back to the grid. Of NFPA 110's Type 10 the
load needs nothing, since it is never without power; its 10 s are asked of the hand-over, from a generator that is ready
to one that carries the load. Such a site trusts its grid after a second: when the utility is to be trusted is the
transfer switch's affair.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bms.site import Site
from hil_rigs.comply.service import Chart, Judged, Order, Row, Service
from hil_rigs.grid_spec import Generator, GridPoint, GridPoints
from hil_rigs.rig import RigFile
from hil_rigs.run import Outcome, simulate
from hil_rigs.truth import Floats, TrueCurves

UNSERVED_S = 0.020
STEP_FRAC = 0.10
SAGS = ((0.5, 0.2), (0.7, 0.5), (0.8, 1.0))
STRIKES_S = 24.0
"""By then the battery may give its full power."""
SHORT_S, FULL_S = 4.0, 300.0
RETURN_S = 32.0
"""Settle, synchronise, close, ramp, with the rig's settings."""
AFTER_S = 1.0
SIGNALS = (
    "critical_low_s", "critical_voltage_pu", "intertie_closed", "load_blocks_closed", "wrong_closings", "frequency_hz",
)  # fmt: skip
GRID_ALARMS = {"grid_voltage_low", "grid_frequency_low", "grid_frequency_high"}


GENERATOR_S, GENERATOR_HZ, GENERATOR_PU = 5.0, 60.2, 0.98
"""Ready so long after the outage, and unloaded off nominal by so much."""
GENERATOR_FRAC, LEFT_OFF_HZ = 2.0, 1.5
"""Its rating by the converter's, and how far off nominal the site would leave it."""
HAND_OVER_S = 10.0
ON_GENERATOR_S, TRANSFER_S, GENERATOR_RUN_S = 20.0, 0.3, 52.0
GENERATOR_SETTLE_S, GENERATOR_RAMP_W_PER_S = 1.0, 300e3
REVERSE_FRAC = 0.1
"""Of a generator of the converter's rating: reverse power relays of Diesel sets are set to 8 to 15 % (ISO 8528-4 has
them, without a number)."""


class Dip(NamedTuple):
    """The grid's voltage for a while."""

    at_s: float
    voltage_pu: float
    for_s: float


def judge(order: Order) -> Judged:
    """The deployed controller on the simulated wire; judged at the plant, voltages to the millisecond. In the short
    form one sag strikes in the same run, once the site is back on its grid."""
    out_s = SHORT_S if order.short else FULL_S
    back_s = STRIKES_S + out_s + RETURN_S
    dips = [Dip(STRIKES_S, 0.0, out_s)]
    if order.short:
        dips.append(Dip(back_s, *SAGS[0]))
    ran = _run(order, dips, back_s + SAGS[0][1] + AFTER_S if order.short else back_s)
    outage = _part(ran, 0.0, back_s)
    rows = [
        _served(f"outage of {out_s:.0f} s: longest time below 0.9 pu", outage),
        *_island_rows(outage),
        *_return_rows(order, outage),
        _faults(outage),
    ]
    for voltage_pu, sag_s in SAGS[:1] if order.short else SAGS:
        if order.short:
            sag = _part(ran, back_s, np.inf)
        else:
            sag = _run(order, [Dip(STRIKES_S, voltage_pu, sag_s)], STRIKES_S + sag_s + AFTER_S)
        rows.append(_served(f"sag to {voltage_pu} pu for {sag_s} s: longest time below 0.9 pu", sag))
    if not order.short:
        rows += _generator_rows(order)
    curves = outage.curves
    lines = {"grid": curves.grid_power_w, "load": curves.load_power_w, "battery": curves.battery_power_w}
    critical = {"critical load": outage.signals["critical_voltage_pu"]}
    return Judged(rows, [Chart("power", "W", curves.time_s, lines), Chart("voltage", "pu", curves.time_s, critical)])


def _run(order: Order, dips: Sequence[Dip], duration_s: float) -> Outcome:
    rig = sagging(order.rig, dips)
    return simulate(rig, seed=order.seed, duration_s=duration_s, load=order.load, signals=SIGNALS)


def _generator_rows(order: Order) -> list[Row]:
    """Outage, a generator, and back to the grid by a transfer switch that opens before it closes."""
    ready_s = STRIKES_S + GENERATOR_S
    back_s = STRIKES_S + ON_GENERATOR_S
    steps = [
        (0.0, 1.0, None), (STRIKES_S, 1.0, None), (STRIKES_S, 0.0, None), (ready_s, 0.0, GENERATOR_HZ),
        (ready_s, GENERATOR_PU, GENERATOR_HZ), (back_s, GENERATOR_PU, GENERATOR_HZ), (back_s, 0.0, None),
        (back_s + TRANSFER_S, 0.0, None), (back_s + TRANSFER_S, 1.0, None),
    ]  # fmt: skip
    points = tuple(GridPoint(time_s=time_s, voltage_pu=pu, frequency_hz=hz) for time_s, pu, hz in steps)
    rated_w, nominal_hz = order.rig.plant.inverter_power_w, order.rig.grid.nominal_hz
    machine = Generator(from_s=ready_s, to_s=back_s, rated_power_w=GENERATOR_FRAC * rated_w)
    grid = GridPoints(
        kind="points", points=points, nominal_hz=nominal_hz, noise=order.rig.grid.noise, generator=machine
    )
    ran = simulate(order.rig.model_copy(update={"grid": grid}), seed=order.seed, duration_s=GENERATOR_RUN_S,
                   load=order.load, adjust=_trusts_its_transfer_switch, signals=SIGNALS)  # fmt: skip
    curves, closed, time_s = ran.curves, ran.signals["intertie_closed"] == 1.0, ran.curves.time_s
    joins_s = time_s[np.flatnonzero(closed[1:] & ~closed[:-1]) + 1].tolist()
    joined_s = joins_s[0] - STRIKES_S if joins_s else np.inf
    carried_s = _first_s(time_s, closed & (time_s > ready_s) & (curves.battery_power_w <= 0.02 * curves.load_power_w))
    reverse_w = -float(curves.grid_power_w[closed & (time_s > ready_s) & (time_s < back_s)].min(initial=0.0))
    on_hz = ran.signals["frequency_hz"][closed & (time_s > ready_s) & (time_s < back_s)]
    off_hz = float(np.abs(on_hz - nominal_hz).max(initial=0.0))
    wrong = float(ran.signals["wrong_closings"][-1])
    return [
        _served("outage with a generator and back: longest time below 0.9 pu", ran),
        Row("generator: from its being ready to its carrying the load", f"<= {HAND_OVER_S:g} s",
            f"{carried_s - ready_s:.1f} s, joined {joined_s:.1f} s after the outage",
            carried_s - ready_s <= HAND_OVER_S),
        Row("generator: power that is fed back into it", f"<= {REVERSE_FRAC * rated_w / 1e3:.0f} kW",
            f"{reverse_w / 1e3:.1f} kW", reverse_w <= REVERSE_FRAC * rated_w),
        Row("generator: frequency off nominal while the site is on it", f"<= {LEFT_OFF_HZ:g} Hz", f"{off_hz:.2f} Hz",
            off_hz <= LEFT_OFF_HZ),
        Row("generator: joined outside 10 deg, 0.1 Hz, 3 %", "never", f"{wrong:.0f} times", wrong == 0),
        Row("generator: back on the grid", "joined twice, battery at what is wanted",
            f"joined {len(joins_s)} times, battery {curves.battery_power_w[-1] / 1e3:.1f} kW",
            len(joins_s) == 2 and _done(order, ran)),
        _faults(ran),
    ]  # fmt: skip


def _trusts_its_transfer_switch(site: Site) -> Site:
    assert site.island is not None, "the rig has one"
    quick = {"settle_s": GENERATOR_SETTLE_S, "return_ramp_w_per_s": GENERATOR_RAMP_W_PER_S}
    return site.model_copy(update={"island": site.island.model_copy(update=quick)})


def _first_s(time_s: Floats, held: NDArray[np.bool_]) -> float:
    """Infinite if never."""
    found = np.flatnonzero(held)
    return float(time_s[found[0]]) if found.size else np.inf


def _part(outcome: Outcome, from_s: float, to_s: float) -> Outcome:
    """What the plant did between both times."""
    curves = outcome.curves
    chosen = (curves.time_s >= from_s) & (curves.time_s < to_s)
    part = TrueCurves(*(getattr(curves, each.name)[chosen] for each in fields(curves)))
    return replace(outcome, curves=part, signals={name: each[chosen] for name, each in outcome.signals.items()})


def sagging(rig: RigFile, dips: Sequence[Dip]) -> RigFile:
    """The rig with a grid whose voltage dips so."""
    steps = [
        step for at_s, pu, for_s in dips for step in ((at_s, 1.0), (at_s, pu), (at_s + for_s, pu), (at_s + for_s, 1.0))
    ]
    points = tuple(GridPoint(time_s=time_s, voltage_pu=pu) for time_s, pu in steps)
    grid = GridPoints(kind="points", points=points, nominal_hz=rig.grid.nominal_hz, noise=rig.grid.noise)
    return rig.model_copy(update={"grid": grid})


def _served(criterion: str, outcome: Outcome) -> Row:
    low_s = float(outcome.signals["critical_low_s"].max())
    opened = bool((outcome.signals["intertie_closed"] == 0.0).any())
    return Row(criterion, f"<= {UNSERVED_S * 1e3:.0f} ms, by islanding", f"{low_s * 1e3:.0f} ms",
               opened and low_s <= UNSERVED_S)  # fmt: skip


def _island_rows(outcome: Outcome) -> list[Row]:
    alone = outcome.signals["intertie_closed"] == 0.0
    load_w = outcome.curves.load_power_w[alone]
    seconds = float(np.count_nonzero(alone)) * 0.01
    low, high = (float(load_w.min()), float(load_w.max())) if len(load_w) else (0.0, 0.0)
    critical = (outcome.signals["load_blocks_closed"].astype(int) & 1).min() == 1
    return [
        Row("island: load that it carried", "varies, critical block never shed",
            f"{low / 1e3:.0f} to {high / 1e3:.0f} kW for {seconds:.0f} s", bool(critical and high > low > 0.0)),
    ]  # fmt: skip


def _return_rows(order: Order, outcome: Outcome) -> list[Row]:
    time_s, closed = outcome.curves.time_s, outcome.signals["intertie_closed"] == 1.0
    joins = np.flatnonzero(closed[1:] & ~closed[:-1]) + 1
    if len(joins) == 0:
        return [Row("return: intertie closed again", "yes", "no", False)]
    at, rated_w = int(joins[0]), order.rig.plant.inverter_power_w
    first = (time_s >= time_s[at]) & (time_s < time_s[at] + 0.1)
    curves, own = outcome.curves, order.rig.site.island
    step_w = float(np.abs(curves.battery_power_w[first] - curves.load_power_w[at - 1]).max())
    battery_w = curves.battery_power_w[at + 20 :]
    ramp_w = 0.0 if own is None else own.return_ramp_w_per_s
    slope_w = float(np.abs(battery_w[100:] - battery_w[:-100]).max()) if len(battery_w) > 100 else 0.0
    wrong = float(outcome.signals["wrong_closings"][-1])
    return [
        Row("return: joined outside 10 deg, 0.1 Hz, 3 %", "never", f"{wrong:.0f} times", wrong == 0),
        Row("return: step of the grid's power in 0.1 s, less the load's own", f"<= {STEP_FRAC * rated_w / 1e3:.0f} kW",
            f"{step_w / 1e3:.1f} kW", step_w <= STEP_FRAC * rated_w),
        Row("return: battery power handed back in any 1 s", f"<= {1.1 * ramp_w / 1e3:.0f} kW",
            f"{slope_w / 1e3:.1f} kW", slope_w <= 1.1 * ramp_w),
        Row("return: done", "battery at what is wanted, all blocks closed",
            f"battery {outcome.curves.battery_power_w[-1] / 1e3:.1f} kW, blocks {_blocks(outcome)}",
            _done(order, outcome)),
    ]  # fmt: skip


def _blocks(outcome: Outcome) -> str:
    return f"{int(outcome.signals['load_blocks_closed'][-1]):b}"


def _done(order: Order, outcome: Outcome) -> bool:
    microgrid = order.rig.microgrid
    blocks = 1 if microgrid is None else 1 + len(microgrid.blocks)
    return _blocks(outcome) == "1" * blocks and abs(float(outcome.curves.battery_power_w[-1])) < 1e3


def _faults(outcome: Outcome) -> Row:
    named = sorted({trip.fault_id for trip in outcome.trips})
    return Row("faults named", "the grid's only", ", ".join(named) or "none", set(named) <= GRID_ALARMS)


SERVICE = Service(
    "ai-backup",
    "an AI load behind a static switch through outage and sags, and back without a bump",
    ("microgrid",),
    judge,
)
