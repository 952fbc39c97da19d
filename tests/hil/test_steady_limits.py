"""The limit used in full on the perturbed plant: it does not saw, and no cell crosses the voltage where it ends."""

import asyncio
import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from bms.controller import Controller
from bms.protect.faults import FAULTS, Action
from bms.record.memory import MemoryRecorder
from hil_rigs.bench import Bench
from hil_rigs.plant.rack import RackPlant
from hil_rigs.plant.spread import FAST_RC_SHARE, FAST_RC_TAU_S, SLOW_RC_SHARE, SLOW_RC_TAU_S
from hil_rigs.rig import RigFile, find_rig, make_site
from hil_rigs.world import run_virtual
from kernels.parameters import load_cell

Floats = NDArray[np.float64]

SETTLED_S = 40.0
"""Joined, started and recovered to the limit."""

TURN_FRAC = 0.005
"""A reversal by more than this share of the rating is a turn."""

TURN_S = 60.0
VOLTAGE_ERROR_V = 0.005
TOP_V, BOTTOM_V, CURRENT_A_MAX = 3.5, 2.8, 252.0
HORIZON_S = 10.0
CELL = load_cell("lfp-280ah")
PAIRS = ((1.0, CELL.rc_tau_s), (FAST_RC_SHARE, FAST_RC_TAU_S), (SLOW_RC_SHARE, SLOW_RC_TAU_S))
HORIZON_OHM_PER_OHM = 1.0 + CELL.rc_resistance_ohm / CELL.resistance_ohm * sum(
    share * -math.expm1(-HORIZON_S / tau_s) for share, tau_s in PAIRS
)
"""What a plant's cell drops after HORIZON_S of a current, by what its series resistance drops at once."""


@dataclass(frozen=True, slots=True)
class Case:
    """A wish far above the limit from this state on. `weak` puts one cell of the first rack at this SoC."""

    charge: bool
    soc_frac: float
    ambient_degc: float = 25.0
    weak: float | None = None
    racks: int = 1
    modules: int = 4
    duration_s: float = 120.0


CASES = {
    "charge to full": Case(True, 0.95),
    "charge to full, one cell ahead": Case(True, 0.93, weak=0.985),
    "charge at 8 degC": Case(True, 0.93, ambient_degc=8.0),
    "charge at 41 degC": Case(True, 0.5, ambient_degc=41.0),
    "discharge to empty": Case(False, 0.08),
    "discharge to empty, one cell ahead": Case(False, 0.15, weak=0.06),
    "discharge at -5 degC": Case(False, 0.12, ambient_degc=-5.0),
    "charge to full, two racks": Case(True, 0.95, racks=2, modules=13),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a case left: the limit as a share of the rating, and the plant's truth every second."""

    time_s: Floats
    limit_frac: Floats
    reasons: set[str]
    trips: list[str]
    beyond_v: Floats
    used_a: Floats
    holdable_a: Floats


def rig_of(case: Case) -> RigFile:
    """A converter of 1C; an application that always wants more than there is, over the whole range of SoC."""
    cells = 16 * case.modules
    application = {
        "kind": "grid-smoothing",
        "ramp_w_per_s_max": 1e9,
        "grid_power_w_max": 1e9,
        "smoothing_time_s": 0.1,
        "soc_frac_min": 0.0,
        "soc_frac_max": 1.0,
        "soc_frac_target": 0.9999 if case.charge else 0.0001,
        "soc_return_power_w_max": 1e9,
    }
    rig = find_rig("near-full").model_dump(exclude_unset=True)
    rig["plant"] |= {
        "racks": case.racks,
        "modules_per_rack": case.modules,
        "soc_frac": case.soc_frac,
        "inverter_power_w": 780.0 * cells * case.racks,
        "ambient_degc": case.ambient_degc,
    }
    limits = {"soc_frac_min": 0.0, "soc_frac_max": 1.0}
    return RigFile.model_validate(rig | {"site": {"applications": [application], "limits": limits}})


def seen_of(case: Case) -> Seen:
    return run_virtual(_play(case), seed=1)


async def _play(case: Case) -> Seen:
    bench = Bench(rig_of(case), 1)
    if case.weak is not None:
        bench.plant.racks[0].cells.set_soc(11, case.weak)
    recorder, trips = MemoryRecorder(), []
    controller = Controller(
        make_site(bench.rig, await bench.start()),
        can_opener=bench.open_can,
        recorder=recorder,
        perf_clock=lambda: math.nan,
        on_trip=lambda fault: trips.append(fault.kind.id),
    )
    truth: list[tuple[float, float, float]] = []
    tasks = [asyncio.create_task(bench.run()), asyncio.create_task(controller.run())]
    await asyncio.sleep(SETTLED_S)
    for _ in range(round(case.duration_s)):
        truth.append(max(_truth(rack, case.charge) for rack in bench.plant.racks))
        await asyncio.sleep(1.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    bench.close()
    return _seen(case, bench, recorder, trips, truth)


def _seen(
    case: Case, bench: Bench, recorder: MemoryRecorder, trips: list[str], truth: list[tuple[float, float, float]]
) -> Seen:
    rows, side = recorder.table(), "charge" if case.charge else "discharge"
    time_s, limit_w = rows["time_s"].to_numpy(), rows[f"{side}_power_w_limit"].to_numpy()
    settled = time_s > SETTLED_S
    reasons = np.array(rows[f"limit_reason_{side}"].to_pylist())[settled]
    beyond_v, used_a, holdable_a = np.array(truth).T
    return Seen(
        time_s[settled],
        limit_w[settled] / bench.rig.plant.inverter_power_w,
        {str(reason).split(",")[0] for reason in reasons},
        trips,
        beyond_v,
        used_a,
        holdable_a,
    )


def _truth(rack: RackPlant, charge: bool) -> tuple[float, float, float]:
    """Volts beyond the bound, current now, and what it could be for HORIZON_S with the curve taken to stand still."""
    voltage_v, ohm = rack.cells.voltage_v, rack.resistance_ohm / rack.cell_count * HORIZON_OHM_PER_OHM
    beyond_v = voltage_v - TOP_V if charge else BOTTOM_V - voltage_v
    used_a = abs(rack.current_a)
    return float(beyond_v.max()), used_a, max(used_a + float((-beyond_v / ohm).min()), 0.0)


def turns(time_s: Floats, values: Floats, least: float) -> list[float]:
    """When a curve changed its direction by more than `least`."""
    found: list[float] = []
    extreme, at_s, way = values[0], time_s[0], 0
    for now_s, value in zip(time_s, values, strict=True):
        if way * (value - extreme) > 0 or (way == 0 and abs(value - extreme) > least):
            way, extreme, at_s = (1 if value > extreme else -1), value, now_s
        elif way and way * (extreme - value) > least:
            found.append(at_s)
            way, extreme, at_s = -way, value, now_s
    return found


@pytest.fixture(scope="module", params=list(CASES))
def played(request: pytest.FixtureRequest) -> tuple[Case, Seen]:
    case = CASES[request.param]
    return case, seen_of(case)


def test_limit_in_full_use_turns_at_most_once_a_minute(played: tuple[Case, Seen]) -> None:
    case, seen = played
    at_s = turns(seen.time_s, seen.limit_frac, TURN_FRAC)
    assert len(seen.time_s) > 45 * case.duration_s
    assert np.diff([seen.time_s[0] - TURN_S, *at_s]).min(initial=math.inf) >= TURN_S


def test_no_cell_crosses_the_voltage_where_power_is_tapered_to_end(played: tuple[Case, Seen]) -> None:
    _, seen = played
    assert seen.beyond_v.max() <= VOLTAGE_ERROR_V


def test_using_the_limit_in_full_stops_nothing(played: tuple[Case, Seen]) -> None:
    _, seen = played
    actions = {FAULTS[fault_id].action for fault_id in seen.trips}
    assert not any(action is Action.ZERO_POWER or action.opens for action in actions)


def test_some_of_what_the_plant_could_hold_is_used(played: tuple[Case, Seen]) -> None:
    """The curves are far below what a cell can take at the end of an LFP charge: docs/decisions/0009 has the shares."""
    _, seen = played
    assert seen.used_a.sum() > 0.1 * np.minimum(seen.holdable_a, CURRENT_A_MAX).sum()


def test_turns_are_counted_by_size_and_not_by_noise() -> None:
    time_s = np.arange(8.0)
    assert turns(time_s, np.array([0, 1, 0.999, 1.2, 0.5, 0.501, 0.4, 0.6]), 0.01) == [3.0, 6.0]
