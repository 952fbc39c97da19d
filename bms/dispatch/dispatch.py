"""Runs a site's applications in priority order over the window that the limits leave."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bms.dispatch.grid_smoothing import GridSmoothingApplication
from bms.dispatch.view import Application, PowerWindow, SiteView
from bms.site import Site

APPLICATIONS: dict[str, Callable[[Any], Application]] = {"grid-smoothing": GridSmoothingApplication}


@dataclass(frozen=True, slots=True)
class Wish:
    """Outcome of dispatch: what was asked for, what is left of it after the windows, and who narrowed it."""

    requested_power_w: float
    power_w: float
    narrowed_by: str
    reason: str


class Dispatch:
    """Applications in the order of the site file; the first has the highest priority."""

    def __init__(self, site: Site) -> None:
        self._applications = [APPLICATIONS[settings.kind](settings) for settings in site.applications]

    def reset(self) -> None:
        """Power could not flow: applications start from what they see next."""
        for application in self._applications:
            application.reset()

    def step(self, view: SiteView, charge_reason: str, discharge_reason: str) -> Wish:
        window = PowerWindow(-view.charge_power_w_limit, view.discharge_power_w_limit, "limits", "")
        requested_w: float | None = None
        for application in self._applications:
            window = application.narrow(view, window)
            if requested_w is None:
                requested_w = application.requested_power_w
        power_w = window.nearest_to_zero_w()
        requested_w = 0.0 if requested_w is None else requested_w
        reason = window.reason
        if window.narrowed_by == "limits":
            reason = discharge_reason if requested_w > power_w else charge_reason
        clipped = requested_w != power_w
        return Wish(requested_w, power_w, window.narrowed_by if clipped else "", reason if clipped else "")
