"""Zinc racks on one DC link without wires, for weeks: the deployed dispatch over racks that carry, strip and refill.

Truth is reckoned as on the rigs (cell tables, losses, plating, shunts, precharge resistors; cells of a rack alike, the
resistances at their steady value). What the rack machines and the limits add beside that is taken over in short: a rack
opens below its break current, enters inside the site's join window, and the narrowest rack's current binds all.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bms.dispatch.applications.strip import Strip
from bms.dispatch.dispatch import Dispatch, Wish, make_applications
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.view import RackView, SiteView
from hil_rigs.comply.site_loads import MONDAY_S
from hil_rigs.plant.plating import Plating
from hil_rigs.plant.rack import ChargeLoss
from hil_rigs.rig import RigFile
from kernels.parameters import load_cell

Floats = NDArray[np.float64]

EFFICIENCY_FRAC = 0.97
"""Of the converter, one way."""
TAPER_FRAC = 0.02
SIGNAL = "signal"


@dataclass(frozen=True, slots=True)
class RackCurves:
    """Truth at the end of each step: [n], by rack [n, racks]. `failed_w`: what was decided and did not flow, and
    reserve or bounds of an application that were not there (a call that the reserve covers is never cut)."""

    time_s: Floats
    power_w: Floats
    failed_w: Floats
    rack_current_a: Floats
    soc_frac: Floats
    out: NDArray[np.bool_]
    plating_frac: Floats
    strips: tuple[tuple[float, int, float], ...]
    """(time s, rack, largest time in h since it was stripped before, or since the start)."""
    opened_a: float
    overdue: tuple[str, ...] = ()


@dataclass
class _Rack:
    soc_frac: float
    plating: Plating
    state: str = "online"
    rested_s: float = 0.0
    stripped: bool = False
    current_a: float = 0.0


@dataclass
class RackBench:
    """`racks` of the rig's under its own site settings with these applications. `signal(time_s)` is the input of that
    name; control ticks and the plant's steps are `period_s`."""

    rig: RigFile
    racks: int
    applications: Sequence[ApplicationSettings]
    signal: Callable[[float], float]
    period_s: float = 30.0
    _now_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        plant, self._cell = self.rig.plant, load_cell(self.rig.plant.cell)
        self._cells = plant.cells_per_rack
        self._ohm = self._cells * (self._cell.resistance_ohm + self._cell.rc_resistance_ohm)
        self._grid_frac = np.linspace(0.0, 1.0, len(self._cell.ocv_v))
        self._energy_wh = self._cells * self._cell.energy_wh
        self._loss = ChargeLoss(
            plant.coulombic_efficiency_frac, plant.self_discharge_frac_per_h * self._cell.capacity_ah
        )
        self._all = [
            _Rack(plant.soc_frac, Plating(plant.plating_frac_per_charge, self._cell.capacity_ah))
            for _ in range(self.racks)
        ]
        self._dispatch = Dispatch(make_applications(self.applications))
        self._strip = next(each for each in self.applications if isinstance(each, Strip))
        self._asked: frozenset[str] = frozenset()
        self._link_v = self._volts(plant.soc_frac)
        self._opened_a = 0.0

    def run(self, duration_s: float) -> RackCurves:
        """Step for `duration_s`."""
        steps, overdue, strips = round(duration_s / self.period_s), [], []
        power, failed = np.empty(steps), np.empty(steps)
        current, soc, plating = (np.empty((steps, self.racks)) for _ in range(3))
        out, last_s = np.empty((steps, self.racks), bool), [0.0] * self.racks
        for step in range(steps):
            wish = self._control()
            power[step] = self._flow(wish.power_w)
            misses_w = sum(unmet.by_w for unmet in wish.unmet)
            failed[step] = misses_w + abs(power[step] - wish.power_w)
            self._now_s += self.period_s
            for number, rack in enumerate(self._all):
                if rack.stripped:
                    strips.append((self._now_s, number, (self._now_s - last_s[number]) / 3600.0))
                    last_s[number] = self._now_s
                current[step, number], soc[step, number] = rack.current_a, rack.soc_frac
                plating[step, number], out[step, number] = rack.plating.irregularity_frac, rack.state != "online"
            overdue += [wish.strip.overdue] if wish.strip is not None and wish.strip.overdue else []
        time_s = np.arange(1, steps + 1, dtype=np.float64) * self.period_s
        said = tuple(dict.fromkeys(overdue))
        return RackCurves(time_s, power, failed, current, soc, out, plating, tuple(strips), self._opened_a, said)

    def _control(self) -> Wish:
        """One control tick, and what becomes of the racks by it."""
        wish = self._dispatch.step(self._view(), "racks", "racks")
        self._asked = wish.strip.racks if wish.strip is not None else self._asked
        for number, rack in enumerate(self._all):
            rack.stripped = False
            self._move(rack, f"rack-{number + 1}" in self._asked)
        return wish

    def _move(self, rack: _Rack, asked: bool) -> None:
        if rack.state == "online" and asked and abs(rack.current_a) < self.rig.plant.contactor_break_current_a:
            self._opened_a = max(self._opened_a, abs(rack.current_a))
            rack.state, rack.rested_s = "strip", 0.0
        elif rack.state == "strip" and not asked:
            rack.state = "refill"
        elif rack.state == "strip":
            empty = self._ocv_v(rack.soc_frac) < self._strip.cell_voltage_v_empty
            rack.rested_s = rack.rested_s + self.period_s if empty else 0.0
            rack.stripped = rack.rested_s >= self._strip.rest_min * 60.0
        elif rack.state == "refill" and self._fits(rack):
            rack.state = "online"

    def _fits(self, rack: _Rack) -> bool:
        precharge, online = self.rig.site.precharge, [each for each in self._all if each.state == "online"]
        unloaded_v = sum(self._volts(each.soc_frac) for each in online) / len(online)
        own_v = self._volts(rack.soc_frac)
        apart_v = max(abs(own_v - self._link_v), abs(own_v - unloaded_v))
        current_a = apart_v / (self._ohm + self._ohm / len(online))
        return apart_v < precharge.join_window_v and current_a < precharge.circulating_current_a_max

    def _view(self) -> SiteView:
        racks = tuple(self._rack_view(number, rack) for number, rack in enumerate(self._all))
        online = [rack for rack in racks if rack.online]
        volts, rated_w = sum(rack.voltage_v for rack in online), self.rig.plant.inverter_power_w
        return SiteView(
            dt_s=self.period_s,
            grid_power_w=None,
            load_power_w=None,
            battery_power_w=None,
            soc_frac=sum(rack.soc_frac for rack in online) / len(online),
            charge_power_w_limit=min(min(rack.charge_current_a for rack in online) * volts, rated_w),
            discharge_power_w_limit=min(min(rack.discharge_current_a for rack in online) * volts, rated_w),
            utc_s=MONDAY_S + self._now_s,
            energy_capacity_wh=sum(rack.energy_wh for rack in online),
            rated_power_w=rated_w,
            apparent_power_va_max=rated_w,
            inputs={SIGNAL: self.signal(self._now_s)},
            racks=racks,
        )

    def _rack_view(self, number: int, rack: _Rack) -> RackView:
        limits, online = self.rig.site.limits, rack.state == "online"
        volts = self._ocv_v(rack.soc_frac)
        low = min(rack.soc_frac / TAPER_FRAC, max(volts - limits.cell_voltage_v_min_operating, 0.0) / 0.2, 1.0)
        high = min((1.0 - rack.soc_frac) / TAPER_FRAC, 1.0)
        return RackView(
            name=f"rack-{number + 1}",
            state=rack.state,
            online=online and f"rack-{number + 1}" not in self._asked,
            soc_frac=rack.soc_frac,
            energy_wh=self._energy_wh,
            voltage_v=self._cells * volts,
            charge_current_a=high * limits.rack_current_a("charge", "operating") if online else 0.0,
            discharge_current_a=low * limits.rack_current_a("discharge", "operating") if online else 0.0,
            stripped=rack.stripped,
        )

    def _flow(self, power_w: float) -> float:
        """What flows at the terminals over one step; every rack's charge moves by it."""
        dc_w = power_w / EFFICIENCY_FRAC if power_w > 0.0 else power_w * EFFICIENCY_FRAC
        paths = [(rack, self._path_s(rack), self._volts(rack.soc_frac)) for rack in self._all]
        total_s = sum(path_s for _, path_s, _ in paths)
        short_a = sum(path_s * volts for _, path_s, volts in paths)
        root = short_a**2 - 4.0 * total_s * dc_w
        self._link_v = (short_a + math.sqrt(max(root, 0.0))) / (2.0 * total_s)
        for rack, path_s, volts in paths:
            rack.current_a = path_s * (volts - self._link_v)
            self._discharge(rack)
        return power_w if root >= 0.0 else 0.0

    def _path_s(self, rack: _Rack) -> float:
        if rack.state == "online":
            return 1.0 / self._ohm
        return 1.0 / (self._ohm + self.rig.plant.precharge_ohm) if rack.state == "refill" else 0.0

    def _discharge(self, rack: _Rack) -> None:
        inside_a = rack.current_a + self._loss.current_a(rack.current_a) * (1.0 + rack.plating.irregularity_frac)
        if rack.state == "strip":
            inside_a += self._ocv_v(rack.soc_frac) / (self.rig.plant.bleed_ohm + self._cell.resistance_ohm)
        moved = inside_a * self.period_s / 3600.0 / self._cell.capacity_ah
        rack.soc_frac = min(max(rack.soc_frac - moved, 0.0), 1.0)
        rack.plating.step(rack.current_a, np.array([rack.soc_frac]), self.period_s)

    def _ocv_v(self, soc_frac: float) -> float:
        return float(np.interp(soc_frac, self._grid_frac, self._cell.ocv_v))

    def _volts(self, soc_frac: float) -> float:
        return self._cells * self._ocv_v(soc_frac)
