"""The load is the grid's power plus the battery's power of the same moment, whatever the two were read at."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bms.estimate.site_power import SitePower
from bms.image import Image
from drivers.readings import MeterReading, SentPower

from .conftest import NOW_NS

MS = 1_000_000


@pytest.fixture
def at(image: Callable[..., Image]) -> Callable[..., Image]:
    """An image in which the converter was read at 0 ms; the meter's and the set-point's times are given in ms."""

    def make(meter_ms: int, battery_w: float = 0.0, sent: SentPower | None = None) -> Image:
        picture = image()
        assert picture.inverter is not None
        inverter = replace(picture.inverter, at_ns=NOW_NS, ac_power_w=battery_w)
        meter = MeterReading(NOW_NS + meter_ms * MS, 1e6, 60.0)
        return replace(picture, at_ns=NOW_NS + 50 * MS, inverter=inverter, meter=meter, sent=sent)

    return make


def site_power() -> SitePower:
    return SitePower(meter_age_s_max=0.5, inverter_age_s_max=1.0, response_time_s=0.03)


def test_steady_battery_is_simply_added(at: Callable[..., Image]) -> None:
    powers = site_power().see(at(40, battery_w=50e3))
    assert (powers.grid_w, powers.battery_w, powers.load_w) == (1e6, 50e3, 1.05e6)


def test_set_point_sent_since_the_reading_moves_the_battery_with_its_lag(at: Callable[..., Image]) -> None:
    """30 ms after the set-point, one time constant, 63.2 % of the step are there."""
    powers = site_power().see(at(40, sent=SentPower(NOW_NS + 10 * MS, 100e3)))
    assert powers.load_w == pytest.approx(1e6 + 63.2e3, abs=50)


def test_set_point_sent_after_the_meters_reading_does_not_count(at: Callable[..., Image]) -> None:
    assert site_power().see(at(5, sent=SentPower(NOW_NS + 10 * MS, 100e3))).load_w == 1e6


def test_set_point_sent_before_the_converters_reading_goes_on_working(at: Callable[..., Image]) -> None:
    powers = site_power().see(at(30, battery_w=50e3, sent=SentPower(NOW_NS - 10 * MS, 100e3)))
    assert powers.load_w == pytest.approx(1e6 + 100e3 - 50e3 * 0.3679, abs=50)


@pytest.mark.parametrize("field", ["inverter", "meter"])
def test_no_load_without_both_devices(at: Callable[..., Image], field: str) -> None:
    assert site_power().see(replace(at(40), **{field: None})).load_w is None


@pytest.mark.parametrize("late_s", [0.6, 2.0])
def test_old_meter_is_no_grid_power(at: Callable[..., Image], late_s: float) -> None:
    powers = site_power().see(replace(at(0), at_ns=NOW_NS + round(late_s * 1e9)))
    assert (powers.grid_w, powers.load_w) == (None, None)
