"""Every fault around the cells, caused in the plant or a device and read over the wire: it is named, and acts, clears
or stays as the table says."""

import pytest

from bms.protect.faults import FAULTS, Action
from bms.protect.inverter_faults import GRID_FAULTS, INVERTER_ALARMS, INVERTER_FAULTS
from bms.protect.monitor_faults import MONITOR_FAULTS
from bms.protect.safety_faults import SAFETY_FAULTS
from bms.site import Safety, Site
from drivers.clock import now_ns
from drivers.safety import InsulationState
from hil_rigs.faults.spec import FaultSpec, parse_fault
from hil_rigs.rig import find_rig
from hil_rigs.run import Outcome, Trip, simulate
from tests.hil import test_auxiliaries
from tests.hil.fault_actions import acts_as_said
from tests.hil.live_rig import Live, run_live

AT_S = 6.0
RACK_2 = f"@{AT_S:g}:rack-2"
CAUSES = {
    "emergency_stop": f"emergency-stop{RACK_2}",
    "interlock_open": f"interlock-open{RACK_2}",
    "smoke_detected": f"smoke{RACK_2}",
    "gas_detected": f"gas{RACK_2}",
    "fire_panel_alarm": f"fire-panel{RACK_2}",
    "fire_output_failed": f"fire-output-stuck{RACK_2}",
    "fuse_blown": f"fuse-blown{RACK_2}",
    "door_open": f"door-open{RACK_2}",
    "insulation_low_warning": f"insulation-low{RACK_2}:500",
    "insulation_low": f"insulation-low{RACK_2}:100",
    "insulation_monitor_failed": f"insulation-monitor{RACK_2}:4",
    "insulation_self_test_failed": f"insulation-monitor{RACK_2}:3",
    "insulation_monitor_lost": f"insulation-monitor-lost{RACK_2}",
    "insulation_monitors_several": f"insulation-monitor-on{RACK_2}",
    "insulation_unmonitored": f"insulation-monitor@{AT_S:g}:rack-1:4 insulation-monitor{RACK_2}:4",
    "aux_supply_low_recommended": f"aux-supply{RACK_2}:21",
    "aux_supply_low": f"aux-supply{RACK_2}:19",
    "aux_supply_high_recommended": f"aux-supply{RACK_2}:28",
    "aux_supply_high": f"aux-supply{RACK_2}:30.5",
    "cooling_failed": f"cooling-failed{RACK_2}",
    "cooling_not_following": f"cooling-stuck{RACK_2} cell-overtemperature{RACK_2}:47",
    "coolant_temperature_high_operating": f"coolant-temperature{RACK_2}:45",
    "coolant_temperature_high": f"coolant-temperature{RACK_2}:55",
    "coolant_temperature_low": f"coolant-temperature{RACK_2}:0",
    "precharge_resistor_hot": f"precharge-hot{RACK_2}:130",
    "safety_inputs_stale": f"safety-inputs-lost{RACK_2}",
    "safety_input_missing": f"safety-input-missing{RACK_2}:4",
    "auxiliary_input_missing": f"safety-input-missing{RACK_2}:7",
    "monitor_internal_fault": f"monitor-alarm{RACK_2}:0",
    "monitor_modules_lost": f"monitor-alarm{RACK_2}:1",
    "monitor_board_hot": f"monitor-alarm{RACK_2}:2",
    "monitor_memory_error": f"monitor-alarm{RACK_2}:3",
    "monitor_parameter_error": f"monitor-alarm{RACK_2}:4",
    "monitor_self_test_failed": f"monitor-alarm{RACK_2}:5",
    "monitor_reference_wrong": f"monitor-alarm{RACK_2}:6",
    "monitor_bleed_fault": f"monitor-alarm{RACK_2}:7",
    "monitor_sense_wire_open": f"monitor-alarm{RACK_2}:8",
    "monitor_temperature_sensor_fault": f"monitor-alarm{RACK_2}:9",
    "monitor_current_sensor_fault": f"monitor-alarm{RACK_2}:10",
    "monitor_contactor_driver_fault": f"monitor-alarm{RACK_2}:11",
    "monitor_supply_low": f"monitor-alarm{RACK_2}:12",
    "monitor_restarted": f"monitor-alarm{RACK_2}:13",
    "monitor_module_count_wrong": f"monitor-alarm{RACK_2}:14",
    "monitor_hardware_limit": f"monitor-alarm{RACK_2}:15",
    "rack_watchdog_tripped": f"commands-lost{RACK_2}",
    **{kind.id: f"inverter-alarm@{AT_S:g}::{bit}" for bit, kind in enumerate(INVERTER_ALARMS)},
    "inverter_local_control": f"inverter-local@{AT_S:g}",
    "inverter_power_while_stopped": f"inverter-says-off@{AT_S:g}",
    "inverter_dc_voltage_mismatch": f"inverter-dc-voltage@{AT_S:g}::-60",
    "grid_frequency_low": f"meter-frequency@{AT_S:g}::59.3",
    "grid_frequency_high": f"meter-frequency@{AT_S:g}::60.7",
    "grid_voltage_low": f"grid-voltage@{AT_S:g}::205",
    "grid_voltage_high": f"grid-voltage@{AT_S:g}::256",
}
"""What the rig is made to suffer, so that the fault is named."""

PLACES = {
    **dict.fromkeys((kind.id for kind in INVERTER_FAULTS), "inverter"),
    **dict.fromkeys((kind.id for kind in GRID_FAULTS), "grid_meter"),
    **dict.fromkeys(("insulation_monitors_several", "insulation_unmonitored"), "pack"),
    **dict.fromkeys(("insulation_low", "insulation_low_warning"), "rack-1"),
}
"""Where not at the rack that was struck. The DC bus is watched by one insulation monitor, the first rack's."""
LATE_S = {"insulation_unmonitored": 10.0, "cooling_not_following": 7.0, "rack_watchdog_tripped": 4.0}
ALONE = {"rack_watchdog_tripped"}
"""Warnings beside something that stops the battery."""
WARNINGS = [fault_id for fault_id in CAUSES if FAULTS[fault_id].action is Action.WARN and fault_id not in ALONE]


def specs(fault_id: str) -> list[FaultSpec]:
    return [parse_fault(text) for text in CAUSES[fault_id].split()]


def caused(fault_id: str, duration_s: float) -> Outcome:
    return simulate(find_rig("demo"), seed=5, duration_s=duration_s, faults=specs(fault_id))


def test_every_fault_around_the_cells_has_a_cause() -> None:
    kinds = (*SAFETY_FAULTS, *MONITOR_FAULTS, *INVERTER_FAULTS, *GRID_FAULTS)
    assert {*CAUSES, *test_auxiliaries.CAUSES} == {kind.id for kind in kinds}


@pytest.mark.parametrize("fault_id", CAUSES)
def test_cause_is_named_in_its_time_at_its_place_and_does_what_the_table_says(fault_id: str) -> None:
    late_s = LATE_S.get(fault_id, 0.0)
    outcome = caused(fault_id, AT_S + late_s + 5.0)
    first = next(trip for trip in outcome.trips if trip.fault_id == fault_id)
    assert AT_S <= first.at_s <= AT_S + late_s + FAULTS[fault_id].debounce_s + 0.7
    assert first.target == PLACES.get(fault_id, "rack-2")
    does_what_it_says(outcome, first)


def does_what_it_says(outcome: Outcome, trip: Trip) -> None:
    action = FAULTS[trip.fault_id].action
    if trip.fault_id in ALONE:
        return
    acts_as_said(outcome, trip)
    leaves_alone = action is Action.OPEN and trip.target == "rack-2"
    assert outcome.end.contactors_closed == (not action.opens or leaves_alone, not action.opens)
    if action is Action.WARN:
        assert all(FAULTS[trip.fault_id].action is Action.WARN for trip in outcome.trips)


@run_live
async def test_warnings_end_with_their_cause_and_never_stopped_the_battery(rig: Live) -> None:
    rig.strike(WARNINGS_TOGETHER)
    await rig.pass_s(14.0)
    assert set(rig.active) >= {fault_id for fault_id in WARNINGS if fault_id not in EXCLUDED}
    assert not rig.opened
    rig.heal()
    await rig.pass_s(12.0)
    assert rig.active == []


EXCLUDED = {"insulation_low_warning", "insulation_self_test_failed", "aux_supply_high_recommended",
            "coolant_temperature_high_operating", "insulation_monitors_several", "grid_frequency_high",
            "grid_voltage_high", "insulation_monitor_lost"}  # fmt: skip
"""Those that cannot be there at the same time as another one."""
WARNINGS_TOGETHER = [spec for fault_id in WARNINGS if fault_id not in EXCLUDED for spec in specs(fault_id)]
EXCLUDED_TOGETHER = [
    spec
    for fault_id in EXCLUDED - {"insulation_self_test_failed", "insulation_low_warning", "insulation_monitor_lost"}
    for spec in specs(fault_id)
]


@run_live
async def test_their_opposites_end_with_their_cause_too(rig: Live) -> None:
    rig.strike([*EXCLUDED_TOGETHER, parse_fault("insulation-low@0:rack-2:500")])
    await rig.pass_s(4.0)
    assert set(rig.active) >= EXCLUDED - {"insulation_self_test_failed", "insulation_monitor_lost"}
    rig.heal()
    await rig.pass_s(8.0)
    assert rig.active == []


STOPS = [fault_id for fault_id in CAUSES if FAULTS[fault_id].action not in (Action.WARN, Action.BLOCK_CHARGE)]


@run_live
async def test_stops_that_need_nobody_end_with_their_cause_and_the_racks_join_again(rig: Live) -> None:
    passing = [fault_id for fault_id in STOPS if not FAULTS[fault_id].latched]
    rig.strike([spec for fault_id in passing if fault_id != "safety_inputs_stale" for spec in specs(fault_id)])
    await rig.pass_s(3.0)
    rig.strike(specs("safety_inputs_stale"))
    await rig.pass_s(2.0)
    assert set(rig.named) >= set(passing)
    assert not rig.closed
    rig.heal()
    await rig.pass_s(30.0)
    assert rig.active == []
    assert rig.closed


@run_live
async def test_stops_that_somebody_must_look_at_stay_when_their_cause_has_gone(rig: Live) -> None:
    latched = [fault_id for fault_id in STOPS if FAULTS[fault_id].latched]
    for first in ("inverter_power_while_stopped", "aux_supply_high"):
        rig.strike(specs(first))
        await rig.pass_s(0.8)
    rig.strike([parse_fault("insulation-low@0:rack-1:100")])
    rig.strike([spec for fault_id in latched if fault_id not in rig.named for spec in specs(fault_id)])
    await rig.pass_s(2.0)
    rig.heal()
    await rig.pass_s(60.0)
    assert set(rig.active) >= set(latched)
    assert not rig.closed


@run_live
async def test_fire_in_one_rack_stops_all_tells_the_panel_and_stays(rig: Live) -> None:
    rig.strike([parse_fault("smoke@0:rack-2")])
    await rig.pass_s(4.0)
    assert not any(rack.main_closed for rack in rig.bench.plant.racks)
    assert [each.fire_output_on for each in rig.bench.enclosures] == [True, True]
    assert [each.cooling_running for each in rig.bench.enclosures] == [True, True]
    rig.bench.enclosures[1].smoke_detected = False
    await rig.pass_s(40.0)
    assert not any(rack.main_closed for rack in rig.bench.plant.racks)
    assert [each.fire_output_on for each in rig.bench.enclosures] == [True, True]


@run_live
async def test_cooling_is_told_to_run_where_cells_are_hot_and_left_to_itself_elsewhere(rig: Live) -> None:
    for enclosure in rig.bench.enclosures:
        enclosure.cooling_running = False
    rig.strike([parse_fault("cell-overtemperature@0:rack-2/9:47")])
    await rig.pass_s(3.0)
    assert [each.cooling_running for each in rig.bench.enclosures] == [False, True]
    assert not rig.opened


def without_cooling(site: Site) -> Site:
    return site.model_copy(update={"safety": Safety(fire_cooling="off")})


def test_cooling_in_a_fire_follows_the_site_file() -> None:
    async def fire(rig: Live) -> None:
        assert [each.cooling_running for each in rig.bench.enclosures] == [True, True]
        rig.strike([parse_fault("gas@0:rack-1")])
        await rig.pass_s(1.0)
        assert [each.cooling_running for each in rig.bench.enclosures] == [False, False]

    run_live(fire, without_cooling)()


@pytest.mark.parametrize(
    ("opens_at", "kohm", "named", "opens"),
    [
        ("fatal", 670.0, {"insulation_low_warning"}, False),
        ("fatal", 140.0, {"insulation_low_warning"}, False),
        ("fatal", 130.0, {"insulation_low"}, True),
        ("warning", 725.0, set(), False),
        ("warning", 670.0, {"insulation_low_warning"}, True),
        ("never", 10.0, {"insulation_low_warning", "insulation_low"}, False),
    ],
)
def test_insulation_is_judged_in_ohm_per_volt_and_opens_where_the_site_says(
    opens_at: str, kohm: float, named: set[str], opens: bool
) -> None:
    """500 and 100 ohm/V at 1370 V: 685 and 137 kOhm. The other rack's 20 MOhm are in parallel."""
    outcome = simulate(
        find_rig("demo"), seed=5, duration_s=11.0, faults=[parse_fault(f"insulation-low@6:rack-2:{kohm}")],
        adjust=lambda site: site.model_copy(update={"safety": Safety(insulation_opens_at=opens_at)}),
    )  # fmt: skip
    assert {trip.fault_id for trip in outcome.trips} == named
    assert outcome.end.opened is opens


@run_live
async def test_one_insulation_monitor_watches_the_bus_and_another_takes_over_when_it_fails(rig: Live) -> None:
    def states() -> list[InsulationState]:
        said = [node.safety.insulation(now_ns())[1] for node in rig.bench.nodes]
        return [InsulationState(round(state)) for state in said]

    assert states() == [InsulationState.ACTIVE, InsulationState.OFF]
    rig.strike([parse_fault("insulation-monitor@0:rack-1:4")])
    await rig.pass_s(1.0)
    assert states() == [InsulationState.DEVICE_FAULT, InsulationState.SETTLING]
    rig.strike([parse_fault("insulation-low@0:rack-1:20")])
    await rig.pass_s(3.0)
    assert "insulation_low" not in rig.named
    await rig.pass_s(4.0)
    assert "insulation_low" in rig.named
    await rig.pass_s(6.0)
    assert states() == [InsulationState.DEVICE_FAULT, InsulationState.ACTIVE]
    assert "insulation_unmonitored" not in rig.named


def test_inputs_that_are_not_wired_are_not_judged() -> None:
    kinds = [spec for fault_id in CAUSES for spec in specs(fault_id) if spec.kind not in OTHERS]
    outcome = simulate(
        find_rig("demo"), seed=5, duration_s=12.0, faults=kinds,
        adjust=lambda site: site.model_copy(
            update={"racks": tuple(rack.model_copy(update={"safety_inputs": ()}) for rack in site.racks)}
        ),
    )  # fmt: skip
    assert outcome.trips == ()


OTHERS = {"cell-overtemperature", "safety-inputs-lost", "commands-lost", "inverter-alarm", "inverter-local",
          "inverter-says-off", "inverter-dc-voltage", "meter-frequency", "grid-voltage"}  # fmt: skip


def test_rack_does_not_join_without_its_safety_inputs() -> None:
    outcome = simulate(
        find_rig("demo"), seed=5, duration_s=14.0, faults=[parse_fault("safety-inputs-lost@0:rack-2")]
    )  # fmt: skip
    assert {trip.fault_id for trip in outcome.trips} == {"safety_inputs_stale"}
    assert outcome.end.contactors_closed == (True, False)
    assert not outcome.end.opened


@pytest.mark.parametrize(
    ("faults", "within_s"),
    [
        ("cell-heating@6:rack-2/300:0.6 gas@6:rack-2", 2.3),
        ("cell-heating@6:rack-2/300:0.2 smoke@6:rack-2", 8.0),
        ("cell-venting@6:rack-2/300:0.2", 8.0),
        ("cell-venting@6:rack-2/300:0.6", 2.3),
        ("cell-heating@6:rack-2/300:0.2", None),
        ("cell-heating@6:rack-1/300:0.2 gas@6:rack-2", None),
        ("cell-undervoltage@6:rack-2/300:3.1", None),
    ],
)
def test_heat_with_another_sign_of_it_is_an_event_sooner(faults: str, within_s: float | None) -> None:
    """At 25 degC, far below the 40 degC from which heat alone counts."""
    outcome = simulate(find_rig("demo"), seed=5, duration_s=16.0, faults=[parse_fault(text) for text in faults.split()])
    at_s = [trip.at_s for trip in outcome.trips if trip.fault_id == "thermal_event"]
    if within_s is None:
        assert at_s == []
    else:
        assert 6.0 < at_s[0] < 6.0 + within_s


@pytest.mark.parametrize("frequency_hz", [50.3, 59.7])
def test_grid_of_either_frequency_is_no_fault_where_the_site_does_not_say(frequency_hz: float) -> None:
    fault = parse_fault(f"meter-frequency@6::{frequency_hz}")
    outcome = simulate(
        find_rig("demo"), seed=5, duration_s=9.0, faults=[fault],
        adjust=lambda site: site.model_copy(
            update={"grid_meter": site.grid_meter.model_copy(update={"frequency_hz_nominal": None})}
        ),
    )  # fmt: skip
    assert outcome.trips == ()
