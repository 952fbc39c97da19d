"""Arbitrage: the battery buys when it is cheap and sells or saves when it is dear, by a plan that is made anew all the
time."""

import logging
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.day_times import DayPart, gaps
from bms.dispatch.forecast import DailyProfile
from bms.dispatch.net_load import net_load_w
from bms.dispatch.plan import PlanTask, solve
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.taper import taper
from bms.dispatch.timed_file import Timed, TimedFileError, read_timed
from bms.dispatch.view import Answer, PowerWindow, SiteView
from drivers.config.settings import Broken, about, beside_the_file

WH_PER_KWH = 1000.0
WANDER_W = 1e3
MAKE_UP_S = 60.0
"""What a step still owes at its end is spread over so much."""
log = logging.getLogger(__name__)


class TariffPart(DayPart):
    """A price at a time of the day."""

    price_per_kwh: Annotated[float, about("", "price of a kWh bought, in any money", ge=-1e4, le=1e4)]
    sell_price_per_kwh: Annotated[
        float, about("", "price of a kWh sold, at most that of one bought", "worth nothing", ge=-1e4, le=1e4)
    ] = 0.0


class Arbitrage(ApplicationSettings):
    """Uses the battery where prices say so: a day-ahead market, or a tariff by the time of use."""

    kind: Annotated[Literal["arbitrage"], about("", "which application this is")]
    file: Annotated[
        str | None,
        about("", "CSV or Parquet with `time`, `price_per_kwh` and, if it is another, `sell_price_per_kwh`, relative "
              "to this file; read again with every plan", "a tariff", min_length=1, max_length=500),
        AfterValidator(lambda path, info: path if path is None else beside_the_file(path, info)),
    ] = None  # fmt: skip
    tariff: Annotated[
        tuple[TariffPart, ...],
        Field(strict=False),
        about("", "prices by the time of use; the first that holds counts", "a file", max_length=50),
    ] = ()
    step_min: Annotated[Literal[15, 30, 60], about("min", "a plan's step, and it is made anew so often", "market")] = 15
    horizon_h: Annotated[int, about("h", "a plan looks so far ahead, if prices are known", "a day", ge=1, le=48)] = 24
    soc_frac_min: Annotated[
        float, about("frac", "a plan discharges no further", "reserve over the limit", ge=0, le=1)
    ] = 0.2
    soc_frac_max: Annotated[
        float, about("frac", "a plan charges no further", "reserve under the limit", ge=0, le=1)
    ] = 0.9
    power_w_max: Annotated[
        float, about("W", "most power of a plan, either way", "what the battery has allowed so far", gt=0, le=1e10)
    ] = 1e10
    efficiency_frac: Annotated[
        float, about("frac", "one way, from the grid into the cells or back", "96 % converter and cells", gt=0.5, le=1)
    ] = 0.96
    ageing_cost_per_kwh: Annotated[
        float, about("", "what a kWh discharged costs the battery, in the prices' money", "none", ge=0, le=1e4)
    ] = 0.0
    end_value_per_kwh: Annotated[
        float | None,
        about(
            "",
            "worth of a kWh that is left at the end of a plan",
            "the mean of its prices, less what discharging loses",
            ge=-1e4,
            le=1e4,
        ),
    ] = None
    import_power_w_max: Annotated[float, about("W", "of the connection", "no limit", ge=0, le=1e10)] = 1e10
    export_power_w_max: Annotated[float, about("W", "of the connection", "no limit", ge=0, le=1e10)] = 1e10

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.in_order("soc_frac_min", "soc_frac_max")
        if bool(self.tariff) == (self.file is not None):
            wrong = "both a tariff and a file" if self.tariff else "neither a tariff nor a file"
            yield Broken(("tariff",), f"{len(self.tariff)} parts", wrong, "one of the two", (("file",),))
        elif self.tariff:
            yield from gaps(self.tariff, ("tariff",))
        for number, part in enumerate(self.tariff):
            if part.sell_price_per_kwh > part.price_per_kwh:
                loc = ("tariff", number, "sell_price_per_kwh")
                wrong = "above the price of a kWh bought: money for nothing"
                yield Broken(loc, part.sell_price_per_kwh, wrong, f"at most {part.price_per_kwh:g}")


@dataclass(frozen=True, slots=True)
class Plan:
    """Powers (discharge positive) from `starts_s` (seconds since 1970) on, until `ends_s`."""

    starts_s: tuple[float, ...]
    ends_s: float
    power_w: tuple[float, ...]

    def now(self, utc_s: float) -> tuple[int, float, float] | None:
        """Number of the step, its power and how long it still lasts; None outside."""
        if not self.starts_s[0] <= utc_s < self.ends_s:
            return None
        number = bisect_right(self.starts_s, utc_s) - 1
        end_s = self.starts_s[number + 1] if number + 1 < len(self.starts_s) else self.ends_s
        return number, self.power_w[number], end_s - utc_s


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a plan starts from: one tick's."""

    utc_s: float
    now: datetime
    soc_frac: float
    capacity_wh: float
    charge_power_w: float
    discharge_power_w: float


class ArbitrageApplication:
    """Plans beside the ticks at each step of the market's clock, and follows: what the limits or others kept back of a
    step's energy is made up for inside the step. The connection's limits are bounds on the real net load, not on the
    forecast that the plan is made with (a learned daily profile). A clock that jumps lands in another step of the plan,
    whose energy begins anew: nothing is done twice.
    """

    def __init__(self, settings: Arbitrage) -> None:
        self.name = settings.kind
        self._settings = settings
        self._profile = DailyProfile(WANDER_W)
        self._timed: Timed | None = None
        self._said = ""
        self.plan: Plan | None = None
        self._planned_for: float | None = None
        self._step: float | None = None
        self._owed_ws = 0.0
        self._charge_power_w = self._discharge_power_w = 0.0

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        now, net_w = view.local_time, net_load_w(view)
        self._charge_power_w = max(self._charge_power_w, view.charge_power_w_limit)
        self._discharge_power_w = max(self._discharge_power_w, view.discharge_power_w_limit)
        if now is None or view.utc_s is None or net_w is None or view.islanded:
            return Answer(reason="grid power or time is not known")
        self._profile.see(now, net_w, view.dt_s)
        planned_w = self._planned_w(view.utc_s, view.battery_power_w or 0.0, view.dt_s)
        answer = Answer(
            power_w_min=net_w - self._settings.import_power_w_max,
            power_w_max=net_w + self._settings.export_power_w_max,
            request_w=None if planned_w is None else self._within(planned_w, view, window),
            reason="connection",
        )
        step_s = self._settings.step_min * 60.0
        due = view.utc_s // step_s
        if due == self._planned_for or view.energy_capacity_wh <= 0.0:
            return answer
        self._planned_for = due
        seen = _Seen(
            view.utc_s, now, view.soc_frac, view.energy_capacity_wh,
            min(self._charge_power_w, self._settings.power_w_max),
            min(self._discharge_power_w, self._settings.power_w_max),
        )  # fmt: skip
        return replace(answer, work=lambda: self._make_plan(seen))

    def reset(self) -> None:
        self._step = None

    def _planned_w(self, utc_s: float, battery_w: float, dt_s: float) -> float | None:
        """The plan's power now, moved by what the step still owes."""
        plan = self.plan
        step = None if plan is None else plan.now(utc_s)
        if plan is None or step is None:
            self._step = None
            return None
        number, power_w, left_s = step
        if self._step != plan.starts_s[number]:
            self._step, self._owed_ws = plan.starts_s[number], 0.0
            return power_w
        self._owed_ws += (power_w - battery_w) * dt_s
        if not power_w:
            return 0.0
        owed_w = power_w + self._owed_ws / max(left_s, MAKE_UP_S)
        return max(owed_w, 0.0) if power_w > 0.0 else min(owed_w, 0.0)

    def _within(self, planned_w: float, view: SiteView, window: PowerWindow) -> float:
        if planned_w > 0.0:
            return min(planned_w, max(window.power_w_max, 0.0) * taper(view.soc_frac - self._settings.soc_frac_min))
        return max(planned_w, min(window.power_w_min, 0.0) * taper(self._settings.soc_frac_max - view.soc_frac))

    def _make_plan(self, seen: _Seen) -> None:
        """Beside the ticks: read the prices, and replace the plan in one assignment."""
        settings = self._settings
        if settings.file is not None:
            self._read(Path(settings.file))
        step_s = settings.step_min * 60.0
        first_s = (seen.utc_s // step_s) * step_s
        starts_s = [seen.utc_s, *(first_s + step_s * k for k in range(1, settings.horizon_h * 60 // settings.step_min))]
        prices = []
        for start_s in starts_s:
            price = self._prices(start_s, datetime.fromtimestamp(start_s, seen.now.tzinfo))
            if price is None:
                break
            prices.append(price)
        if not prices:
            self.plan = None
            return
        starts_s = starts_s[: len(prices)]
        ends_s = first_s + step_s * len(prices)
        powers_w = solve(self._task(seen, starts_s, ends_s, prices))
        if powers_w is None:
            self._say("no plan keeps the connection's limits")
            self.plan = None
            return
        self.plan = Plan(tuple(starts_s), ends_s, tuple(float(power_w) for power_w in powers_w))

    def _task(self, seen: _Seen, starts_s: list[float], ends_s: float, prices: list[tuple[float, float]]) -> PlanTask:
        settings = self._settings
        buy, sell = (np.array(each) / WH_PER_KWH for each in zip(*prices, strict=True))
        zone = seen.now.tzinfo
        net_w = [self._profile.at_w(datetime.fromtimestamp(start_s, zone)) or 0.0 for start_s in starts_s]
        end_value = settings.end_value_per_kwh
        return PlanTask(
            hours=np.diff([*starts_s, ends_s]) / 3600.0,
            buy=buy,
            sell=sell,
            net_w=np.array(net_w),
            charge_power_w_max=seen.charge_power_w,
            discharge_power_w_max=seen.discharge_power_w,
            energy_wh=seen.soc_frac * seen.capacity_wh,
            energy_wh_min=settings.soc_frac_min * seen.capacity_wh,
            energy_wh_max=settings.soc_frac_max * seen.capacity_wh,
            efficiency_frac=settings.efficiency_frac,
            ageing=settings.ageing_cost_per_kwh / WH_PER_KWH,
            end_value=float(buy.mean()) * settings.efficiency_frac if end_value is None else end_value / WH_PER_KWH,
            import_w_max=_room(settings.import_power_w_max, max(net_w)),
            export_w_max=_room(settings.export_power_w_max, -min(net_w)),
        )

    def _prices(self, start_s: float, local: datetime) -> tuple[float, float] | None:
        """Of buying and selling, per kWh; None where nobody knows them."""
        if self._settings.tariff:
            part = next((part for part in self._settings.tariff if part.holds(local)), None)
            return None if part is None else (part.price_per_kwh, part.sell_price_per_kwh)
        buy = None if self._timed is None else self._timed.at("price_per_kwh", start_s)
        if buy is None or self._timed is None:
            return None
        if "sell_price_per_kwh" not in self._timed.columns:
            return buy, buy
        sell = self._timed.at("sell_price_per_kwh", start_s)
        return None if sell is None else (buy, min(sell, buy))

    def _read(self, path: Path) -> None:
        """A file that is wrong leaves what was read before, until that ends."""
        try:
            self._timed = read_timed(path, ("price_per_kwh",), ("sell_price_per_kwh",))
        except TimedFileError as error:
            self._say(str(error))

    def _say(self, text: str) -> None:
        if text != self._said:
            log.warning("arbitrage: %s", text)
        self._said = text


def _room(limit_w: float, least_w: float) -> float:
    """A connection that the load alone overloads is no reason to have no plan."""
    return max(limit_w, least_w) if isfinite(limit_w) else 1e10


APPLICATION = ApplicationKind(Arbitrage, ArbitrageApplication)
