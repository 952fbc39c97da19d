"""Demand cap: windows of the wall clock, in time and no earlier than useful, over jumps of the clock and restarts."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from bms.dispatch.applications.demand_cap import DemandCap, DemandCapApplication
from bms.dispatch.dispatch import Dispatch, Wish
from bms.dispatch.view import Answer, PowerWindow, SiteView

TOKYO = ZoneInfo("Asia/Tokyo")
NOON_S = datetime(2026, 7, 1, 12, 0, tzinfo=TOKYO).timestamp()
SETTINGS = DemandCap(
    kind="demand-cap", contract_power_w=100e3, margin_frac=0.0, soc_frac_min=0.2, recharge_power_w_max=0.0
)


@dataclass
class Site:
    """A site whose battery follows at once; a step lasts 1 s."""

    load_w: Callable[[float], float]
    settings: DemandCap = SETTINGS
    battery_limit_w: float = 100e3
    start_s: float = NOON_S
    soc_frac: float = 0.8
    zone: tzinfo = TOKYO
    clock_error_s: float = 0.0
    after: tuple["Wants", ...] = ()
    now_s: float = 0.0
    battery_w: list[float] = field(default_factory=list)
    grid_w: list[float] = field(default_factory=list)
    wish: Wish | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.dispatch = Dispatch([DemandCapApplication(self.settings), *self.after])

    def view(self) -> SiteView:
        load_w = self.load_w(self.now_s)
        battery_w = self.battery_w[-1] if self.battery_w else 0.0
        return SiteView(
            dt_s=1.0, grid_power_w=load_w - battery_w, load_power_w=load_w, battery_power_w=battery_w,
            soc_frac=self.soc_frac, charge_power_w_limit=self.battery_limit_w,
            discharge_power_w_limit=self.battery_limit_w, utc_s=self.start_s + self.now_s + self.clock_error_s,
            zone=self.zone,
        )  # fmt: skip

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.wish = self.dispatch.step(self.view(), "", "")
            self.battery_w.append(self.wish.power_w)
            self.now_s += 1.0
            self.grid_w.append(self.load_w(self.now_s) - self.wish.power_w)

    def mean_w(self, first_s: int, last_s: int) -> float:
        return sum(self.grid_w[first_s:last_s]) / (last_s - first_s)


@dataclass
class Wants:
    """An application after it that asks for a power."""

    power_w: float
    name: str = "wants"

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        return Answer(request_w=self.power_w)

    def reset(self) -> None:
        pass


@pytest.mark.parametrize("minutes", [15, 30, 60])
def test_mean_of_every_window_is_the_contract(minutes: int) -> None:
    site = Site(lambda _: 130e3, SETTINGS.model_copy(update={"window_min": minutes}))
    site.run(2 * 3600)
    length = minutes * 60
    means = [site.mean_w(first, first + length) for first in range(0, 2 * 3600, length)]
    assert max(means) == pytest.approx(100e3, rel=2e-3)
    assert max(means) <= 100e3 + 100.0


def test_it_waits_until_half_of_the_power_is_needed() -> None:
    """30 kW too much for 30 minutes are 15 kWh: at 50 kW the last 18 minutes do, and a little more for a load that may
    rise."""
    site = Site(lambda _: 130e3, SETTINGS.model_copy(update={"start_frac": 0.5}))
    site.run(1800)
    first = next(second for second, power_w in enumerate(site.battery_w) if power_w > 0.0)
    assert 480 <= first <= 720
    assert max(site.battery_w[first : 1800 - 60]) <= 62e3


def test_load_that_falls_by_itself_costs_nothing() -> None:
    """Seven minutes at 130 kW, then 60 kW: the mean is below the contract without the battery."""
    site = Site(lambda now_s: 130e3 if now_s < 420 else 60e3)
    site.run(1800)
    assert max(site.battery_w) == 0.0


def test_load_that_rises_late_is_held() -> None:
    """The last ten minutes at 200 kW are 33 kWh after 20 minutes at 95 kW, which leave 18 kWh."""
    site = Site(lambda now_s: 95e3 if now_s < 1200 else 200e3)
    site.run(1800)
    assert site.mean_w(0, 1800) <= 100e3 + 100.0


def test_reserve_stays() -> None:
    site = Site(lambda _: 130e3, soc_frac=0.2)
    site.run(1800)
    assert max(site.battery_w) == 0.0
    assert site.wish is not None


def test_too_little_power_is_all_given_and_named() -> None:
    site = Site(lambda _: 150e3, battery_limit_w=20e3)
    site.run(1700)
    assert site.battery_w[-1] == 20e3


def test_others_charge_only_inside_the_cap() -> None:
    site = Site(lambda _: 80e3, after=(Wants(-90e3),))
    site.run(3600)
    assert max(site.mean_w(0, 1800), site.mean_w(1800, 3600)) <= 100e3 + 100.0
    assert min(site.battery_w) < -10e3


def test_others_leave_what_is_kept_for_the_cap() -> None:
    site = Site(lambda _: 80e3, soc_frac=0.45, after=(Wants(50e3),))
    site.run(10)
    assert site.battery_w[-1] == 0.0
    site.soc_frac = 0.6
    site.run(10)
    assert site.battery_w[-1] == 50e3


def test_recharge_fills_the_window_and_no_more() -> None:
    site = Site(lambda _: 70e3, SETTINGS.model_copy(update={"recharge_power_w_max": 1e6}), soc_frac=0.5)
    site.run(3600)
    assert 95e3 < site.mean_w(0, 1800) <= 100e3
    assert max(site.grid_w) <= 1.2 * 100e3 + 1.0


def test_restart_in_mid_window_takes_the_unseen_part_for_full() -> None:
    """Nobody knows that the first 10 minutes were quiet: they count with the contract's power."""
    site = Site(lambda now_s: 20e3 if now_s < 600 else 130e3)
    site.run(600)
    site.restart()
    site.run(1200)
    assert site.mean_w(600, 1800) <= 100e3 + 100.0


def restarted(away_s: int) -> Site:
    """10 minutes at 150 kW of load and 100 kW of battery, saved, `away_s` without a controller, and on."""
    site = Site(lambda _: 150e3, settings=SETTINGS.model_copy(update={"start_frac": 0.0}))
    site.run(600)
    saved = json.loads(json.dumps(site.dispatch.save()))
    site.restart()
    site.dispatch.restore(saved)
    site.now_s += away_s
    site.battery_w += [0.0] * away_s
    site.grid_w += [150e3] * away_s
    return site


def test_running_window_survives_a_restart() -> None:
    """Without its memory the first 10 minutes would count with the contract's 100 kW, and the rest be held to that."""
    site = Site(lambda now_s: 40e3 if now_s < 600.0 else 140e3)
    site.run(600)
    saved = json.loads(json.dumps(site.dispatch.save()))
    assert saved["demand-cap"]["windows"] == [[1201.0, 40e3 * 599.0]]
    site.restart()
    site.dispatch.restore(saved)
    site.run(1200)
    assert site.mean_w(0, 1800) == pytest.approx(100e3, rel=0.01)
    assert sum(site.battery_w[600:]) / 3.6e6 == pytest.approx(3.33, rel=0.05)  # kWh


def test_time_without_a_controller_counts_as_unseen() -> None:
    site = restarted(60)
    site.run(1140)
    assert site.mean_w(0, 1800) <= 100.1e3


@pytest.mark.parametrize(
    "saved",
    [
        {},
        {"utc_s": None, "grid_w": 1.0, "windows": []},
        {"utc_s": 1.0, "grid_w": math.nan, "windows": []},
        {"utc_s": 1.0, "grid_w": 1.0, "windows": [[1801.0, 1.0]]},
        {"utc_s": 1.0, "grid_w": 1.0, "windows": [[60.0]]},
    ],
)
def test_memory_that_cannot_be_is_refused(saved: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        DemandCapApplication(SETTINGS).restore(saved)


def test_pause_counts_as_unseen() -> None:
    """While power could not flow for 10 minutes, 170 kW were imported; 130 kW when it is back."""
    site = Site(lambda now_s: 50e3 if now_s < 300 else 130e3)
    site.run(300)
    site.dispatch.reset()
    site.now_s = 900.0
    site.run(900)
    assert 300 * 50e3 + 600 * 100e3 + sum(site.grid_w[300:]) <= 1800 * 100e3 * 1.001


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0, -600.0, 600.0])
def test_clock_that_jumps_breaks_no_window_of_either_clock(jump_s: float) -> None:
    site = Site(lambda _: 130e3)
    site.run(900)
    site.clock_error_s = jump_s
    site.run(4500)
    shift = int(-jump_s % 1800)
    assert max(site.mean_w(first, first + 1800) for first in (0, shift, shift + 1800)) <= 100e3 * 1.001


@pytest.mark.parametrize("day", [datetime(2026, 3, 29), datetime(2026, 10, 25)])
def test_windows_go_on_where_daylight_saving_begins_and_ends(day: datetime) -> None:
    zone = ZoneInfo("Europe/Berlin")
    site = Site(lambda _: 130e3, start_s=day.replace(hour=1, tzinfo=zone).timestamp(), zone=zone)
    site.run(2 * 3600)
    assert max(site.mean_w(first, first + 1800) for first in range(0, 2 * 3600, 1800)) <= 100e3 + 100.0


@pytest.mark.parametrize("window_min", [0, 30])
def test_without_window_or_clock_the_power_itself_is_capped(window_min: int) -> None:
    application = DemandCapApplication(SETTINGS.model_copy(update={"window_min": window_min}))
    view = replace(Site(lambda _: 130e3).view(), utc_s=None if window_min else NOON_S)
    assert Dispatch([application]).step(view, "", "").power_w == pytest.approx(30e3)


def test_unknown_grid_power_forbids_charging() -> None:
    view = replace(Site(lambda _: 50e3).view(), grid_power_w=None, load_power_w=None)
    wish = Dispatch([DemandCapApplication(SETTINGS), Wants(-50e3)]).step(view, "", "")
    assert (wish.power_w, wish.reason) == (0.0, "grid power is not known")


def test_learnt_profile_knows_a_load_that_comes_every_day() -> None:
    """At 12:20 the load rises to 260 kW, which 100 kW of battery hold only if they began before that."""
    site = Site(lambda now_s: 260e3 if 1200 <= now_s % 86400 < 1800 else 95e3, start_s=NOON_S)
    for day in range(4):
        site.now_s = day * 86400.0
        site.run(1800)
    assert site.mean_w(0, 1800) > 105e3
    assert site.mean_w(3 * 1800, 4 * 1800) <= 100e3 * 1.001
