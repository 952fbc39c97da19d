"""A rack's main fuse: its curve, an overload that ends in time, and a short circuit on the whole rig."""

import pytest

from hil_rigs.faults.spec import parse_fault
from hil_rigs.plant.fuse import Fuse, trip_time_s
from hil_rigs.rig import find_rig
from hil_rigs.run import simulate


@pytest.mark.parametrize(
    ("multiple", "time_s"),
    [(1.4, float("inf")), (1.45, 3600.0), (2.0, 100.0), (3.0, 10.0), (10.0, 0.05), (20.0, 0.008), (40.0, 0.002)],
)
def test_time_to_melt(multiple: float, time_s: float) -> None:
    assert trip_time_s(multiple) == pytest.approx(time_s)


def test_between_two_points_it_falls_steadily() -> None:
    assert 10.0 > trip_time_s(3.5) > trip_time_s(4.0) > trip_time_s(4.5) > 1.0


@pytest.mark.parametrize(("seconds", "melted"), [(9.9, False), (10.1, True)])
def test_melts_after_its_time_in_either_direction(seconds: float, melted: bool) -> None:
    for sign in (1.0, -1.0):
        fuse = Fuse(500.0)
        for _ in range(round(seconds / 0.01)):
            fuse.step(sign * 1500.0, 0.01)
        assert fuse.melted is melted


def test_overload_that_ended_is_forgotten_slowly() -> None:
    fuse = Fuse(500.0)
    for _ in range(3):
        for _ in range(600):
            fuse.step(1500.0, 0.01)
        for _ in range(400 * 100):
            fuse.step(100.0, 0.01)
    assert not fuse.melted


def test_short_of_the_link_melts_the_fuses_before_a_contactor_opens() -> None:
    """Both racks feed it; their contactors open afterwards, without current."""
    outcome = simulate(find_rig("demo"), seed=1, duration_s=16.0, faults=[parse_fault("link-shorted@10")])
    tripped = {(trip.fault_id, trip.target) for trip in outcome.trips}
    assert {("fuse_blown", "rack-1"), ("fuse_blown", "rack-2")} <= tripped
    assert outcome.end.contactors_closed == (False, False)
    assert outcome.end.opened_under_load_a < 1.0
