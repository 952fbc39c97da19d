"""Grid smoothing in a closed loop with an ideal battery: ramp, cap, SoC band, saturation, lost measurements."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from bms.dispatch.applications.grid_smoothing import GridSmoothing, GridSmoothingApplication
from bms.dispatch.dispatch import Dispatch
from bms.dispatch.view import SiteView

SETTINGS = GridSmoothing(
    kind="grid-smoothing", ramp_w_per_s_max=20e3, grid_power_w_max=1.2e6, smoothing_time_s=10.0,
    soc_return_power_w_max=0.0,
)  # fmt: skip
DT_S = 0.1


@pytest.fixture
def smoothed() -> Callable[..., list[float]]:
    """Grid powers over the time of a load, with a battery that follows every set-point at once."""

    def run(load_w: list[float], limit_w: float = 1e6, soc_frac: float = 0.5, **changes: float) -> list[float]:
        settings = SETTINGS.model_copy(update=changes)
        dispatch = Dispatch([GridSmoothingApplication(settings)])
        grid_w, battery_w = [], 0.0
        for power_w in load_w:
            view = SiteView(DT_S, power_w - battery_w, power_w, battery_w, soc_frac, limit_w, limit_w)
            battery_w = dispatch.step(view, "", "").power_w
            grid_w.append(power_w - battery_w)
        return grid_w

    return run


def test_step_of_the_load_reaches_the_grid_at_the_ramp_limit(smoothed: Callable[..., list[float]]) -> None:
    grid_w = smoothed([600e3] * 10 + [900e3] * 300)
    steps = [later - earlier for earlier, later in pairwise(grid_w)]
    assert max(steps) == pytest.approx(2e3, rel=1e-6)
    assert min(steps) >= -1e-6
    assert grid_w[-1] == pytest.approx(900e3, rel=0.03)


def test_grid_never_exceeds_the_cap(smoothed: Callable[..., list[float]]) -> None:
    assert max(smoothed([1.1e6] * 10 + [1.4e6] * 2000)) == pytest.approx(1.2e6)


def test_saturated_battery_restarts_the_ramp_from_what_the_grid_gets(smoothed: Callable[..., list[float]]) -> None:
    grid_w = smoothed([600e3] * 10 + [900e3] * 50 + [600e3] * 50, limit_w=100e3)
    assert grid_w[10] == pytest.approx(800e3)
    assert grid_w[60] == pytest.approx(700e3)


@pytest.mark.parametrize(("soc_frac", "allowed"), [(0.2, "charge"), (0.9, "discharge")])
def test_soc_band_leaves_one_direction(smoothed: Callable[..., list[float]], soc_frac: float, allowed: str) -> None:
    load_w = [600e3] * 10 + [900e3] * 5 + [400e3] * 5
    grid_w = smoothed(load_w, soc_frac=soc_frac)
    battery_w = [load - grid for load, grid in zip(load_w, grid_w, strict=True)]
    if allowed == "charge":
        assert max(battery_w) <= 1e-6
        assert min(battery_w) < -1e3
    else:
        assert min(battery_w) >= -1e-6
        assert max(battery_w) > 1e3


def test_power_fades_out_towards_the_edge_of_the_band(smoothed: Callable[..., list[float]]) -> None:
    """1 % above the lower end half of the 1 MW limit is left, so 400 kW pass and 600 kW do not."""
    assert smoothed([600e3] * 10 + [1000e3], soc_frac=0.21, grid_power_w_max=2e6)[-1] == pytest.approx(602e3)
    assert smoothed([600e3] * 10 + [1200e3], soc_frac=0.21, grid_power_w_max=2e6)[-1] == pytest.approx(700e3)


def test_pause_starts_again_from_what_the_grid_gets_then() -> None:
    dispatch = Dispatch([GridSmoothingApplication(SETTINGS)])
    dispatch.step(SiteView(DT_S, 600e3, 600e3, 0.0, 0.5, 1e6, 1e6), "", "")
    dispatch.reset()
    wish = dispatch.step(SiteView(DT_S, 1000e3, 1000e3, 0.0, 0.5, 1e6, 1e6), "", "")
    assert wish.power_w == pytest.approx(0.0, abs=1e-6)


def test_soc_returns_to_its_target(smoothed: Callable[..., list[float]]) -> None:
    grid_w = smoothed([600e3] * 3000, soc_frac=0.40, soc_return_power_w_max=50e3)
    assert grid_w[-1] == pytest.approx(650e3)


def test_lead_extends_the_slope_of_the_load(smoothed: Callable[..., list[float]]) -> None:
    ramp_w = [600e3 + 1e3 * step for step in range(20)]
    without = smoothed(ramp_w)
    led = smoothed(ramp_w, lead_time_s=0.1)
    assert without[-1] - led[-1] == pytest.approx(1e3)


def test_unknown_grid_power_gives_zero_and_a_reason() -> None:
    dispatch = Dispatch([GridSmoothingApplication(SETTINGS)])
    wish = dispatch.step(SiteView(DT_S, None, None, 0.0, 0.5, 1e6, 1e6), "", "")
    assert wish.power_w == 0.0


def test_the_limit_that_binds_is_named() -> None:
    dispatch = Dispatch([GridSmoothingApplication(SETTINGS)])
    dispatch.step(SiteView(DT_S, 600e3, 600e3, 0.0, 0.5, 1e6, 50e3), "cell voltage", "temperature")
    wish = dispatch.step(SiteView(DT_S, 900e3, 900e3, 0.0, 0.5, 1e6, 50e3), "cell voltage", "temperature")
    assert (wish.power_w, wish.narrowed_by, wish.reason) == (50e3, "limits", "temperature")


def soc_after(hours: float, loss_w: float) -> float:
    """Of a 2 MWh battery that begins at its target and loses so much all the time; steps of 1 min."""
    settings = SETTINGS.model_copy(update={"soc_return_power_w_max": 33e3})
    dispatch = Dispatch([GridSmoothingApplication(settings)])
    soc_frac, battery_w = 0.55, 0.0
    for _ in range(round(hours * 60)):
        view = SiteView(60.0, 800e3 - battery_w, 800e3, battery_w, soc_frac, 1e6, 1e6, energy_capacity_wh=2e6)
        battery_w = dispatch.step(view, "", "").power_w
        soc_frac -= (battery_w + loss_w) / 60.0 / 2e6
    return soc_frac


def test_steady_losses_do_not_keep_the_soc_off_its_target() -> None:
    assert soc_after(12.0, loss_w=7e3) == pytest.approx(0.537, abs=0.001)
    assert soc_after(24.0, loss_w=7e3) == pytest.approx(0.545, abs=0.001)
    assert soc_after(72.0, loss_w=7e3) == pytest.approx(0.55, abs=0.001)


def test_return_of_the_soc_is_not_stored_up_while_the_cap_allows_none() -> None:
    settings = SETTINGS.model_copy(update={"soc_return_power_w_max": 33e3, "grid_power_w_max": 800e3})
    dispatch = Dispatch([GridSmoothingApplication(settings)])
    for _ in range(72 * 60):
        dispatch.step(SiteView(60.0, 800e3, 800e3, 0.0, 0.54, 1e6, 1e6, energy_capacity_wh=2e6), "", "")
    for _ in range(20):
        after = dispatch.step(SiteView(10.0, 700e3, 700e3, 0.0, 0.54, 1e6, 1e6, energy_capacity_wh=2e6), "", "")
    assert after.power_w == pytest.approx(-3.3e3, rel=0.02)
