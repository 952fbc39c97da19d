"""Scenario files and the faults that a user writes on the command line."""

from pathlib import Path

import pytest

from bms.protect.faults import FAULTS, Action
from drivers.config.config_yaml import ConfigErrors, dump_yaml, parse_strict
from hil_rigs.rig import find_rig
from hil_rigs.scenario import (
    FAULT_KINDS,
    FaultSpec,
    FaultSyntaxError,
    Scenario,
    find_scenario,
    list_scenarios,
    parse_fault,
)

MINIMAL = """\
name: mine
says: a scenario of my own
duration_s: 30
faults:
  - {kind: cell-overvoltage, at_s: 20}
expect: {faults: [cell_voltage_high], battery: open}
"""


def parse(text: str) -> Scenario:
    return parse_strict(text, Scenario, file="mine.yaml", folder=Path("/"))


SHIPPED = [
    ("ai-smoothing", (), "running"),
    ("cell-data-lost", ("cell_data_stale",), "partial"),
    ("cell-overtemperature", ("discharge_temperature_high",), "partial"),
    ("cell-overvoltage", ("cell_voltage_high",), "partial"),
    ("cell-undervoltage", ("cell_voltage_low",), "partial"),
    ("commands-lost", ("rack_command_lost",), "partial"),
    ("current-lost", ("current_stale",), "partial"),
    ("inverter-lost", ("inverter_lost",), "open"),
    ("meter-lost", ("meter_lost",), "zero"),
    ("module-undertemperature", ("discharge_temperature_low_recommended",), "zero"),
    ("monitor-counter", ("monitor_counter_errors",), "open"),
    ("monitor-crc", ("monitor_crc_errors",), "partial"),
    ("overcurrent", ("discharge_current_high",), "open"),
    ("cell-frozen", ("cell_voltage_frozen",), "partial"),
    ("open-wire", ("open_wire",), "partial"),
    ("cell-heating", ("thermal_event",), "open"),
    ("current-frozen", ("current_frozen",), "open"),
    ("rack-voltage-wrong", ("rack_voltage_mismatch",), "zero"),
    ("standstill", ("controller_stalled",), "running"),
    ("late-ticks", ("tick_overruns",), "running"),
    ("clock-jump", ("clock_jump",), "running"),
    ("contactor-welded", ("contactor_welded",), None),
    ("contactor-stuck-open", ("contactor_stuck_open",), "partial"),
    ("contactor-drops", ("contactor_opened_itself",), "partial"),
    ("contactor-closes", ("contactor_closed_itself",), None),
    ("contactor-chatter", ("contactor_chatter",), "partial"),
    ("precharge-open", ("precharge_open",), "partial"),
    ("precharge-welded", ("precharge_welded",), "open"),
    ("link-loaded", ("precharge_timeout",), "open"),
    ("link-shorted", ("precharge_short",), "open"),
    ("fire", ("cooling_not_following", "gas_detected", "smoke_detected", "fire_panel_alarm"), "open"),
    ("cell-venting", ("thermal_event",), "open"),
    ("insulation-low", ("insulation_low",), "open"),
    ("emergency-stop", ("interlock_open", "emergency_stop", "fuse_blown"), "open"),
    (
        "auxiliaries",
        ("aux_supply_on_battery", "auxiliary_input_missing", "aux_supply_charge_low"),
        "open",
    ),
    ("home-battery", ("battery_warning", "battery_internal", "battery_silent"), "zero"),
    ("coolant-hot", ("coolant_temperature_high",), "zero"),
    (
        "safety-inputs-lost",
        ("monitor_internal_fault", "safety_input_missing", "aux_supply_low", "safety_inputs_stale"),
        "partial",
    ),
    ("inverter-local", ("inverter_dc_voltage_mismatch", "inverter_local_control"), "zero"),
    ("rack-io-lost", ("rack_io_stale", "contactor_unproven"), "open"),
    ("rack-charge", ("racks_unequal",), "partial"),
    ("inverter-trips", ("inverter_fault", "inverter_manufacturer_alarm"), "open"),
    ("inverter-runs-away", ("inverter_not_following", "inverter_runs_away"), "open"),
    ("inverter-says-off", ("inverter_power_while_stopped", "inverter_ground_fault"), "open"),
    ("grid-dip", ("grid_voltage_low",), "running"),
    (
        "grid-outage",
        ("grid_voltage_low", "grid_frequency_low", "inverter_fault", "inverter_ac_under_voltage"),
        "open",
    ),
    ("grid-frequency", ("grid_frequency_high",), "running"),
    ("grid-phase-jump", ("inverter_fault", "inverter_manufacturer_alarm"), "open"),
]


@pytest.mark.parametrize(("name", "faults", "battery"), SHIPPED, ids=[name for name, _, _ in SHIPPED])
def test_shipped_scenario_expects_its_fault_and_end_state(
    name: str, faults: tuple[str, ...], battery: str | None
) -> None:
    scenario = find_scenario(name)
    assert (scenario.expect.faults, scenario.expect.battery) == (faults, battery)
    assert set(faults) <= set(FAULTS)
    assert all(fault.rack is None or fault.rack in find_rig(scenario.rig).rack_names for fault in scenario.faults)


def test_every_kind_of_fault_has_a_scenario_that_expects_its_name() -> None:
    """A kind has a scenario of its own name, or is struck among others that belong together; some have to be borne."""
    scenarios = list_scenarios()
    struck = {name: [s for s in scenarios if name in {fault.kind for fault in s.faults}] for name in FAULT_KINDS}
    for name, kind in FAULT_KINDS.items():
        if kind.controller_fault == "":
            assert any(scenario.expect.battery == "running" for scenario in struck[name]), name
            continue
        assert any(kind.controller_fault in scenario.expect.faults for scenario in struck[name]), name


def test_warnings_around_the_cells_leave_the_battery_running() -> None:
    scenario = find_scenario("enclosure-warnings")
    assert {FAULTS[fault_id].action for fault_id in scenario.expect.faults} == {Action.WARN}
    assert (scenario.expect.battery, scenario.expect.opened) == ("running", False)


def test_ai_smoothing_is_ten_quiet_minutes() -> None:
    scenario = find_scenario("ai-smoothing")
    assert (scenario.duration_s, scenario.faults, scenario.expect.no_faults) == (600.0, (), True)
    assert scenario.expect.grid_range_w_5s_max == 100e3


FAULT_TEXTS = [
    ("inverter-lost@20", FaultSpec(kind="inverter-lost", at_s=20.0)),
    ("current-lost@0.5:rack-2", FaultSpec(kind="current-lost", at_s=0.5, target="rack-2")),
    ("cell-data-lost@20:rack-1/13", FaultSpec(kind="cell-data-lost", at_s=20.0, target="rack-1/13")),
    (
        "cell-overvoltage@20:rack-1/100:3.8",
        FaultSpec(kind="cell-overvoltage", at_s=20.0, target="rack-1/100", value=3.8),
    ),
    ("overcurrent@1e2::-400", FaultSpec(kind="overcurrent", at_s=100.0, value=-400.0)),
]


@pytest.mark.parametrize(("text", "fault"), FAULT_TEXTS, ids=[text for text, _ in FAULT_TEXTS])
def test_fault_from_the_command_line(text: str, fault: FaultSpec) -> None:
    assert parse_fault(text) == fault


def test_fault_says_where_it_strikes_and_how_hard() -> None:
    fault = parse_fault("cell-undervoltage@20:rack-2/416")
    assert (fault.rack, fault.number, fault.strength) == ("rack-2", 416, 2.40)
    everywhere = parse_fault("meter-lost@20")
    assert (everywhere.rack, everywhere.number, everywhere.strength) == (None, 1, None)


BAD_FAULTS = [
    ("cell-overvoltag@20", "no kind 'cell-overvoltag', did you mean cell-overvoltage?"),
    ("fire@20", f"no kind 'fire', expected one of {', '.join(FAULT_KINDS)}"),
    ("", f"no kind '', expected one of {', '.join(FAULT_KINDS)}"),
    ("overcurrent", "expected KIND@T[:TARGET[:VALUE]], for example overcurrent@20"),
    ("overcurrent@20:rack-1:400:5", "expected KIND@T[:TARGET[:VALUE]], for example overcurrent@20"),
    ("overcurrent@", "T is not a number (got '')"),
    ("overcurrent@nan", "T is not a number (got 'nan')"),
    ("overcurrent@1_0", "T is not a number (got '1_0')"),
    ("overcurrent@-1", "at_s: too small (got -1.0), expected a number from 0 to 1e+06, in s"),
    ("overcurrent@20:rack-1:many", "VALUE is not a number (got 'many')"),
    ("overcurrent@20:rack-1:1e9", "value: out of range for overcurrent (got 1000000000.0), "
     "expected a number from -80000 to 80000, in A"),
    ("overcurrent@20:rack-1/2", "target: no target of overcurrent (got 'rack-1/2'), expected RACK"),
    ("cell-overvoltage@20:rack-1/0", "target: no target of cell-overvoltage (got 'rack-1/0'), "
     "expected RACK or RACK/CELL"),
    ("meter-lost@20:rack-1", "target: no target of meter-lost (got 'rack-1'), expected none"),
    ("current-lost@20:rack-1:5", "value: current-lost takes no value (got 5.0), expected none"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wrong"), BAD_FAULTS, ids=[text for text, _ in BAD_FAULTS])
def test_fault_that_cannot_be_understood_is_one_line(text: str, wrong: str) -> None:
    with pytest.raises(FaultSyntaxError) as caught:
        parse_fault(text)
    assert str(caught.value) == f"fault {text!r}: {wrong}"


BROKEN = [
    (
        "at_s: 20",
        "at_s: 30",
        "mine.yaml:5:36: faults.0.at_s: not before the scenario's end (got 30.0), expected less than 30",
    ),
    (
        "at_s: 20",
        "at_s: 20, target: rack one",
        "mine.yaml:5:48: faults.0.target: no target of cell-overvoltage (got 'rack one'), expected RACK or RACK/CELL",
    ),
    (
        "cell-overvoltage",
        "cell-overvoltge",
        "mine.yaml:5:12: faults.0.kind: unknown choice (got 'cell-overvoltge'), expected 'cell-overvoltage' perhaps",
    ),
    (
        "battery: open",
        "battery: closed",
        "mine.yaml:6:48: expect.battery: unknown choice (got 'closed'), "
        "expected one of 'running', 'partial', 'zero', 'open'",
    ),
    (
        "battery: open",
        "no_faults: true",
        "mine.yaml:6:50: expect.no_faults: contradicts the faults that must appear (got true), expected false",
    ),
    (
        "[cell_voltage_high]",
        "cell_voltage_high",
        "mine.yaml:6:18: expect.faults: not a list (got 'cell_voltage_high'), expected a list of at most 32 values",
    ),
    (
        "[cell_voltage_high]",
        "[Cell-Voltage]",
        "mine.yaml:6:19: expect.faults.0: not in the right form (got 'Cell-Voltage'), expected a fault id",
    ),
    (
        "duration_s: 30",
        "duration_s: .inf",
        "mine.yaml:3:13: duration_s: not a finite number (got inf), expected a number above 0 and at most 1e+06, in s",
    ),
]


@pytest.mark.parametrize(("old", "new", "line"), BROKEN, ids=[new for _, new, _ in BROKEN])
def test_broken_scenario_file(old: str, new: str, line: str) -> None:
    assert MINIMAL.count(old) == 1
    with pytest.raises(ConfigErrors) as caught:
        parse(MINIMAL.replace(old, new))
    assert str(caught.value) == line


def test_rig_file_is_looked_for_beside_the_scenario_file(tmp_path: Path) -> None:
    (tmp_path / "rigs").mkdir()
    (tmp_path / "rigs/mine.yaml").write_text(dump_yaml(find_rig("container")))
    text = MINIMAL + "rig: rigs/mine.yaml"
    assert parse_strict(text, Scenario, file="mine.yaml", folder=tmp_path).rig == str(tmp_path / "rigs/mine.yaml")
    assert parse(MINIMAL + "rig: container").rig == "container"


def test_mistakes_of_form_and_those_against_the_rig_are_told_at_once() -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse(
            "name: mine\nduration_s: 20\nload: {kind: file, path: none.csv}\nfaults:\n"
            "  - {kind: cell-data-lost, at_s: 10, target: rack-9}\n"
            "  - {kind: meter-lost, at_s: 30}\n"
            "  - {kind: cell-overvoltage, at_s: 1, target: rack-1/900}\n"
            "applications: [{kind: export-limit, export_power_w_max: 0}, {kind: export-limit, export_power_w_max: 1}]\n"
            "expect: {battery: closed, checks: [soc > 0.2]}\n"
        )
    said = [problem.text.partition(" (got")[0] for problem in caught.value.problems]
    assert said == [
        "says: missing",
        "load.path: no such file",
        "faults.0.target: no rack 'rack-9'",
        "faults.1.at_s: not before the scenario's end",
        "faults.2.target: no cell 900, a rack has 416",
        "applications: rig demo makes no valid site: applications.1.kind: same kind as applications.0",
        "expect.battery: unknown choice",
        "expect.checks.0: no form of a check",
    ]


@pytest.mark.parametrize(
    ("rig", "says"),
    [
        ("demmo", "rig: no rig named 'demmo': did you mean demo? (got 'demmo'), expected name or path of a rig"),
        (
            "none.yaml",
            "rig: /none.yaml:1:1: cannot be read (got 'No such file or directory'), expected a readable file "
            "(got 'none.yaml'), expected a rig without mistakes",
        ),
    ],
)
def test_against_a_rig_that_is_not_there_no_fault_is_judged(rig: str, says: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse(MINIMAL.replace("at_s: 20", "at_s: 20, target: rack-9") + f"rig: {rig}\n")
    assert [problem.text for problem in caught.value.problems] == [says]


def test_list_of_faults_says_what_target_and_value_are() -> None:
    assert FAULT_KINDS["cell-overvoltage"].line == (
        "a cell shows VALUE V (TARGET RACK or RACK/CELL; VALUE 3.75 V by default)"
    )
    assert FAULT_KINDS["current-lost"].line == "a rack's current sensor falls silent (TARGET RACK)"
    assert FAULT_KINDS["meter-lost"].line == "the grid meter's Modbus link is cut"
