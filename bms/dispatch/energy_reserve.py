"""State of energy under a reserve: what has to stay in store for it, and how it is brought back inside its rules."""

from dataclasses import dataclass

from bms.dispatch.product import Recovery
from bms.dispatch.view import SiteView

TAPER_FRAC = 0.01
"""SoC over which a power falls to nothing at an edge: an edge would be a step. Nothing is counted on there."""
INTO_FRAC = 0.01
"""A recovery ends so far inside the band, or in its middle: at the edge it would begin again at once."""


@dataclass(frozen=True, slots=True)
class Contract:
    """Power that is sold in each direction (W, magnitudes), for how long it has to last, and inside which SoC. The
    efficiency is one way, between the cells and the meter."""

    charge_power_w: float
    discharge_power_w: float
    hold_s: float
    soc_frac_min: float
    soc_frac_max: float
    efficiency_frac: float

    @property
    def stored_wh(self) -> float:
        """What has to stay in the cells for it."""
        return self.discharge_power_w * self.hold_s / 3600.0 / self.efficiency_frac

    @property
    def room_wh(self) -> float:
        """What has to stay free in them."""
        return self.charge_power_w * self.hold_s / 3600.0 * self.efficiency_frac


@dataclass(frozen=True, slots=True)
class Band:
    """SoC inside which both directions last as long as they have to. Without room for both, the one point that lacks
    the same share of each."""

    low_frac: float
    high_frac: float


def band_of(contract: Contract, capacity_wh: float) -> Band:
    """The band of a battery of this capacity; unknown (0) asks for nothing in store."""
    low_frac, high_frac = contract.soc_frac_min + TAPER_FRAC, contract.soc_frac_max - TAPER_FRAC
    if capacity_wh <= 0.0:
        return Band(low_frac, high_frac)
    up_frac, down_frac = contract.stored_wh / capacity_wh, contract.room_wh / capacity_wh
    if up_frac + down_frac > high_frac - low_frac:
        point = low_frac + (high_frac - low_frac) * up_frac / (up_frac + down_frac)
        return Band(point, point)
    return Band(low_frac + up_frac, high_frac - down_frac)


class EnergyReserve:
    """Keeps the SoC in a contract's band: what others may do there, and a slow baseline that brings it back."""

    def __init__(self, contract: Contract, recovery: Recovery) -> None:
        self.contract = contract
        self._recovery = recovery
        self._baseline_w = 0.0
        self._towards = 0
        self._quiet_s = 0.0

    def reset(self) -> None:
        self._baseline_w, self._towards, self._quiet_s = 0.0, 0, 0.0

    def limited_w(self, response_w: float, soc_frac: float) -> float:
        """A response, less and less as the SoC nears the end beyond which the site does not go."""
        contract = self.contract
        left_frac = soc_frac - contract.soc_frac_min if response_w > 0.0 else contract.soc_frac_max - soc_frac
        return response_w * min(max(left_frac / TAPER_FRAC, 0.0), 1.0)

    def bounds_w(self, view: SiteView) -> tuple[float, float]:
        """Baseline powers that do not use up what has to stay in store."""
        band = band_of(self.contract, view.energy_capacity_wh)
        above, below = ((view.soc_frac - band.low_frac) / TAPER_FRAC, (band.high_frac - view.soc_frac) / TAPER_FRAC)
        low_w = -view.charge_power_w_limit * min(max(below, 0.0), 1.0)
        return low_w, view.discharge_power_w_limit * min(max(above, 0.0), 1.0)

    def baseline_w(self, view: SiteView, *, quiet: bool) -> float | None:
        """Its own wish for the baseline; None = none. It moves only after it has been `quiet` for a while; until then
        it stands still, or goes back to zero where the product withdraws it."""
        self._quiet_s = self._quiet_s + view.dt_s if quiet else 0.0
        self._towards = self._direction(view)
        if quiet and self._quiet_s >= self._recovery.wait_s:
            self._move(self._towards, view.dt_s)
        elif self._recovery.withdraws:
            self._move(0, view.dt_s)
        return self._baseline_w or None

    def _direction(self, view: SiteView) -> int:
        """1 = charge, -1 = discharge; it goes on a little into the band."""
        band, soc_frac = band_of(self.contract, view.energy_capacity_wh), view.soc_frac
        into_frac = min(INTO_FRAC, (band.high_frac - band.low_frac) / 2.0)
        if soc_frac < band.low_frac + (into_frac if self._towards > 0 else 0.0):
            return 1
        return -1 if soc_frac > band.high_frac - (into_frac if self._towards < 0 else 0.0) else 0

    def _move(self, towards: int, dt_s: float) -> None:
        contract_w = max(self.contract.charge_power_w, self.contract.discharge_power_w)
        wanted_w = -towards * self._recovery.power_frac * contract_w
        step_w = self._recovery.ramp_frac_per_min * contract_w * dt_s / 60.0
        self._baseline_w = min(max(wanted_w, self._baseline_w - step_w), self._baseline_w + step_w)
