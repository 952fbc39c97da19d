"""Runs a site's applications in priority order over the window that the limits leave."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.view import (
    Answer,
    Application,
    Edge,
    HeldGridPower,
    PowerWindow,
    Promised,
    Remembering,
    SeesStack,
    SiteView,
    StripOrder,
)
from bms.site.applications import APPLICATIONS

log = logging.getLogger(__name__)
LIMITS = "limits"
"""Who holds the window before any application: the battery's own limits."""


@dataclass(frozen=True, slots=True)
class Unmet:
    """Bounds or a reserve of an application that those before it leave no room for: by how much, and who stands in the
    way. The power is then as near to it as they allow."""

    application: str
    by_w: float
    held_by: str
    reason: str

    def __str__(self) -> str:
        return f"{self.application} misses {self.by_w:.0f} W, held by {self.held_by}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Holding:
    """A faster loop's part of the outcome: the grid power to hold with a battery power inside `power_w_min` to
    `power_w_max`, and `response_w` on top of that, which others want."""

    held: HeldGridPower
    power_w_min: float
    power_w_max: float
    response_w: float


@dataclass(frozen=True, slots=True)
class Wish:
    """Outcome of dispatch: what was asked for and by whom, what is left of it, who narrowed it, and what could not be
    met. `reactive_var` (injected positive) and `pv_power_w_max` are None where nobody asked for one; `holding` is None
    where nobody holds the grid's power, or not alone. `work` is to be run beside the ticks."""

    requested_power_w: float
    power_w: float
    narrowed_by: str
    reason: str
    asked_by: str = ""
    unmet: tuple[Unmet, ...] = ()
    reactive_var: float | None = None
    pv_power_w_max: float | None = None
    holding: Holding | None = None
    refused: str = ""
    """Why smoothing holds back, by what the site measures."""
    work: tuple[Callable[[], None], ...] = ()
    strip: StripOrder | None = None


NO_WISH = Wish(0.0, 0.0, "", "")


def make_applications(settings: Sequence[ApplicationSettings]) -> list[Application]:
    """The applications of a site file, in its order."""
    applications = [APPLICATIONS[each.kind].make(each) for each in settings]
    for application in applications:
        if isinstance(application, SeesStack):
            application.see_stack(settings)
    return applications


class Dispatch:
    """A stack of applications; the first has the highest priority."""

    def __init__(self, applications: Sequence[Application]) -> None:
        self._applications = tuple(applications)
        self._promised: Promised | None = None
        self._plans = any(isinstance(application, SeesStack) for application in applications)

    def save(self) -> dict[str, dict[str, Any]]:
        """What applications want to find again, by name."""
        saved = {each.name: each.save() for each in self._applications if isinstance(each, Remembering)}
        return {name: each for name, each in saved.items() if each}

    def restore(self, saved: Mapping[str, dict[str, Any]]) -> None:
        """Before the first step. An application that cannot use what was saved begins anew, with a word in the log."""
        for each in self._applications:
            if isinstance(each, Remembering) and each.name in saved:
                try:
                    each.restore(saved[each.name])
                except ValueError as error:
                    log.warning("state: %s begins anew: %s", each.name, error)

    def reset(self) -> None:
        """Power could not flow: applications start from what they see next."""
        self._promised = None
        for application in self._applications:
            application.reset()

    def step(self, view: SiteView, charge_reason: str, discharge_reason: str) -> Wish:
        """Ask every application, each inside what those before it leave."""
        if self._plans:
            view = replace(view, promised=self._promised)
        low = Edge(-view.charge_power_w_limit, LIMITS, charge_reason)
        whole = _Round(PowerWindow(low, Edge(view.discharge_power_w_limit, LIMITS, discharge_reason)))
        for application in self._applications:
            whole.take(application.name, application.look(view, whole.window))
        wish = whole.wish(view)
        self._promised = whole.promised(wish) if self._plans else None
        return wish


class _Round:
    """One tick: the window as it narrows, and what was asked on the way."""

    def __init__(self, window: PowerWindow) -> None:
        self.window = window
        self._limits = window
        self._request_w: float | None = None
        self._response_w = 0.0
        self._asked_by: list[str] = []
        self._unmet: list[Unmet] = []
        self._reactive_var: float | None = None
        self._pv_power_w_max: float | None = None
        self._held: tuple[HeldGridPower, PowerWindow] | None = None
        self._refused = ""
        self._work: list[Callable[[], None]] = []
        self._strip: StripOrder | None = None
        self._kept_w, self._kept_wh = [0.0, 0.0], [0.0, 0.0]

    def take(self, name: str, answer: Answer) -> None:
        """Narrow by one application's answer."""
        self._bound(name, answer)
        self._keep_room(name, answer)
        if answer.held is not None:
            self._refused = answer.held.refused
        if answer.work is not None:
            self._work.append(answer.work)
        self._strip = answer.strip or self._strip
        self._promise(answer)
        if answer.request_w is not None:
            if self._request_w is None:
                self._request_w = answer.request_w
                self._asked_by.append(name)
                if answer.held is not None and answer.firm:
                    self._held = answer.held, self.window
            if answer.firm:
                self.window = self.window.to_point(answer.request_w, name, answer.reason)
        if self._reactive_var is None:
            self._reactive_var = answer.reactive_var
        if answer.pv_power_w_max is not None:
            caps_w = [cap_w for cap_w in (self._pv_power_w_max, answer.pv_power_w_max) if cap_w is not None]
            self._pv_power_w_max = min(caps_w)

    def _promise(self, answer: Answer) -> None:
        """Also what the limits leave no room for now."""
        self._kept_w[0] += answer.reserve_charge_w + answer.lacks_charge_w
        self._kept_w[1] += answer.reserve_discharge_w + answer.lacks_discharge_w
        self._kept_wh[0] += answer.room_wh
        self._kept_wh[1] += answer.stored_wh

    def promised(self, wish: Wish) -> Promised:
        """What this round keeps for others."""
        (charge_w, discharge_w), (room_wh, stored_wh) = self._kept_w, self._kept_wh
        power_w = wish.requested_power_w - self._response_w
        return Promised(charge_w, discharge_w, stored_wh, room_wh, power_w)

    def _bound(self, name: str, answer: Answer) -> None:
        before = self.window
        self._miss(name, answer.lacks_charge_w, before.low)
        self._miss(name, answer.lacks_discharge_w, before.high)
        self.window, missed_w = before.narrowed(answer.power_w_min, answer.power_w_max, name, answer.reason)
        self._miss(name, missed_w, before.high if answer.power_w_min > before.power_w_max else before.low)

    def _keep_room(self, name: str, answer: Answer) -> None:
        """The others' power stays so far from the ends that the response has its room between it and them."""
        if answer.reserve_charge_w or answer.reserve_discharge_w:
            before = self.window
            low_w = before.power_w_min + answer.reserve_charge_w
            high_w = before.power_w_max - answer.reserve_discharge_w
            self.window, missed_w = before.narrowed(low_w, high_w, name, answer.reason)
            self._miss(name, missed_w, before.high if answer.reserve_discharge_w else before.low)
        if answer.response_w:
            self._response_w += min(max(answer.response_w, -answer.reserve_charge_w), answer.reserve_discharge_w)
            self._asked_by.append(name)

    def _miss(self, name: str, by_w: float, edge: Edge) -> None:
        if by_w > 0.0:
            self._unmet.append(Unmet(name, by_w, edge.by, edge.reason))

    def wish(self, view: SiteView) -> Wish:
        """What comes of it. The response comes on top of a power inside the window, and both stay inside the limits."""
        wanted_w = 0.0 if self._request_w is None else self._request_w
        base_w = self.window.nearest_w(wanted_w)
        power_w = self._limits.nearest_w(base_w + self._response_w)
        edge = self.window.edge_at(wanted_w)
        if not edge.by or power_w == wanted_w + self._response_w:
            edge = self._limits.edge_at(base_w + self._response_w)
        reactive_var = self._reactive_var
        if reactive_var is not None:
            most_var = view.reactive_var_max(power_w)
            reactive_var = min(max(reactive_var, -most_var), most_var)
        return Wish(
            requested_power_w=wanted_w + self._response_w,
            power_w=power_w,
            narrowed_by=edge.by,
            reason=edge.reason,
            asked_by="+".join(self._asked_by),
            unmet=tuple(self._unmet),
            reactive_var=reactive_var,
            pv_power_w_max=self._pv_power_w_max,
            holding=self._holding(),
            refused=self._refused,
            work=tuple(self._work),
            strip=self._strip,
        )

    def _holding(self) -> Holding | None:
        """What those before it left it, and no more: those after a firm request have no choice."""
        if self._held is None:
            return None
        held, window = self._held
        return Holding(held, window.power_w_min, window.power_w_max, self._response_w)
