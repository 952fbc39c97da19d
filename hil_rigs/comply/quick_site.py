"""A site without wires, for hours to months: the deployed dispatch over an aggregated battery. What devices and links
add (poll times, time-outs, faults) is not in it; where that matters the simulated wire is the bench."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

import numpy as np
from numpy.typing import NDArray

from bms.dispatch.dispatch import Dispatch, make_applications
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.view import NO_INPUTS, SiteView

Floats = NDArray[np.float64]
OfTime = Callable[[float], float]

NOON_S = 1_782_907_200.0
"""12:00 UTC on 1 July 2026."""


@dataclass(frozen=True, slots=True)
class QuickBattery:
    """An aggregated battery: AC powers (W, magnitudes), energy between empty and full, one-way efficiency, and the lag
    of its converter."""

    charge_power_w_max: float
    discharge_power_w_max: float
    energy_wh: float
    soc_frac: float = 0.5
    efficiency_frac: float = 0.96
    lag_s: float = 0.03


@dataclass(frozen=True, slots=True)
class QuickCurves:
    """Truth at the end of each step, all [n]. PV is what it gave after its cap; `pv_available_w` what it could."""

    time_s: Floats
    load_w: Floats
    pv_w: Floats
    pv_available_w: Floats
    battery_w: Floats
    grid_w: Floats
    soc_frac: Floats
    frequency_hz: Floats
    reactive_var: Floats
    losses_wh: float


@dataclass(frozen=True, slots=True)
class QuickSite:
    """A site for `run_quick`. Functions of time take seconds since the start; `period_s` is both the control tick and
    the step of the plant. The meters are read `meter_age_s` before the tick that uses them."""

    applications: Sequence[ApplicationSettings]
    battery: QuickBattery
    load_w: OfTime
    pv_w: OfTime | None = None
    frequency_hz: OfTime = lambda _: 50.0
    voltage_pu: OfTime = lambda _: 1.0
    inputs: Callable[[float], Mapping[str, float]] = lambda _: NO_INPUTS
    islanded: Callable[[float], bool] = lambda _: False
    period_s: float = 0.1
    meter_age_s: float = 0.05
    start_utc_s: float = NOON_S
    zone: tzinfo = UTC
    apparent_power_va_max: float = math.inf


def run_quick(site: QuickSite, duration_s: float) -> QuickCurves:
    """Step the site for `duration_s`. ValueError if that is not a whole number of periods, at least one."""
    steps = round(duration_s / site.period_s)
    if steps < 1 or not math.isclose(steps * site.period_s, duration_s, rel_tol=1e-9):
        raise ValueError(f"duration_s must be a whole number of periods of {site.period_s} s, got {duration_s}")
    return _Run(site).run(steps)


class _Run:
    def __init__(self, site: QuickSite) -> None:
        self._site = site
        self._dispatch = Dispatch(make_applications(site.applications))
        self._soc_frac = site.battery.soc_frac
        self._battery_w = 0.0
        self._losses_j = 0.0
        self._pv_cap_w: float | None = None
        self._reactive_var = 0.0

    def run(self, steps: int) -> QuickCurves:
        table = np.empty((9, steps))
        for number in range(steps):
            table[:, number] = self._step(number * self._site.period_s)
        time_s, load_w, pv_w, available_w, battery_w, grid_w, soc_frac, frequency_hz, reactive_var = table
        return QuickCurves(
            time_s=time_s,
            load_w=load_w,
            pv_w=pv_w,
            pv_available_w=available_w,
            battery_w=battery_w,
            grid_w=grid_w,
            soc_frac=soc_frac,
            frequency_hz=frequency_hz,
            reactive_var=reactive_var,
            losses_wh=self._losses_j / 3600.0,
        )

    def _step(self, now_s: float) -> tuple[float, ...]:
        site, dt_s = self._site, self._site.period_s
        wish = self._dispatch.step(self._view(now_s), "SoC", "SoC")
        for work in wish.work:
            work()
        self._pv_cap_w = wish.pv_power_w_max
        self._reactive_var = wish.reactive_var or 0.0
        before_w = self._battery_w
        left = math.exp(-dt_s / site.battery.lag_s)
        mean_w = wish.power_w + (before_w - wish.power_w) * (1.0 - left) * site.battery.lag_s / dt_s
        self._battery_w = self._within(wish.power_w + (before_w - wish.power_w) * left)
        self._move(self._within(mean_w), dt_s)
        end_s = now_s + dt_s
        load_w, available_w = site.load_w(end_s), self._available_w(end_s)
        pv_w = self._capped_w(available_w)
        return (
            end_s, load_w, pv_w, available_w, self._battery_w, load_w - pv_w - self._battery_w, self._soc_frac,
            site.frequency_hz(end_s), self._reactive_var,
        )  # fmt: skip

    def _view(self, now_s: float) -> SiteView:
        site, battery = self._site, self._site.battery
        read_s = max(now_s - site.meter_age_s, 0.0)
        load_w, pv_w = site.load_w(read_s), self._capped_w(self._available_w(read_s))
        charge_w, discharge_w = self._limits_w()
        return SiteView(
            dt_s=site.period_s,
            grid_power_w=load_w - pv_w - self._battery_w,
            load_power_w=load_w,
            battery_power_w=self._battery_w,
            soc_frac=self._soc_frac,
            charge_power_w_limit=charge_w,
            discharge_power_w_limit=discharge_w,
            pv_power_w=None if site.pv_w is None else pv_w,
            frequency_hz=site.frequency_hz(read_s),
            voltage_pu=site.voltage_pu(read_s),
            islanded=site.islanded(read_s),
            utc_s=site.start_utc_s + now_s,
            zone=site.zone,
            energy_capacity_wh=battery.energy_wh,
            apparent_power_va_max=site.apparent_power_va_max,
            inputs=site.inputs(now_s),
        )

    def _limits_w(self) -> tuple[float, float]:
        """What the next step can charge and discharge without going beyond full or empty."""
        battery, hours = self._site.battery, self._site.period_s / 3600.0
        room_wh = (1.0 - self._soc_frac) * battery.energy_wh
        held_wh = self._soc_frac * battery.energy_wh
        charge_w = min(battery.charge_power_w_max, room_wh / battery.efficiency_frac / hours)
        discharge_w = min(battery.discharge_power_w_max, held_wh * battery.efficiency_frac / hours)
        return max(charge_w, 0.0), max(discharge_w, 0.0)

    def _within(self, power_w: float) -> float:
        charge_w, discharge_w = self._limits_w()
        return min(max(power_w, -charge_w), discharge_w)

    def _move(self, power_w: float, dt_s: float) -> None:
        battery = self._site.battery
        stored_w = -power_w * battery.efficiency_frac if power_w < 0 else -power_w / battery.efficiency_frac
        self._soc_frac = min(max(self._soc_frac + stored_w * dt_s / 3600.0 / battery.energy_wh, 0.0), 1.0)
        self._losses_j += (-power_w - stored_w) * dt_s

    def _available_w(self, at_s: float) -> float:
        return 0.0 if self._site.pv_w is None else self._site.pv_w(at_s)

    def _capped_w(self, available_w: float) -> float:
        return available_w if self._pv_cap_w is None else min(available_w, max(self._pv_cap_w, 0.0))
