"""Every shipped scenario, judged; the same seed gives the same bytes; what a dead controller leaves behind."""

import asyncio
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from asammdf import MDF

from bms.controller import Controller
from bms.protect.faults import FAULTS, Action
from bms.record.files import read_record
from bms.record.schema import COLUMNS
from bms.site.applications import APPLICATIONS
from hil_rigs.bench import Bench
from hil_rigs.faults.link_kinds import LINK_KINDS
from hil_rigs.faults.place import UnknownTargetError, locate
from hil_rigs.faults.plant_kinds import PLANT_KINDS
from hil_rigs.faults.spec import FAULT_KINDS, FaultSpec, parse_fault
from hil_rigs.judge import judge
from hil_rigs.representatives import representatives
from hil_rigs.rig import find_rig, list_rigs, make_site, somewhere
from hil_rigs.run import Keep, Outcome, simulate
from hil_rigs.scenario import Scenario, list_scenarios
from hil_rigs.world import run_virtual

SCENARIOS = list_scenarios()
QUICK = representatives(SCENARIOS)
"""The others are run by `hil run all`."""

NAMED_S_MAX = {
    "temperature-redundant-off": 1.5,
    "cell-frozen": 9.5, "cell-heating": 4.0, "open-wire": 1.5, "cell-venting": 4.5, "cooling-stuck": 5.6,
    "insulation-monitor-on": 2.2, "fire-output-stuck": 1.7, "precharge-hot": 1.2, "door-open": 1.2,
    "aux-on-battery": 1.5, "aux-charge": 1.5, "auxiliary-lost": 2.2, "battery-alarm": 1.3, "battery-warning": 1.3,
    "battery-silent": 3.3,
    "inverter-dc-voltage": 1.3, "cooling-failed": 1.2, "coolant-temperature": 1.2, "inverter-runs-away": 2.0,
}  # fmt: skip
"""Evidence that takes longer than the usual second: others must move, heat must go on, a sum must stay right."""

SHOWS_LATER = {kind for kind in FAULT_KINDS if kind.startswith(("contactor-", "precharge-", "link-", "rack-charge"))}
"""Nothing to see before the contactors move: their scenarios show these."""

STOPS_NOTHING = {"late-ticks", "clock-jump"}
IN_SCENARIOS = {kind.name for kind in (*LINK_KINDS, *PLANT_KINDS)}
"""Each has a scenario of its own that says how soon."""
RIGS = {"": "demo", "auxiliaries": "enclosure", "battery": "home-battery"}
"""By what a kind needs of its rig."""
NEEDS = {"cooling-stuck": ("smoke",)}
"""Cooling is told to run in a fire only."""


def play(scenario: Scenario, seed: int | None = None, duration_s: float | None = None) -> Outcome:
    return simulate(
        scenario.find_rig(),
        seed=scenario.seed if seed is None else seed,
        duration_s=duration_s or scenario.duration_s,
        faults=scenario.faults,
        load=scenario.load,
        signals=scenario.expect.signals,
        tell=scenario.told,
    )


@pytest.mark.parametrize("scenario", QUICK, ids=lambda scenario: scenario.name)
def test_shipped_scenario_is_judged_as_it_expects(scenario: Scenario) -> None:
    failed = [verdict for verdict in judge(scenario.find_rig(), scenario.expect, play(scenario)) if not verdict.passed]
    assert failed == []


def test_library_has_every_kind_of_fault_every_rig_and_every_application() -> None:
    assert {fault.kind for scenario in SCENARIOS for fault in scenario.faults} == set(FAULT_KINDS)
    rigs = [scenario.find_rig() for scenario in SCENARIOS]
    assert {rig.name for rig in rigs} == {rig.name for rig in list_rigs()}
    assert {application.kind for rig in rigs for application in rig.site.applications} == set(APPLICATIONS)


def test_every_scenario_makes_a_valid_site() -> None:
    for scenario in SCENARIOS:
        rig = scenario.find_rig()
        make_site(rig, somewhere(rig))
        for fault in scenario.faults:
            locate(rig, fault)


@pytest.mark.parametrize("kind", sorted(FAULT_KINDS.keys() - SHOWS_LATER - STOPS_NOTHING - IN_SCENARIOS))
def test_fault_ends_with_its_named_reason_within_its_time(kind: str) -> None:
    """Injected at 6 s by the syntax of the command line, on the last rack where it strikes one. A warning only warns;
    everything else ends at 0 W."""
    rig = find_rig(RIGS[FAULT_KINDS[kind].needs])
    fault_id, target = FAULT_KINDS[kind].controller_fault, f":{rig.rack_names[-1]}" if FAULT_KINDS[kind].strikes else ""
    faults = [parse_fault(f"{each}@6{target}") for each in (kind, *NEEDS.get(kind, ()))]
    within_s = NAMED_S_MAX.get(kind, 1.1)
    outcome = simulate(rig, seed=3, duration_s=6.0 + within_s + 4.0, faults=faults)
    named_s = min(trip.at_s for trip in outcome.trips if trip.fault_id == fault_id)
    first = outcome.trips[0]
    assert 6.0 <= first.at_s <= named_s <= 6.0 + within_s
    if {FAULTS[trip.fault_id].action for trip in outcome.trips} == {Action.WARN}:
        assert FAULTS[fault_id].action is Action.WARN
        assert (outcome.end.opened, outcome.end.battery_power_w_max > 1000.0) == (False, True)
        return
    stopped_s = outcome.curves.time_s - first.at_s
    assert abs(outcome.curves.battery_power_w[(stopped_s > 2.0) & (stopped_s < 5.0)]).max() < 1.0


def test_over_voltage_stops_power_within_200_ms() -> None:
    outcome = simulate(find_rig("demo"), seed=1, duration_s=14, faults=[parse_fault("cell-overvoltage@10")])
    after = outcome.curves.time_s > 10.2
    assert abs(outcome.curves.battery_power_w[after]).max() < 1.0
    assert outcome.end.opened_under_load_a < 50.0


def test_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    def record(name: str, seed: int) -> bytes:
        path = tmp_path / f"{name}.parquet"
        lost = FaultSpec(kind="meter-lost", at_s=8.0)
        simulate(find_rig("demo"), seed=seed, duration_s=12, faults=[lost], keep=Keep.READINGS).recorder.write(path)
        return path.read_bytes()

    assert record("a", 1) == record("b", 1)
    assert record("a", 1) != record("c", 2)


def test_what_a_run_keeps_changes_nothing_of_it() -> None:
    lost = FaultSpec(kind="meter-lost", at_s=2.0)
    nothing, all_of_it = (
        simulate(find_rig("demo"), seed=1, duration_s=4, faults=[lost], keep=keep)
        for keep in (Keep.NOTHING, Keep.READINGS)
    )
    assert nothing.trips == all_of_it.trips
    assert [trip.fault_id for trip in nothing.trips] == ["meter_lost"]
    assert nothing.curves.grid_power_w.tolist() == all_of_it.curves.grid_power_w.tolist()
    with pytest.raises(LookupError, match="kept no record"):
        nothing.recorder.table()


def test_a_run_is_the_same_as_parquet_and_as_mdf(tmp_path: Path) -> None:
    fault = parse_fault("cell-overvoltage@8")
    recorder = simulate(find_rig("demo"), seed=1, duration_s=9, faults=[fault]).recorder
    for name in ("run.parquet", "run.mf4"):
        recorder.write(tmp_path / name)
    read = read_record(tmp_path / "run.mf4")
    told = pq.read_table(tmp_path / "run.parquet").select(read.column_names)
    assert read.column_names == [column.name for column in COLUMNS]
    assert read.schema.equals(told.schema, check_metadata=True)
    assert told.num_rows > 450
    assert len(set(told["faults"].to_pylist())) > 1
    for name in told.column_names:
        if pa.types.is_string(told.schema.field(name).type):
            assert read[name].to_pylist() == told[name].to_pylist()
        else:
            np.testing.assert_array_equal(read[name].to_numpy(), told[name].to_numpy(), strict=True)
    with MDF(tmp_path / "run.mf4") as mdf:
        np.testing.assert_array_equal(mdf.get("battery_power_w").samples, told["battery_power_w"].to_numpy())
        assert [text.decode() for text in mdf.get("mode").samples] == told["mode"].to_pylist()


def test_unknown_target_is_refused_before_anything_runs() -> None:
    with pytest.raises(UnknownTargetError, match="no rack 'rack-9', expected one of rack-1, rack-2"):
        simulate(find_rig("demo"), seed=1, duration_s=5, faults=[parse_fault("cell-overvoltage@1:rack-9")])


def test_dead_controller_leaves_zero_power_first_and_open_contactors_later() -> None:
    """Killed while it discharges: the converter's reversion timer (1 s) acts before the contactors' watchdog (4 s)."""

    async def main() -> tuple[float, float, float]:
        bench = Bench(find_rig("demo"), 1)
        site = make_site(bench.rig, await bench.start())
        controller = Controller(
            site, can_opener=bench.open_can, recorder=None, perf_clock=lambda: math.nan, on_trip=lambda _: None
        )
        running = asyncio.create_task(bench.run())
        controlled = asyncio.create_task(controller.run())
        await asyncio.sleep(32.0)  # the load stands on its floor: the battery charges
        controlled.cancel()
        before_w = abs(bench.plant.converter.ac_power_w)
        await asyncio.sleep(1.5)
        reverted_w, closed = abs(bench.plant.converter.ac_power_w), bench.plant.racks[0].main_closed
        assert closed
        await asyncio.sleep(3.0)
        assert not any(rack.main_closed for rack in bench.plant.racks)
        running.cancel()
        await asyncio.gather(running, controlled, return_exceptions=True)
        bench.close()
        return before_w, reverted_w, bench.plant.racks[0].opened_under_load_a

    before_w, reverted_w, under_load_a = run_virtual(main(), seed=1)
    assert before_w >= 50e3
    assert reverted_w < 1.0
    assert under_load_a < 5.0


def test_lost_data_that_comes_back_lets_the_battery_join_again() -> None:
    async def main() -> tuple[list[str], bool]:
        bench = Bench(find_rig("demo"), 1)
        site = make_site(bench.rig, await bench.start())
        trips: list[str] = []
        controller = Controller(
            site,
            can_opener=bench.open_can,
            recorder=None,
            perf_clock=lambda: math.nan,
            on_trip=lambda fault: trips.append(fault.kind.id),
        )
        running = asyncio.create_task(bench.run())
        controlled = asyncio.create_task(controller.run())
        await asyncio.sleep(5.0)
        bench.nodes[0].faults.silent_modules.add(4)
        await asyncio.sleep(5.0)
        opened = [rack.main_closed for rack in bench.plant.racks] == [False, True]
        bench.nodes[0].faults.silent_modules.clear()
        await asyncio.sleep(12.0)
        joined = all(rack.main_closed for rack in bench.plant.racks)
        controller.stop()
        await controlled
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        bench.close()
        return trips, opened and joined

    trips, recovered = run_virtual(main(), seed=1)
    assert trips == ["cell_data_stale"]
    assert recovered
