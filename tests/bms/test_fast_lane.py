"""The fast lane's law and its own measure, without a wire; and what a site file may ask of it."""

import pytest

from bms.dispatch.dispatch import Dispatch, Holding
from bms.dispatch.view import Answer, HeldGridPower, PowerWindow, SiteView
from bms.estimate.site_power import BatteryPower
from bms.lane_law import LaneLaw, LaneOrder
from bms.lane_pace import LanePace
from bms.site import Site
from drivers.readings import InverterReading, InverterState, MeterReading, SentPower

MS = 1_000_000
NAN = float("nan")


def law(lead_s: float = 0.0, battery_w: float = 0.0) -> LaneLaw:
    """A lane of 10 ms beside a battery that was read at 0 ms and has not been told anything since."""
    battery = BatteryPower(0.03)
    reading = InverterReading(0, InverterState.RUNNING, battery_w, NAN, NAN, NAN, NAN, True, True, 0)
    battery.see(reading, None)
    return LaneLaw(lead_s, 0.01, battery)


def order(
    grid_w: float = 0.0, low_w: float = -1e6, high_w: float = 1e6, window_w: float = 1e6, gain: float = 1.0,
    response_w: float = 0.0,
) -> LaneOrder:  # fmt: skip
    return LaneOrder(Holding(HeldGridPower(grid_w, gain), -window_w, window_w, response_w), low_w, high_w, 0)


def met(at_ms: float, power_w: float) -> MeterReading:
    return MeterReading(round(at_ms * MS), power_w, 60.0)


def test_battery_takes_what_the_grid_shall_not() -> None:
    lane = law(battery_w=50e3)
    lane.see(met(10, 700e3))
    assert lane.power_w(order(grid_w=600e3)) == pytest.approx(150e3)


@pytest.mark.parametrize(
    ("limits", "power_w"),
    [
        ({"high_w": 80e3}, 80e3),
        ({"window_w": 60e3}, 60e3),
        ({"window_w": 60e3, "response_w": 30e3}, 90e3),
        ({"window_w": 60e3, "response_w": 30e3, "high_w": 70e3}, 70e3),
        ({"gain": 0.5}, 50e3),
        ({"grid_w": 900e3, "low_w": -120e3}, -120e3),
    ],
)
def test_limits_hold_whatever_the_application_leaves(limits: dict[str, float], power_w: float) -> None:
    lane = law()
    lane.see(met(10, 700e3))
    assert lane.power_w(order(**{"grid_w": 600e3, **limits})) == pytest.approx(power_w)


def test_slope_is_taken_between_the_times_of_readings() -> None:
    """2 kW more in 10 ms is 200 kW/s, and so is 4 kW more in 20 ms of a reading that came late."""
    lane = law(lead_s=0.03)
    for at_ms, power_w in ((10, 700e3), (20, 702e3), (40, 706e3), (50, 708e3), (60, 710e3), (80, 714e3)):
        lane.see(met(at_ms, power_w))
    assert lane.power_w(order()) == pytest.approx(714e3 + 0.03 * 200e3, rel=1e-3)


def test_nothing_is_said_of_a_slope_over_a_gap() -> None:
    lane = law(lead_s=0.03)
    lane.see(met(10, 700e3))
    lane.see(met(500, 900e3))
    assert lane.power_w(order()) == pytest.approx(900e3)


def test_without_a_reading_there_is_no_set_point() -> None:
    lane = law()
    assert lane.power_w(order()) is None
    lane.see(met(10, 700e3))
    lane.see(met(20, NAN))
    assert lane.power_w(order()) is None


def test_own_set_points_are_not_taken_for_load() -> None:
    """30 ms after 100 kW were told, 63.2 kW of them are in the grid's reading."""
    lane = law()
    lane._battery.note(SentPower(10 * MS, 100e3))
    lane.see(met(40, 700e3 - 63.212e3))
    assert lane.power_w(order()) == pytest.approx(700e3, abs=10)


def test_pace_says_what_a_tenth_is_beyond() -> None:
    pace = LanePace(0.01, jitter_s_max=0.002, age_s_max=0.03)
    at_ns = 0
    for number in range(100):
        at_ns += 10 * MS if number % 20 else 13 * MS
        pace.read(at_ns)
        pace.wrote(at_ns, at_ns + 4 * MS)
    assert (pace.beyond(), pace.age_s) == ("", pytest.approx(0.004))
    for _ in range(11):
        at_ns += 13 * MS
        pace.read(at_ns)
    assert pace.beyond() == "jitter 3.0 ms, limit 2 ms"
    assert pace.jitter_s == pytest.approx(0.003)


def test_pace_is_not_measured_before_ten_readings() -> None:
    pace = LanePace(0.01, 0.002, 0.03)
    for number in range(10):
        pace.read(number * 10 * MS)
    assert pace.jitter_s != pace.jitter_s


class Holds:
    """Holds the grid at 600 kW, 20 kW of discharge away from the present."""

    name = "holds"

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        return Answer(-50e3, 50e3, 20e3, firm=True, held=HeldGridPower(600e3))

    def reset(self) -> None:
        pass


class Says(Holds):
    name = "says"

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        return self._answer


def holding(*before: Answer, after: Answer | None = None) -> Holding | None:
    view = SiteView(0.1, 620e3, 620e3, 0.0, 0.5, 100e3, 100e3)
    stack = [*map(Says, before), Holds(), *([Says(after)] if after else [])]
    return Dispatch(stack).step(view, "", "").holding


def test_dispatch_tells_the_lane_what_those_before_leave_it() -> None:
    assert holding() == Holding(HeldGridPower(600e3), -50e3, 50e3, 0.0)
    assert holding(Answer(power_w_max=30e3)) == Holding(HeldGridPower(600e3), -50e3, 30e3, 0.0)
    given = holding(Answer(response_w=5e3, reserve_charge_w=60e3, reserve_discharge_w=70e3))
    assert given == Holding(HeldGridPower(600e3), -40e3, 30e3, 5e3)


def test_grid_is_not_held_for_whose_request_does_not_count() -> None:
    assert holding(Answer(request_w=1e3)) is None
    assert holding(after=Answer(request_w=1e3)) is not None


@pytest.mark.parametrize(
    ("lane", "says"),
    [
        ({"period_s": 0.2}, "period_s"),
        ({"period_s": 0.02, "age_s_max": 0.02}, "age_s_max"),
        ({"period_s": 0.01}, "no application holds the grid's power"),
    ],
)
def test_site_says_what_a_lane_needs(site: Site, lane: dict[str, float], says: str) -> None:
    raw = site.model_dump() | {"fast_lane": lane}
    with pytest.raises(ValueError, match=says):
        Site.model_validate(raw)


def test_lane_needs_a_second_connection(site: Site) -> None:
    raw = site.model_dump() | {"fast_lane": {"period_s": 0.01}}
    raw["applications"] = [{"kind": "grid-smoothing", "ramp_w_per_s_max": 1e3, "grid_power_w_max": 1e6}]
    assert Site.model_validate(raw).fast_lane is not None
    raw["inverter"] |= {"host": None, "serial": {"port": "/dev/ttyUSB0"}}
    with pytest.raises(ValueError, match="second connection"):
        Site.model_validate(raw)
