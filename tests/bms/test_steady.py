"""A current limit falls at once, rises no further than it was allowed for a minute, and slowly."""

import math

import pytest

from bms.protect.steady import SteadyCurrent

DT_S = 0.02


def stepped(limit: SteadyCurrent, allowed_a: float, seconds: float, reason: str = "cell voltage") -> float:
    for _ in range(round(seconds / DT_S)):
        limit.step(allowed_a, reason, 250.0, DT_S)
    return limit.current_a


@pytest.fixture
def limit() -> SteadyCurrent:
    steady = SteadyCurrent()
    steady.step(250.0, "rack current", 250.0, DT_S)
    return steady


def test_it_begins_without_a_limit() -> None:
    assert (SteadyCurrent().current_a, SteadyCurrent().reason) == (math.inf, "")


def test_first_value_counts_at_once(limit: SteadyCurrent) -> None:
    assert (limit.current_a, limit.reason) == (250.0, "rack current")


def test_fall_counts_in_the_same_step(limit: SteadyCurrent) -> None:
    limit.step(40.0, "cell voltage", 250.0, DT_S)
    assert (limit.current_a, limit.reason) == (40.0, "cell voltage")


@pytest.mark.parametrize(
    ("after_s", "least_a", "most_a"),
    [
        (59.0, 40.0, 40.0),
        (64.5, 40.0, 40.0),
        (66.0, 40.0, 70.0),
        (125.0, 150.0, 185.0),
        (300.0, 240.0, 249.9),
        (420.0, 250.0, 250.0),
    ],
)
def test_rise_begins_after_a_minute_and_takes_minutes(
    limit: SteadyCurrent, after_s: float, least_a: float, most_a: float
) -> None:
    limit.step(40.0, "cell voltage", 250.0, DT_S)
    assert least_a <= stepped(limit, 250.0, after_s, "rack current") <= most_a
    assert limit.reason == ("rack current" if after_s == 420.0 else "cell voltage")


def test_rise_ends_at_the_lowest_of_the_past_minute(limit: SteadyCurrent) -> None:
    limit.step(40.0, "cell voltage", 250.0, DT_S)
    for _ in range(30):
        stepped(limit, 250.0, 29.98)
        stepped(limit, 100.0, DT_S)
    assert limit.current_a == pytest.approx(100.0)


def test_slowest_rise_is_a_share_of_the_highest_current(limit: SteadyCurrent) -> None:
    limit.step(40.0, "cell voltage", 250.0, DT_S)
    assert stepped(limit, 41.0, 60.0) == 40.0
    assert stepped(limit, 41.0, 9.0) < 41.0
    assert stepped(limit, 41.0, 5.0) == 41.0


def test_fall_while_rising_counts_at_once(limit: SteadyCurrent) -> None:
    limit.step(40.0, "cell voltage", 250.0, DT_S)
    stepped(limit, 250.0, 120.0)
    assert stepped(limit, 60.0, DT_S) == 60.0
