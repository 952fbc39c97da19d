"""What applications see and answer. They know nothing of devices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from math import inf, nan, sqrt
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from bms.dispatch.settings import ApplicationSettings
from bms.estimate.smoothing_watch import NOT_MEASURED, Smoothed

NO_INPUTS: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RackView:
    """One rack, for who takes racks out of service. `state` is its machine's mode; currents in A (magnitudes) are what
    its own limits allow, 0 while it is not `online`; `energy_wh` between empty and full; `stripped`: its strip was done
    at this tick."""

    name: str
    state: str
    online: bool
    soc_frac: float
    energy_wh: float
    voltage_v: float
    charge_current_a: float
    discharge_current_a: float
    stripped: bool = False


@dataclass(frozen=True, slots=True)
class Promised:
    """What the whole stack keeps for others, and the power that it asked for (discharge positive), at the tick before:
    powers in W, energies in Wh that stay in store, or stay free."""

    charge_w: float = 0.0
    discharge_w: float = 0.0
    stored_wh: float = 0.0
    room_wh: float = 0.0
    power_w: float = 0.0


@dataclass(frozen=True, slots=True)
class SiteView:
    """The site at one control tick. Powers in W: grid positive = import, battery positive = discharge, load positive
    = consumption, PV positive = generation; None = not known now, or no such device."""

    dt_s: float
    """Since the last control tick."""
    grid_power_w: float | None
    load_power_w: float | None
    battery_power_w: float | None
    soc_frac: float
    """Of what the cells that bind can give and take."""
    charge_power_w_limit: float
    discharge_power_w_limit: float
    pv_power_w: float | None = None
    frequency_hz: float | None = None
    voltage_pu: float | None = None
    islanded: bool = False
    """The converter makes the grid: its power is what the load takes."""
    utc_s: float | None = None
    """Wall-clock time, seconds since 1970; None = no clock was set."""
    zone: tzinfo = UTC
    """Of the site's wall clock."""
    energy_capacity_wh: float = 0.0
    """Between empty and full, of the racks that are connected."""
    apparent_power_va_max: float = inf
    """Of the converter; bounds active and reactive power together."""
    inputs: Mapping[str, float] = field(default_factory=lambda: NO_INPUTS)
    """What others told the site, by name, as long as it has not expired."""
    lost: frozenset[str] = frozenset()
    """Inputs whose remote teller neither renewed nor withdrew them."""
    rated_power_w: float = inf
    """Of the converter's active power, the larger direction."""
    smoothed: Smoothed = NOT_MEASURED
    """What smoothing makes of the load here."""
    racks: tuple[RackView, ...] = ()
    """Each of them; empty where nobody asks for them."""
    promised: Promised | None = None
    """None = nobody knows yet, or nobody asks."""
    load_age_s: float = 0.0
    """How long ago the load was what `load_power_w` says."""
    effect_s: float = nan
    """From this tick to the battery's power that it asks for, in the mean until the next: half a tick and the
    converter's lag; NaN = not known."""

    @property
    def local_time(self) -> datetime | None:
        """The site's wall clock."""
        return None if self.utc_s is None else datetime.fromtimestamp(self.utc_s, self.zone)

    @property
    def base_power_w(self) -> float:
        """What shares of rated active power refer to; infinite = not known."""
        return min(self.rated_power_w, self.apparent_power_va_max)

    def reactive_var_max(self, power_w: float) -> float:
        """Reactive power that is left beside an active power, which goes first."""
        return sqrt(max(self.apparent_power_va_max**2 - power_w**2, 0.0))


@dataclass(frozen=True, slots=True)
class Answer:
    """What one application wants at one tick; battery powers in W, discharge positive.

    - `power_w_min`, `power_w_max`: bounds for it and for all that come after it.
    - `request_w`: the power that it would like. Of all requests the first counts. A `firm` one leaves no choice to
      those after it, another one is held inside their bounds.
    - `response_w`: flows on top of what all the others want (a service that answers to frequency, say).
      `reserve_charge_w` and `reserve_discharge_w` (magnitudes) keep the room in which it will move.
    - `lacks_charge_w`, `lacks_discharge_w`: reserve that it should have but that the limits leave no room for; it is
      named as unmet, and nobody's power moves for it.
    - `reactive_var`: positive = injected; the first that asks for one gets it as far as active power leaves room.
    - `pv_power_w_max`: a cap on the site's PV; the lowest counts.
    - `reason`: why, in a few words, for people.
    - `work`: what takes longer than a tick may. It is run once beside the ticks, after this one, and leaves what it
      finds in the application.
    - `held`: what a faster loop may do between ticks, in the place of this request.
    - `stored_wh`, `room_wh`: energy that has to stay in store, or free, for its reserve.
    - `strip`: which racks are to be out for their strip.
    """

    power_w_min: float = -inf
    power_w_max: float = inf
    request_w: float | None = None
    firm: bool = False
    response_w: float = 0.0
    reserve_charge_w: float = 0.0
    reserve_discharge_w: float = 0.0
    reactive_var: float | None = None
    pv_power_w_max: float | None = None
    reason: str = ""
    lacks_charge_w: float = 0.0
    lacks_discharge_w: float = 0.0
    held: "HeldGridPower | None" = None
    work: Callable[[], None] | None = None
    stored_wh: float = 0.0
    room_wh: float = 0.0
    strip: "StripOrder | None" = None


@dataclass(frozen=True, slots=True)
class StripOrder:
    """Names of the racks that are to be out; `says` what happens and what waits why, `overdue` which rack is late, both
    for people."""

    racks: frozenset[str]
    says: str = ""
    overdue: str = ""


@dataclass(frozen=True, slots=True)
class HeldGridPower:
    """The grid's power (import positive) that an application holds: `gain` times what is off it goes to the battery, 1
    = all of it. A loop that finds what to hold by itself filters the load with `filter_time_s` and moves by at most
    `ramp_w_per_s`; `base_w` (discharge positive) comes on top, which brings the SoC back and keeps a cap. `refused`
    says why the gain is below 1; with gain 0 nothing is asked for."""

    grid_power_w: float
    gain: float = 1.0
    filter_time_s: float = inf
    ramp_w_per_s: float = inf
    base_w: float = 0.0
    refused: str = ""


NO_ANSWER = Answer()


@dataclass(frozen=True, slots=True)
class Edge:
    """One end of a window: a power, and who put it there and why."""

    power_w: float
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class PowerWindow:
    """Battery powers (discharge positive) that are still open. `low` is never above `high`."""

    low: Edge
    high: Edge

    @property
    def power_w_min(self) -> float:
        return self.low.power_w

    @property
    def power_w_max(self) -> float:
        return self.high.power_w

    def nearest_w(self, power_w: float) -> float:
        """The point of the window that is nearest to `power_w`."""
        return min(max(power_w, self.low.power_w), self.high.power_w)

    def edge_at(self, power_w: float) -> Edge:
        """Which end holds a power from outside; the power itself, by nobody, from inside."""
        if power_w > self.high.power_w:
            return self.high
        return self.low if power_w < self.low.power_w else Edge(power_w, "", "")

    def narrowed(self, low_w: float, high_w: float, by: str, reason: str) -> tuple["PowerWindow", float]:
        """What two bounds leave of it, and by how much (W) they cannot be kept: then it is the one point that is
        nearest to them."""
        low = self.low if low_w <= self.low.power_w else Edge(low_w, by, reason)
        high = self.high if high_w >= self.high.power_w else Edge(high_w, by, reason)
        if low.power_w <= high.power_w:
            return PowerWindow(low, high), 0.0
        if low_w > self.high.power_w:
            return PowerWindow(self.high, self.high), low_w - self.high.power_w
        if high_w < self.low.power_w:
            return PowerWindow(self.low, self.low), self.low.power_w - high_w
        middle = Edge(self.nearest_w((low_w + high_w) / 2.0), by, reason)
        return PowerWindow(middle, middle), low_w - high_w

    def to_point(self, power_w: float, by: str, reason: str) -> "PowerWindow":
        """Narrowed to the point of the window that is nearest to `power_w`."""
        edge = self.edge_at(power_w)
        point = edge if edge.by else Edge(power_w, by, reason)
        return PowerWindow(point, point)


class Application(Protocol):
    """One service. `look` is called once a control tick, in priority order."""

    @property
    def name(self) -> str: ...

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        """`window`: what those before it leave."""

    def reset(self) -> None:
        """Forget the past: power could not flow for a while."""


@runtime_checkable
class Remembering(Protocol):
    """An application that a restart of the controller should not make forget."""

    @property
    def name(self) -> str: ...

    def save(self) -> dict[str, Any]:
        """What `restore` wants to find again, as JSON takes it."""

    def restore(self, saved: dict[str, Any]) -> None:
        """Before the first `look`. ValueError for what cannot have been saved; nothing has changed then."""


@runtime_checkable
class SeesStack(Protocol):
    """An application that has to know what else a site's battery is used for."""

    def see_stack(self, stack: Sequence[ApplicationSettings]) -> None:
        """Before the first `look`: the settings of the whole stack, its own too."""
