"""Who writes the converter's set-point: the tick, the fast lane, or the loop inside the converter; and what becomes of
the smoothing by that, as measured."""

from collections.abc import Callable
from dataclasses import replace
from math import nan

from bms.converter_loop import ConverterLoop
from bms.decision import Decision
from bms.devices import Device, Inverter, open_own_function
from bms.dispatch.dispatch import Wish
from bms.estimate.site_power import BatteryPower, SitePowers
from bms.estimate.smoothing_watch import Smoothed, SmoothingWatch
from bms.fast_lane import FastLane
from bms.image import Image
from bms.lane_law import LaneOrder
from bms.protect.levels import Condition
from bms.protect.safety_inputs import said
from bms.site import Site
from bms.smoothing_way import SmoothingNow, Way, lane_delay_s, tick_delay_s

FUNCTION_START_NS = 10_000_000_000
LANE_TICKS = 2
"""An order to the fast lane outlives one missed tick."""


class SetPointWriters:
    """One writer at a time. `battery` is told who that is; `repeat` has the converter's driver write the tick's
    set-point once more, because one of the lane's may have overtaken it."""

    def __init__(self, site: Site, inverter: Inverter, battery: BatteryPower, repeat: Callable[[], None]) -> None:
        self._site, self._inverter, self._battery = site, inverter, battery
        lane, loop = site.fast_lane, site.converter_loop
        self._lane = None if lane is None else FastLane(site, lane, battery, repeat)
        self._loop = None if loop is None else ConverterLoop(site, loop)
        self._function = open_own_function(site.inverter)
        self._running_since_ns: int | None = None
        self._watch, self._tick_delay_s = SmoothingWatch(), tick_delay_s(site)

    @property
    def links(self) -> list[Device]:
        """Devices of their own, each with the health of its link."""
        of_lane = () if self._lane is None else self._lane.devices
        beside = None if self._loop is None else self._loop.device, self._function
        return [*of_lane, *(device for device in beside if device is not None)]

    @property
    def runners(self) -> list[Device | FastLane]:
        """What runs beside the ticks."""
        maybe = self._lane, None if self._loop is None else self._loop.device, self._function
        return [runner for runner in maybe if runner is not None]

    @property
    def others(self) -> bool:
        """Somebody beside the tick may write."""
        return self._lane is not None or self._loop is not None

    @property
    def smoothed(self) -> Smoothed:
        return self._watch.smoothed

    def conditions(self, at_ns: int) -> list[Condition]:
        found = [] if self._lane is None else self._lane.conditions(at_ns)
        found += self._of_function(at_ns)
        return found if self._loop is None else found + self._loop.conditions(at_ns)

    def as_followed(self, image: Image, decided: Decision | None) -> Image:
        """The image with the set-point that the converter's measured power follows."""
        if decided is not None and decided.by_loop:
            return replace(image, commanded_power_w=None)  # its own loop moves it off its set-point
        if decided is None or not decided.by_lane or image.inverter is None:
            return image
        # The lane's set-points move faster than the converter is read: what counts is the one that it followed then.
        followed_ns = image.inverter.at_ns - round(self._site.inverter.response_time_s * 1e9)
        told_w = self._battery.told_w(followed_ns)
        return image if told_w is None else replace(image, commanded_power_w=told_w)

    def watch(self, image: Image, powers: SitePowers, wish: Wish, *, grid_is_well: bool) -> None:
        """Measures what smoothing makes of the load, in the grid's power where nobody else uses the battery."""
        if image.meter is None:
            return
        delay_s = self._tick_delay_s
        if self._lane is not None and self._lane.has_set_point:
            delay_s = lane_delay_s(self._site)
        elif self._loop is not None and self._loop.works:
            delay_s = self._site.inverter.response_time_s
        alone = wish.holding is None or wish.holding.response_w == 0.0
        load_w, grid_w = powers.load_w if grid_is_well else None, powers.grid_w if alone else None
        self._watch.see(image.meter.at_ns, load_w, grid_w, delay_s)

    def order(
        self, wish: Wish, decision: Decision, limits_w: tuple[float, float], guard_w: tuple[float, float], at_ns: int
    ) -> LaneOrder | None:
        """What others may do until the tick after next, within the windows (lowest, highest) of limits and guard. None
        where the tick keeps the set-point: no power flows, nobody holds the grid, or the guard stepped in."""
        low_w, high_w = max(limits_w[0], guard_w[0]), min(limits_w[1], guard_w[1])
        nothing_flows = not decision.run or decision.hold
        if wish.holding is None or nothing_flows or decision.clipped_by == "guard" or low_w >= high_w:
            return None
        expires_ns = at_ns + round(LANE_TICKS * self._site.controller.protect_period_s * 1e9)
        return LaneOrder(wish.holding, low_w, high_w, expires_ns)

    def hand_over(self, decision: Decision, order: LaneOrder | None, at_ns: int) -> Decision:
        """The decision, marked with who writes its power if that is not the tick."""
        if self._lane is not None:
            decision = self._to_lane(self._lane, decision, order)
        if self._loop is not None:
            decision = self._to_loop(self._loop, decision, order, at_ns)
        return decision

    def says(self, decision: Decision, wish: Wish) -> SmoothingNow:
        """Which way is true now."""
        way = Way.NONE if wish.holding is None else Way.TICKS
        if wish.refused and way is Way.NONE:
            way = Way.REFUSED
        pace = None if self._lane is None else self._lane.pace
        if self._loop is not None and self._loop.works:
            way = Way.CONVERTER
        return SmoothingNow(
            way=Way.LANE if decision.by_lane else way,
            lane_age_s=nan if pace is None else pace.age_s,
            lane_jitter_s=nan if pace is None else pace.jitter_s,
            measured=self._watch.smoothed,
        )

    def _of_function(self, at_ns: int) -> list[Condition]:
        """Why the converter does not follow its own curve, once there was time to tell it."""
        self._running_since_ns = at_ns if self._running_since_ns is None else self._running_since_ns
        why = None if self._function is None else self._function.fault
        told = at_ns - self._running_since_ns > FUNCTION_START_NS
        return [said("inverter_function_refused", why)] if why is not None and told else []

    def _to_lane(self, lane: FastLane, decision: Decision, order: LaneOrder | None) -> Decision:
        if not lane.has_set_point and not self._inverter.set_point_free:
            order = None
        if not lane.allow(order):
            return decision
        power_w = lane.power_w if lane.power_w == lane.power_w else decision.power_w
        return decision._replace(power_w=power_w, by_lane=True)

    def _to_loop(self, loop: ConverterLoop, decision: Decision, order: LaneOrder | None, at_ns: int) -> Decision:
        """What the converter's own loop must not do itself, as long as it is on or may be."""
        by_loop = loop.step(order, at_ns)
        self._battery.follows = not by_loop
        if order is None or not by_loop:
            return decision
        holding = order.holding
        return decision._replace(power_w=order.within_w(holding.held.base_w + holding.response_w), by_loop=True)
