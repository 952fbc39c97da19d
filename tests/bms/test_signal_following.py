"""Following a named signal: units, directions, ramp, what its loss does, and the energy that it keeps in store."""

from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from bms.dispatch.applications.signal_following import SignalFollowing, SignalFollowingApplication
from bms.dispatch.dispatch import Dispatch
from bms.dispatch.view import SiteView

DT_S = 0.1


def settings(**changes: object) -> SignalFollowing:
    given: dict[str, object] = {
        "kind": "signal-following", "product": "agc", "signal": "regd", "discharge_power_w": 100e3,
        "charge_power_w": 50e3,
    }  # fmt: skip
    return SignalFollowing.model_validate({**given, **changes})


def view(inputs: Mapping[str, float], soc_frac: float = 0.5, dt_s: float = DT_S) -> SiteView:
    return SiteView(
        dt_s=dt_s,
        grid_power_w=0.0,
        load_power_w=0.0,
        battery_power_w=0.0,
        soc_frac=soc_frac,
        charge_power_w_limit=500e3,
        discharge_power_w_limit=500e3,
        frequency_hz=60.0,
        energy_capacity_wh=1e6,
        inputs=inputs,
    )


def powers_w(given: SignalFollowing, *inputs: Mapping[str, float], soc_frac: float = 0.5) -> list[float]:
    dispatch = Dispatch([SignalFollowingApplication(given)])
    return [dispatch.step(view(each, soc_frac), "", "").power_w for each in inputs]


@pytest.mark.parametrize(
    ("unit", "signal", "power_w"),
    [("pu", 0.5, 50e3), ("pu", -0.5, -25e3), ("pu", 1.7, 100e3), ("W", 30e3, 30e3), ("W", -80e3, -50e3)],
)
def test_signal_is_of_what_is_sold_in_its_direction(unit: str, signal: float, power_w: float) -> None:
    assert powers_w(settings(unit=unit), {"regd": signal}) == [pytest.approx(power_w)]


def test_other_inputs_are_not_it() -> None:
    assert powers_w(settings(), {"lfc": 1.0}) == [0.0]


def test_lost_signal_ends_the_power_at_the_same_ramp() -> None:
    given = powers_w(settings(ramp_w_per_s_max=500e3), {"regd": 1.0}, {"regd": 1.0}, {"regd": 1.0}, {}, {}, {})
    assert given == pytest.approx([50e3, 100e3, 100e3, 50e3, 0.0, 0.0])


def test_agc_recovers_beside_the_signal() -> None:
    """A quarter of an hour of 100 kW is 2.6 % above the 10 %: at 12 % a fifth of the power is added to the charge."""
    dispatch = Dispatch([SignalFollowingApplication(settings())])
    given = [dispatch.step(view({"regd": 0.5}, 0.12, dt_s=1.0), "", "").power_w for _ in range(300)]
    assert given[0] == pytest.approx(50e3, abs=400.0)
    assert given[-1] == pytest.approx(30e3)


def test_reserve_of_japan_recovers_only_without_a_command() -> None:
    given = settings(product="jp-secondary")
    dispatch = Dispatch([SignalFollowingApplication(given)])
    commanded = [dispatch.step(view({"regd": 0.5}, 0.12, dt_s=1.0), "", "").power_w for _ in range(300)]
    assert set(commanded) == {50e3}
    after = [dispatch.step(view({"regd": 0.0}, 0.12, dt_s=1.0), "", "").power_w for _ in range(300)]
    assert (after[58], after[-1]) == (0.0, pytest.approx(-20e3))


def test_power_ends_where_the_site_ends() -> None:
    assert powers_w(settings(), {"regd": 1.0}, soc_frac=0.1) == [pytest.approx(0.0, abs=100.0)]


def test_product_for_frequency_is_refused() -> None:
    with pytest.raises(ValidationError, match="uk-dc answers to frequency"):
        settings(product="uk-dc")
