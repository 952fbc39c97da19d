"""Export limit and solar smoothing: charge first and curtail then, ramps, lost measurements."""

from dataclasses import replace
from itertools import pairwise

import pytest

from bms.dispatch.applications.export_limit import ExportLimit, ExportLimitApplication
from bms.dispatch.applications.solar_smoothing import SolarSmoothing, SolarSmoothingApplication
from bms.dispatch.dispatch import Dispatch, Wish
from bms.dispatch.view import SiteView

VIEW = SiteView(
    dt_s=1.0, grid_power_w=0.0, load_power_w=100e3, battery_power_w=0.0, soc_frac=0.5, charge_power_w_limit=300e3,
    discharge_power_w_limit=300e3, pv_power_w=400e3,
)  # fmt: skip
ZERO = ExportLimit(kind="export-limit", export_power_w_max=0.0, pv_power_w_rated=1e6)


def limited(settings: ExportLimit, **changes: object) -> Wish:
    return Dispatch([ExportLimitApplication(settings)]).step(replace(VIEW, **changes), "", "")


def test_surplus_is_charged_and_pv_is_capped_at_what_all_can_take() -> None:
    wish = limited(ZERO)
    assert (wish.power_w, wish.pv_power_w_max) == (-300e3, 400e3)


def test_full_battery_leaves_pv_what_the_load_takes() -> None:
    wish = limited(ZERO, soc_frac=0.95)
    assert (wish.power_w, wish.pv_power_w_max) == (0.0, 100e3)


def test_margin_holds_below_zero_export_too_but_never_charges_from_the_grid() -> None:
    settings = ZERO.model_copy(update={"margin_w": 10e3})
    wish = limited(settings, pv_power_w=200e3)
    assert (wish.power_w, wish.pv_power_w_max) == (-110e3, 390e3)
    night = limited(settings, pv_power_w=0.0, load_power_w=5e3)
    assert (night.power_w, night.pv_power_w_max) == (0.0, 295e3)


@pytest.mark.parametrize(("allowed_frac", "cap_w"), [(0.2, 600e3), (0.209, 600e3), (0.0, 400e3), (5.0, 1100e3)])
def test_output_control_goes_in_steps_of_a_percent(allowed_frac: float, cap_w: float) -> None:
    settings = ZERO.model_copy(update={"export_power_w_max": 700e3})
    assert limited(settings, inputs={"pv_output_frac": allowed_frac}).pv_power_w_max == pytest.approx(cap_w)


def test_unknown_grid_power_caps_pv_as_if_nobody_took_anything() -> None:
    wish = limited(ZERO.model_copy(update={"export_power_w_max": 50e3}), grid_power_w=None, load_power_w=None)
    assert (wish.power_w, wish.pv_power_w_max) == (0.0, 50e3)


SMOOTHING = SolarSmoothing(kind="solar-smoothing", pv_power_w_rated=1e6, soc_return_frac=0.0)


def smoothed_w(pv_w: list[float], **changes: object) -> list[float]:
    """What the grid gets of that PV, a step a second, with a battery that follows at once."""
    dispatch, out_w, battery_w = Dispatch([SolarSmoothingApplication(SMOOTHING)]), [], 0.0
    for each_w in pv_w:
        seen = {"load_power_w": 0.0, "pv_power_w": each_w, "grid_power_w": -each_w - battery_w, **changes}
        battery_w = dispatch.step(replace(VIEW, **seen), "", "").power_w
        out_w.append(each_w + battery_w)
    return out_w


@pytest.mark.parametrize("then_w", [300e3, 700e3])
def test_cloud_becomes_a_ramp_of_ten_percent_a_minute(then_w: float) -> None:
    out_w = smoothed_w([500e3] * 5 + [then_w] * 200)
    changes = [abs(later - before) for before, later in pairwise(out_w)]
    assert max(changes) == pytest.approx(0.95 * 1e6 * 0.1 / 60.0)
    assert out_w[-1] == pytest.approx(then_w)


def test_empty_battery_lets_a_fall_through_and_goes_on_from_there() -> None:
    out_w = smoothed_w([500e3] * 5 + [300e3] * 5 + [310e3] * 10, soc_frac=0.2)
    assert out_w[9] == pytest.approx(300e3)
    assert max(out_w[10:]) <= 310e3 + 1.0


def test_rise_that_a_full_battery_cannot_take_is_curtailed() -> None:
    dispatch = Dispatch([SolarSmoothingApplication(SMOOTHING)])
    seen = replace(VIEW, load_power_w=0.0, pv_power_w=500e3, grid_power_w=-500e3, soc_frac=0.9)
    assert dispatch.step(seen, "", "").pv_power_w_max == pytest.approx(500e3)
