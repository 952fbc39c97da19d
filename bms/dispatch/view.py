"""What applications see and answer. They know nothing of devices."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SiteView:
    """The site at one control tick. Powers in W: grid positive = import, battery positive = discharge, load positive
    = consumption; None = not known now."""

    dt_s: float
    grid_power_w: float | None
    load_power_w: float | None
    battery_power_w: float | None
    soc_frac: float
    charge_power_w_limit: float
    discharge_power_w_limit: float


@dataclass(frozen=True, slots=True)
class PowerWindow:
    """Battery powers (discharge positive) that are still open, and who narrowed it last and why."""

    power_w_min: float
    power_w_max: float
    narrowed_by: str
    reason: str

    def to_point(self, power_w: float, by: str, reason: str) -> "PowerWindow":
        """Narrow to the point of the window that is nearest to `power_w`."""
        point_w = min(max(power_w, self.power_w_min), self.power_w_max)
        if point_w == power_w:
            return PowerWindow(point_w, point_w, by, reason)
        return PowerWindow(point_w, point_w, self.narrowed_by, self.reason)

    def nearest_to_zero_w(self) -> float:
        return min(max(0.0, self.power_w_min), self.power_w_max)


class Application(Protocol):
    """One service. `narrow` is called once a control tick, in priority order, and must not widen the window.
    `requested_power_w` is what it would have liked (None: no wish)."""

    @property
    def name(self) -> str: ...

    @property
    def requested_power_w(self) -> float | None: ...

    def narrow(self, view: SiteView, window: PowerWindow) -> PowerWindow: ...

    def reset(self) -> None:
        """Forget the past: power could not flow for a while."""
