"""How much power may flow now: the least of what voltage, temperature, SoC, SoH, model and faults allow, and why."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NamedTuple

from bms.estimate.held_current import HORIZON_S, NOT_KNOWN, HeldCurrents, HeldLimit
from bms.protect.protection import Protected
from bms.protect.steady import SteadyCurrent
from bms.site import Limits
from bms.summary import RackSummary
from drivers.battery import BatterySays
from drivers.readings import InverterRating

RISE_PER_S = 0.05
"""Limits fall at once and rise by at most this share of the converter's rating a second."""

SOC_TAPER_FRAC = 0.02
"""Width of the band below and above the SoC limits in which the current is tapered to zero."""

SOH_SPREAD_FRAC = 0.05
"""How far the weakest cell's capacity may lie below that of the cell file before its current shrinks with it: the
spread of new cells and the estimator's error."""

SHARE_REASONS = ("rack current", "cell voltage", "temperature", "SoC", "SoH", f"model {HORIZON_S:g} s")
"""What each share of a rack's current comes from, in the order of precedence."""


class RackState(NamedTuple):
    """What the limits need of one rack: its extremes, its lowest and highest cell SoC and series resistance.
    `soh_frac` is the weakest cell's capacity by that of the cell file; NaN where it is not known, as in `held`."""

    summary: RackSummary
    soc_frac_min: float
    soc_frac_max: float
    cell_resistance_ohm: float
    voltage_v: float
    online: bool
    number: int = 1
    soh_frac: float = math.nan
    held: HeldCurrents = NOT_KNOWN
    battery: BatterySays | None = None
    """Word of a battery with a management of its own, and `resistance_ohm` of the whole."""
    resistance_ohm: float = math.nan


class PowerLimits(NamedTuple):
    """Magnitudes at the AC terminals, and what binds each."""

    charge_power_w: float
    discharge_power_w: float
    charge_reason: str
    discharge_reason: str


NOTHING = PowerLimits(0.0, 0.0, "not connected", "not connected")


class PowerLimiter:
    """Limits of the whole battery; they fall in the same tick and rise slowly. `charge` and `discharge` are the racks'
    currents behind them."""

    def __init__(self, limits: Limits) -> None:
        self._curves = Curves(limits)
        self.charge = RackCurrents(charge_current, self._curves.charge_current_a_max)
        self.discharge = RackCurrents(discharge_current, self._curves.discharge_current_a_max)
        self._held = NOTHING

    def step(
        self, racks: list[RackState], protected: Protected, rating: InverterRating | None, dt_s: float
    ) -> PowerLimits:
        target = self._target([rack for rack in racks if rack.online], protected, rating, dt_s)
        rise_w = RISE_PER_S * dt_s * (rating.discharge_power_w_max if rating and rating.known else 0.0)
        charge_w, charge_reason = _rise(self._held.charge_power_w, rise_w, target.charge_power_w, target.charge_reason)
        discharge_w, discharge_reason = _rise(
            self._held.discharge_power_w, rise_w, target.discharge_power_w, target.discharge_reason
        )
        self._held = PowerLimits(charge_w, discharge_w, charge_reason, discharge_reason)
        return self._held

    def _target(
        self, online: list[RackState], protected: Protected, rating: InverterRating | None, dt_s: float
    ) -> PowerLimits:
        rated = online if rating is not None and rating.known else []
        charge = self.charge.step(rated, self._curves, dt_s)
        discharge = self.discharge.step(rated, self._curves, dt_s)
        if rating is None or charge is None or discharge is None:
            return NOTHING
        if protected.zero_power:
            return PowerLimits(0.0, 0.0, "fault", "fault")
        voltage_v = sum(rack.voltage_v for rack in online)
        charge_w, charge_reason = _power(charge, voltage_v, rating.charge_power_w_max, protected.blocks_charge)
        discharge_w, discharge_reason = _power(
            discharge, voltage_v, rating.discharge_power_w_max, protected.blocks_discharge
        )
        return PowerLimits(charge_w, discharge_w, charge_reason, discharge_reason)


class RackCurrents:
    """One direction's current limit: of every rack that is online a steady one, and the narrowest for all."""

    def __init__(self, allowed: Callable[[RackState, "Curves"], tuple[float, str]], current_a_max: float) -> None:
        self._allowed, self._current_a_max = allowed, current_a_max
        self._steady: dict[int, SteadyCurrent] = {}

    def step(self, online: Sequence[RackState], curves: "Curves", dt_s: float) -> SteadyCurrent | None:
        """None without racks. A rack that leaves takes the memory of its limit along: the others do not wait for it."""
        numbers = [rack.number for rack in online]
        if numbers != list(self._steady):
            self._steady = {number: self._steady.get(number) or SteadyCurrent() for number in numbers}
        for rack, steady in zip(online, self._steady.values(), strict=True):
            allowed_a, reason = self._allowed(rack, curves)
            steady.step(allowed_a, reason, self._current_a_max, dt_s)
        return min(self._steady.values(), key=_CURRENT_AND_REASON, default=None)

    def of_rack(self, number: int) -> float:
        """What this rack may carry by itself, A; 0 while it is not online."""
        return self._steady[number].current_a if number in self._steady else 0.0


_CURRENT_AND_REASON = attrgetter("current_a", "reason")


def charge_current(rack: RackState, curves: "Curves") -> tuple[float, str]:
    """Charge current in A (magnitude) that one rack may take, and why no more.

    The highest cell's voltage is compensated for its own resistance, so that a high current does not cut itself off
    in mid-SoC.
    """
    if rack.battery is not None:
        return _battery_charge_current(rack, rack.battery, curves)
    summary = rack.summary
    rest_v = summary.voltage_v_max + summary.current_a * rack.cell_resistance_ohm
    by_voltage, by_soc = curves.charge_voltage(rest_v), curves.charge_soc(rack.soc_frac_max)
    temperature = _by_temperature(summary, curves.charge_temperature)
    return _narrowest(rack, curves.charge_current_a_max, (by_voltage, summary.highest_cell), temperature, by_soc,
                      rack.held.charge)  # fmt: skip


def discharge_current(rack: RackState, curves: "Curves") -> tuple[float, str]:
    """Discharge current in A that one rack may give, and why no more."""
    if rack.battery is not None:
        return _battery_discharge_current(rack, rack.battery, curves)
    summary = rack.summary
    rest_v = summary.voltage_v_min + summary.current_a * rack.cell_resistance_ohm
    by_voltage, by_soc = curves.discharge_voltage(rest_v), curves.discharge_soc(rack.soc_frac_min)
    temperature = _by_temperature(summary, curves.discharge_temperature)
    return _narrowest(rack, curves.discharge_current_a_max, (by_voltage, summary.lowest_cell), temperature, by_soc,
                      rack.held.discharge)  # fmt: skip


def _battery_charge_current(rack: RackState, says: BatterySays, curves: "Curves") -> tuple[float, str]:
    """What a battery allows by itself, and what brings it to its charge voltage by its resistance."""
    rest_v = rack.voltage_v + rack.summary.current_a * rack.resistance_ohm
    by_voltage_a = (says.charge_voltage_v_max - rest_v) / rack.resistance_ohm
    allowed_a = 0.0 if says.charge_allowed is False else says.charge_current_a_max
    return _least(curves.charge_current_a_max, allowed_a, by_voltage_a, curves.charge_soc(rack.soc_frac_max))


def _battery_discharge_current(rack: RackState, says: BatterySays, curves: "Curves") -> tuple[float, str]:
    """Likewise, less what the converter loses; one that names no lowest voltage, or 0 V, guards it alone."""
    rest_v = rack.voltage_v + rack.summary.current_a * rack.resistance_ohm
    bottom_v = says.discharge_voltage_v_min
    by_voltage_a = (rest_v - bottom_v) / rack.resistance_ohm if bottom_v > 0.0 else math.inf
    allowed_a = 0.0 if says.discharge_allowed is False else (1.0 - LOSS_FRAC) * says.discharge_current_a_max
    return _least(curves.discharge_current_a_max, allowed_a, by_voltage_a, curves.discharge_soc(rack.soc_frac_min))


def _least(current_a_max: float, allowed_a: float, by_voltage_a: float, by_soc: float) -> tuple[float, str]:
    """The narrowest and its reason; what is not known allows nothing."""
    currents = (current_a_max, allowed_a, by_voltage_a, by_soc * current_a_max)
    if any(math.isnan(current_a) for current_a in currents):
        return 0.0, "battery says nothing"
    return min(zip((max(current_a, 0.0) for current_a in currents), BATTERY_REASONS, strict=True), key=lambda it: it[0])


LOSS_FRAC = 0.05
"""Power counts at the AC terminals: the converter's losses come out of the battery on top of it."""
BATTERY_REASONS = ("rack current", "battery's own limit", "battery's voltage", "SoC")
"""In the order of precedence."""


class Curve:
    """A share of the current over some quantity: linear between points, flat outside; absent input allows nothing."""

    __slots__ = ("_at", "_full_from", "_full_to", "_share")

    def __init__(self, *points: tuple[float, float]) -> None:
        self._at = [at for at, _ in points]
        self._share = [share for _, share in points]
        full = [at for at, share in points if share == 1.0] or [math.nan]
        self._full_from = -math.inf if self._share[0] == 1.0 else full[0]
        self._full_to = math.inf if self._share[-1] == 1.0 else full[-1]

    def __call__(self, x: float) -> float:
        if self._full_from <= x <= self._full_to:
            return 1.0
        at, share = self._at, self._share
        if math.isnan(x):
            return 0.0
        if x <= at[0]:
            return share[0]
        if x >= at[-1]:
            return share[-1]
        right = bisect_right(at, x)
        x0, y0 = at[right - 1], share[right - 1]
        return y0 + (x - x0) / (at[right] - x0) * (share[right] - y0)


class Curves:
    """The limits of a site as curves. Shapes: usual LFP manufacturers' tables, placed between the site's limits."""

    def __init__(self, limits: Limits) -> None:
        self.charge_current_a_max = limits.rack_current_a("charge", "operating")
        self.discharge_current_a_max = limits.rack_current_a("discharge", "operating")
        top_v, bottom_v = limits.cell_voltage_v_max_operating, limits.cell_voltage_v_min_operating
        self.charge_voltage = Curve(
            (top_v - 0.125, 1.0), (top_v - 0.10, 0.25), (top_v - 0.075, 0.05), (top_v - 0.05, 0.005), (top_v, 0.0)
        )
        self.discharge_voltage = Curve((bottom_v, 0.0), (bottom_v + 0.2, 1.0))
        low, high = limits.charge_temperature_degc_min_recommended, limits.charge_temperature_degc_max_recommended
        self.charge_temperature = Curve(
            (low, 0.0), (low + 2, 0.25), (low + 5, 0.5), (low + 10, 1.0),
            (high - 15, 1.0), (high - 10, 0.5), (high, 0.0),
        )  # fmt: skip
        low, high = limits.discharge_temperature_degc_min_recommended, limits.discharge_temperature_degc_max_recommended
        self.discharge_temperature = Curve((low, 0.0), (low + 10, 1.0), (high - 10, 1.0), (high, 0.0))
        soc_min, soc_max = limits.soc_frac_min, limits.soc_frac_max
        self.charge_soc = Curve((soc_max - SOC_TAPER_FRAC, 1.0), (soc_max, 0.0))
        self.discharge_soc = Curve((soc_min, 0.0), (soc_min + SOC_TAPER_FRAC, 1.0))


def _by_temperature(summary: RackSummary, curve: Curve) -> tuple[float, int]:
    """The coldest or the hottest cell's share, and which it is."""
    cold = curve(summary.temperature_degc_min), summary.coldest_cell
    hot = curve(summary.temperature_degc_max), summary.hottest_cell
    return min(cold, hot)


def _narrowest(
    rack: RackState,
    current_a_max: float,
    voltage: tuple[float, int],
    temperature: tuple[float, int],
    by_soc: float,
    held: HeldLimit,
) -> tuple[float, str]:
    """Shares with the cells that they are from; what is not known of SoH and model narrows nothing."""
    by_model = held.current_a / current_a_max if held.current_a >= 0.0 else 1.0
    by_soh = rack.soh_frac / (1.0 - SOH_SPREAD_FRAC) if rack.soh_frac >= 0.0 else 1.0
    shares = (1.0, voltage[0], temperature[0], by_soc, by_soh, by_model)
    share = min(shares)
    if share == 1.0:
        return current_a_max, SHARE_REASONS[0]
    index = shares.index(share)
    cell = (None, voltage[1], temperature[1], None, None, held.cell)[index]
    where = "" if cell is None else f", rack {rack.number} cell {cell + 1}"
    return share * current_a_max, SHARE_REASONS[index] + where


def _power(limit: SteadyCurrent, voltage_v: float, rating_w: float, blocked: bool) -> tuple[float, str]:
    if blocked:
        return 0.0, "fault"
    power_w = limit.current_a * voltage_v
    if math.isnan(power_w):
        return 0.0, "rack voltage unknown"
    return (power_w, limit.reason) if power_w < rating_w else (rating_w, "converter rating")


def _rise(held_w: float, rise_w: float, target_w: float, reason: str) -> tuple[float, str]:
    return (target_w, reason) if target_w <= held_w + rise_w else (held_w + rise_w, "recovering")
