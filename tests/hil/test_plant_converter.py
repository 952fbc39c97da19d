"""The converter alone, on a DC link of given voltage."""

import math

import pytest

from hil_rigs.plant.converter import ConverterParameters, ConverterPlant

PARAMETERS = ConverterParameters(
    rated_power_w=500e3,
    dc_voltage_v_start_min=1131.0,
    dc_voltage_v_min=1040.0,
    dc_voltage_v_max=1570.0,
    dc_current_a_max=455.0,
)


def running(link_v: float = 1373.0) -> ConverterPlant:
    converter = ConverterPlant(PARAMETERS)
    converter.settle(link_v, 0.0)
    converter.start()
    for _ in range(100):
        converter.step(0.01)
    assert converter.state == "running"
    return converter


def run(converter: ConverterPlant, seconds: float, dt_s: float = 0.001) -> None:
    for _ in range(round(seconds / dt_s)):
        converter.step(dt_s)


def test_start_takes_one_second() -> None:
    converter = ConverterPlant(PARAMETERS)
    converter.settle(1373.0, 0.0)
    converter.start()
    run(converter, 0.990)
    assert converter.state == "starting"
    run(converter, 0.010)
    assert converter.state == "running"


def test_start_waits_for_the_link() -> None:
    converter = ConverterPlant(PARAMETERS)
    converter.settle(1130.0, 0.0)
    converter.start()
    run(converter, 5.0, 0.01)
    assert converter.state == "starting"
    converter.settle(1132.0, 0.0)
    run(converter, 1.0, 0.01)
    assert converter.state == "running"


@pytest.mark.parametrize("dt_s", [0.001, 0.002, 0.005, 0.010, 0.015])
def test_step_response_reaches_63_percent_after_one_lag(dt_s: float) -> None:
    converter = running()
    converter.set_power(100e3)
    run(converter, 0.030, dt_s)
    assert converter.ac_power_w == pytest.approx(100e3 * (1 - math.exp(-1)))


@pytest.mark.parametrize(("set_w", "dc_w"), [(400e3, 400e3 / 0.985 + 1500), (-400e3, -400e3 * 0.985 + 1500)])
def test_both_directions_lose_on_the_way(set_w: float, dc_w: float) -> None:
    converter = running()
    converter.set_power(set_w)
    run(converter, 1.0)
    assert converter.ac_power_w == pytest.approx(set_w)
    assert converter.dc_power_w == pytest.approx(dc_w)


def test_idle_running_converter_draws_its_standby_loss() -> None:
    converter = running()
    converter.step(0.01)
    assert (converter.ac_power_w, converter.dc_power_w) == (0.0, 1500.0)


def test_power_is_held_within_rating() -> None:
    converter = running()
    converter.set_power(-9e6)
    run(converter, 1.0)
    assert converter.ac_power_w == pytest.approx(-500e3)


def test_dc_current_limit_holds_at_low_voltage() -> None:
    converter = running(1050.0 + 100)
    converter.settle(1050.0, 0.0)
    converter.set_power(500e3)
    run(converter, 1.0)
    assert converter.dc_power_w / 1050.0 == pytest.approx(455.0)


@pytest.mark.parametrize(("link_v", "alarm"), [(1039.0, "dc_under_voltage"), (1571.0, "dc_over_voltage")])
def test_link_outside_window_trips_and_stays_tripped_until_reset(link_v: float, alarm: str) -> None:
    converter = running()
    converter.set_power(300e3)
    run(converter, 0.1)
    converter.settle(link_v, 200.0)
    assert (converter.state, converter.alarm, converter.ac_power_w) == ("fault", alarm, 0.0)
    converter.settle(1373.0, 0.0)
    converter.start()
    run(converter, 2.0, 0.01)
    converter.stop()
    assert converter.state == "fault"
    converter.reset()
    assert (converter.state, converter.alarm) == ("off", None)


def test_stop_blocks_the_gates_at_once() -> None:
    converter = running()
    converter.set_power(300e3)
    run(converter, 0.5)
    converter.stop()
    assert (converter.state, converter.ac_power_w, converter.dc_power_w) == ("off", 0.0, 0.0)


def test_runaway_ignores_the_set_point_until_stopped() -> None:
    converter = running()
    converter.runaway_w = 450e3
    converter.set_power(0.0)
    run(converter, 0.5)
    assert converter.ac_power_w == pytest.approx(450e3, rel=1e-6)
    converter.stop()
    run(converter, 0.1)
    assert converter.ac_power_w == 0.0


def test_reactive_power_follows_with_the_same_lag() -> None:
    converter = running()
    converter.set_reactive(-100e3)
    run(converter, 0.030)
    assert converter.reactive_var == pytest.approx(-100e3 * (1 - math.exp(-1)))
    run(converter, 1.0)
    converter.set_reactive(None)
    run(converter, 0.030)
    assert converter.reactive_var == pytest.approx(-100e3 * math.exp(-1))


@pytest.mark.parametrize(
    ("power_w", "wanted_var", "var"),
    [
        (480e3, 250e3, 250e3),  # 550 kVA leave 268 kvar beside 480 kW
        (-480e3, -400e3, -250e3),
        (0.0, 400e3, 250e3),
    ],
)
def test_reactive_power_keeps_within_its_rating(power_w: float, wanted_var: float, var: float) -> None:
    converter = running()
    converter.set_power(power_w)
    converter.set_reactive(wanted_var)
    run(converter, 1.0)
    assert (converter.ac_power_w, converter.reactive_var) == (pytest.approx(power_w), pytest.approx(var))


def test_sag_leaves_reactive_power_only_what_the_current_still_carries() -> None:
    """At 0.8 pu 1.1 pu of current make 440 kVA, that leave 266 kvar beside 350 kW and 209 kvar beside 387 kW."""
    converter = running()
    converter.set_power(387e3)
    converter.set_reactive(-250e3)
    run(converter, 1.0)
    converter.meet_grid(0.8, 60.0)
    run(converter, 0.1)
    assert converter.reactive_var == pytest.approx(-209.35e3, rel=1e-4)
    converter.meet_grid(0.0, 0.0)
    converter.step(0.01)
    assert (converter.ac_power_w, converter.reactive_var) == (0.0, 0.0)


def test_active_power_goes_first_on_the_circle_of_apparent_power() -> None:
    """525 kVA beside 500 kW leave 160.08 kvar."""
    parameters = ConverterParameters(500e3, 1131.0, 1040.0, 1570.0, 455.0, apparent_frac=1.05)
    converter = ConverterPlant(parameters)
    converter.settle(1373.0, 0.0)
    converter.start()
    run(converter, 1.1)
    converter.set_reactive(-250e3)
    run(converter, 0.5)
    converter.set_power(500e3)
    run(converter, 1.0)
    assert converter.ac_power_w == pytest.approx(500e3)
    assert converter.reactive_var == pytest.approx(-160.078e3, rel=1e-5)
    converter.stop()
    assert converter.reactive_var == 0.0


def test_set_point_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        running().set_power(math.nan)


def test_window_that_is_no_window_is_refused() -> None:
    with pytest.raises(ValueError, match="rise"):
        ConverterParameters(500e3, 1131.0, 1140.0, 1570.0, 455.0)
