"""Builds what applications see from what the tick knows: the one place that knows both."""

from collections.abc import Mapping
from math import inf
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bms.dispatch.view import NO_INPUTS, RackView, SiteView
from bms.estimate.site_power import SitePowers
from bms.estimate.smoothing_watch import NOT_MEASURED, Smoothed
from bms.image import Image
from bms.protect.limits import PowerLimits
from bms.site import Site
from bms.state.wall_time import WallClock
from drivers.readings import InverterRating


class StoredEnergy(NamedTuple):
    """What the connected racks hold between empty and full, and how full they are."""

    soc_frac: float
    capacity_wh: float


class SiteViews:
    """Makes one view a control tick. Without a `wall_clock` applications see no wall-clock time."""

    def __init__(self, site: Site, wall_clock: WallClock | None) -> None:
        self._limits, self._nominal_v = site.limits, site.grid_meter.voltage_v_nominal
        self._off_frac_max = site.grid_meter.voltage_off_frac_max
        self._response_s = site.inverter.response_time_s
        self._zone, self._wall_clock = ZoneInfo(site.time_zone), wall_clock

    def grid_is_well(self, image: Image) -> bool:
        """Its voltage is inside the window of the warning, or nobody says: in a sag the converter gives what it can,
        and what is reckoned as load is not the load."""
        meter, nominal_v = image.meter, self._nominal_v
        if meter is None or nominal_v is None or meter.voltage_v != meter.voltage_v:
            return True
        return abs(meter.voltage_v / nominal_v - 1.0) <= self._off_frac_max

    def view(
        self,
        image: Image,
        powers: SitePowers,
        limits: PowerLimits,
        stored: StoredEnergy,
        dt_s: float,
        *,
        islanded: bool,
        inputs: Mapping[str, float] = NO_INPUTS,
        lost: frozenset[str] = frozenset(),
        smoothed: Smoothed = NOT_MEASURED,
        racks: tuple[RackView, ...] = (),
    ) -> SiteView:
        rating, meter = image.rating, image.meter
        heard = meter is not None and image.at_ns - meter.at_ns <= self._limits.meter_age_s_max * 1e9
        frequency_hz = meter.frequency_hz if heard and meter is not None else None
        voltage_v = meter.voltage_v if heard and meter is not None else None
        return SiteView(
            dt_s=dt_s,
            grid_power_w=powers.grid_w,
            load_power_w=powers.load_w,
            battery_power_w=powers.battery_w,
            soc_frac=stored.soc_frac,
            charge_power_w_limit=limits.charge_power_w,
            discharge_power_w_limit=limits.discharge_power_w,
            pv_power_w=powers.pv_w,
            frequency_hz=_known(frequency_hz),
            voltage_pu=None if voltage_v is None or self._nominal_v is None else _known(voltage_v / self._nominal_v),
            islanded=islanded,
            utc_s=None if self._wall_clock is None else self._wall_clock(),
            zone=self._zone,
            energy_capacity_wh=stored.capacity_wh,
            apparent_power_va_max=_apparent_va(rating),
            inputs=inputs,
            lost=lost,
            rated_power_w=_rated_w(rating),
            smoothed=smoothed,
            racks=racks,
            load_age_s=0.0 if meter is None else (image.at_ns - meter.at_ns) / 1e9,
            effect_s=dt_s / 2.0 + self._response_s,
        )


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else value


def _rated_w(rating: InverterRating | None) -> float:
    if rating is None or not rating.known:
        return inf
    return max(rating.charge_power_w_max, rating.discharge_power_w_max)


def _apparent_va(rating: InverterRating | None) -> float:
    """As the nameplate says; a converter that does not say takes no more than its active power."""
    apparent_va = None if rating is None else _known(rating.apparent_power_va_max)
    return _rated_w(rating) if apparent_va is None else apparent_va
