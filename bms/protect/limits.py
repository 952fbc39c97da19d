"""How much power may flow now: from cell voltage, temperature, SoC and faults, each with the word that binds."""

import math
from bisect import bisect_right
from dataclasses import dataclass

from bms.protect.protection import Protected
from bms.site import Limits
from bms.summary import RackSummary
from drivers.readings import InverterRating

RISE_PER_S = 0.05
"""Limits fall at once and rise by at most this share of the converter's rating a second."""

OPERATING_CURRENT_FRAC = 0.9
"""Currents are planned this far below the level that trips: converter losses (3 %), unequal racks, overshoot."""

SOC_TAPER_FRAC = 0.02
"""Width of the band below and above the SoC limits in which the current is tapered to zero."""


@dataclass(frozen=True, slots=True)
class RackState:
    """What the limits need of one rack: its extremes, its lowest and highest cell SoC and series resistance."""

    summary: RackSummary
    soc_frac_min: float
    soc_frac_max: float
    cell_resistance_ohm: float
    voltage_v: float
    online: bool


@dataclass(frozen=True, slots=True)
class PowerLimits:
    """Magnitudes at the AC terminals, and what binds each."""

    charge_power_w: float
    discharge_power_w: float
    charge_reason: str
    discharge_reason: str


NOTHING = PowerLimits(0.0, 0.0, "not connected", "not connected")


class PowerLimiter:
    """Limits of the whole battery; they fall in the same tick and rise slowly."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = NOTHING

    def step(
        self, racks: list[RackState], protected: Protected, rating: InverterRating | None, dt_s: float
    ) -> PowerLimits:
        target = self._target(racks, protected, rating)
        rise_w = RISE_PER_S * dt_s * (rating.discharge_power_w_max if rating and rating.known else 0.0)
        charge_w, charge_reason = _rise(self._held.charge_power_w, rise_w, target.charge_power_w, target.charge_reason)
        discharge_w, discharge_reason = _rise(
            self._held.discharge_power_w, rise_w, target.discharge_power_w, target.discharge_reason
        )
        self._held = PowerLimits(charge_w, discharge_w, charge_reason, discharge_reason)
        return self._held

    def _target(self, racks: list[RackState], protected: Protected, rating: InverterRating | None) -> PowerLimits:
        online = [rack for rack in racks if rack.online]
        if not online or rating is None or not rating.known:
            return NOTHING
        if protected.zero_power:
            return PowerLimits(0.0, 0.0, "fault", "fault")
        charge = min(charge_current(rack, self._limits) for rack in online)
        discharge = min(discharge_current(rack, self._limits) for rack in online)
        voltage_v = sum(rack.voltage_v for rack in online)
        charge_w, charge_reason = _power(charge, voltage_v, rating.charge_power_w_max, protected.blocks_charge)
        discharge_w, discharge_reason = _power(
            discharge, voltage_v, rating.discharge_power_w_max, protected.blocks_discharge
        )
        return PowerLimits(charge_w, discharge_w, charge_reason, discharge_reason)


def charge_current(rack: RackState, limits: Limits) -> tuple[float, str]:
    """Charge current in A (magnitude) that one rack may take, and why no more.

    The highest cell's voltage is compensated for its own resistance, so that a high current does not cut itself off
    in mid-SoC. Curves: usual LFP manufacturers' tables, scaled to the site's limits.
    """
    summary = rack.summary
    rest_v = summary.voltage_v_max + summary.current_a * rack.cell_resistance_ohm
    top_v = limits.cell_voltage_v_max_operating
    below_v = [top_v - 0.125, top_v - 0.10, top_v - 0.075, top_v - 0.05, top_v]
    by_voltage = _curve(rest_v, below_v, [1.0, 0.25, 0.05, 0.005, 0.0])
    low, high = limits.charge_temperature_degc_min, limits.charge_temperature_degc_max
    ramp_degc = [low, low + 2, low + 5, low + 10, high - 15, high - 10, high - 5, high]
    share = [0.0, 0.25, 0.5, 1.0, 1.0, 0.5, 0.25, 0.0]
    by_temperature = min(
        _curve(summary.temperature_degc_min, ramp_degc, share), _curve(summary.temperature_degc_max, ramp_degc, share)
    )
    by_soc = _curve(rack.soc_frac_max, [limits.soc_frac_max - SOC_TAPER_FRAC, limits.soc_frac_max], [1.0, 0.0])
    current_a_max = OPERATING_CURRENT_FRAC * limits.rack_charge_current_a_max
    return _narrowest(current_a_max, by_voltage, by_temperature, by_soc)


def discharge_current(rack: RackState, limits: Limits) -> tuple[float, str]:
    """Discharge current in A that one rack may give, and why no more."""
    summary = rack.summary
    rest_v = summary.voltage_v_min + summary.current_a * rack.cell_resistance_ohm
    bottom_v = limits.cell_voltage_v_min_operating
    by_voltage = _curve(rest_v, [bottom_v, bottom_v + 0.05, bottom_v + 0.2], [0.0, 0.25, 1.0])
    low, high = limits.discharge_temperature_degc_min, limits.discharge_temperature_degc_max
    by_temperature = min(
        _curve(summary.temperature_degc_min, [low, low + 10], [0.0, 1.0]),
        _curve(summary.temperature_degc_max, [high - 10, high - 5, high], [1.0, 0.5, 0.0]),
    )
    by_soc = _curve(rack.soc_frac_min, [limits.soc_frac_min, limits.soc_frac_min + SOC_TAPER_FRAC], [0.0, 1.0])
    current_a_max = OPERATING_CURRENT_FRAC * limits.rack_discharge_current_a_max
    return _narrowest(current_a_max, by_voltage, by_temperature, by_soc)


def _curve(x: float, points: list[float], share: list[float]) -> float:
    """Linear between points, flat outside; absent input allows nothing."""
    if math.isnan(x):
        return 0.0
    if x <= points[0]:
        return share[0]
    if x >= points[-1]:
        return share[-1]
    right = bisect_right(points, x)
    x0, y0 = points[right - 1], share[right - 1]
    return y0 + (x - x0) / (points[right] - x0) * (share[right] - y0)


def _narrowest(current_a_max: float, by_voltage: float, by_temperature: float, by_soc: float) -> tuple[float, str]:
    share, reason = min((1.0, "rack current"), (by_voltage, "cell voltage"), (by_temperature, "temperature"),
                        (by_soc, "SoC"), key=lambda pair: pair[0])  # fmt: skip
    return share * current_a_max, reason


def _power(current: tuple[float, str], voltage_v: float, rating_w: float, blocked: bool) -> tuple[float, str]:
    if blocked:
        return 0.0, "fault"
    power_w = current[0] * voltage_v
    if math.isnan(power_w):
        return 0.0, "rack voltage unknown"
    return (power_w, current[1]) if power_w < rating_w else (rating_w, "converter rating")


def _rise(held_w: float, rise_w: float, target_w: float, reason: str) -> tuple[float, str]:
    return (target_w, reason) if target_w <= held_w + rise_w else (held_w + rise_w, "recovering")
