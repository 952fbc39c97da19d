"""The guard has the last word, from the raw image alone."""

import ast
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bms.decision
import bms.guard
import bms.image
from bms.decision import Contactors, Decision
from bms.guard import FLOWING_FRAC, OPEN_AFTER_S, STOP_AFTER_S, Guard, HardLimits
from bms.image import Image
from drivers.battery import BatterySays
from drivers.readings import InverterRating, InverterState, RackReading, SwitchgearReading

NOW_NS = 1_000_000_000_000
"""Of the image."""

LIMITS = HardLimits(
    cell_voltage_v_min=2.5,
    cell_voltage_v_max=3.65,
    charge_temperature_degc_min=-5.0,
    charge_temperature_degc_max=58.0,
    discharge_temperature_degc_min=-25.0,
    discharge_temperature_degc_max=60.0,
    charge_current_a_max=280.0,
    discharge_current_a_max=280.0,
    pack_charge_current_a_max=500.0,
    pack_discharge_current_a_max=520.0,
    cell_data_age_s_max=0.25,
    temperature_age_s_max=1.0,
    current_age_s_max=0.1,
)
DT_S = 0.02
OPENED = (Contactors(False, False),) * 2


def wish(power_w: float, run: bool = True) -> Decision:
    return Decision(power_w, run, (Contactors(True, False),) * 2, (None, None), "", "")


@pytest.mark.parametrize("power_w", [-500e3, -400e3, 0.0, 400e3, 500e3])
def test_healthy_image_lets_the_wish_pass_unchanged(image: Callable[..., Image], power_w: float) -> None:
    assert Guard(LIMITS).step(image(), wish(power_w), DT_S) == wish(power_w)


@pytest.mark.parametrize(
    ("changes", "wanted_w", "sent_w"),
    [
        pytest.param({"cells": {2: 3.66}}, -100e3, 0.0, id="no charging above the highest cell voltage"),
        pytest.param({"cells": {2: 3.66}}, 100e3, 100e3, id="discharging above it is allowed"),
        pytest.param({"cells": {0: 2.49}}, 100e3, 0.0, id="no discharging below the lowest cell voltage"),
        pytest.param({"cells": {0: 2.49}}, -100e3, -100e3, id="charging below it is allowed"),
        pytest.param({"cells": {1: math.nan}}, 100e3, 0.0, id="an absent cell forbids discharging"),
        pytest.param({"cells": {1: math.nan}}, -100e3, 0.0, id="an absent cell forbids charging"),
        pytest.param({"cells": {2: 3.65}}, -100e3, 0.0, id="no charging at the highest cell voltage"),
        pytest.param({"cells": {2: 3.649}}, -100e3, -100e3, id="charging just below it"),
        pytest.param({"cells": {0: 2.5}}, 100e3, 0.0, id="no discharging at the lowest cell voltage"),
        pytest.param({"cells": {0: 2.501}}, 100e3, 100e3, id="discharging just above it"),
        pytest.param({"degc": {3: 60.5}}, 100e3, 0.0, id="too hot"),
        pytest.param({"degc": {3: 60.0}}, 100e3, 100e3, id="hot, but not too hot to discharge"),
        pytest.param({"degc": {3: 58.5}}, -100e3, 0.0, id="too hot to charge"),
        pytest.param({"degc": {3: 58.0}}, -100e3, -100e3, id="hot, but not too hot to charge"),
        pytest.param({"degc": {3: -5.5}}, -100e3, 0.0, id="too cold to charge"),
        pytest.param({"degc": {3: -5.0}}, -100e3, -100e3, id="cold, but not too cold to charge"),
        pytest.param({"degc": {3: -5.5}}, 100e3, 100e3, id="too cold to charge only"),
        pytest.param({"degc": {3: -25.5}}, 100e3, 0.0, id="too cold to discharge"),
        pytest.param({"degc": {3: -25.0}}, 100e3, 100e3, id="cold, but not too cold to discharge"),
        pytest.param({"degc": {3: math.nan}}, -100e3, 0.0, id="absent temperature, charging"),
        pytest.param({"current_a": 280.0}, 100e3, 100e3, id="discharge current at its maximum"),
        pytest.param({"current_a": -280.0}, -100e3, -100e3, id="charge current at its maximum"),
        pytest.param({"degc": {3: math.nan}}, 100e3, 0.0, id="absent temperature"),
        pytest.param({"current_a": 281.0}, 100e3, 0.0, id="discharge current above maximum"),
        pytest.param({"current_a": -281.0}, 100e3, 0.0, id="charge current above maximum"),
        pytest.param({"current_a": math.nan}, 100e3, 0.0, id="absent current"),
    ],
)
def test_one_bad_rack_narrows_the_set_point(
    image: Callable[..., Image],
    rack: Callable[..., RackReading],
    changes: dict[str, object],
    wanted_w: float,
    sent_w: float,
) -> None:
    decision = Guard(LIMITS).step(image(second=rack(**changes)), wish(wanted_w), DT_S)
    assert decision.power_w == sent_w
    assert decision.clipped_by == ("" if sent_w == wanted_w else "guard")


def test_old_cell_data_forces_zero_power(image: Callable[..., Image], rack: Callable[..., RackReading]) -> None:
    reading = rack()
    at_ns = reading.voltage_at_ns.copy()
    at_ns[2] -= 251_000_000
    decision = Guard(LIMITS).step(image(first=reading._replace(voltage_at_ns=at_ns)), wish(1e5), DT_S)
    assert (decision.power_w, decision.clip_reason) == (0.0, "rack 1: cell data too old")


def test_old_current_forces_zero_power(image: Callable[..., Image], rack: Callable[..., RackReading]) -> None:
    reading = rack()
    decision = Guard(LIMITS).step(
        image(first=reading._replace(current_at_ns=reading.current_at_ns - 101_000_000)), wish(1e5), DT_S
    )
    assert (decision.power_w, decision.clip_reason) == (0.0, "rack 1: current too old")


def test_old_temperatures_force_zero_power(image: Callable[..., Image], rack: Callable[..., RackReading]) -> None:
    reading = rack()
    at_ns = reading.temperature_at_ns.copy()
    at_ns[1] -= 1_000_000_001
    decision = Guard(LIMITS).step(image(second=reading._replace(temperature_at_ns=at_ns)), wish(1e5), DT_S)
    assert (decision.power_w, decision.clip_reason) == (0.0, "rack 2: temperatures too old")


def test_readings_as_old_as_allowed_count(image: Callable[..., Image], rack: Callable[..., RackReading]) -> None:
    reading = rack()
    aged = reading._replace(
        voltage_at_ns=reading.voltage_at_ns - 250_000_000,
        temperature_at_ns=reading.temperature_at_ns - 1_000_000_000,
        current_at_ns=reading.current_at_ns - 100_000_000,
    )
    assert Guard(LIMITS).step(image(first=aged), wish(1e5), DT_S) == wish(1e5)


@pytest.mark.parametrize(
    ("currents_a", "sent_w"),
    [
        ((251.0, 251.0), 1e5),
        ((260.0, 260.0), 1e5),
        ((-250.0, -250.0), 1e5),
        ((261.0, 261.0), 0.0),
        ((-251.0, -251.0), 0.0),
        ((-249.0, -249.0), 1e5),
    ],
)
def test_current_of_all_racks_has_a_maximum(
    image: Callable[..., Image],
    rack: Callable[..., RackReading],
    currents_a: tuple[float, float],
    sent_w: float,
) -> None:
    first, second = (rack(current_a=current_a) for current_a in currents_a)
    decision = Guard(LIMITS).step(image(first=first, second=second), wish(1e5), DT_S)
    assert decision.power_w == sent_w
    assert decision.clip_reason == ("" if sent_w else "current of all racks above maximum")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cells": {0: 3.7}, "current_a": -5.7}, "rack 2: charged beyond a cell's limits"),
        ({"cells": {0: 3.7}, "current_a": -5.5}, ""),
        ({"cells": {0: 3.7}, "current_a": -FLOWING_FRAC * 280.0}, ""),
        ({"cells": {0: 2.4}, "current_a": FLOWING_FRAC * 280.0}, ""),
        ({"cells": {0: 3.7}, "current_a": 50.0}, ""),
        ({"cells": {0: 2.4}, "current_a": 5.7}, "rack 2: discharged beyond a cell's limits"),
        ({"cells": {0: 2.4}, "current_a": 5.5}, ""),
        ({"cells": {0: 2.4}, "current_a": -50.0}, ""),
        ({"degc": {1: 59.0}, "current_a": -50.0}, "rack 2: charged beyond a cell's limits"),
        ({"degc": {1: -6.0}, "current_a": -50.0}, "rack 2: charged beyond a cell's limits"),
        ({"degc": {1: -26.0}, "current_a": 50.0}, "rack 2: discharged beyond a cell's limits"),
    ],
)
def test_current_in_a_forbidden_direction_stops_in_the_end(
    image: Callable[..., Image], rack: Callable[..., RackReading], changes: dict[str, object], reason: str
) -> None:
    guard = Guard(LIMITS)
    disobeyed = image(second=rack(**changes))
    for _ in range(int(STOP_AFTER_S / DT_S) + 2):
        guard.step(disobeyed, wish(0.0), DT_S)
    assert guard.stopped == reason


@pytest.mark.parametrize("changes", [{"cells": {2: 3.7}}, {"cells": {2: 2.4}}, {"current_a": 400.0}])
def test_limits_of_a_rack_that_is_open_bind_nobody(
    image: Callable[..., Image], rack: Callable[..., RackReading], changes: dict[str, object]
) -> None:
    apart = image(second=rack(main_closed=False, **changes))
    for power_w in (-1e5, 1e5):
        assert Guard(LIMITS).step(apart, wish(power_w), DT_S) == wish(power_w)


def test_rack_that_does_not_say_how_it_stands_counts_where_it_is_to_be_closed(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    unknown = image(second=rack(main_closed=None, cells={2: 3.7}))
    assert Guard(LIMITS).step(unknown, wish(-1e5), DT_S).power_w == 0.0
    alone = wish(-1e5)._replace(contactors=(Contactors(True, False), Contactors(False, True)))
    assert Guard(LIMITS).step(unknown, alone, DT_S).power_w == -1e5


def test_disconnected_rack_does_not_count(image: Callable[..., Image], rack: Callable[..., RackReading]) -> None:
    reading = rack(main_closed=False, current_at_ns=0)
    assert Guard(LIMITS).step(image(first=reading), wish(1e5), DT_S).power_w == 1e5


@pytest.mark.parametrize("power_w", [600e3, -600e3, math.inf, -math.inf])
def test_set_point_never_leaves_the_rating(image: Callable[..., Image], power_w: float) -> None:
    decision = Guard(LIMITS).step(image(), wish(power_w), DT_S)
    assert decision.power_w == math.copysign(500e3, power_w)


def test_unknown_rating_allows_no_power(image: Callable[..., Image]) -> None:
    unknown = image(rating=InverterRating(float("nan"), 500e3))
    assert Guard(LIMITS).step(unknown, wish(1e5), DT_S).power_w == 0.0


def test_rack_that_was_never_heard_and_is_not_commanded_does_not_stop_the_others(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    guard = Guard(LIMITS)
    unheard = image(second=rack(main_closed=None, current_at_ns=0))
    alone = wish(1e5)._replace(contactors=(Contactors(True, False), None))
    for _ in range(int(2 * STOP_AFTER_S / DT_S)):
        decision = guard.step(unheard, alone, DT_S)
    assert decision == alone


def test_nan_set_point_becomes_zero(image: Callable[..., Image]) -> None:
    assert Guard(LIMITS).step(image(), wish(math.nan), DT_S).power_w == 0.0


def test_no_power_while_the_converter_shall_not_run(image: Callable[..., Image]) -> None:
    assert Guard(LIMITS).step(image(), wish(1e5, run=False), DT_S).power_w == 0.0


@pytest.mark.parametrize(
    ("changes", "window_w"),
    [
        ({}, (-500e3, 500e3)),
        ({"cells": {2: 3.65}}, (0.0, 500e3)),
        ({"cells": {0: 2.5}}, (-500e3, 0.0)),
        ({"degc": {3: 60.5}}, (0.0, 0.0)),
        ({"current_at_ns": 0}, (0.0, 0.0)),
        ({"degc": {3: 60.5}, "main_closed": False}, (-500e3, 500e3)),
    ],
)
def test_window_is_what_would_pass_now(
    image: Callable[..., Image], rack: Callable[..., RackReading], changes: dict[str, object], window_w: object
) -> None:
    assert Guard(LIMITS).window_w(image(second=rack(**changes)), wish(100e3)) == window_w


def test_window_of_a_guard_that_stopped_or_of_a_converter_that_shall_not_run_is_shut(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    guard, hot = Guard(LIMITS), image(first=rack(degc={0: 61.0}))
    assert guard.window_w(image(), wish(0.0, run=False)) == (0.0, 0.0)
    for _ in range(9):
        guard.step(hot, wish(1e5), 0.5)
    assert guard.window_w(image(), wish(1e5)) == (0.0, 0.0)


def test_crossing_that_lasts_stops_then_opens_for_good(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    guard = Guard(LIMITS)
    hot = image(first=rack(degc={0: 61.0}))
    for _ in range(int(STOP_AFTER_S / DT_S) + 2):
        decision = guard.step(hot, wish(1e5), DT_S)
    assert (decision.power_w, decision.run, decision.contactors) == (0.0, False, wish(1e5).contactors)
    for _ in range(int(OPEN_AFTER_S / DT_S) + 2):
        decision = guard.step(hot, wish(1e5), DT_S)
    assert (decision.run, decision.contactors) == (False, OPENED)
    assert guard.step(image(), wish(1e5), DT_S) == decision
    guard.reset()
    assert guard.step(image(), wish(1e5), DT_S) == wish(1e5)


def test_contactors_open_after_their_wait_and_not_with_it(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    guard = Guard(LIMITS)
    for _ in range(9):
        guard.step(image(first=rack(degc={0: 61.0})), wish(1e5), STOP_AFTER_S / 8)
    waiting = [guard.step(image(), wish(1e5), OPEN_AFTER_S / 8).contactors for _ in range(8)]
    assert waiting == [wish(1e5).contactors] * 8
    assert guard.step(image(), wish(1e5), OPEN_AFTER_S / 8).contactors == OPENED


def test_a_stopped_battery_waits_as_long_again_after_a_reset(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    guard, hot = Guard(LIMITS), image(first=rack(degc={0: 61.0}))
    for _ in range(2):
        opens = [guard.step(hot, wish(1e5), 0.5).contactors == OPENED for _ in range(16)]
        assert opens == [False] * 15 + [True]
        guard.reset()


def test_protection_may_open_before_and_nothing_closes_any_more(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    guard, hot = Guard(LIMITS), image(first=rack(degc={0: 61.0}))
    closed, opened = Contactors(True, False), Contactors(False, False)
    for _ in range(8):
        guard.step(hot, wish(1e5)._replace(contactors=(closed, opened)), 0.5)
    joining = wish(1e5)._replace(contactors=(closed, Contactors(True, True)))
    assert guard.step(hot, joining, 0.5).contactors == (closed, opened)
    assert guard.step(hot, wish(0.0)._replace(contactors=(opened, None)), 0.5).contactors == (opened, None)
    assert guard.step(hot, wish(1e5), 0.5).contactors == OPENED


def test_a_precharge_under_way_is_held_through_the_wait(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    """The converter may still draw through it: it opens with the main contactors."""
    guard, hot = Guard(LIMITS), image(first=rack(degc={0: 61.0}))
    joining = wish(1e5)._replace(contactors=(Contactors(True, False), Contactors(False, True)))
    held = [guard.step(hot, joining, 0.5).contactors for _ in range(15)]
    assert guard.stopped
    assert held == [joining.contactors] * 15
    assert guard.step(hot, joining, 0.5).contactors == OPENED


def test_a_stop_in_the_first_tick_closes_nothing(image: Callable[..., Image], rack: Callable[..., RackReading]) -> None:
    decision = Guard(LIMITS).step(image(first=rack(degc={0: 61.0})), wish(1e5), 2 * STOP_AFTER_S)
    assert (decision.run, decision.contactors) == (False, OPENED)


def test_stop_is_said_by_the_guard_with_its_reason(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    guard = Guard(LIMITS)
    hot = image(first=rack(degc={0: 61.0}))
    for _ in range(9):
        decision = guard.step(hot, wish(1e5), 0.5)
    still = wish(1e5).contactors
    assert decision == Decision(0.0, False, still, (None, None), "guard", "rack 1: temperature above maximum")
    assert guard.step(image(), wish(1e5), 0.5) == decision


def test_stop_comes_after_its_time_and_not_with_it(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    guard = Guard(LIMITS)
    hot = image(first=rack(degc={0: 61.0}))
    for _ in range(8):
        assert guard.step(hot, wish(1e5), STOP_AFTER_S / 8).run
    assert not guard.step(hot, wish(1e5), STOP_AFTER_S / 8).run


def test_each_crossing_is_timed_anew(image: Callable[..., Image], rack: Callable[..., RackReading]) -> None:
    guard = Guard(LIMITS)
    hot = image(first=rack(degc={0: 61.0}))
    for now in [hot] * 7 + [image()] + [hot] * 7:
        guard.step(now, wish(1e5), 0.5)
    assert guard.stopped == ""


def test_after_a_reset_a_crossing_is_borne_for_its_whole_time_again(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    guard = Guard(LIMITS)
    hot = image(first=rack(degc={0: 61.0}))
    for _ in range(2):
        assert [guard.step(hot, wish(1e5), STOP_AFTER_S / 8).run for _ in range(9)] == [True] * 8 + [False]
        guard.reset()
        assert guard.stopped == ""


def test_crossing_counts_as_long_as_one_rack_is_commanded_closed(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    guard = Guard(LIMITS)
    hot = image(first=rack(degc={0: 61.0}))
    joining = Decision(0.0, False, (Contactors(True, False), None), (None, None), "", "")
    for _ in range(9):
        guard.step(hot, joining, 0.5)
    assert guard.stopped == "rack 1: temperature above maximum"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"current_a": 281.0}, "rack 1: current above maximum"),
        ({"current_a": -281.0}, "rack 1: current above maximum"),
        ({"degc": {0: 60.5}}, "rack 1: temperature above maximum"),
        ({"cells": {0: 2.4}}, "power window"),
    ],
)
def test_reason_names_the_rack_and_the_limit(
    image: Callable[..., Image], rack: Callable[..., RackReading], changes: dict[str, object], reason: str
) -> None:
    assert Guard(LIMITS).step(image(first=rack(**changes)), wish(1e5), DT_S).clip_reason == reason


def test_zero_wish_of_a_stopped_converter_is_not_said_to_be_narrowed(image: Callable[..., Image]) -> None:
    assert Guard(LIMITS).step(image(), wish(0.0, run=False), DT_S) == wish(0.0, run=False)


def test_wish_without_a_word_for_every_rack_is_a_programming_error(image: Callable[..., Image]) -> None:
    with pytest.raises(ValueError, match="zip"):
        Guard(LIMITS).step(image(), wish(0.0)._replace(contactors=(None,)), DT_S)


def test_crossing_while_everything_is_already_commanded_open_latches_nothing(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    guard = Guard(LIMITS)
    hot = image(first=rack(degc={0: 61.0}))
    opened = Decision(0.0, False, (Contactors(False, False),) * 2, (None, None), "", "")
    for _ in range(int(2 * STOP_AFTER_S / DT_S)):
        guard.step(hot, opened, DT_S)
    assert guard.stopped == ""


def test_crossing_that_ends_in_time_stops_nothing(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    guard = Guard(LIMITS)
    hot = image(first=rack(degc={0: 61.0}))
    for _ in range(int(STOP_AFTER_S / DT_S) - 2):
        guard.step(hot, wish(1e5), DT_S)
    assert guard.step(image(), wish(1e5), DT_S) == wish(1e5)


def forming(image: Image, state: InverterState = InverterState.RUNNING) -> Image:
    assert image.inverter is not None
    return replace(image, inverter=replace(image.inverter, grid_forming=True, state=state))


@pytest.mark.parametrize(
    "changes",
    [
        {"voltage_at_ns": np.zeros(4, np.int64)},
        {"temperature_at_ns": np.zeros(4, np.int64)},
        {"current_at_ns": 0},
        {"current_at_ns": 0, "current_a": 500.0},
        {"current_a": math.nan},
        {"cells": {1: math.nan}},
        {"degc": {1: math.nan}},
        {"cells": {1: 3.8}},
        {"cells": {1: 3.8}, "current_a": 200.0},
        {"cells": {1: 2.3}, "current_a": -200.0},
        {"degc": {1: -6.0}, "current_a": 200.0},
        {"current_a": 280.0},
        {"current_a": -280.0},
        {"degc": {1: 60.0}},
        {"cells": {1: 3.66}, "current_a": -5.0},
        {"cells": {1: 2.4}, "current_a": 5.0},
        {"degc": {1: 58.0}, "current_a": -6.0},
        {"degc": {1: -5.0}, "current_a": -6.0},
        {"degc": {1: -25.0}, "current_a": 6.0},
    ],
)
def test_what_is_absent_or_harmless_ends_no_island(
    image: Callable[..., Image], rack: Callable[..., RackReading], changes: dict[str, object]
) -> None:
    guard, picture = Guard(LIMITS), forming(image(second=rack(**changes)))
    for _ in range(round(2 * STOP_AFTER_S / DT_S)):
        assert guard.step(picture, wish(50e3), DT_S) == wish(50e3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cells": {1: 3.65}, "current_a": -6.0}, "rack 2: charged beyond a cell's limits"),
        ({"cells": {1: 2.5, 2: math.nan}, "current_a": 6.0}, "rack 2: discharged beyond a cell's limits"),
        ({"degc": {1: 58.5}, "current_a": -6.0}, "rack 2: charged beyond a cell's limits"),
        ({"degc": {1: -5.5}, "current_a": -6.0}, "rack 2: charged beyond a cell's limits"),
        ({"degc": {1: -25.5}, "current_a": 6.0}, "rack 2: discharged beyond a cell's limits"),
        ({"degc": {1: 60.5, 2: math.nan}}, "rack 2: temperature above maximum"),
        ({"current_a": 280.5}, "rack 2: current above maximum"),
        ({"current_a": -280.5}, "rack 2: current above maximum"),
    ],
)
def test_measured_danger_ends_an_island_after_its_time(
    image: Callable[..., Image], rack: Callable[..., RackReading], changes: dict[str, object], reason: str
) -> None:
    guard, picture = Guard(LIMITS), forming(image(second=rack(**changes)))
    for _ in range(round(STOP_AFTER_S / DT_S) - 1):
        assert guard.step(picture, wish(0.0), DT_S).run
    guard.step(picture, wish(0.0), DT_S)
    decision = guard.step(picture, wish(0.0), DT_S)
    assert (decision.run, decision.contactors, guard.stopped) == (False, wish(0.0).contactors, reason)
    for _ in range(round(OPEN_AFTER_S / DT_S) + 1):
        decision = guard.step(picture, wish(0.0), DT_S)
    assert (decision.run, decision.contactors) == (False, OPENED)


def test_value_that_no_cell_can_have_ends_no_island(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    limits = replace(LIMITS, cell_voltage_v_min_possible=0.5, cell_voltage_v_max_possible=5.0)
    for volt, current_a, stops in ((5.1, -50.0, False), (5.0, -50.0, True), (0.4, 50.0, False), (0.5, 50.0, True)):
        guard = Guard(limits)
        for _ in range(round(STOP_AFTER_S / DT_S) + 1):
            guard.step(forming(image(second=rack(cells={1: volt}, current_a=current_a))), wish(0.0), DT_S)
        assert bool(guard.stopped) is stops


def test_temperature_that_only_a_broken_sensor_shows_ends_no_island(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    limits = replace(LIMITS, temperature_degc_min_possible=-39.0)
    for degc, current_a, stops in (
        (-39.5, -50.0, False), (-39.0, -50.0, True), (-39.5, 50.0, False), (-39.0, 50.0, True),
    ):  # fmt: skip
        guard = Guard(limits)
        for _ in range(round(STOP_AFTER_S / DT_S) + 1):
            guard.step(forming(image(second=rack(degc={1: degc}, current_a=current_a))), wish(0.0), DT_S)
        assert bool(guard.stopped) is stops


def test_current_of_all_racks_together_ends_an_island(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    for current_a, stops in ((-250.5, True), (-250.0, False), (260.5, True), (260.0, False)):
        guard, both = Guard(LIMITS), rack(current_a=current_a, current_at_ns=NOW_NS - 50_000_000)
        for _ in range(round(STOP_AFTER_S / DT_S) + 1):
            guard.step(forming(image(both, both)), wish(0.0), DT_S)
        assert guard.stopped == ("current of all racks above maximum" if stops else "")


def test_load_of_an_island_decides_its_power(image: Callable[..., Image]) -> None:
    assert Guard(LIMITS).step(forming(image()), wish(600e3), DT_S) == wish(600e3)


@pytest.mark.parametrize("state", ["off", "sleeping", "standby", "shutting_down", "fault"])
def test_converter_that_does_not_work_makes_no_island(image: Callable[..., Image], state: str) -> None:
    old = forming(image(), InverterState(state))
    old = replace(old, racks=(old.racks[0]._replace(current_at_ns=0), old.racks[1]))
    assert Guard(LIMITS).step(old, wish(50e3), DT_S).power_w == 0.0


SERVED = SwitchgearReading(NOW_NS, False, False, 0.0, 0.0, 398.0, 60.0, math.nan, 7)
"""The switch is open and the site has voltage."""


@pytest.mark.parametrize(
    ("said", "state", "at_ns", "sent_w"),
    [
        pytest.param(SERVED, InverterState.RUNNING, 0, 50e3, id="it is what makes the voltage"),
        pytest.param(SERVED, InverterState.RUNNING, NOW_NS, 0.0, id="it says that it follows the grid"),
        pytest.param(SERVED, InverterState.OFF, 0, 0.0, id="its last word was that it stands"),
        pytest.param(replace(SERVED, intertie_closed=True), InverterState.RUNNING, 0, 0.0, id="the grid is there"),
        pytest.param(replace(SERVED, site_voltage_v=340.0), InverterState.RUNNING, 0, 0.0, id="the site is dark"),
        pytest.param(replace(SERVED, site_voltage_v=352.0), InverterState.RUNNING, 0, 50e3, id="the least voltage"),
        pytest.param(replace(SERVED, at_ns=0), InverterState.RUNNING, 0, 0.0, id="the switchgear is silent too"),
        pytest.param(replace(SERVED, at_ns=NOW_NS - 500_000_000), InverterState.RUNNING, 0, 50e3,
                     id="the switchgear's word is as old as it may be"),
        pytest.param(replace(SERVED, at_ns=NOW_NS - 500_000_001), InverterState.RUNNING, 0, 0.0,
                     id="the switchgear's word is older"),
        pytest.param(SERVED, InverterState.RUNNING, NOW_NS - 1_000_000_000, 0.0,
                     id="the converter's word, that it follows the grid, is as old as it may be"),
        pytest.param(SERVED, InverterState.RUNNING, NOW_NS - 1_000_000_001, 50e3, id="the converter's word is older"),
    ],
)  # fmt: skip
def test_silent_converter_of_a_site_that_lives_without_the_grid_serves_it(
    image: Callable[..., Image], said: SwitchgearReading, state: InverterState, at_ns: int, sent_w: float
) -> None:
    """Old data, which makes a follower give no power, ends no island."""
    limits = replace(LIMITS, site_voltage_v_min=352.0, inverter_age_s_max=1.0, switchgear_age_s_max=0.5)
    picture = image()
    assert picture.inverter is not None
    racks = (picture.racks[0]._replace(current_at_ns=0), picture.racks[1])
    inverter = replace(picture.inverter, state=state, at_ns=at_ns)
    picture = replace(picture, racks=racks, inverter=inverter, switchgear=said)
    assert Guard(limits).step(picture, wish(50e3), DT_S).power_w == sent_w


def test_the_guard_knows_types_only() -> None:
    """Neither it nor the modules that hold its types import anything of ours with a decision in it."""
    types = {"bms.decision", "bms.image", "drivers.readings"}
    for module in (bms.guard, bms.decision, bms.image):
        tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
        froms = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))
        assert {name for name in froms if name.split(".")[0] in ("bms", "drivers", "kernels", "hil_rigs")} <= types


def test_input_arrays_may_be_read_only(image: Callable[..., Image], rack: Callable[..., RackReading]) -> None:
    reading = rack()
    voltage_v = np.array(reading.voltage_v)
    voltage_v.flags.writeable = False
    assert Guard(LIMITS).step(image(first=reading._replace(voltage_v=voltage_v)), wish(1e5), DT_S).power_w == 1e5


def test_rack_that_is_open_binds_nobody(image: Callable[..., Image], rack: Callable[..., RackReading]) -> None:
    bad = {"cells": {0: 3.9, 1: 2.0}}
    guard = Guard(LIMITS)
    assert guard.step(image(first=rack(main_closed=False, **bad)), wish(200e3), 0.02) == wish(200e3)
    assert guard.step(image(first=rack(**bad)), wish(200e3), 0.02).power_w == 0.0


SAYS = BatterySays(
    charge_voltage_v_max=56.0, charge_current_a_max=140.0, discharge_current_a_max=120.0, discharge_voltage_v_min=46.0,
    soc_frac=0.5, voltage_v=52.0, current_a=0.0, temperature_degc=20.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("says", "rack_v", "wanted_w", "sent_w"),
    [
        pytest.param({}, 52.0, -5e3, -5e3, id="charging within its word"),
        pytest.param({}, 52.0, 5e3, 5e3, id="discharging within its word"),
        pytest.param({"charge_current_a_max": 0.0}, 52.0, -5e3, 0.0, id="it takes no charge"),
        pytest.param({"charge_current_a_max": 0.0}, 52.0, 5e3, 5e3, id="but gives"),
        pytest.param({"discharge_current_a_max": 0.0}, 52.0, 5e3, 0.0, id="it gives nothing"),
        pytest.param({"charge_allowed": False}, 52.0, -5e3, 0.0, id="it asks for no charge"),
        pytest.param({"discharge_current_a_max": math.nan}, 52.0, 5e3, 0.0, id="a limit that is absent"),
        pytest.param({}, 57.2, -5e3, 0.0, id="above its charge voltage"),
        pytest.param({}, 45.0, 5e3, 0.0, id="below its discharge voltage"),
        pytest.param({}, 56.5, -5e3, -5e3, id="just above its charge voltage, as a sensor may be"),
        pytest.param({}, 45.5, 5e3, 5e3, id="just below its discharge voltage"),
        pytest.param({"charge_current_a_max": 0.5}, 52.0, -5e3, -5e3, id="a small charge limit is one"),
        pytest.param({"discharge_current_a_max": 0.5}, 52.0, 5e3, 5e3, id="a small discharge limit is one"),
        pytest.param({"discharge_allowed": False}, 52.0, 5e3, 0.0, id="it asks for no discharge"),
        pytest.param({"discharge_allowed": True}, 52.0, 5e3, 5e3, id="it allows discharge"),
        pytest.param({"limits_at_ns": NOW_NS - 200_000_000}, 52.0, 5e3, 5e3, id="limits that are not old yet"),
        pytest.param({"temperature_degc": 61.0}, 52.0, 5e3, 0.0, id="too hot by its own word"),
        pytest.param({"limits_at_ns": -(10**12)}, 52.0, 5e3, 0.0, id="old limits"),
    ],
)
def test_battery_with_a_management_of_its_own_is_bound_by_its_word(
    image: Callable[..., Image], says: dict[str, object], rack_v: float, wanted_w: float, sent_w: float
) -> None:
    """It does not say how its contactors stand, and no cell."""
    word = SAYS._replace(**{"limits_at_ns": NOW_NS, "soc_at_ns": NOW_NS, **says})
    assert _guarded(image(), word, rack_v, wanted_w).power_w == sent_w


def test_battery_whose_limits_are_old_is_named(image: Callable[..., Image]) -> None:
    old = SAYS._replace(limits_at_ns=NOW_NS - 300_000_000, soc_at_ns=NOW_NS)
    assert _guarded(image(), old, 52.0, 5e3).clip_reason == "rack 1: battery's limits too old"


def _guarded(seen: Image, says: BatterySays, rack_v: float, wanted_w: float) -> Decision:
    """With one battery that has a management of its own connected."""
    absent = np.full(16, math.nan)
    rack = seen.racks[0]._replace(
        battery=says, voltage_v=absent, temperature_degc=absent, current_a=0.0, rack_voltage_v=rack_v, main_closed=None
    )
    open_ = Decision(wanted_w, True, (Contactors(False, False),) * 2, (None, None), "", "")
    seen = replace(seen, racks=(rack, seen.racks[1]._replace(main_closed=False)))
    return Guard(LIMITS).step(seen, open_, DT_S)
