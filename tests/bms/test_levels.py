"""Three levels of every quantity: where each begins, how long it lasts, and which of them need current."""

from collections.abc import Callable
from math import nan

import pytest

from bms.protect.faults import LEVELLED
from bms.protect.levels import Condition, PackLevels, RackLevels
from bms.site import Limits
from bms.summary import summarise_rack
from drivers.readings import RackReading

LIMITS = Limits()
Make = Callable[..., RackReading]

CROSSINGS = [
    ("cell_voltage_high", {}, "cells", 1, (3.5, 3.58, 3.65), 1e-3),
    ("cell_voltage_low", {}, "cells", -1, (2.8, 2.65, 2.5), 1e-3),
    ("charge_temperature_high", {"current_a": -50.0}, "degc", 1, (45.0, 55.0, 58.0), 0.1),
    ("charge_temperature_low", {"current_a": -50.0}, "degc", -1, (5.0, 0.0, -5.0), 0.1),
    ("discharge_temperature_high", {"current_a": 50.0}, "degc", 1, (50.0, 57.0, 60.0), 0.1),
    ("discharge_temperature_low", {"current_a": 50.0}, "degc", -1, (-10.0, -20.0, -25.0), 0.1),
]
"""Quantity, what is needed besides, which of the reading, its direction, its three limits and a small step."""


def found(rack: RackReading, active: Callable[[str], bool] = lambda _: False) -> dict[str, Condition]:
    summary = summarise_rack(rack, rack.current_at_ns)
    return {condition.fault_id: condition for condition in RackLevels(LIMITS).conditions(summary, active)}


@pytest.mark.parametrize(("name", "besides", "what", "sign", "limits", "step"), CROSSINGS)
def test_each_level_begins_beyond_its_limit(
    rack: Make, name: str, besides: dict[str, float], what: str, sign: int, limits: tuple[float, ...], step: float
) -> None:
    for level, limit in enumerate(limits):
        ids = LEVELLED[name].ids
        at = found(rack(**{what: {2: limit}}, **besides))
        beyond = found(rack(**{what: {2: limit + sign * step}}, **besides))
        assert [fault_id in at for fault_id in ids] == [index < level for index in range(3)]
        assert [fault_id in beyond for fault_id in ids] == [index <= level for index in range(3)]
        assert beyond[ids[level]] == Condition(ids[level], limit + sign * step, limit, "cell 3")


@pytest.mark.parametrize(("name", "besides", "what", "sign", "limits", "step"), CROSSINGS)
def test_level_that_tripped_lasts_until_it_is_left_by_the_hysteresis(
    rack: Make, name: str, besides: dict[str, float], what: str, sign: int, limits: tuple[float, ...], step: float
) -> None:
    hysteresis = LEVELLED[name].hysteresis
    for fault_id, limit in zip(LEVELLED[name].ids, limits, strict=True):
        for inside, lasts in ((0.9, True), (1.1, False)):
            reading = rack(**{what: {2: limit - sign * inside * hysteresis}}, **besides)
            assert (fault_id in found(reading, lambda each, mine=fault_id: each == mine)) is lasts
            assert fault_id not in found(reading)


@pytest.mark.parametrize(
    ("name", "value", "current_a", "tripped"),
    [
        ("charge_temperature_high", 59.0, -5.7, True),
        ("charge_temperature_high", 59.0, -5.5, False),
        ("charge_temperature_high", 59.0, -5.6, False),
        ("charge_temperature_high", 59.0, 50.0, False),
        ("charge_temperature_low", -6.0, -5.7, True),
        ("charge_temperature_low", -6.0, -5.5, False),
        ("charge_temperature_low", -6.0, -5.6, False),
        ("discharge_temperature_low", -26.0, 5.7, True),
        ("discharge_temperature_low", -26.0, 5.5, False),
        ("discharge_temperature_low", -26.0, 5.6, False),
        ("discharge_temperature_low", -26.0, -50.0, False),
    ],
)
def test_highest_level_of_some_needs_current_in_its_direction(
    rack: Make, name: str, value: float, current_a: float, tripped: bool
) -> None:
    assert LEVELLED[name].only_flowing
    conditions = found(rack(degc={0: value, 1: value, 2: value, 3: value}, current_a=current_a))
    assert (LEVELLED[name].ids[2] in conditions) is tripped
    assert LEVELLED[name].ids[1] in conditions


@pytest.mark.parametrize(("use", "sign"), [("charge", -1.0), ("discharge", 1.0)])
def test_currents_of_rack_and_pack(rack: Make, use: str, sign: float) -> None:
    limits = Limits(pack_charge_current_a_max=500.0, pack_discharge_current_a_max=500.0)
    pack = PackLevels(limits, 2)
    for current_a, rack_levels, pack_levels in (
        (225.0, 0, 0),
        (226.0, 0, 1),
        (238.0, 0, 2),
        (253.0, 1, 3),
        (281.0, 3, 3),
    ):
        reading = rack(current_a=sign * current_a)
        summary = summarise_rack(reading, reading.current_at_ns)
        mine = [each for each in found(reading).values() if each.fault_id.startswith(f"{use}_current")]
        ours = list(pack.conditions([summary, summary], lambda _: False))
        assert (len(mine), len(ours)) == (rack_levels, pack_levels)
        assert all((each.value, each.where) == (current_a, f"{use} current") for each in mine)
        assert all((each.value, each.where) == (2 * current_a, "sum of the racks") for each in ours)


def test_rack_without_a_current_does_not_hide_the_others(rack: Make) -> None:
    readings = rack(current_a=nan), rack(current_a=900.0)
    summaries = [summarise_rack(each, each.current_at_ns) for each in readings]
    assert len(list(PackLevels(LIMITS, 2).conditions(summaries, lambda _: False))) == 3


@pytest.mark.parametrize("changes", [{"cells": {0: nan}}, {"degc": {0: nan}}, {"current_a": nan}])
def test_absent_values_cross_nothing(rack: Make, changes: dict[str, object]) -> None:
    assert found(rack(**changes)) == {}


@pytest.mark.parametrize(("current_a", "levels"), [(250.0, 0), (281.0, 3), (-250.0, 0), (-281.0, 3)])
def test_pack_may_carry_what_its_racks_may_together(rack: Make, current_a: float, levels: int) -> None:
    reading = rack(current_a=current_a)
    summaries = [summarise_rack(reading, reading.current_at_ns)] * 3
    assert len(list(PackLevels(LIMITS, 3).conditions(summaries, lambda _: False))) == levels
