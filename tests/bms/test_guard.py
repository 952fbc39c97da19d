"""The guard has the last word, from the raw image alone."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from bms.decision import Contactors, Decision
from bms.guard import STOP_AFTER_S, Guard, HardLimits
from bms.image import Image
from drivers.readings import InverterRating, RackReading

LIMITS = HardLimits(
    cell_voltage_v_min=2.5,
    cell_voltage_v_max=3.65,
    temperature_degc_max=60.0,
    charge_current_a_max=280.0,
    discharge_current_a_max=280.0,
    cell_data_age_s_max=0.25,
    current_age_s_max=0.1,
)
DT_S = 0.02


def wish(power_w: float, run: bool = True) -> Decision:
    return Decision(power_w, run, (Contactors(True, False),) * 2, (None, None), "", "")


@pytest.mark.parametrize("power_w", [-400e3, 0.0, 400e3])
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
        pytest.param({"degc": {3: 60.5}}, 100e3, 0.0, id="too hot"),
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


def test_crossing_that_lasts_stops_and_opens_for_good(
    image: Callable[..., Image], rack: Callable[..., RackReading]
) -> None:
    guard = Guard(LIMITS)
    hot = image(first=rack(degc={0: 61.0}))
    for _ in range(int(STOP_AFTER_S / DT_S) + 2):
        decision = guard.step(hot, wish(1e5), DT_S)
    assert (decision.run, decision.contactors) == (False, (Contactors(False, False),) * 2)
    assert guard.step(image(), wish(1e5), DT_S).run is False
    guard.reset()
    assert guard.step(image(), wish(1e5), DT_S) == wish(1e5)


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
