"""A rack as it really is: cells, contactors with their defects, bleed resistors, and what its sensors make of it."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil_rigs.plant.ageing import Ageing
from hil_rigs.plant.coolant import Coolant, HeatSink
from hil_rigs.plant.fuse import Fuse
from hil_rigs.plant.plating import Plating
from hil_rigs.plant.strings import ParallelStrings
from kernels.cellsim import CellPack

Floats = NDArray[np.float64]
Flags = NDArray[np.uint8]

SENSE_WIRE_OHM = 0.25
"""Of one sense wire with its contacts, which a cell's bleed current flows through too."""

WIRING_OHM, BLEED_OHM, PRECHARGE_OHM = 0.004, 33.0, 15.0
"""Of a rack's cables with fuse and contactor, of one cell's bleed resistor, and of the precharge resistor."""


LOAD_CURRENT_A = 1.0
"""Opening above this current counts as opening under load."""


@dataclass(frozen=True, slots=True)
class ChargeLoss:
    """Charge that cells lose: of every charge all but `efficiency_frac`, and `self_discharge_a` for ever."""

    efficiency_frac: float = 1.0
    self_discharge_a: float = 0.0

    def __bool__(self) -> bool:
        return self.efficiency_frac < 1.0 or self.self_discharge_a > 0.0

    def current_a(self, current_a: float) -> float:
        """Inside a cell, beside `current_a` (discharge positive) at its terminals."""
        return self.self_discharge_a + (1.0 - self.efficiency_frac) * max(-current_a, 0.0)


@dataclass(frozen=True, slots=True)
class Opening:
    """A contactor opened under load: what it broke, how long the racks had only fed each other by then, and when."""

    current_a: float
    circulated_s: float
    at_s: float


OPENINGS_MAX = 1000
"""Bound of what a chattering contactor adds; the oldest go."""


class Contactor:
    """Closes and opens on command. Defects: `welded` does not open any more, `stuck_open` does not close any more."""

    def __init__(self) -> None:
        self.closed = False
        self.welded = False
        self.stuck_open = False
        self.opened_under_load = 0
        self.opened_under_load_a = 0.0
        self.openings: deque[Opening] = deque(maxlen=OPENINGS_MAX)

    def command(self, close: bool, current_a: float, circulated_s: float = 0.0, at_s: float = 0.0) -> None:
        """Follow the command as far as the defects let it; `current_a` is what it carries now, `circulated_s` how long
        the racks have only fed each other, `at_s` the plant's time."""
        if close and not self.closed and not self.stuck_open:
            self.closed = True
        elif self.closed and not close and not self.welded:
            self.closed = False
            if abs(current_a) > LOAD_CURRENT_A:
                self.opened_under_load += 1
                self.opened_under_load_a = max(self.opened_under_load_a, abs(current_a))
                self.openings.append(Opening(abs(current_a), circulated_s, at_s))


class RackPlant:
    """Cells in series behind a fuse and a main contactor, with a precharge contactor and resistor in parallel to that.

    `current_a` (discharge positive), `link_voltage_v` and `circulated_s` are set by the DC bus. `emf_v`, which the rack
    would show without current, and `resistance_ohm`, of its cells, are those at the end of the last step. `bleed[n]` (1
    = bleeding) is set by the cell monitor, which opens its switches while it measures as long as `bleed_pauses`; else
    the bleed current's drop in the sense wires shows in the voltages of the cell and its neighbours. Sensor hooks:
    `voltage_bias_v[n]`, `temperature_bias_degc[n]`, `current_bias_a`. `plating`: of zinc, None = of another chemistry;
    an empty cell of zinc gives nothing to its bleed resistor. `ageing`: the cells grow old, None = they do not. Plant
    hook: `leak_a`, None or current [n] that each cell loses inside itself, at least 0."""

    def __init__(
        self,
        cells: CellPack | ParallelStrings,
        wiring_ohm: float = WIRING_OHM,
        precharge_ohm: float = PRECHARGE_OHM,
        bleed_ohm: float = BLEED_OHM,
        fuse_a: float = 500.0,
        loss: ChargeLoss | None = None,
        plating: Plating | None = None,
        ageing: Ageing | None = None,
        coolant: HeatSink | None = None,
    ) -> None:
        self.cells = cells
        self._ageing = ageing
        self.fuse = Fuse(fuse_a)
        self._loss = loss or ChargeLoss()
        self._loses = bool(self._loss)
        self.plating = plating
        self.main = Contactor()
        self.precharge = Contactor()
        self.emf_v: float = cells.emf_v
        self.resistance_ohm: float = cells.resistance_ohm
        self.current_a = 0.0
        self.link_voltage_v = 0.0
        self.circulated_s = 0.0
        self._time_s = 0.0
        self.cell_count = len(cells.voltage_v)
        self._switches = bytearray(self.cell_count)  # what `bleed` shows: here bytes are found at a tenth of the cost
        self.bleed: Flags = np.frombuffer(self._switches, np.uint8)
        self.bleed_pauses = True
        self.voltage_bias_v: Floats = np.zeros(self.cell_count)
        self.temperature_bias_degc: Floats = np.zeros(self.cell_count)
        self.current_bias_a = 0.0
        self.coolant: HeatSink = coolant or Coolant()
        self.leak_a: Floats | None = None
        self._no_bleed_a: Floats = np.zeros(self.cell_count)
        self.bleed_s = 1.0 / bleed_ohm
        self._wiring_ohm = wiring_ohm
        self._precharge_ohm = precharge_ohm

    @property
    def main_closed(self) -> bool:
        return self.main.closed

    @property
    def precharge_closed(self) -> bool:
        return self.precharge.closed

    @property
    def voltage_v(self) -> float:
        """Rack terminals at the present current: the sum of the cells."""
        return self.emf_v - self.current_a * self.resistance_ohm

    @property
    def path_conductance_s(self) -> float:
        """Between emf and link; 0 with both contactors open or the fuse melted."""
        if self.fuse.melted:
            return 0.0
        if self.main.closed:
            return 1.0 / (self.resistance_ohm + self._wiring_ohm)
        if self.precharge.closed:
            return 1.0 / (self.resistance_ohm + self._wiring_ohm + self._precharge_ohm)
        return 0.0

    @property
    def opened_under_load_a(self) -> float:
        """Largest current that one of the contactors had to break; 0 if none ever did."""
        return max(self.main.opened_under_load_a, self.precharge.opened_under_load_a)

    def command(self, main: bool, precharge: bool) -> None:
        """Drive the contactors (True = close). They follow at once, defects permitting."""
        main_carries = self.main.closed
        self.precharge.command(precharge, 0.0 if main_carries else self.current_a)
        self.main.command(main, self.current_a if main_carries else 0.0, self.circulated_s, self._time_s)

    def step(self, dt_s: float, ambient_degc: float) -> None:
        """Advance the cells at the present current, those that bleed by their resistor's current more, and all by what
        they lose; and the coolant, which has the ambient temperature while it is cooled."""
        cells = self.cells
        self._time_s += dt_s
        self.fuse.step(self.current_a, dt_s)
        if self._loses:
            beside_a: Floats | None = self._bleed_current_a() + self._lost_a(dt_s)
        else:
            beside_a = self._bleed_current_a() if 1 in self._switches else None
        if self.leak_a is not None:
            beside_a = self.leak_a if beside_a is None else beside_a + self.leak_a
        cells.step(self.current_a, beside_a, self.coolant.step(cells.temperature_degc, ambient_degc, dt_s), dt_s)
        if self._ageing is not None and self._ageing.step(self.current_a, dt_s):
            cells.age_each(*self._ageing.due(cells.soc_frac, cells.temperature_degc))
        self.emf_v, self.resistance_ohm = cells.emf_v, cells.resistance_ohm

    def _lost_a(self, dt_s: float) -> float:
        lost_a = self._loss.current_a(self.current_a)
        if self.plating is None:
            return lost_a
        self.plating.step(self.current_a, self.cells.soc_frac, dt_s)
        return lost_a * (1.0 + self.plating.irregularity_frac)

    @property
    def capacity_frac_min(self) -> float:
        """Of a cell's capacity at the start, what ageing has left of it, at the cell that it has left least."""
        return 1.0 if self._ageing is None else 1.0 - float(self._ageing.lost_frac.max())

    def measured_voltage_v(self, into: Floats | None = None) -> Floats:
        """Of each cell [n], written into `into` [n] if given."""
        voltage_v: Floats = np.add(self.cells.voltage_v, self.voltage_bias_v, into)
        if not self.bleed_pauses:
            voltage_v -= self._wire_drop_v()
        return voltage_v

    def measured_temperature_degc(self) -> Floats:
        return self.cells.temperature_degc + self.temperature_bias_degc

    def measured_current_a(self) -> float:
        return self.current_a + self.current_bias_a

    def bleeding(self) -> Flags:
        """Read-back of the bleed switches, uint8[n]."""
        return self.bleed.copy()

    def _wire_drop_v(self) -> Floats:
        """A wire carries the difference of the bleed currents of the cells on both of its sides."""
        wire_a = np.diff(self._bleed_current_a(), prepend=0.0, append=0.0)
        return -SENSE_WIRE_OHM * np.diff(wire_a)

    def _bleed_current_a(self) -> Floats:
        if 1 not in self._switches:
            return self._no_bleed_a
        bleed_a = self.cells.voltage_v * self.bleed * self.bleed_s
        return bleed_a if self.plating is None else np.where(self.cells.soc_frac > 0.0, bleed_a, 0.0)
