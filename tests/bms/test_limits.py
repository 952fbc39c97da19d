"""Power limits: each cause narrows them, says so, falls at once and rises slowly."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from bms.estimate.held_current import HeldCurrents, HeldLimit
from bms.protect.limits import NOTHING, Curves, PowerLimiter, PowerLimits, RackState, charge_current, discharge_current
from bms.protect.protection import Protected
from bms.site import Limits
from bms.summary import summarise_rack
from drivers.battery import BatterySays
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


SAYS = BatterySays(
    charge_voltage_v_max=56.0, charge_current_a_max=140.0, discharge_current_a_max=120.0, discharge_voltage_v_min=46.0,
    soc_frac=0.5, voltage_v=52.0, current_a=0.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("says", "changes", "charge", "discharge"),
    [
        ({}, {}, (140.0, "battery's own limit"), (114.0, "battery's own limit")),
        ({"charge_current_a_max": 300.0, "discharge_current_a_max": 300.0}, {}, (252.0, "rack current"),
         (252.0, "rack current")),
        ({"charge_allowed": False, "discharge_allowed": False}, {}, (0.0, "battery's own limit"),
         (0.0, "battery's own limit")),
        ({}, {"voltage_v": 55.5}, (50.0, "battery's voltage"), (114.0, "battery's own limit")),
        ({}, {"voltage_v": 46.2}, (140.0, "battery's own limit"), (20.0, "battery's voltage")),
        ({"discharge_voltage_v_min": 0.0}, {"voltage_v": 46.2}, (140.0, "battery's own limit"),
         (114.0, "battery's own limit")),
        ({"discharge_voltage_v_min": math.nan}, {"voltage_v": 46.2}, (140.0, "battery's own limit"),
         (114.0, "battery's own limit")),
        ({}, {"soc_frac_max": 0.95}, (0.0, "SoC"), (114.0, "battery's own limit")),
        ({"discharge_current_a_max": math.nan}, {}, (140.0, "battery's own limit"), (0.0, "battery says nothing")),
    ],
)  # fmt: skip
def test_battery_with_a_management_of_its_own(
    state: Callable[..., RackState],
    says: dict[str, Any],
    changes: dict[str, Any],
    charge: tuple[float, str],
    discharge: tuple[float, str],
) -> None:
    """10 mOhm: 0.5 V below its charge voltage are 50 A."""
    rack = state(current_a=0.0)._replace(battery=SAYS._replace(**says), resistance_ohm=0.01, voltage_v=52.0)
    rack = rack._replace(**changes)
    for found, expected in ((charge_current, charge), (discharge_current, discharge)):
        current_a, why = found(rack, Curves(LIMITS))
        assert (round(current_a, 6), why) == expected


def test_current_that_flows_is_taken_out_of_a_batterys_voltage(state: Callable[..., RackState]) -> None:
    """20 A of discharge through 10 mOhm: it would rest 0.2 V higher."""
    rack = state(current_a=20.0)._replace(battery=SAYS, resistance_ohm=0.01)
    for found, voltage_v, expected_a in ((charge_current, 55.3, 50.0), (discharge_current, 46.0, 20.0)):
        current_a, why = found(rack._replace(voltage_v=voltage_v), Curves(LIMITS))
        assert (round(current_a, 6), why) == (expected_a, "battery's voltage")


def test_a_rack_may_carry_its_own_limit_and_nothing_while_it_is_not_online(state: Callable[..., RackState]) -> None:
    limiter = PowerLimiter(LIMITS)
    limiter.step([state(), state(soc=0.06)._replace(number=2)], NO_FAULT, RATING, 0.1)
    assert [limiter.discharge.of_rack(number) for number in (1, 2, 3)] == [252.0, pytest.approx(126.0), 0.0]


@pytest.mark.parametrize(
    ("changes", "current_a", "reason"),
    [
        ({}, 252.0, "rack current"),
        ({"cells": {0: 2.85}}, 63.0, "cell voltage, rack 1 cell 1"),
        ({"cells": {0: 2.80}}, 0.0, "cell voltage, rack 1 cell 1"),
        ({"cells": {0: 2.85}, "current_a": 280.0}, 151.2, "cell voltage, rack 1 cell 1"),
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


CURVES = {
    "charge_voltage": {3.3: 1.0, 3.375: 1.0, 3.3875: 0.625, 3.4: 0.25, 3.4125: 0.15, 3.425: 0.05, 3.4375: 0.0275,
                       3.45: 0.005, 3.475: 0.0025, 3.5: 0.0, 3.6: 0.0},
    "discharge_voltage": {2.7: 0.0, 2.8: 0.0, 2.825: 0.125, 2.85: 0.25, 2.925: 0.625, 3.0: 1.0, 3.3: 1.0},
    "charge_temperature": {-5.0: 0.0, 0.0: 0.0, 1.0: 0.125, 2.0: 0.25, 3.5: 0.375, 5.0: 0.5, 7.5: 0.75, 10.0: 1.0,
                           25.0: 1.0, 40.0: 1.0, 42.5: 0.75, 45.0: 0.5, 47.5: 0.375, 50.0: 0.25, 52.5: 0.125,
                           55.0: 0.0, 60.0: 0.0},
    "discharge_temperature": {-25.0: 0.0, -20.0: 0.0, -15.0: 0.5, -10.0: 1.0, 25.0: 1.0, 47.0: 1.0, 49.5: 0.75,
                              52.0: 0.5, 54.5: 0.25, 57.0: 0.0, 60.0: 0.0},
    "charge_soc": {0.5: 1.0, 0.93: 1.0, 0.94: 0.5, 0.95: 0.0, 1.0: 0.0},
    "discharge_soc": {0.0: 0.0, 0.05: 0.0, 0.06: 0.5, 0.07: 1.0, 0.5: 1.0},
}  # fmt: skip


@pytest.mark.parametrize(("name", "points"), list(CURVES.items()), ids=list(CURVES))
def test_shares_of_the_current(name: str, points: dict[float, float]) -> None:
    """At the corners and half way between; outside it stays, and nothing is allowed by what is absent."""
    curve = getattr(Curves(LIMITS), name)
    assert [curve(at) for at in points] == pytest.approx(list(points.values()))
    assert curve(math.nan) == 0.0


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
        limits = limiter.step([state(), state(soc=0.06)._replace(number=2)], NO_FAULT, RATING, 0.1)
    assert limits.discharge_power_w == pytest.approx(2 * 126.0 * 1330.0)


def test_narrowest_rack_binds_and_is_named(state: Callable[..., RackState]) -> None:
    limiter = PowerLimiter(LIMITS)
    for _ in range(300):
        limits = limiter.step([state(soc=0.06), state(cells={0: 2.85})._replace(number=2)], NO_FAULT, RATING, 0.1)
    assert limits.discharge_power_w == pytest.approx(2 * 63.0 * 1330.0)
    assert limits.discharge_reason == "cell voltage, rack 2 cell 1"


def test_rack_that_leaves_takes_only_its_own_memory_along(state: Callable[..., RackState]) -> None:
    limiter, other = PowerLimiter(LIMITS), state()._replace(number=2)
    for _ in range(300):
        limiter.step([state(cells={0: 2.85}), other], NO_FAULT, RATING, 0.1)
    limiter.step([state(), other], NO_FAULT, RATING, 0.1)
    limits = limiter.step([state()], NO_FAULT, RATING, 0.1)
    assert limits.discharge_power_w == pytest.approx(63.0 * 1330.0, rel=0.01)


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
    for unknown in (None, InverterRating(math.nan, 500e3), InverterRating(500e3, math.nan)):
        assert limiter.step([state()], NO_FAULT, unknown, 0.1) == NOTHING
    assert limiter.step([state()], NO_FAULT, RATING, 0.1).discharge_power_w == pytest.approx(2.5e3)


def settled(limiter: PowerLimiter, rack: RackState, protected: Protected = NO_FAULT, rated_w: float = 500e3) -> Any:
    for _ in range(300):
        limits = limiter.step([rack], protected, InverterRating(rated_w, rated_w), 0.1)
    return limits


def test_reasons_of_faults(state: Callable[..., RackState]) -> None:
    blocked = settled(PowerLimiter(LIMITS), state(), NO_FAULT._replace(blocks_charge=True))
    assert (blocked.charge_reason, blocked.discharge_reason) == ("fault", "rack current")
    stopped = settled(PowerLimiter(LIMITS), state(), NO_FAULT._replace(zero_power=True))
    assert (stopped.charge_reason, stopped.discharge_reason) == ("fault", "fault")


def test_both_directions_say_that_they_recover(state: Callable[..., RackState]) -> None:
    limits = PowerLimiter(LIMITS).step([state()], NO_FAULT, RATING, 0.1)
    assert (limits.charge_reason, limits.discharge_reason) == ("recovering", "recovering")


@pytest.mark.parametrize("rated_w", [100e3, 252.0 * 1330.0])
def test_rating_is_never_exceeded_and_named(state: Callable[..., RackState], rated_w: float) -> None:
    limits = settled(PowerLimiter(LIMITS), state(), rated_w=rated_w)
    assert limits == PowerLimits(rated_w, rated_w, "converter rating", "converter rating")


def test_limit_that_has_arrived_is_not_recovering(state: Callable[..., RackState]) -> None:
    limiter = PowerLimiter(LIMITS)
    settled(limiter, state())
    assert limiter.step([state()], NO_FAULT, RATING, 0.0).charge_reason == "rack current"


def test_current_limit_recovers_after_a_minute_in_its_own_time(state: Callable[..., RackState]) -> None:
    limiter = PowerLimiter(LIMITS)
    settled(limiter, state())
    limiter.step([state(cells={0: 2.85, 1: 3.40})], NO_FAULT, RATING, 0.1)
    for seconds, least_a, most_a in ((59.0, 63.0, 63.0), (20.0, 65.0, 120.0)):
        for _ in range(round(seconds / 0.1)):
            limits = limiter.step([state()], NO_FAULT, RATING, 0.1)
        assert least_a * 1330.0 - 1e-3 <= limits.charge_power_w <= most_a * 1330.0 + 1e-3
        assert least_a * 1330.0 - 1e-3 <= limits.discharge_power_w <= most_a * 1330.0 + 1e-3
    assert limits.charge_reason == "cell voltage, rack 1 cell 2"
    assert limits.discharge_reason == "cell voltage, rack 1 cell 1"


def test_racks_that_part_take_their_past_with_them(state: Callable[..., RackState]) -> None:
    limiter = PowerLimiter(LIMITS)
    settled(limiter, state(soc=0.06))
    limiter.step([state()._replace(online=False)], NO_FAULT, RATING, 0.1)
    assert settled(limiter, state()).discharge_power_w == pytest.approx(335.16e3)


def test_rack_that_leaves_holds_nobody_back(state: Callable[..., RackState]) -> None:
    """The others do not wait a minute for what a rack that is gone was allowed."""
    limiter = PowerLimiter(LIMITS)
    narrow, wide = state(soc=0.05), state()._replace(number=2)
    assert limiter.step([narrow, wide], NO_FAULT, RATING, 0.1).discharge_power_w == 0.0
    left = [narrow._replace(online=False), wide]
    for _ in range(200):
        limits = limiter.step(left, NO_FAULT, RATING, 0.1)
    assert limits.discharge_power_w == pytest.approx(335.16e3)
    assert limits.discharge_reason == "rack current"


def test_time_of_a_fault_counts_for_the_cells(state: Callable[..., RackState]) -> None:
    limiter = PowerLimiter(LIMITS)
    settled(limiter, state(soc=0.06))
    for _ in range(20):
        settled(limiter, state(), NO_FAULT._replace(zero_power=True))
    assert settled(limiter, state()).discharge_power_w == pytest.approx(335.16e3)
