"""The fast lane: between two ticks it moves the converter so that the grid keeps the power that dispatch holds.

One writer per set-point. A tick gives the lane an order; as long as that lasts, and only then, the lane writes, and the
converter's driver does everything but set-points. The tick that gives none has the set-point back at once: the driver
writes its own in that tick, and once more after a write of the lane that was still under way. An order ends by itself
after two ticks: nobody refreshes the set-point then, and the converter's reversion does the rest.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from math import nan

from bms.devices import Device, open_meter, open_set_points
from bms.estimate.site_power import BatteryPower
from bms.lane_law import LaneLaw, LaneOrder
from bms.lane_pace import LanePace
from bms.protect.levels import Condition
from bms.protect.safety_inputs import said
from bms.site import Site
from bms.site.fast_lane import FastLane as FastLaneSettings
from drivers.clock import NEVER_NS, now_ns
from drivers.readings import MeterReading, SentPower

START_S = 10.0
"""So long after the start its connections may take."""
PUT_KEPT = 64
"""Set-points of which it is remembered which reading they follow: more than come in while one is on its way."""


class FastLane:
    """Reads the grid meter and writes set-points on connections of its own. `battery` is shared with the tick: both
    tell it what was sent. `on_released` is called when a write ends for which there is no order any more."""

    def __init__(
        self, site: Site, settings: FastLaneSettings, battery: BatteryPower, on_released: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._battery = battery
        self._on_released = on_released
        meter = site.grid_meter.model_copy(update={"poll_period_s": settings.period_s})
        self._meter = open_meter(meter, self._on_reading)
        self._set_points = open_set_points(site.inverter, self._on_done)
        lead_s = site.inverter.response_time_s if settings.lead_s is None else settings.lead_s
        self._law = LaneLaw(lead_s, settings.period_s, battery)
        self.pace = LanePace(settings.period_s, settings.jitter_s_max, settings.age_s_max)
        self.power_w = nan
        self._order: LaneOrder | None = None
        self._put: deque[tuple[int, int]] = deque(maxlen=PUT_KEPT)
        self._read_ns = self._acknowledged_ns = self._rests_until_ns = NEVER_NS
        self._started_ns: int | None = None
        self._why_rests = ""

    @property
    def devices(self) -> tuple[Device, ...]:
        return self._meter, self._set_points

    async def run(self) -> None:
        """Until cancelled."""
        self._started_ns = now_ns()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._meter.run(), name="fast lane meter")
            tasks.create_task(self._set_points.run(), name="fast lane set-points")

    @property
    def has_set_point(self) -> bool:
        """It is the one who writes."""
        return self._order is not None

    def allow(self, order: LaneOrder | None) -> bool:
        """Once a tick: this order instead of the one before, None = stop at once. Whether the lane has the set-point
        now; it never takes it while it is not fit."""
        at_ns = now_ns()
        if order is not None and not self.has_set_point:
            self.power_w, self._acknowledged_ns = nan, at_ns
        if order is None or self._unfit(at_ns):
            self._order = None
            self._set_points.withdraw()
            return False
        self._order = order
        if self.power_w == self.power_w and order.within_w(self.power_w) != self.power_w:
            self._send(order.within_w(self.power_w), order)  # the next reading may be late, a limit may not
        return True

    def conditions(self, at_ns: int) -> list[Condition]:
        """What keeps the lane from working, as a fault's cause."""
        if self._started_ns is None or at_ns - self._started_ns < START_S * 1e9:
            return []
        why = self._unfit(at_ns)
        return [said("fast_lane_lost", why)] if why else []

    def _unfit(self, at_ns: int) -> str:
        """Why it cannot work now; empty = it can. Jitter or age beyond their bounds make it rest for a while."""
        if at_ns < self._rests_until_ns:
            return self._why_rests
        why = self._meter.fault or self._set_points.fault or self._silent(at_ns) or self.pace.beyond()
        if why and (self.has_set_point or self.pace.beyond()):
            self._why_rests, self._rests_until_ns = why, at_ns + round(self._settings.rest_s * 1e9)
            self.pace.forget()
        return why

    def _silent(self, at_ns: int) -> str:
        silence_ns = self._settings.silence_s_max * 1e9
        if at_ns - self._read_ns > silence_ns:
            return "no reading of the grid meter in time"
        if self.has_set_point and at_ns - self._acknowledged_ns > silence_ns:
            return "the converter did not acknowledge a set-point in time"
        return ""

    def _on_reading(self, reading: MeterReading) -> None:
        self._read_ns = reading.at_ns
        self.pace.read(reading.at_ns)
        self._law.see(reading)
        order = self._order
        if order is None or now_ns() >= order.expires_ns:
            return
        power_w = self._law.power_w(order)
        if power_w is not None:
            self._send(power_w, order)

    def _send(self, power_w: float, order: LaneOrder) -> None:
        self.power_w = power_w
        self._put.append((now_ns(), self._read_ns))
        self._set_points.put(power_w, order.expires_ns)

    def _on_done(self, sent: SentPower | None) -> None:
        if sent is not None:
            self._acknowledged_ns = now_ns()
            self._battery.note(sent)
            followed = [read_ns for put_ns, read_ns in self._put if put_ns <= sent.at_ns]
            self.pace.wrote(followed[-1] if followed else self._read_ns, self._acknowledged_ns)
        if self._order is None:
            self._on_released()
