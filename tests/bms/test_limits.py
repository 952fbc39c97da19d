"""Power limits: each cause narrows them, says so, falls at once and rises slowly."""

import math
from collections.abc import Callable

import pytest

from bms.estimate.held_current import HeldCurrents, HeldLimit
from bms.protect.limits import Curves, PowerLimiter, RackState, charge_current, discharge_current
from bms.protect.protection import Protected
from bms.site import Limits
from bms.summary import summarise_rack
from drivers.readings import InverterRating, RackReading

NO_FAULT = Protected((), (), False, False, False, False, False)
RATING = InverterRating(charge_power_w_max=500e3, discharge_power_w_max=500e3)
LIMITS = Limits()


@pytest.fixture
def state(rack: Callable[..., RackReading]) -> Callable[..., RackState]:
    def make(soc: float = 0.5, voltage_v: float = 1330.0, **changes: object) -> RackState:
        reading = rack(**changes)
        return RackState(summarise_rack(reading, reading.current_at_ns), soc, soc, 0.00025, voltage_v, True)

    return make


@pytest.mark.parametrize(
    ("changes", "current_a", "reason"),
    [
        ({}, 252.0, "rack current"),
        ({"cells": {0: 3.40}}, 63.0, "cell voltage, rack 1 cell 1"),
        ({"cells": {0: 3.425}}, 12.6, "cell voltage, rack 1 cell 1"),
        ({"cells": {0: 3.45}}, 1.26, "cell voltage, rack 1 cell 1"),
        ({"cells": {0: 3.50}}, 0.0, "cell voltage, rack 1 cell 1"),
        ({"cells": {0: 3.45}, "current_a": -280.0}, 214.2, "cell voltage, rack 1 cell 1"),
        ({"degc": {0: 2.0}}, 63.0, "temperature, rack 1 cell 1"),
        ({"degc": {0: 0.0}}, 0.0, "temperature, rack 1 cell 1"),
        ({"degc": {0: 50.0}}, 63.0, "temperature, rack 1 cell 1"),
        ({"soc": 0.94}, 126.0, "SoC"),
        ({"soc": 0.95}, 0.0, "SoC"),
        ({"cells": {0: float("nan")}}, 0.0, "cell voltage, rack 1 cell 1"),
        ({"soc": float("nan")}, 0.0, "SoC"),
    ],
)
def test_charge_current(
    state: Callable[..., RackState], changes: dict[str, object], current_a: float, reason: str
) -> None:
    found_a, why = charge_current(state(**changes), Curves(LIMITS))
    assert found_a == pytest.approx(current_a, abs=0.01)
    assert why == reason


@pytest.mark.parametrize(
    ("changes", "current_a", "reason"),
    [
        ({}, 252.0, "rack current"),
        ({"cells": {0: 2.85}}, 63.0, "cell voltage, rack 1 cell 1"),
        ({"cells": {0: 2.80}}, 0.0, "cell voltage, rack 1 cell 1"),
        ({"degc": {0: -20.0}}, 0.0, "temperature, rack 1 cell 1"),
        ({"degc": {0: 52.0}}, 126.0, "temperature, rack 1 cell 1"),
        ({"soc": 0.06}, 126.0, "SoC"),
        ({"soc": 0.05}, 0.0, "SoC"),
    ],
)
def test_discharge_current(
    state: Callable[..., RackState], changes: dict[str, object], current_a: float, reason: str
) -> None:
    found_a, why = discharge_current(state(**changes), Curves(LIMITS))
    assert found_a == pytest.approx(current_a, abs=0.01)
    assert why == reason


@pytest.mark.parametrize(
    ("charge", "soh_frac", "current_a", "reason"),
    [
        ((100.0, 2), math.nan, 100.0, "model 10 s, rack 1 cell 3"),
        ((0.0, 2), math.nan, 0.0, "model 10 s, rack 1 cell 3"),
        ((100.0, None), math.nan, 100.0, "model 10 s"),
        ((300.0, 2), math.nan, 252.0, "rack current"),
        ((math.nan, None), math.nan, 252.0, "rack current"),
        ((math.nan, None), 0.95, 252.0, "rack current"),
        ((math.nan, None), 0.76, 201.6, "SoH"),
        ((math.nan, None), 0.0, 0.0, "SoH"),
        ((100.0, 2), 0.19, 50.4, "SoH"),
    ],
)
def test_model_and_health_only_narrow(
    state: Callable[..., RackState],
    charge: tuple[float, int | None],
    soh_frac: float,
    current_a: float,
    reason: str,
) -> None:
    rack = state()._replace(soh_frac=soh_frac, held=HeldCurrents(HeldLimit(*charge), HeldLimit(*charge)))
    for limit in (charge_current, discharge_current):
        found_a, why = limit(rack, Curves(LIMITS))
        assert (found_a, why) == (pytest.approx(current_a), reason)


def test_each_direction_has_its_own_limit_of_the_model(state: Callable[..., RackState]) -> None:
    rack = state()._replace(held=HeldCurrents(HeldLimit(10.0, 0), HeldLimit(20.0, 1)))
    assert charge_current(rack, Curves(LIMITS)) == (pytest.approx(10.0), "model 10 s, rack 1 cell 1")
    assert discharge_current(rack, Curves(LIMITS)) == (pytest.approx(20.0), "model 10 s, rack 1 cell 2")


def test_limits_rise_by_five_percent_of_the_rating_a_second(state: Callable[..., RackState]) -> None:
    limiter = PowerLimiter(LIMITS)
    for _ in range(10):
        limits = limiter.step([state()], NO_FAULT, RATING, 0.1)
    assert limits.discharge_power_w == pytest.approx(25e3)
    assert limits.discharge_reason == "recovering"


def test_limits_fall_in_the_same_tick(state: Callable[..., RackState]) -> None:
    limiter = PowerLimiter(LIMITS)
    for _ in range(300):
        limiter.step([state()], NO_FAULT, RATING, 0.1)
    limits = limiter.step([state(cells={0: 3.5})], NO_FAULT, RATING, 0.02)
    assert (limits.charge_power_w, limits.charge_reason) == (0.0, "cell voltage, rack 1 cell 1")
    assert limits.discharge_power_w == pytest.approx(335.16e3)


def test_two_racks_give_the_sum_by_the_weaker_one(state: Callable[..., RackState]) -> None:
    limiter = PowerLimiter(LIMITS)
    for _ in range(300):
        limits = limiter.step([state(), state(soc=0.06)], NO_FAULT, RATING, 0.1)
    assert limits.discharge_power_w == pytest.approx(2 * 126.0 * 1330.0)


@pytest.mark.parametrize(
    ("protected", "charge_w", "discharge_w"),
    [
        (NO_FAULT._replace(blocks_charge=True), 0.0, 335.16e3),
        (NO_FAULT._replace(blocks_discharge=True), 335.16e3, 0.0),
        (NO_FAULT._replace(zero_power=True), 0.0, 0.0),
    ],
)
def test_faults_block(
    state: Callable[..., RackState], protected: Protected, charge_w: float, discharge_w: float
) -> None:
    limiter = PowerLimiter(LIMITS)
    for _ in range(300):
        limits = limiter.step([state()], protected, RATING, 0.1)
    assert (limits.charge_power_w, limits.discharge_power_w) == (pytest.approx(charge_w), pytest.approx(discharge_w))


def test_nothing_online_allows_nothing(state: Callable[..., RackState]) -> None:
    limits = PowerLimiter(LIMITS).step([state()._replace(online=False)], NO_FAULT, RATING, 0.1)
    assert (limits.charge_power_w, limits.discharge_power_w, limits.charge_reason) == (0.0, 0.0, "not connected")


def test_unknown_rack_voltage_allows_nothing(state: Callable[..., RackState]) -> None:
    limiter = PowerLimiter(LIMITS)
    for _ in range(300):
        limits = limiter.step([state(voltage_v=float("nan"))], NO_FAULT, RATING, 0.1)
    assert (limits.charge_power_w, limits.discharge_power_w) == (0.0, 0.0)
    assert limits.charge_reason == "rack voltage unknown"


def test_unknown_rating_allows_nothing_and_leaves_no_trace(state: Callable[..., RackState]) -> None:
    limiter = PowerLimiter(LIMITS)
    unknown = InverterRating(float("nan"), 500e3)
    assert limiter.step([state()], NO_FAULT, unknown, 0.1).discharge_power_w == 0.0
    assert limiter.step([state()], NO_FAULT, RATING, 0.1).discharge_power_w == pytest.approx(2.5e3)
