"""The fast lane's law: from one reading of the grid meter to the battery's power. No input and output."""

from math import exp, isnan
from typing import NamedTuple

from bms.dispatch.dispatch import Holding
from bms.estimate.site_power import BatteryPower
from drivers.readings import MeterReading

SLOPE_PERIODS = 2.0
"""Time constant, in periods of the lane, with which the load's slope is filtered."""
GAP_PERIODS = 5.0
"""After a longer gap between two readings nothing is known of the slope."""


class LaneOrder(NamedTuple):
    """What the lane shall hold, inside which battery powers (W, discharge positive), until when."""

    holding: Holding
    power_w_min: float
    power_w_max: float
    expires_ns: int

    def within_w(self, power_w: float) -> float:
        return min(max(power_w, self.power_w_min), self.power_w_max)


class LaneLaw:
    """Set-point = what the site takes without the battery, led by its own slope over `lead_s`, - the held grid power.

    What the site takes is the meter's reading + the battery's power at that reading's time; the slope is taken between
    the times of readings, not between those of the loop, so that a late reading makes no wrong slope.
    """

    def __init__(self, lead_s: float, period_s: float, battery: BatteryPower) -> None:
        self._lead_s, self._period_s, self._battery = lead_s, period_s, battery
        self._last: tuple[int, float] | None = None
        self._slope_w_per_s = 0.0

    def see(self, reading: MeterReading) -> None:
        """Take every reading, also without an order: a slope needs two."""
        if isnan(reading.power_w) or self._battery.newest is None:
            self._last = None
            return
        net_w = reading.power_w + self._battery.at_w(reading.at_ns)
        if self._last is not None:
            self._follow(net_w, (reading.at_ns - self._last[0]) / 1e9, self._last[1])
        self._last = reading.at_ns, net_w

    def _follow(self, net_w: float, dt_s: float, last_w: float) -> None:
        if not 0.0 < dt_s <= GAP_PERIODS * self._period_s:
            self._slope_w_per_s = 0.0
            return
        share = 1.0 - exp(-dt_s / (SLOPE_PERIODS * self._period_s))
        self._slope_w_per_s += share * ((net_w - last_w) / dt_s - self._slope_w_per_s)

    def power_w(self, order: LaneOrder) -> float | None:
        """The battery's power by the newest reading; None while nothing is known."""
        if self._last is None:
            return None
        holding = order.holding
        ahead_w = self._last[1] + self._slope_w_per_s * self._lead_s
        wanted_w = holding.held.gain * (ahead_w - holding.held.grid_power_w)
        inside_w = min(max(wanted_w, holding.power_w_min), holding.power_w_max)
        return order.within_w(inside_w + holding.response_w)
