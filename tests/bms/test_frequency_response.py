"""Frequency services: the published curves, triggers, droops, what has to stay in store and how it is brought back.

Curve points: NESO's response services (DC, DM, DR), the Nordic operators' FCR-D and FFR, IEEE 1547-2018 table 24, and
the 5 % droop of Japan's primary reserve (8 % of rated power at 0.2 Hz off 50 Hz)."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from bms.dispatch.applications.frequency_response import FrequencyResponse, FrequencyResponseApplication
from bms.dispatch.dispatch import Dispatch, Wish
from bms.dispatch.product import FOLDER, ProductFile, find_product
from bms.dispatch.view import Answer, PowerWindow, SiteView
from drivers.config.config_yaml import ConfigErrors, parse_strict
from drivers.config.shipped import shipped

DT_S = 0.1
POWER_W = 100e3


def settings(product: str, **changes: object) -> FrequencyResponse:
    sold: dict[str, object] = {"discharge_power_w": POWER_W, "charge_power_w": POWER_W}
    if find_product(product).directions == ("up",):
        sold = {"discharge_power_w": POWER_W}
    return FrequencyResponse.model_validate({"kind": "frequency-response", "product": product, **sold, **changes})


def view(
    frequency_hz: float | None,
    soc_frac: float = 0.5,
    dt_s: float = DT_S,
    capacity_wh: float = 1e6,
    *,
    islanded: bool = False,
) -> SiteView:
    return SiteView(
        dt_s=dt_s,
        grid_power_w=0.0,
        load_power_w=0.0,
        battery_power_w=0.0,
        soc_frac=soc_frac,
        charge_power_w_limit=500e3,
        discharge_power_w_limit=500e3,
        frequency_hz=frequency_hz,
        energy_capacity_wh=capacity_wh,
        apparent_power_va_max=500e3,
        islanded=islanded,
    )


class Sale:
    """Asks for a power whatever happens, as a trader does."""

    name = "sale"

    def __init__(self, power_w: float) -> None:
        self._power_w = power_w

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        return Answer(request_w=self._power_w)

    def reset(self) -> None: ...


class Site:
    """A dispatch with one product; `after` are frequencies tick by tick, of which the last wish counts."""

    def __init__(self, given: FrequencyResponse, *others: Sale) -> None:
        self._dispatch = Dispatch([FrequencyResponseApplication(given), *others])

    def wishes(
        self,
        frequencies_hz: Sequence[float | None],
        soc_frac: float = 0.5,
        dt_s: float = DT_S,
        capacity_wh: float = 1e6,
    ) -> list[Wish]:
        return [self._dispatch.step(view(each, soc_frac, dt_s, capacity_wh), "", "") for each in frequencies_hz]

    def power_w(self, *frequencies_hz: float | None, soc_frac: float = 0.5) -> float:
        return self.wishes(frequencies_hz, soc_frac)[-1].power_w


@pytest.mark.parametrize(
    ("product", "off_hz", "power_frac"),
    [
        ("uk-dc", 0.0, 0.0), ("uk-dc", 0.015, 0.0), ("uk-dc", 0.1075, 0.025), ("uk-dc", 0.2, 0.05),
        ("uk-dc", 0.35, 0.525), ("uk-dc", 0.5, 1.0), ("uk-dc", 0.8, 1.0),
        ("uk-dm", 0.015, 0.0), ("uk-dm", 0.1, 0.05), ("uk-dm", 0.15, 0.525), ("uk-dm", 0.2, 1.0), ("uk-dm", 0.5, 1.0),
        ("uk-dr", 0.015, 0.0), ("uk-dr", 0.1075, 0.5), ("uk-dr", 0.2, 1.0),
        ("nordic-fcrd", 0.1, 0.0), ("nordic-fcrd", 0.3, 0.5), ("nordic-fcrd", 0.5, 1.0), ("nordic-fcrd", 1.0, 1.0),
    ],
)  # fmt: skip
def test_published_curve_on_both_sides(product: str, off_hz: float, power_frac: float) -> None:
    assert Site(settings(product)).power_w(50.0 - off_hz) == pytest.approx(power_frac * POWER_W, abs=1e-3)
    assert Site(settings(product)).power_w(50.0 + off_hz) == pytest.approx(-power_frac * POWER_W, abs=1e-3)


@pytest.mark.parametrize(
    ("nominal_hz", "off_hz", "power_w"),
    [
        (50.0, 0.01, 0.0), (50.0, 0.2, 40e3), (60.0, 0.2, 33.333e3), (50.0, -0.2, -40e3), (50.0, 3.0, 100e3),
    ],
)  # fmt: skip
def test_japanese_droop_refers_to_rated_power(nominal_hz: float, off_hz: float, power_w: float) -> None:
    """5 % of 50 Hz is 2.5 Hz, so 0.2 Hz is 8 % of the 500 kW converter; of 60 Hz it is 6.7 %."""
    given = settings("jp-primary", nominal_hz=nominal_hz)
    assert Site(given).power_w(nominal_hz - off_hz) == pytest.approx(power_w, abs=1.0)


def test_smaller_droop_and_another_base_are_the_sites_own() -> None:
    given = settings("jp-primary", nominal_hz=50.0, droop_frac=0.02, base_power_w=200e3)
    assert Site(given).power_w(50.0 - 0.21) == pytest.approx(40e3)


@pytest.mark.parametrize("nominal_hz", [50.0, 60.0])
def test_ieee_1547_droop_is_at_nine_tenths_half_a_second_before_its_response_time(nominal_hz: float) -> None:
    """A step to one hundredth of nominal beyond 0.036 Hz is a fifth of rated power, 100 kW."""
    site = Site(settings("ieee1547-droop", nominal_hz=nominal_hz))
    site.power_w(nominal_hz)
    low_hz = nominal_hz * 0.99 - 0.036
    powers_w = [wish.power_w for wish in site.wishes([low_hz] * 200)]
    assert powers_w[44] == pytest.approx(90e3, rel=0.001)
    assert powers_w[-1] == pytest.approx(100e3, rel=0.001)


def test_ieee_1547_droop_keeps_no_room_that_it_does_not_need() -> None:
    site = Site(settings("ieee1547-droop"), Sale(500e3))
    assert site.power_w(60.0) == 500e3
    assert Site(settings("uk-dc"), Sale(500e3)).power_w(50.0) == 400e3


def test_response_flows_on_top_of_a_sale() -> None:
    assert Site(settings("uk-dc"), Sale(50e3)).power_w(49.65) == pytest.approx(50e3 + 52.5e3)


def test_limits_narrower_than_what_is_sold_move_nobody_and_are_named() -> None:
    given = Site(settings("uk-dc", charge_power_w=700e3)).wishes([50.0])[0]
    assert given.power_w == 0.0
    assert [(unmet.application, unmet.by_w, unmet.held_by) for unmet in given.unmet] == [
        ("frequency-response uk-dc", 200e3, "limits")
    ]


def test_response_stays_inside_the_bounds_of_those_before_it() -> None:
    """Volt-watt allows no discharge: a response to low frequency is cut, and the site does not charge to make room."""

    class NoDischarge(Sale):
        name = "volt-watt"

        def look(self, view: SiteView, window: PowerWindow) -> Answer:
            return Answer(power_w_max=self._power_w)

    dispatch = Dispatch([NoDischarge(0.0), FrequencyResponseApplication(settings("uk-dc"))])
    given = dispatch.step(view(49.5), "", "")
    assert given.power_w == 0.0
    assert [(unmet.by_w, unmet.held_by) for unmet in given.unmet] == [(100e3, "volt-watt")]
    assert dispatch.step(view(50.5), "", "").power_w == -100e3


def test_own_curve_replaces_the_products() -> None:
    curve = [{"off_hz": 0.05, "power_frac": 0.0}, {"off_hz": 0.25, "power_frac": 1.0}]
    assert Site(settings("own-curve", curve=curve)).power_w(49.85) == pytest.approx(50e3)


def test_unknown_frequency_is_no_response_and_the_reserve_stays() -> None:
    site = Site(settings("uk-dc"), Sale(500e3))
    assert site.power_w(49.5) == 500e3
    assert site.power_w(None) == 400e3


def test_island_has_a_frequency_of_its_own_making() -> None:
    dispatch = Dispatch([FrequencyResponseApplication(settings("uk-dc"))])
    assert dispatch.step(view(49.5, islanded=True), "", "").power_w == 0.0


def test_filter_follows_with_its_time_constant() -> None:
    site = Site(settings("uk-dr", filter_time_s=1.0))
    site.power_w(50.0)
    powers_w = [wish.power_w for wish in site.wishes([49.8] * 40)]
    assert powers_w[9] == pytest.approx((0.2 * 0.632 - 0.015) / 0.185 * POWER_W, rel=0.01)
    assert powers_w[-1] == pytest.approx(POWER_W, rel=0.03)


def on_s(wishes: Sequence[Wish]) -> list[float]:
    return [wish.power_w / POWER_W for wish in wishes]


def test_ffr_gives_full_power_for_its_support_falls_and_waits_before_it_recovers() -> None:
    """30 s of support, and 0.3 s to get there, from the confirmed crossing, though the frequency is back; 19 % a
    second down; 10 s of nothing; then a quarter comes back, since 35 s of power are more than the 4 % of 20 kWh that
    are in store."""
    site = Site(settings("nordic-ffr", threshold_hz=0.4))
    frequencies_hz = [50.0, *[49.6] * 3, *[50.0] * 600]
    shares = on_s(site.wishes(frequencies_hz, soc_frac=0.14, capacity_wh=20e3))
    assert shares[:3] == [0.0] * 3
    assert shares[3:306] == [1.0] * 303
    assert shares[306:311] == pytest.approx([0.981, 0.962, 0.943, 0.924, 0.905])
    assert shares[359:457] == [0.0] * 98
    assert shares[-1] == pytest.approx(-0.25)


def test_ffr_is_ready_again_once_the_frequency_is_back() -> None:
    site = Site(settings("nordic-ffr", threshold_hz=0.5, support_s=5.0))
    stays_low = on_s(site.wishes([50.0] + [49.4] * 700))
    assert sum(share == 1.0 for share in stays_low) == 53
    assert on_s(site.wishes([50.0] + [49.4] * 5))[-1] == 1.0


def test_ffr_ignores_what_lasts_as_long_as_a_jump_of_the_phase() -> None:
    """Two readings, 0.1 s apart."""
    site = Site(settings("nordic-ffr"))
    assert set(on_s(site.wishes([50.0, 49.0, 49.0, *[50.0] * 20]))) == {0.0}


def test_charge_stays_above_what_the_service_needs() -> None:
    """15 min of 100 kW are 26 kWh behind 96 %: 2.6 % above the 11 % where it would begin to give less."""
    site = Site(settings("uk-dc"), Sale(200e3))
    assert site.power_w(50.0, soc_frac=0.15) == 200e3
    given = site.wishes([50.0], soc_frac=0.136)[0]
    assert given.power_w == 0.0
    assert (given.narrowed_by, given.reason) == ("frequency-response uk-dc", "reserve of uk-dc")


def recovered(product: str, soc_frac: float, frequency_hz: float, minutes: int, **changes: object) -> list[float]:
    """Shares of the contract second by second."""
    site = Site(settings(product, **changes))
    wishes = site.wishes([frequency_hz] * 60 * minutes, soc_frac=soc_frac, dt_s=1.0)
    return on_s(wishes)


def test_recovery_ramps_to_the_products_power_and_ends_inside_the_band() -> None:
    """Dynamic Containment: a tenth, at 5 % a minute, after a minute."""
    shares = recovered("uk-dc", 0.13, 50.0, 5)
    assert shares[:59] == [0.0] * 59
    assert shares[119] == pytest.approx(-0.05, abs=0.002)
    assert shares[-1] == pytest.approx(-0.1)
    assert recovered("uk-dc", 0.5, 50.0, 5)[-1] == 0.0
    assert recovered("uk-dc", 0.89, 50.0, 5)[-1] == pytest.approx(0.1)


def test_recovery_goes_a_little_into_the_band() -> None:
    site = Site(settings("uk-dc"))
    site.wishes([50.0] * 300, soc_frac=0.13, dt_s=1.0)
    assert on_s(site.wishes([50.0], soc_frac=0.14, dt_s=1.0)) == [pytest.approx(-0.1)]
    assert on_s(site.wishes([50.0] * 200, soc_frac=0.15, dt_s=1.0))[-1] == 0.0


def test_nordic_baseline_comes_and_goes_over_five_minutes_and_withdraws_while_the_frequency_is_off() -> None:
    """Technical Requirements for FCR in the Nordic Synchronous Area (2023), 3.5.1: 20 %, as a mean over 300 s."""
    site = Site(settings("nordic-fcrd"))
    charging = on_s(site.wishes([50.0] * 300, soc_frac=0.12, dt_s=1.0))
    assert charging[149] == pytest.approx(-0.1)
    assert charging[-1] == pytest.approx(-0.2)
    withdrawn = on_s(site.wishes([49.89] * 300, soc_frac=0.12, dt_s=1.0))
    assert withdrawn[149] == pytest.approx(0.025 - 0.1)
    assert withdrawn[-1] == pytest.approx(0.025)


@pytest.mark.parametrize(("product", "frequency_hz"), [("uk-dc", 49.75), ("uk-dm", 49.89)])
def test_baseline_stands_still_while_the_service_delivers(product: str, frequency_hz: float) -> None:
    delivered = recovered(product, 0.14, frequency_hz, 10)
    assert min(delivered) == max(delivered) > 0.0


def test_droop_takes_a_deadband_and_a_response_time_of_the_site() -> None:
    """Half a hertz off, 0.3 Hz beyond the deadband, of 0.02 x 60 Hz for 100 kW."""
    given = settings("ieee1547-droop", nominal_hz=60.0, deadband_hz=0.2, droop_frac=0.02, response_time_s=1.0,
                     base_power_w=100e3)  # fmt: skip
    powers_w = [wish.power_w for wish in Site(given).wishes([60.0] + [59.5] * 100)]
    assert powers_w[10] == pytest.approx(0.9 * 25e3, rel=0.01)
    assert powers_w[-1] == pytest.approx(25e3, rel=0.001)


def test_response_ends_where_the_site_ends() -> None:
    assert Site(settings("uk-dc")).power_w(49.5, soc_frac=0.105) == pytest.approx(50e3)
    assert Site(settings("uk-dc")).power_w(49.5, soc_frac=0.1) == 0.0
    assert Site(settings("uk-dc")).power_w(50.5, soc_frac=0.1) == pytest.approx(-100e3)


def test_too_small_a_battery_shares_its_lack() -> None:
    """400 kW for an hour both ways are a little more than the 78 % of 1 MWh: it holds the SoC at the one point."""
    site = Site(settings("uk-dr", discharge_power_w=400e3, charge_power_w=400e3), Sale(100e3))
    assert site.wishes([50.0] * 600, soc_frac=0.4, dt_s=1.0)[-1].power_w < 0.0
    assert site.wishes([50.0] * 2000, soc_frac=0.7, dt_s=1.0)[-1].power_w > 0.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"product": "nordic-ffr", "charge_power_w": 1.0}, "nordic-ffr has no such direction"),
        ({"product": "nordic-ffr", "threshold_hz": 0.35}, "the product has no such choice"),
        ({"product": "uk-dc", "nominal_hz": 60.0}, "the product has no such choice"),
        ({"product": "uk-dc", "discharge_power_w": 0.0}, "nothing is sold"),
        ({"product": "uk-dc", "droop_frac": 0.04}, "uk-dc has no droop"),
        ({"product": "uk-dc", "deadband_hz": 0.0}, "uk-dc has no droop"),
        ({"product": "jp-primary", "response_time_s": 5.0}, "jp-primary has no response time of its own"),
        ({"product": "jp-primary", "droop_frac": 0.06}, "outside what jp-primary allows"),
        ({"product": "jp-primary", "deadband_hz": 0.02}, "outside what jp-primary allows"),
        ({"product": "ieee1547-droop", "droop_frac": 0.01}, "outside what ieee1547-droop allows"),
        ({"product": "ieee1547-droop", "deadband_hz": 0.01}, "outside what ieee1547-droop allows"),
        ({"product": "ieee1547-droop", "response_time_s": 11.0}, "outside what ieee1547-droop allows"),
        ({"product": "own-curve"}, "own-curve has no curve of its own"),
        ({"product": "jp-secondary"}, "jp-secondary answers to a signal"),
        ({"product": "uk-dc", "soc_frac_min": 0.95}, "not below soc_frac_max"),
    ],
)
def test_what_a_product_does_not_have_is_said(changes: dict[str, object], says: str) -> None:
    given = {"kind": "frequency-response", "discharge_power_w": 1e3, **changes}
    with pytest.raises(ValidationError, match=says):
        FrequencyResponse.model_validate(given)


def test_unknown_product_is_named_with_its_place(tmp_path: Path) -> None:
    text = "kind: frequency-response\nproduct: uk-dx\ndischarge_power_w: 1000\n"
    with pytest.raises(ConfigErrors, match="did you mean uk-d"):
        parse_strict(text, FrequencyResponse, file="site.yaml", folder=tmp_path)


@pytest.mark.parametrize("product", shipped(FOLDER, ProductFile), ids=lambda product: product.name)
def test_shipped_product_says_where_its_rules_stand(product: ProductFile) -> None:
    assert product.source
    assert (
        product.answers == "signal" or product.name == "own-curve" or product.curve or product.droop or product.trigger
    )
