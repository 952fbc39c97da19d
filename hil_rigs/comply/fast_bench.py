"""A site without wires in steps of 1 ms, for loops that are faster than the simulated wire's plant is usually seen.

The deployed dispatch, site power and fast lane's law run on an aggregated battery, with the times of the wire as
numbers: how old a reading is and how late a set-point arrives. What links and devices add (jitter, faults, lost
answers) is judged on the simulated wire.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from math import exp

import numpy as np
from numpy.typing import NDArray

from bms.dispatch.applications.grid_smoothing import GridSmoothing
from bms.dispatch.dispatch import NO_WISH, Dispatch, make_applications
from bms.dispatch.view import SiteView
from bms.estimate.site_power import SitePower
from bms.estimate.smoothing_watch import SmoothingWatch
from bms.image import Image
from bms.lane_law import LaneLaw, LaneOrder
from drivers.readings import InverterReading, InverterState, MeterReading, SentPower
from hil_rigs.plant.smoothing_loop import SmoothingLoop

Floats = NDArray[np.float64]
NAN = float("nan")

STEP_NS = 1_000_000
TICK_NS = 20_000_000
READ_NS, WRITE_NS = 2_000_000, 2_000_000
"""From the moment of a reading to its use, and from a set-point to its effect: a round trip and a device's own time."""


class Smoother(StrEnum):
    """Who smooths."""

    TICKS = "ticks"
    LANE = "fast lane"
    CONVERTER = "converter's loop"


@dataclass(frozen=True, slots=True)
class FastSite:
    """`load_w[n]` at every step of 1 ms. The battery is symmetric; `lag_s` is its converter's, which the controller
    knows as `response_time_s`."""

    load_w: Floats
    settings: GridSmoothing
    smoother: Smoother
    power_w_max: float
    energy_wh: float
    lag_s: float = 0.03
    control_period_s: float = 0.1
    meter_period_s: float = 0.05
    lane_period_s: float = 0.01
    soc_frac: float = 0.55
    efficiency_frac: float = 0.96


@dataclass(frozen=True, slots=True)
class FastCurves:
    """Truth at every step of 1 ms, all [n]. `battery_w` discharge positive."""

    time_s: Floats
    load_w: Floats
    grid_w: Floats
    battery_w: Floats
    soc_frac: float
    """At the end."""


def run_fast(site: FastSite) -> FastCurves:
    run = _Run(site)
    battery_w = np.array([run.step(load_w) for load_w in site.load_w.tolist()], np.float64)
    time_s = np.arange(1, len(battery_w) + 1, dtype=np.float64) * (STEP_NS / 1e9)
    return FastCurves(time_s, site.load_w, site.load_w - battery_w, battery_w, run.soc_frac)


def _delay_s(site: FastSite) -> float:
    """As bms/smoothing_way.py counts it."""
    if site.smoother is Smoother.LANE:
        return site.lane_period_s / 2.0 + (READ_NS + WRITE_NS) / 1e9
    if site.smoother is Smoother.CONVERTER:
        return site.lag_s
    return (site.control_period_s + site.meter_period_s) / 2.0 + site.lag_s


class _Run:
    def __init__(self, site: FastSite) -> None:
        self._site = site
        self.soc_frac = site.soc_frac
        self._dispatch = Dispatch(make_applications([site.settings]))
        self._power = SitePower(0.5, 1.0, site.lag_s)
        self._power.battery.follows = site.smoother is not Smoother.CONVERTER
        self._law = LaneLaw(site.lag_s, site.lane_period_s, self._power.battery)
        self._watch, self._delay_s = SmoothingWatch(), _delay_s(site)
        self._loop = SmoothingLoop()
        self._loop.charge_power_w_max = self._loop.discharge_power_w_max = site.power_w_max
        self._wish = NO_WISH
        self._at_ns = 0
        self._grid_w = self._battery_w = self._set_point_w = 0.0
        self._meter: MeterReading | None = None
        self._inverter: InverterReading | None = None
        self._sent: SentPower | None = None
        self._readings: deque[tuple[int, MeterReading | InverterReading]] = deque()
        self._lane_readings: deque[tuple[int, MeterReading]] = deque()
        self._on_the_way: deque[tuple[int, float]] = deque()
        self._follow = 1.0 - exp(-STEP_NS / 1e9 / site.lag_s)
        self._control_ns, self._meter_ns, self._lane_ns = (
            round(period_s * 1e9) for period_s in (site.control_period_s, site.meter_period_s, site.lane_period_s)
        )

    def step(self, load_w: float) -> float:
        """The battery's power at the end of this step."""
        self._move_battery(load_w)
        self._at_ns += STEP_NS
        self._grid_w = load_w - self._battery_w
        self._read()
        if self._site.smoother is Smoother.LANE:
            self._run_lane()
        if self._at_ns % TICK_NS == 0:
            self._tick()
        return self._battery_w

    def _move_battery(self, load_w: float) -> None:
        while self._on_the_way and self._on_the_way[0][0] <= self._at_ns:
            self._set_point_w = self._on_the_way.popleft()[1]
        wanted_w, most_w = self._set_point_w, self._site.power_w_max
        wanted_w = self._loop.wanted_w(wanted_w, self._grid_w, self._battery_w, STEP_NS / 1e9)
        self._battery_w += self._follow * (min(max(wanted_w, -most_w), most_w) - self._battery_w)
        efficiency = self._site.efficiency_frac
        stored_w = -self._battery_w * (efficiency if self._battery_w < 0 else 1.0 / efficiency)
        self.soc_frac += stored_w * (STEP_NS / 3.6e12) / self._site.energy_wh

    def _read(self) -> None:
        at_ns = self._at_ns
        if at_ns % self._meter_ns == 0:
            self._readings.append((at_ns + READ_NS, MeterReading(at_ns, self._grid_w, 60.0)))
        if at_ns % 100_000_000 == 0:
            running, power_w = InverterState.RUNNING, self._battery_w
            reading = InverterReading(at_ns, running, power_w, NAN, NAN, NAN, 60.0, True, True, 0)
            self._readings.append((at_ns + READ_NS, reading))
        while self._readings and self._readings[0][0] <= at_ns:
            reading_now = self._readings.popleft()[1]
            if isinstance(reading_now, MeterReading):
                self._meter = reading_now
            else:
                self._inverter = reading_now

    def _run_lane(self) -> None:
        at_ns = self._at_ns
        if at_ns % self._lane_ns == 0:
            self._lane_readings.append((at_ns + READ_NS, MeterReading(at_ns, self._grid_w, 60.0)))
        if not self._lane_readings or self._lane_readings[0][0] > at_ns:
            return
        self._law.see(self._lane_readings.popleft()[1])
        holding, most_w = self._wish.holding, self._site.power_w_max
        power_w = None if holding is None else self._law.power_w(LaneOrder(holding, -most_w, most_w, at_ns))
        if power_w is not None:
            self._send(power_w)
            self._power.battery.note(SentPower(at_ns, power_w))

    def _tick(self) -> None:
        image = Image(self._at_ns, (), self._inverter, None, self._meter, self._sent)
        powers = self._power.see(image)
        if self._meter is not None:
            self._watch.see(self._meter.at_ns, powers.load_w, powers.grid_w, self._delay_s)
        if self._at_ns % self._control_ns or powers.load_w is None:
            return
        view = SiteView(
            dt_s=self._site.control_period_s,
            grid_power_w=powers.grid_w,
            load_power_w=powers.load_w,
            battery_power_w=powers.battery_w,
            soc_frac=self.soc_frac,
            charge_power_w_limit=self._site.power_w_max,
            discharge_power_w_limit=self._site.power_w_max,
            energy_capacity_wh=self._site.energy_wh,
            smoothed=self._watch.smoothed,
            load_age_s=0.0 if self._meter is None else (self._at_ns - self._meter.at_ns) / 1e9,
            effect_s=self._site.control_period_s / 2.0 + self._site.lag_s,
        )
        self._wish = self._dispatch.step(view, "power", "power")
        self._act()

    def _act(self) -> None:
        holding = self._wish.holding
        if self._site.smoother is Smoother.CONVERTER and holding is not None:
            loop, held = self._loop, holding.held
            loop.enabled, loop.gain = held.gain > 0.0, held.gain
            loop.filter_time_s, loop.ramp_w_per_s = held.filter_time_s, held.ramp_w_per_s
            self._send(held.base_w)
        elif self._site.smoother is Smoother.TICKS or holding is None:
            self._send(self._wish.power_w)
            self._sent = SentPower(self._at_ns, self._wish.power_w)

    def _send(self, power_w: float) -> None:
        self._on_the_way.append((self._at_ns + WRITE_NS, power_w))
