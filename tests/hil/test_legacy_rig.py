"""A rig whose converter speaks the older SunSpec models (103, 120 to 124): driven, stopped, and left to itself."""

import numpy as np
import pytest

from hil_rigs.rig import RigFile, find_rig
from hil_rigs.run import simulate

KEEPS_ON = "inverter_keeps_on"


def legacy() -> RigFile:
    rig = find_rig("discharging")
    return rig.model_copy(update={"plant": rig.plant.model_copy(update={"inverter_profile": "sunspec-legacy"})})


def test_it_is_driven_and_stopped_and_its_silence_is_a_warning() -> None:
    """The same power as behind the newer models, and the fault that its timer does not lead to 0 W."""
    newer = simulate(find_rig("discharging"), seed=1, duration_s=10.0)
    older = simulate(legacy(), seed=1, duration_s=10.0)
    assert [trip.fault_id for trip in older.trips] == [KEEPS_ON]
    assert older.end.contactors_closed == (True, True)
    assert older.end.stopped_safely
    assert older.curves.battery_power_w[-1] == pytest.approx(newer.curves.battery_power_w[-1], rel=1e-3)
    assert np.abs(older.curves.battery_power_w).max() > 50e3


def test_a_legacy_meter_or_a_forming_one_there_is_not() -> None:
    plant = legacy().plant
    for changes, words in (
        ({"meter_profile": "sunspec-legacy"}, "not a profile of kind meter"),
        ({"converter": "forming"}, "it cannot say that it forms"),
    ):
        wrong = plant.model_copy(update=changes)
        assert [each.wrong for each in wrong.broken_relations()] == [words]
