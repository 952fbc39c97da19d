"""What those who serve the site to others know of it: the newest tick, what never changes, and how they may ask."""

from collections.abc import Callable
from dataclasses import dataclass

from bms.dispatch.applications.remote_power import RemotePower
from bms.requests import Requests
from bms.site import Site
from bms.tick_report import TickOutcome


@dataclass(frozen=True, slots=True)
class Nameplate:
    """Of all racks as they were new."""

    energy_wh: float
    charge_ah: float


@dataclass(frozen=True, slots=True)
class SiteNorth:
    """`newest` is the newest tick, None before the first; `soh_frac` that of the cell which binds."""

    site: Site
    requests: Requests
    newest: Callable[[], TickOutcome | None]
    soh_frac: Callable[[], float]
    nameplate: Nameplate

    @property
    def remote_power(self) -> RemotePower | None:
        """The application that takes power requests; None = the site takes none."""
        found = [each for each in self.site.applications if isinstance(each, RemotePower)]
        return found[0] if found else None

    @property
    def dc_power_w_max(self) -> float:
        """Beyond what the racks can ever carry: what a register has to hold."""
        limits = self.site.limits
        current_a = max(limits.rack_charge_current_a_max, limits.rack_discharge_current_a_max)
        return sum(rack.cells for rack in self.site.racks) * limits.cell_voltage_v_max * current_a
