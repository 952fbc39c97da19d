"""Readings that contradict each other, caused on the rig and read over the wire; a healthy rig contradicts nothing."""

import pytest

from bms.protect.faults import FAULTS
from hil_rigs.faults.spec import parse_fault
from hil_rigs.load_spec import ConstantPower
from hil_rigs.rig import find_rig
from hil_rigs.run import Outcome, simulate

QUIET = ConstantPower(kind="constant", rated_power_w=500e3)


def tripped(fault: str, duration_s: float = 18.0, *, quiet: bool = False) -> dict[str, tuple[float, str]]:
    load = QUIET if quiet else None
    outcome = simulate(find_rig("demo"), seed=4, duration_s=duration_s, faults=[parse_fault(fault)], load=load)
    return {trip.fault_id: (trip.at_s, trip.detail) for trip in reversed(outcome.trips)}


@pytest.mark.parametrize("cell", [1, 2, 208, 415, 416])
def test_open_wire_is_found_at_every_place(cell: int) -> None:
    """Also at both ends, and whichever module or frame the cells are in."""
    at_s, detail = tripped(f"open-wire@8:rack-2/{cell}", 12.0)["open_wire"]
    below = min(cell, 415)
    assert f"between cell {below} and cell {below + 1}" in detail
    assert 8.0 <= at_s < 9.0


@pytest.mark.parametrize(
    ("fault", "fault_id", "within_s"),
    [
        ("cell-frozen@8:rack-2/300", "cell_voltage_frozen", 8.0),
        ("current-frozen@8:rack-2", "current_frozen", 8.0),
        ("rack-voltage-wrong@8:rack-2:60", "rack_voltage_mismatch", 1.5),
        ("rack-voltage-wrong@8:rack-2:-60", "rack_voltage_mismatch", 1.5),
        ("cell-heating@8:rack-2/300:5", "thermal_event", 6.0),
    ],
)
def test_contradiction_is_named(fault: str, fault_id: str, within_s: float) -> None:
    found = tripped(fault)
    at_s, _ = found[fault_id]
    assert 8.0 <= at_s < 8.0 + within_s


@pytest.mark.parametrize(
    ("fault", "fault_id"),
    [
        ("overcurrent@8:rack-2:150", "dc_current_mismatch"),
        ("overcurrent@8:rack-2:-150", "dc_current_mismatch"),
        ("overcurrent@0.5:rack-2:40", "current_while_open"),
        ("cell-overvoltage@8:rack-2/9:3.48", "cell_voltage_spread"),
        ("cell-undervoltage@8:rack-2/9:3.1", "cell_voltage_spread"),
        ("cell-overtemperature@8:rack-2/9:42", "cell_temperature_spread"),
    ],
)
def test_sensor_that_is_off_is_named(fault: str, fault_id: str) -> None:
    assert fault_id in tripped(fault, quiet=True)


@pytest.mark.parametrize(
    ("fault", "fault_id", "detail"),
    [
        ("cell-out-of-range@8:rack-2/9", "cell_voltage_out_of_range", "cell 9 6.5"),
        ("cell-out-of-range@8:rack-2/416:0.2", "cell_voltage_out_of_range", "cell 416 0.2"),
        ("module-sensors-open@8:rack-2/2", "cell_temperature_out_of_range", "cell 17 -40.000, limit -39.000"),
        ("current-redundant-off@8:rack-2", "current_sensors_disagree", "apart by A 30.000, limit 5.600"),
        ("current-redundant-off@8:rack-2:-30", "current_sensors_disagree", "apart by A 30.000, limit 5.600"),
        ("temperature-redundant-off@8:rack-2", "temperature_sensors_disagree", "against the second chain, K"),
        ("temperature-redundant-off@8:rack-2:-20", "temperature_sensors_disagree", "against the second chain, K"),
    ],
)
def test_sensor_at_fault_opens_its_rack_under_its_own_name_only(fault: str, fault_id: str, detail: str) -> None:
    outcome = simulate(find_rig("demo"), seed=4, duration_s=12.0, faults=[parse_fault(fault)])
    assert {trip.fault_id for trip in outcome.trips} <= {fault_id, "cell_voltage_spread", "cell_temperature_spread"}
    assert outcome.trips[0].fault_id == fault_id
    assert detail in outcome.trips[0].detail
    assert 8.0 <= outcome.trips[0].at_s < 9.4
    assert outcome.end.contactors_closed == (True, False)


def test_second_sensor_that_falls_silent_is_a_warning() -> None:
    outcome = simulate(find_rig("demo"), seed=4, duration_s=12.0, faults=[parse_fault("redundant-lost@8:rack-2")])
    assert [(trip.fault_id, trip.target) for trip in outcome.trips] == [("redundant_sensor_lost", "rack-2")]
    assert outcome.end.contactors_closed == (True, True)


def test_impossible_value_hides_no_cell_that_is_truly_too_high() -> None:
    """In both cases of one rack: the sensor's fault and the cell's are named."""
    faults = [parse_fault("cell-out-of-range@8:rack-2/9"), parse_fault("cell-overvoltage@8:rack-2/200")]
    outcome = simulate(find_rig("demo"), seed=4, duration_s=11.0, faults=faults)
    named = {trip.fault_id: trip.detail for trip in outcome.trips}
    assert named["cell_voltage_out_of_range"].startswith("cell 9 ")
    assert named["cell_voltage_high"].startswith("cell 200 ")


def test_heat_is_an_event_before_it_is_too_hot() -> None:
    found = tripped("cell-heating@8:rack-2/300:3", 30.0)
    assert found["thermal_event"][0] < found["discharge_temperature_high"][0]


def test_slow_warming_and_a_frozen_cell_at_rest_are_no_faults() -> None:
    assert "thermal_event" not in tripped("cell-overtemperature@8:rack-2/300:44")
    assert "cell_voltage_frozen" not in tripped("cell-frozen@8:rack-2/300", quiet=True)


def test_healthy_rig_contradicts_nothing() -> None:
    outcome: Outcome = simulate(find_rig("demo"), seed=9, duration_s=60.0, faults=[])
    assert outcome.trips == ()
    assert {"open_wire", "thermal_event", "dc_current_mismatch"} <= set(FAULTS)
