"""Strip planner: zinc racks are taken out in turn to be emptied, as long as the others carry what the site promised."""

from collections.abc import Iterator, Sequence
from math import inf
from typing import Annotated, Any, Literal

from pydantic import Field

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.day_times import DayPart
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.view import Answer, PowerWindow, Promised, RackView, SiteView, StripOrder
from drivers.config.settings import Broken, about

LOOK_S = 1.0
"""A plan that takes hours is looked at this often."""
PEAK_TIME_S = 900.0
"""What the battery gave or took counts for so long, less and less."""
EMPTY_FRAC = 0.1
"""Below this SoC a rack that is out helps nobody when it is called back: it goes on."""
COST_FRAC = 0.05
"""Share of all racks' energy that a strip costs the others until the rack serves again: refill, equalising and what
they lose by themselves. It must be there before, and twice that before charging for a strip ends."""
HOLD = "hold"
RETURNING = ("refill", "entering")
CHOICE = "engineering choice"


class Strip(ApplicationSettings):
    """When racks are stripped, and what has to remain meanwhile."""

    kind: Annotated[Literal["strip"], about("", "which application this is")]
    interval_h: Annotated[
        float, about("h", "each rack is stripped at least this often; later is an alarm", CHOICE, gt=0, le=1e5)
    ] = 168.0
    start_frac: Annotated[
        float, about("frac", "share of the interval after which a rack may be taken out", CHOICE, ge=0, lt=1)
    ] = 0.5
    duration_h: Annotated[
        float, about("h", "one rack's strip takes so long, until it is online again; longer is an alarm", CHOICE, gt=0,
                     le=1e4)
    ] = 12.0  # fmt: skip
    racks_out_max: Annotated[int, about("", "racks that are out at once", "one after the other", ge=1, le=63)] = 1
    windows: Annotated[
        tuple[DayPart, ...],
        Field(strict=False),
        about("", "parts of the day in which a rack is taken out", "at any time", max_length=100),
    ] = ()
    discharge_power_w_kept: Annotated[
        float, about("W", "the others must give this, beside what other applications sell", "none", ge=0, le=1e10)
    ] = 0.0
    charge_power_w_kept: Annotated[
        float, about("W", "the others must take this, likewise", "none", ge=0, le=1e10)
    ] = 0.0  # fmt: skip
    energy_wh_kept: Annotated[
        float, about("Wh", "the others must hold this, likewise", "none", ge=0, le=1e12)
    ] = 0.0  # fmt: skip
    recharge_power_w_max: Annotated[
        float,
        about("W", "most power from the grid that fills what the others must hold for a strip that is due",
              "left to others", ge=0, le=1e10),
    ] = 0.0  # fmt: skip
    cell_voltage_v_empty: Annotated[
        float, about("V", "a cell below this voltage is empty", "zinc-halogen", gt=0, le=2)
    ] = 1.05  # fmt: skip
    rest_min: Annotated[
        float, about("min", "the cells are bled for so long after the last one is empty", CHOICE, gt=0, le=6000)
    ] = 30.0

    def broken_relations(self) -> Iterator[Broken]:
        allowed_h = (1.0 - self.start_frac) * self.interval_h
        if self.duration_h > allowed_h:
            wrong, expected = "longer than what start_frac leaves of the interval", f"at most {allowed_h:g}"
            yield Broken(("duration_h",), self.duration_h, wrong, expected, (("interval_h",), ("start_frac",)))


class StripApplication:
    """Takes the rack that is due first, as soon as nothing speaks against it, and calls it back when others fail before
    it is empty. Without a clock nobody is taken out. It charges what the others have to hold for a strip that is due.

    Of the site it knows what the stack keeps free and in store, the power that flowed lately, and the SoC bands of all
    applications: these hold with the rack gone, and with it back and empty."""

    def __init__(self, settings: Strip) -> None:
        self.name = settings.kind
        self._settings = settings
        self._interval_s = settings.interval_h * 3600.0
        self._soc_frac_min, self._soc_frac_max = 0.0, 1.0
        self._stripped_s: dict[str, float] = {}
        self._out_s: dict[str, float] = {}
        self._out: set[str] = set()
        self._charged_w = self._discharged_w = 0.0
        self._since_s = inf
        self._short = False
        self._order = StripOrder(frozenset())

    def see_stack(self, stack: Sequence[ApplicationSettings]) -> None:
        for each in stack:
            lows = [getattr(each, name, 0.0) for name in ("soc_frac_min", "soc_frac_kept")]
            self._soc_frac_min = max(self._soc_frac_min, *lows)
            self._soc_frac_max = min(self._soc_frac_max, getattr(each, "soc_frac_max", 1.0))

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        if view.promised is not None:
            self._follow(view.promised.power_w, view.dt_s)
        done = any(rack.stripped for rack in view.racks)
        self._since_s += view.dt_s
        if view.utc_s is None:
            self._order = StripOrder(frozenset(self._out), "strip waits: no wall clock")
        elif done or self._since_s >= LOOK_S:
            self._since_s = 0.0
            self._order = self._planned(view, view.utc_s)
        request_w = -self._settings.recharge_power_w_max if self._short else 0.0
        return Answer(strip=self._order, request_w=request_w or None, reason="energy for a strip")

    def reset(self) -> None:
        """Racks that are out stay out: power has nothing to do with it."""

    def save(self) -> dict[str, Any]:
        return {"stripped_utc_s": self._stripped_s, "out_utc_s": self._out_s, "out": sorted(self._out)}

    def restore(self, saved: dict[str, Any]) -> None:
        stripped_s, out_s = _times(saved, "stripped_utc_s"), _times(saved, "out_utc_s")
        out = saved.get("out")
        if not isinstance(out, list) or not all(name in out_s for name in out):
            raise ValueError("out: expected names of racks in out_utc_s")
        self._stripped_s, self._out_s, self._out = stripped_s, out_s, set(out)

    def _follow(self, power_w: float, dt_s: float) -> None:
        """The largest powers of late, in both directions."""
        left = max(1.0 - dt_s / PEAK_TIME_S, 0.0)
        self._discharged_w = max(power_w, self._discharged_w * left, 0.0)
        self._charged_w = max(-power_w, self._charged_w * left, 0.0)

    def _planned(self, view: SiteView, utc_s: float) -> StripOrder:
        racks = {rack.name: rack for rack in view.racks}
        for name, rack in racks.items():
            # Nobody knows when a new rack was stripped: its time to be taken out begins now.
            self._stripped_s.setdefault(name, utc_s - self._settings.start_frac * self._interval_s)
            self._see(rack, utc_s)
        self._call_back(view, racks)
        ready = [name for name in racks if name not in self._out_s and self._due_in_s(name, utc_s) <= self._free_s]
        ready.sort(key=self._stripped_s.__getitem__)
        waits = self._take_out(view, racks, ready, utc_s)
        # While a rack is out nobody knows what all will hold when it is back.
        self._short = bool(ready) and not self._out_s and self._is_short(view, racks, ready[0])
        says = [f"{name} {_doing(racks[name], name in self._out)}" for name in self._out_s if name in racks]
        return StripOrder(frozenset(self._out), "; ".join([*says, *waits]), self._overdue(racks, utc_s, waits))

    def _see(self, rack: RackView, utc_s: float) -> None:
        if rack.stripped:
            self._stripped_s[rack.name] = utc_s
            self._out.discard(rack.name)
        elif rack.name in self._out_s and rack.name not in self._out and rack.online:
            del self._out_s[rack.name]

    def _call_back(self, view: SiteView, racks: dict[str, RackView]) -> None:
        """Racks that still hold something, while the others do not carry."""
        if view.promised is not None and self._lacking(
            view, [rack for rack in racks.values() if rack.online and rack.name not in self._out_s]
        ):
            self._out -= {name for name in self._out if name in racks and racks[name].soc_frac > EMPTY_FRAC}

    def _take_out(self, view: SiteView, racks: dict[str, RackView], ready: Sequence[str], utc_s: float) -> list[str]:
        """What waits, and why."""
        for name in ready:
            against = self._against(view, racks, racks[name])
            if against:
                return [f"{name} waits: {against}"]
            self._out.add(name)
            self._out_s[name] = utc_s
        return []

    @property
    def _free_s(self) -> float:
        """So long before its end the interval lets a rack go."""
        return (1.0 - self._settings.start_frac) * self._interval_s

    def _due_in_s(self, name: str, utc_s: float) -> float:
        return self._stripped_s[name] + self._interval_s - utc_s

    def _against(self, view: SiteView, racks: dict[str, RackView], rack: RackView) -> str:
        """Why this rack cannot be taken out now; empty when nothing speaks against it."""
        settings, now = self._settings, view.local_time
        away = [each.name for each in racks.values() if each.name in self._out_s or each.state in RETURNING]
        if len(away) >= settings.racks_out_max:
            return f"{', '.join(away)} is out"
        if not rack.online:
            return f"it is not online ({rack.state})"
        if settings.windows and not any(now is not None and part.holds(now) for part in settings.windows):
            return "outside its windows"
        others = [each for each in racks.values() if each.online and each.name not in (rack.name, *self._out_s)]
        return self._lacking(view, others, COST_FRAC)

    def _is_short(self, view: SiteView, racks: dict[str, RackView], first: str) -> bool:
        """Energy is all that the others lack; with some hysteresis."""
        others = [rack for name, rack in racks.items() if name != first and rack.online]
        lacks = self._lacks(view, others, 2.0 * COST_FRAC if self._short else COST_FRAC)
        return [verb for verb, *_ in lacks] == [HOLD]

    def _lacking(self, view: SiteView, others: Sequence[RackView], cost_frac: float = 0.0) -> str:
        """What racks together do not carry of what is promised; empty when they carry all."""
        if view.promised is None:
            return "nobody knows yet what is promised"
        lacks = self._lacks(view, others, cost_frac)
        return "the others {} {:.0f} {} of {:.0f} {} that are kept".format(*lacks[0]) if lacks else ""

    def _lacks(
        self, view: SiteView, others: Sequence[RackView], cost_frac: float
    ) -> list[tuple[str, float, str, float, str]]:
        """A rack that is gone now comes back empty, so that the SoC of all falls to what the others hold."""
        settings, promised = self._settings, view.promised or Promised()
        all_wh = sum(each.energy_wh for each in view.racks)
        held_wh = sum(each.soc_frac * each.energy_wh for each in others)
        free_wh = sum(max(self._soc_frac_max - each.soc_frac, 0.0) * each.energy_wh for each in others)
        gives_w, takes_w = (_power_w(view, others, f"{way}_current_a") for way in ("discharge", "charge"))
        kept = (
            ("give", "W", gives_w, promised.discharge_w + settings.discharge_power_w_kept + self._discharged_w),
            ("take", "W", takes_w, promised.charge_w + settings.charge_power_w_kept + self._charged_w),
            (HOLD, "Wh", held_wh,
             (self._soc_frac_min + cost_frac) * all_wh + promised.stored_wh + settings.energy_wh_kept),
            ("have room for", "Wh", free_wh, promised.room_wh),
        )  # fmt: skip
        return [(verb, can, unit, must, unit) for verb, unit, can, must in kept if can < must]

    def _overdue(self, racks: dict[str, RackView], utc_s: float, waits: Sequence[str]) -> str:
        late = [name for name in racks if self._due_in_s(name, utc_s) < 0.0]
        for name, since_s in self._out_s.items():
            if name not in late and utc_s - since_s > self._settings.duration_h * 3600.0:
                return f"{name} is out for {(utc_s - since_s) / 3600.0:.1f} h"
        if not late:
            return ""
        first = min(late, key=self._stripped_s.__getitem__)
        why = f" ({waits[0]})" if waits else ""
        return f"{first} was stripped {(utc_s - self._stripped_s[first]) / 3600.0:.1f} h ago{why}"


def _doing(rack: RackView, asked: bool) -> str:
    if rack.state in ("strip", *RETURNING):
        return {"strip": "strips", "refill": "refills", "entering": "comes back"}[rack.state]
    return "leaves" if asked else "waits to come back"


def _power_w(view: SiteView, racks: Sequence[RackView], current: str) -> float:
    """What racks on one DC bus carry together: the narrowest one's current for all, inside the converter's rating."""
    if not racks:
        return 0.0
    current_a = min(getattr(rack, current) for rack in racks)
    return float(min(current_a * sum(rack.voltage_v for rack in racks), view.rated_power_w))


def _times(saved: dict[str, Any], name: str) -> dict[str, float]:
    times = saved.get(name)
    if not isinstance(times, dict) or not all(isinstance(each, int | float) for each in times.values()):
        raise ValueError(f"{name}: expected a time for each rack")
    return dict(times)


APPLICATION = ApplicationKind(Strip, StripApplication)
