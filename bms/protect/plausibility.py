"""What readings say about each other: frozen, impossible or contradictory ones, and heat that comes too fast."""

import math
from collections.abc import Collection, Iterator

import numpy as np

from bms.image import Image
from bms.protect.levels import Condition, cell
from bms.protect.thermal import HeatWatch
from bms.site import Limits
from bms.summary import RackSummary, mean_of, median_of
from drivers.readings import Floats, RackReading
from kernels.plausible import Frozen, shared_wire

LOOK_S = 0.1
"""These causes are looked for this often: they last, and looking at every cell costs."""

FROZEN_MOVED_V, FROZEN_FORGET_FRAC = 0.03, 0.005
"""A value is frozen that stays the same to the last bit while the string's median cell moves by so much within some
20 s: movement is forgotten by this share a look. Over hours a current may rightly be the same."""

LAG_LOOKS = 5
"""What moves beside a value may come this many looks later."""

FROZEN_MOVED_FRAC = 0.05
"""The same for a rack's current, while the converter's DC current moves by this share of the racks' maximum."""

OPEN_WIRE_OFF_V, OPEN_WIRE_SUM_V = 0.4, 0.1
"""An open sense wire shares two cells' voltage wrongly: one is so far above the mean, its neighbour as far below,
and their sum is right."""

SUM_FRAC = 0.02
"""The cells' sum and the rack's own voltage agree within this share: both are measured to 0.5 % or better."""

OPEN_CURRENT_FRAC = 0.02
"""Share of a rack's maximum current that cannot flow through an open contactor."""

CURRENTS_FRAC, CURRENTS_S = 0.1, 1.0
"""Share of the racks' maximum current by which their sum and the converter's DC current may differ, both smoothed
over this time because they are not read at the same moment."""

SENSORS_FRAC, SENSORS_K = 0.02, 8.0
"""Share of a rack's maximum current, and temperature, by which two sensors of the same thing may differ."""

SPREAD_V, SPREAD_K = 0.15, 15.0
"""Cells further apart than this deserve somebody's attention."""


class RackPlausibility:
    """Looks at one rack, `LOOK_S` apart; what was found holds until the next look."""

    def __init__(self, limits: Limits, cells: int, racks: int, wired: Collection[str]) -> None:
        self._current_age_s_max = limits.current_age_s_max
        self._open_current_a = OPEN_CURRENT_FRAC * limits.rack_current_a("discharge", "maximum")
        self._frozen_moved_a = FROZEN_MOVED_FRAC * limits.pack_current_a("discharge", "maximum", racks)
        self._voltages, self._current = _frozen(cells), _frozen(1)
        self._sensors_a = SENSORS_FRAC * limits.rack_current_a("discharge", "maximum")
        self._had_current = self._had_temperature = False
        self._heat = HeatWatch(wired, LOOK_S)
        self._since_s = math.inf
        self._found: list[Condition] = []

    def conditions(
        self, reading: RackReading, summary: RackSummary, converter_a: float, dt_s: float
    ) -> list[Condition]:
        """Nothing while a value is absent: that is a fault of its own. `converter_a`: its DC current, NaN unknown."""
        self._since_s += dt_s
        if self._since_s > LOOK_S - 1e-9:
            self._since_s = 0.0
            self._found = list(self._look(reading, summary, converter_a)) if summary.complete else []
        return self._found

    def _look(self, reading: RackReading, summary: RackSummary, converter_a: float) -> Iterator[Condition]:
        voltage_v, mean_v, median_v = reading.voltage_v, mean_of(reading.voltage_v), median_of(reading.voltage_v)
        moved_v = self._voltages.moved(voltage_v, median_v)
        worst = int(moved_v.argmax())
        if moved_v.item(worst) > FROZEN_MOVED_V:
            yield Condition("cell_voltage_frozen", moved_v.item(worst), FROZEN_MOVED_V, f"{cell(worst)}, others moved")
        fresh = summary.current_age_s <= self._current_age_s_max
        yield from self._look_at_current(reading, converter_a if fresh else math.nan)
        yield from self._look_at_second_sensors(reading, summary, fresh=fresh)
        yield from self._look_between(voltage_v, mean_v)
        yield from self._look_at_rack(reading, summary, mean_v * len(voltage_v))
        yield from self._heat.look(reading, median_v)
        if summary.voltage_v_max - summary.voltage_v_min > SPREAD_V:
            spread_v = summary.voltage_v_max - summary.voltage_v_min
            yield Condition("cell_voltage_spread", spread_v, SPREAD_V, f"{cell(summary.lowest_cell)} lowest, V")
        if summary.temperature_degc_max - summary.temperature_degc_min > SPREAD_K:
            spread_k = summary.temperature_degc_max - summary.temperature_degc_min
            yield Condition("cell_temperature_spread", spread_k, SPREAD_K, f"{cell(summary.hottest_cell)} hottest, K")

    def _look_at_current(self, reading: RackReading, converter_a: float) -> Iterator[Condition]:
        if not reading.main_closed or not math.isfinite(converter_a):
            self._current = _frozen(1)
            return
        moved_a = float(self._current.moved(np.array([reading.current_a]), converter_a)[0])
        if moved_a > self._frozen_moved_a:
            yield Condition("current_frozen", moved_a, self._frozen_moved_a, "converter's moved by A")

    def _look_at_second_sensors(
        self, reading: RackReading, summary: RackSummary, *, fresh: bool
    ) -> Iterator[Condition]:
        """Against the first ones. Where there is none, nothing; where there was one, its loss."""
        off_a = abs(reading.current_a - reading.current_redundant_a)
        if fresh and off_a > self._sensors_a:
            yield Condition("current_sensors_disagree", off_a, self._sensors_a, "apart by A")
        second_degc = reading.safety.temperature_redundant_degc
        off_k = abs(summary.temperature_degc_max - second_degc)
        if off_k > SENSORS_K:
            where = f"{cell(summary.hottest_cell)} against the second chain, K"
            yield Condition("temperature_sensors_disagree", off_k, SENSORS_K, where)
        has_current, has_temperature = not math.isnan(reading.current_redundant_a), not math.isnan(second_degc)
        self._had_current |= has_current
        self._had_temperature |= has_temperature
        if fresh and self._had_current and not has_current:
            yield Condition("redundant_sensor_lost", math.nan, math.nan, "second current sensor")
        elif self._had_temperature and not has_temperature:
            yield Condition("redundant_sensor_lost", math.nan, math.nan, "second temperature chain")

    def _look_between(self, voltage_v: Floats, mean_v: float) -> Iterator[Condition]:
        first, off_v = shared_wire(voltage_v, mean_v, OPEN_WIRE_OFF_V, OPEN_WIRE_SUM_V)
        if first >= 0:
            where = f"between {cell(first)} and {cell(first + 1)}, V off"
            yield Condition("open_wire", off_v, OPEN_WIRE_OFF_V, where)

    def _look_at_rack(self, reading: RackReading, summary: RackSummary, sum_v: float) -> Iterator[Condition]:
        off_v = abs(reading.rack_voltage_v - sum_v)
        if off_v > SUM_FRAC * sum_v:
            yield Condition("rack_voltage_mismatch", off_v, SUM_FRAC * sum_v, "cells' sum off by V")
        fresh = summary.current_age_s <= self._current_age_s_max
        if fresh and reading.main_closed is False and reading.precharge_closed is False:
            current_a = abs(summary.current_a)
            if current_a > self._open_current_a:
                yield Condition("current_while_open", current_a, self._open_current_a, "through open contactors, A")


def _frozen(values_n: int) -> Frozen:
    return Frozen(values_n, FROZEN_FORGET_FRAC, LAG_LOOKS)


class CurrentsAgree:
    """The racks' currents together against the converter's DC current."""

    def __init__(self, limits: Limits, racks: int) -> None:
        self._allowed_a = CURRENTS_FRAC * limits.pack_current_a("discharge", "maximum", racks)
        self._off_a = 0.0

    def conditions(self, image: Image, dt_s: float) -> Iterator[Condition]:
        """Nothing while one of them is absent, nor where a rack says its current only now and then."""
        if any(rack.battery is not None for rack in image.racks):
            return
        total_a = sum([rack.current_a for rack in image.racks])
        if image.inverter is None or not math.isfinite(total_a) or not math.isfinite(image.inverter.dc_current_a):
            return
        off_a = total_a - image.inverter.dc_current_a
        self._off_a += (1.0 - math.exp(-dt_s / CURRENTS_S)) * (off_a - self._off_a)
        if abs(self._off_a) > self._allowed_a:
            yield Condition("dc_current_mismatch", abs(self._off_a), self._allowed_a, "racks and converter, A")
