"""Every level of every limit, caused on the rig's sensors and read over the wire: it trips and does what it says."""

import pytest

from bms.protect.faults import FAULTS, LEVELLED, Action
from hil_rigs.faults.spec import parse_fault
from hil_rigs.load_spec import ConstantPower
from hil_rigs.rig import find_rig
from hil_rigs.run import Outcome, simulate
from tests.hil.fault_actions import acts_as_said

AT_S = 8.0
CAUSES = {
    "cell_voltage_high": ("cell-overvoltage", (3.52, 3.60, 3.70)),
    "cell_voltage_low": ("cell-undervoltage", (2.75, 2.60, 2.40)),
    "charge_temperature_high": ("cell-overtemperature", (47.0, 56.0, 59.0)),
    "charge_temperature_low": ("module-undertemperature", (3.0, -2.0, -7.0)),
    "discharge_temperature_high": ("cell-overtemperature", (52.0, 58.0, 61.0)),
    "discharge_temperature_low": ("module-undertemperature", (-12.0, -22.0, -27.0)),
    "charge_current_high": ("overcurrent", (-258.0, -272.0, -300.0)),
    "discharge_current_high": ("overcurrent", (258.0, 272.0, 300.0)),
    "pack_charge_current_high": ("overcurrent", (-660.0, -660.0, -660.0)),
    "pack_discharge_current_high": ("overcurrent", (660.0, 660.0, 660.0)),
}
"""Kind of injected fault and its value for each level. The sensors are what is wrong: the plant stays healthy. Where
the maximum level needs current, the sensor shows that too: the limits let none flow."""

QUIET = ConstantPower(kind="constant", rated_power_w=500e3)
"""So that the real current stays small beside the one that the sensor is made to show."""

IDS = [(name, level) for name in LEVELLED for level in range(3)]


def caused(name: str, level: int) -> Outcome:
    kind, values = CAUSES[name]
    fault = parse_fault(f"{kind}@{AT_S:g}:rack-2:{values[level]:g}")
    faults, load = [fault], QUIET if kind == "overcurrent" else None
    if LEVELLED[name].only_flowing and level == 2:
        faults.append(parse_fault(f"overcurrent@{AT_S:g}:rack-2:{-60 if name.startswith('charge') else 60}"))
    return simulate(find_rig("demo"), seed=5, duration_s=AT_S + 6.0, faults=faults, load=load)


def test_every_quantity_has_a_cause() -> None:
    assert set(CAUSES) == set(LEVELLED)


@pytest.mark.parametrize(("name", "level"), IDS, ids=[LEVELLED[name].ids[level] for name, level in IDS])
def test_cause_trips_its_level_and_no_higher_one(name: str, level: int) -> None:
    outcome = caused(name, level)
    tripped = {trip.fault_id: trip for trip in outcome.trips}
    mine, *higher = LEVELLED[name].ids[level:]
    assert mine in tripped
    if not name.startswith("pack"):
        assert not set(higher) & set(tripped)
    debounce_s = FAULTS[mine].debounce_s
    assert AT_S <= tripped[mine].at_s <= AT_S + 4.0 * debounce_s + 0.5
    assert tripped[mine].target == ("pack" if name.startswith("pack") else "rack-2")
    if FAULTS[mine].action is not Action.WARN or "current" not in name:  # a current that only one sensor shows stops
        acts_as_said(outcome, tripped[mine])
    if not name.startswith("pack"):
        assert outcome.end.contactors_closed[1] == (level < 2)


def test_levels_are_told_apart() -> None:
    """A block is no stop: what is left of the power flows, and the contactors stay."""
    blocked = caused("cell_voltage_high", 1)
    assert blocked.curves.battery_power_w[blocked.curves.time_s > AT_S + 1.0].max() > 10e3
    warned = caused("discharge_temperature_high", 0)
    assert {FAULTS[trip.fault_id].action for trip in warned.trips} == {Action.WARN}
    assert warned.curves.battery_power_w[warned.curves.time_s > AT_S + 1.0].min() < -10e3
