"""Reactive power: the curves of IEEE 1547-2018 (category B), a power factor, a number; volt-watt bounds; priorities."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from bms.dispatch.applications.reactive_power import ReactivePower, ReactivePowerApplication
from bms.dispatch.dispatch import Dispatch, Wish
from bms.dispatch.view import Answer, PowerWindow, SiteView

RATED_VA = 500e3


class Sale:
    """Asks for a power whatever happens."""

    name = "sale"

    def __init__(self, power_w: float) -> None:
        self._power_w = power_w

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        return Answer(request_w=self._power_w)

    def reset(self) -> None: ...


def settings(mode: str, **changes: object) -> ReactivePower:
    return ReactivePower.model_validate({"kind": "reactive-power", "mode": mode, "response_time_s": 0.0, **changes})


def view(
    voltage_pu: float | None = 1.0, battery_power_w: float | None = 0.0, rated_va: float = RATED_VA, dt_s: float = 0.1
) -> SiteView:
    return SiteView(
        dt_s=dt_s,
        grid_power_w=0.0,
        load_power_w=0.0,
        battery_power_w=battery_power_w,
        soc_frac=0.5,
        charge_power_w_limit=500e3,
        discharge_power_w_limit=500e3,
        voltage_pu=voltage_pu,
        apparent_power_va_max=rated_va,
    )


def wish(given: ReactivePower, seen: SiteView, sale_w: float = 0.0) -> Wish:
    return Dispatch([ReactivePowerApplication(given), Sale(sale_w)]).step(seen, "", "")


@pytest.mark.parametrize(
    ("voltage_pu", "var_frac"),
    [
        (0.90, 0.44), (0.92, 0.44), (0.95, 0.22), (0.98, 0.0), (1.0, 0.0), (1.02, 0.0), (1.05, -0.22), (1.08, -0.44),
        (1.2, -0.44), (None, 0.0),
    ],
)  # fmt: skip
def test_volt_var_of_category_b(voltage_pu: float | None, var_frac: float) -> None:
    assert wish(settings("volt-var"), view(voltage_pu)).reactive_var == pytest.approx(var_frac * RATED_VA, abs=1.0)


@pytest.mark.parametrize(
    ("power_w", "var_frac"), [(0.0, 0.0), (250e3, 0.0), (375e3, -0.22), (500e3, -0.44), (-375e3, 0.22), (None, 0.0)]
)
def test_watt_var_of_category_b(power_w: float | None, var_frac: float) -> None:
    given = wish(settings("watt-var"), view(battery_power_w=power_w))
    assert given.reactive_var == pytest.approx(var_frac * RATED_VA, abs=1.0)


@pytest.mark.parametrize(("excitation", "sign"), [("injecting", 1.0), ("absorbing", -1.0)])
@pytest.mark.parametrize("power_w", [300e3, -300e3])
def test_power_factor_of_0_8_is_three_quarters_of_active_power(excitation: str, sign: float, power_w: float) -> None:
    given = settings("power-factor", power_factor=0.8, excitation=excitation)
    assert wish(given, view(battery_power_w=power_w)).reactive_var == pytest.approx(sign * 225e3)


def test_fixed_number_needs_no_measurement_and_none_asks_for_none() -> None:
    assert wish(settings("fixed-var", fixed_var=-70e3), view(None)).reactive_var == -70e3
    assert wish(settings("none"), view()).reactive_var is None


def test_active_power_goes_first() -> None:
    given = wish(settings("volt-var"), view(0.92), sale_w=480e3)
    assert (given.power_w, given.reactive_var) == (480e3, pytest.approx(140e3))


def test_step_is_at_nine_tenths_after_the_response_time() -> None:
    application = ReactivePowerApplication(settings("volt-var", response_time_s=5.0))
    dispatch = Dispatch([application])
    dispatch.step(view(1.0), "", "")
    given = [dispatch.step(view(0.92), "", "").reactive_var for _ in range(100)]
    assert given[49] == pytest.approx(0.9 * 0.44 * RATED_VA, rel=0.001)


@pytest.mark.parametrize(("voltage_pu", "power_w"), [(1.06, 500e3), (1.08, 250e3), (1.1, 0.0), (1.15, 0.0)])
def test_volt_watt_bounds_discharge_only(voltage_pu: float, power_w: float) -> None:
    given = settings("none", volt_watt=True, volt_watt_response_time_s=0.0)
    held = wish(given, view(voltage_pu), sale_w=500e3)
    assert held.power_w == pytest.approx(power_w, abs=1.0)
    assert wish(given, view(voltage_pu), sale_w=-500e3).power_w == -500e3
    assert power_w == 500e3 or (held.narrowed_by, held.reason) == ("reactive-power", "volt-watt")


def test_unknown_rating_or_island_asks_for_nothing() -> None:
    assert wish(settings("volt-var"), view(0.92, rated_va=float("inf"))).reactive_var == 0.0
    application = ReactivePowerApplication(settings("volt-var"))
    islanded = SiteView(0.1, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0, voltage_pu=0.92, islanded=True)
    assert Dispatch([application]).step(islanded, "", "").reactive_var is None


def test_curve_that_turns_back_is_refused() -> None:
    with pytest.raises(ValidationError, match="not above the point before"):
        settings("volt-var", volt_var=[{"voltage_pu": 1.0, "var_frac": 0.1}, {"voltage_pu": 0.9, "var_frac": 0.0}])


def test_vars_are_shares_of_apparent_power_and_watts_of_active_power() -> None:
    seen = replace(view(0.92, rated_va=550e3), rated_power_w=500e3)
    assert wish(settings("volt-var"), seen).reactive_var == pytest.approx(0.44 * 550e3)
    bounded = settings("none", volt_watt=True, volt_watt_response_time_s=0.0)
    assert wish(bounded, replace(seen, voltage_pu=1.08), sale_w=500e3).power_w == pytest.approx(250e3)
    half = wish(settings("watt-var"), replace(seen, battery_power_w=375e3))
    assert half.reactive_var == pytest.approx(-0.22 * 550e3)
