"""Faults of cells, contactors, converter and controller, each caused in the plant, on the wire or by hand: named at its
place, acting as the table says. With the tables of levels and of what surrounds the cells that is every fault."""

import functools
from pathlib import Path
from typing import NamedTuple

import pytest

from bms.protect.faults import FAULTS, LEVELLED, Action
from bms.protect.island_faults import ISLAND_FAULTS
from bms.site import Site
from bms.state.store import Reset
from hil_rigs.faults.spec import parse_fault
from hil_rigs.load_spec import ConstantPower
from hil_rigs.rig import find_rig
from hil_rigs.run import Outcome, Trip, simulate
from tests.hil import test_auxiliaries, test_fault_levels, test_home_battery, test_safety_inputs
from tests.hil.fault_actions import acts_as_said
from tests.hil.test_restart import Restarts, play

QUIET = ConstantPower(kind="constant", rated_power_w=500e3)
"""So little current that a sensor's error stands out."""

BOTH, ALONE, NONE = (True, True), (True, False), (False, False)
"""Racks whose main contactor is closed at the end."""


class Cause(NamedTuple):
    """Injected `faults`; the fault must be named between `from_s` and `to_s`, `at` the place, and leave the racks
    `closed`. `lone`: nothing but this fault is named."""

    faults: str
    from_s: float
    to_s: float
    closed: tuple[bool, bool]
    at: str = "rack-2"
    quiet: bool = False
    duration_s: float = 14.0
    lone: bool = True


SLOW_PROTECTION = "slow-protection overcurrent@6:rack-2:350"
"""A site that lets a current be too high for 10 s before it trips, which is longer than the guard bears it."""

CAUSES = {
    "cell_data_stale": Cause("cell-data-lost@8:rack-2/13", 8.0, 8.6, ALONE),
    "current_stale": Cause("current-lost@8:rack-2", 8.0, 8.3, ALONE),
    "rack_io_stale": Cause("rack-io-lost@8:rack-2", 8.0, 8.5, NONE, lone=False),
    "contactor_unproven": Cause("rack-io-lost@8:rack-2", 9.5, 10.2, NONE, lone=False),
    "rack_command_lost": Cause("commands-lost@8:rack-2", 8.7, 9.0, NONE, duration_s=12.9, lone=False),
    "monitor_crc_errors": Cause("monitor-crc@8:rack-2:0.2", 8.0, 9.0, ALONE, lone=False),
    "monitor_counter_errors": Cause("monitor-counter@8:rack-2", 8.0, 9.0, NONE, lone=False),
    "cell_voltage_frozen": Cause("cell-frozen@8:rack-2/300", 8.0, 15.0, ALONE, duration_s=20.0),
    "current_frozen": Cause("current-frozen@8:rack-2", 8.0, 10.0, NONE, lone=False),
    "open_wire": Cause("open-wire@8:rack-2/300", 8.0, 9.0, ALONE, lone=False),
    "rack_voltage_mismatch": Cause("rack-voltage-wrong@8:rack-2:60", 9.0, 9.5, BOTH),
    "cell_voltage_spread": Cause(
        "cell-undervoltage@8:rack-2/9:3.1 cell-overtemperature@8:rack-1/9:42", 10.0, 10.5, BOTH, lone=False
    ),
    "cell_temperature_spread": Cause(
        "cell-undervoltage@8:rack-2/9:3.1 cell-overtemperature@8:rack-1/9:42", 10.0, 11.0, BOTH, "rack-1", lone=False
    ),
    "thermal_event": Cause("cell-heating@8:rack-2/300:10", 8.0, 11.0, NONE, lone=False),
    "current_while_open": Cause("overcurrent@0.5:rack-2:40", 1.0, 1.3, NONE, quiet=True, duration_s=6.0),
    "dc_current_mismatch": Cause("overcurrent@8:rack-2:150", 9.0, 10.5, BOTH, "pack", quiet=True),
    "inverter_lost": Cause("inverter-lost@8", 8.8, 9.1, NONE, "inverter", duration_s=22.0),
    "inverter_fault": Cause("inverter-trips@8", 8.0, 8.3, NONE, "inverter", lone=False),
    "inverter_not_following": Cause(
        "inverter-runs-away@8::150e3", 9.5, 10.0, NONE, "inverter", duration_s=16.0, lone=False
    ),
    "power_retried_in_vain": Cause("inverter-wrong-sign@6", 18.0, 28.0, BOTH, "inverter", duration_s=29.0, lone=False),
    "inverter_runs_away": Cause(
        "inverter-runs-away@8::150e3", 10.5, 11.3, NONE, "inverter", duration_s=16.0, lone=False
    ),
    "meter_lost": Cause("meter-lost@8", 8.4, 8.7, BOTH, "grid_meter"),
    "precharge_short": Cause("link-shorted@0", 0.5, 2.0, NONE, "rack-1", duration_s=8.0),
    "precharge_open": Cause("precharge-open@0:rack-1", 15.0, 20.0, (False, True), "rack-1", duration_s=30.0),
    "precharge_timeout": Cause("link-loaded@0", 15.0, 20.0, NONE, "rack-1", duration_s=24.0),
    "precharge_welded": Cause("precharge-welded@0:rack-2 cell-data-lost@8:rack-2/3", 8.3, 10.0, NONE, lone=False),
    "racks_unequal": Cause("rack-charge@0:rack-2:0.12", 60.0, 61.0, ALONE, duration_s=62.0),
    "contactor_welded": Cause(
        "contactor-welded@6:rack-2 cell-data-lost@8:rack-2/3", 8.5, 9.5, (False, True), lone=False
    ),
    "contactor_stuck_open": Cause("contactor-stuck-open@0:rack-2", 0.5, 5.0, ALONE),
    "contactor_opened_itself": Cause("contactor-drops@8:rack-2", 8.1, 8.3, ALONE),
    "contactor_closed_itself": Cause(
        "cell-data-lost@5:rack-2/3 contactor-closes@9:rack-2", 9.0, 9.7, (False, True), lone=False
    ),
    "contactor_chatter": Cause("contactor-chatter@8:rack-2", 8.1, 9.0, ALONE),
    "tick_overruns": Cause("late-ticks@8 clock-jump@8", 8.0, 12.0, BOTH, "controller", lone=False),
    "clock_jump": Cause("late-ticks@8 clock-jump@8", 8.0, 8.3, BOTH, "controller", lone=False),
    "controller_stalled": Cause("standstill@8::0.8", 8.8, 8.9, BOTH, "controller", duration_s=22.0, lone=False),
    "guard_stop": Cause(SLOW_PROTECTION, 10.0, 10.1, NONE, "guard", quiet=True, lone=False),
}

BY_HAND = {"rack_maintenance", "local_control", "state_lost"}
"""Somebody takes a rack out of service, or the site out of remote hands (test_requests.py); something damages the
controller's files between two runs."""

ELSEWHERE = {
    **dict.fromkeys([kind.id for kind in ISLAND_FAULTS], "test_island.py"),
    "cell_voltage_out_of_range": "test_plausibility.py",
    "cell_temperature_out_of_range": "test_plausibility.py",
    "current_sensors_disagree": "test_plausibility.py",
    "temperature_sensors_disagree": "test_plausibility.py",
    "redundant_sensor_lost": "test_plausibility.py",
    "contactor_request_ignored": "test_joining.py",
    "contactor_request_refused": "test_joining.py",
    "inverter_keeps_on": "test_described_rig.py",
    "inverter_reactive_not_following": "test_reactive_mismatch.py",
    "inverter_function_refused": "test_own_function.py",
    "battery_bus_silent": "test_battery_bus.py",
    "fast_lane_lost": "test_fast_lane.py",
    "converter_loop_mismatch": "test_converter_loop.py",
    "smoothing_refused": "test_fast_lane.py",
    "strip_overdue": "test_strip.py",
}
"""Caused over the wire by tests that need a rig or a site of their own."""

EARLY = {"current_while_open", "precharge_short", "precharge_open", "precharge_timeout", "contactor_stuck_open"}
"""Named before the rack carries anything: the power that there is belongs to the others."""

OVERRULED = {"inverter_not_following"}
"""0 W is what the converter is told and does not do: `inverter_runs_away` follows and stops it."""


@functools.cache
def caused(faults: str, quiet: bool, duration_s: float) -> Outcome:
    """Causes with several names share their run."""
    texts = faults.removeprefix("slow-protection ").split()
    return simulate(
        find_rig("demo"), seed=5, duration_s=duration_s, faults=[parse_fault(text) for text in texts],
        load=QUIET if quiet else None, adjust=slow_protection if faults == SLOW_PROTECTION else None,
    )  # fmt: skip


def slow_protection(site: Site) -> Site:
    return site.model_copy(update={"limits": site.limits.model_copy(update={"current_debounce_s": 10.0})})


def test_every_fault_has_a_cause() -> None:
    levels = {fault_id for quantity in test_fault_levels.CAUSES for fault_id in LEVELLED[quantity].ids}
    around = {*test_safety_inputs.CAUSES, *test_auxiliaries.CAUSES, *test_home_battery.CAUSES}
    tables = [set(CAUSES), BY_HAND, levels, around, set(ELSEWHERE)]
    assert set().union(*tables) == set(FAULTS)
    assert sum(map(len, tables)) == len(FAULTS), "a fault is in one table only"
    for fault_id, file in ELSEWHERE.items():
        assert f'"{fault_id}"' in (Path(__file__).parent / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("fault_id", CAUSES)
def test_cause_is_named_at_its_place_in_its_time_and_does_what_the_table_says(fault_id: str) -> None:
    cause = CAUSES[fault_id]
    outcome = caused(cause.faults, cause.quiet, cause.duration_s)
    first: Trip = next(trip for trip in outcome.trips if trip.fault_id == fault_id)
    assert first.target == cause.at
    assert cause.from_s <= first.at_s <= cause.to_s
    assert outcome.end.contactors_closed == cause.closed
    if cause.lone:
        assert {trip.fault_id for trip in outcome.trips} == {fault_id}
    if fault_id not in EARLY | OVERRULED:
        acts_as_said(outcome, first)


def test_what_opens_a_rack_that_has_not_joined_leaves_the_others_at_work() -> None:
    for fault_id in ("precharge_open", "contactor_stuck_open"):
        cause = CAUSES[fault_id]
        assert FAULTS[fault_id].action is Action.OPEN
        assert caused(cause.faults, cause.quiet, cause.duration_s).end.battery_power_w_max > 10e3


def test_converter_that_goes_on_charging_is_stopped_too() -> None:
    outcome = caused("inverter-runs-away@8::-150e3", False, 16.0)
    named = {trip.fault_id: trip for trip in outcome.trips}
    assert list(named) == ["inverter_not_following", "inverter_runs_away"]
    acts_as_said(outcome, named["inverter_runs_away"])


def test_converter_that_somebody_runs_at_its_panel_has_not_run_away() -> None:
    outcome = caused("inverter-local@8 inverter-runs-away@8::150e3", False, 14.0)
    assert {trip.fault_id for trip in outcome.trips} == {"inverter_local_control", "inverter_not_following"}


def test_rack_that_somebody_takes_out_of_service_is_named_and_stays_open() -> None:
    async def script(restarts: Restarts) -> None:
        await restarts.run(15.0, meanwhile=lambda: restarts.store.asked_out.append("rack-2"))
        status = restarts.controller.report.status()
        assert status is not None
        assert [fault.partition(":")[0] for fault in status.faults] == ["rack_maintenance (rack-2"]
        assert restarts.closed() == [True, False]

    play(script)


def test_damaged_state_is_named_and_keeps_all_racks_open() -> None:
    async def script(restarts: Restarts) -> None:
        await restarts.run(6.0)
        assert restarts.store.data is not None
        restarts.store.data = restarts.store.data[:-40]
        await restarts.run(8.0)
        status = restarts.controller.report.status()
        assert status is not None
        assert [fault.partition(":")[0] for fault in status.faults] == ["state_lost (state"]
        assert restarts.closed() == [False, False]
        restarts.store.asked.append(Reset("state_lost", "state"))
        await restarts.run(10.0)
        assert restarts.faults() == []

    play(script)
