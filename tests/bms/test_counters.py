"""Counters of a rack, and the age of what was saved."""

import math
from collections.abc import Callable

import pytest

from bms.state.counters import RackMeter
from bms.state.saved import RackCounters
from bms.state.wall_time import age_s, utc_text
from drivers.readings import RackReading

NOON_S = 1_782_907_200.0


@pytest.mark.parametrize(
    ("current_a", "elapsed_s", "counted"),
    [
        (36.0, 0.1, RackCounters(discharged_ah=0.001, discharged_wh=0.0132)),
        (-36.0, 0.1, RackCounters(charged_ah=0.001, charged_wh=0.0132)),
        (math.nan, 0.1, RackCounters()),
        (36.0, 1.1, RackCounters()),
        (36.0, 0.0, RackCounters()),
    ],
)
def test_charge_and_energy_are_counted_apart_and_only_where_they_were_seen(
    rack: Callable[..., RackReading], current_a: float, elapsed_s: float, counted: RackCounters
) -> None:
    meter = RackMeter(RackCounters())
    meter.flow(rack(current_a=current_a), elapsed_s)
    assert meter.counters == counted


def test_closings_are_those_that_were_seen_to_happen() -> None:
    meter = RackMeter(RackCounters(contactor_closings=5))
    seen = [None, True, True, None, True, False, None, True, True, False, True]
    assert [meter.closed(feedback) for feedback in seen].count(True) == 2
    assert meter.counters.contactor_closings == 7


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        (utc_text(NOON_S), 0.0),
        (utc_text(NOON_S - 3600.25), 3600.25),
        (utc_text(NOON_S + 0.001), math.inf),
        ("1970-01-01T00:00:00.000Z", math.inf),
        ("9999-12-31T23:59:59.999Z", math.inf),
        ("2026-07-01T14:00:00.000+02:00", 0.0),
        ("noon", math.inf),
        ("", math.inf),
    ],
)
def test_age_is_how_long_ago_it_was_or_nobody_knows(text: str, expected_s: float) -> None:
    assert age_s(text, NOON_S) == expected_s
