"""Requests from outside: bounds, ramp, SoC band, expiry, and nothing on an island."""

from dataclasses import replace

import pytest

from bms.dispatch.applications.remote_power import RemotePower, RemotePowerApplication
from bms.dispatch.dispatch import Dispatch
from bms.dispatch.inputs import Inputs
from bms.dispatch.view import SiteView

SETTINGS = RemotePower(kind="remote-power", charge_power_w_max=40e3, discharge_power_w_max=60e3)


def view(asked_w: float | None, soc_frac: float = 0.5, battery_w: float = 0.0) -> SiteView:
    return SiteView(
        dt_s=0.1,
        grid_power_w=0.0,
        load_power_w=0.0,
        battery_power_w=battery_w,
        soc_frac=soc_frac,
        charge_power_w_limit=100e3,
        discharge_power_w_limit=100e3,
        inputs={} if asked_w is None else {"power_w": asked_w},
    )


def dispatch(**changes: float) -> Dispatch:
    return Dispatch([RemotePowerApplication(SETTINGS.model_copy(update=changes))])


@pytest.mark.parametrize(("asked_w", "given_w"), [(30e3, 30e3), (90e3, 60e3), (-90e3, -40e3)])
def test_request_is_given_inside_its_bounds(asked_w: float, given_w: float) -> None:
    assert dispatch().step(view(asked_w), "", "").power_w == given_w


def test_power_changes_at_the_ramp_from_what_flows() -> None:
    stack = dispatch(ramp_w_per_s_max=20e3)
    powers = [stack.step(view(30e3, battery_w=10e3), "", "").power_w for _ in range(12)]
    assert powers[:2] == [12e3, 14e3]
    assert powers[-1] == 30e3


@pytest.mark.parametrize(("soc_frac", "asked_w", "given_w"), [(0.1, 50e3, 0.0), (0.11, 50e3, 30e3), (0.9, -50e3, 0.0)])
def test_request_fades_at_the_ends_of_the_band(soc_frac: float, asked_w: float, given_w: float) -> None:
    assert dispatch().step(view(asked_w, soc_frac), "", "").power_w == pytest.approx(given_w)


def test_without_a_request_nobody_asks() -> None:
    wish = dispatch().step(view(None), "", "")
    assert (wish.power_w, wish.asked_by) == (0.0, "")


def test_island_takes_no_request() -> None:
    assert dispatch().step(replace(view(30e3), islanded=True), "", "").asked_by == ""


def test_input_ends_at_its_expiry_and_the_newest_counts() -> None:
    inputs = Inputs()
    inputs.put("power_w", 1.0, 1000, "first")
    inputs.put("power_w", 2.0, 500, "second")
    assert inputs.at(499) == {"power_w": 2.0}
    assert inputs.source("power_w") == "second"
    assert inputs.at(500) == {}
    assert inputs.source("power_w") == ""


def test_input_that_is_no_number_is_refused_and_changes_nothing() -> None:
    inputs = Inputs()
    inputs.put("power_w", 1.0, 1000, "first")
    with pytest.raises(ValueError, match="power_w: expected a finite number"):
        inputs.put("power_w", float("nan"), 1000, "second")
    assert inputs.at(0) == {"power_w": 1.0}
