"""The controller's own time: what it says of late ticks, standstill and a clock that jumps, and what it does not."""

import pytest

from hil_rigs.faults.spec import parse_fault
from hil_rigs.rig import find_rig
from hil_rigs.run import simulate


def trips(*faults: str, duration_s: float = 14.0) -> dict[str, str]:
    """Detail of each fault of the controller's own."""
    outcome = simulate(find_rig("demo"), seed=2, duration_s=duration_s, faults=[parse_fault(text) for text in faults])
    return {trip.fault_id: trip.detail for trip in outcome.trips if trip.target == "controller"}


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        ("clock-jump@8::-3600", "wall clock moved by s -3600.000, limit 1.000"),
        ("clock-jump@8::1.1", "wall clock moved by s 1.100, limit 1.000"),
    ],
)
def test_clock_that_jumps_is_said_and_does_nothing(fault: str, detail: str) -> None:
    assert trips(fault) == {"clock_jump": detail}


def test_clock_that_is_set_right_by_little_is_nothing() -> None:
    assert trips("clock-jump@6::0.6", "clock-jump@9::-0.6", "clock-jump@12::0.6") == {}


def test_standstill_is_said_with_its_length() -> None:
    found = trips("standstill@8::0.6")
    assert found["controller_stalled"] == "standstill in s 0.600, limit 0.500"
    assert trips("standstill@8::0.3") == {}


def test_few_late_ticks_are_nothing() -> None:
    assert trips("late-ticks@3::0.019") == {}
    assert list(trips("late-ticks@3::0.12")) == ["tick_overruns"]
