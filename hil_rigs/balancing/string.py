"""A string of cells that differ, cycled once a day, with the sensors that balancing sees of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from drivers.readings import Flags, Floats, MonitorHealth, RackReading
from hil_rigs.plant.rack import RackPlant
from hil_rigs.plant.spread import spread_cells
from kernels.cellsim import CellPack
from kernels.parameters import load_cell

CELL = "lfp-280ah"
CELLS, CELLS_PER_MODULE = 32, 16
AMBIENT_DEGC = 25.0
STEP_S = 60.0
DAY_S = 86_400.0

START_FRAC = 0.6
RATE_PER_H = 0.25
CHARGE_FROM_H, CHARGE_TO_H, DISCHARGE_FROM_H = 1.0, 6.0, 12.0
SOC_FRAC_LEAST, SOC_FRAC_MOST, VOLTAGE_V_MOST = 0.2, 0.985, 3.5
"""Each day: charged to nearly full by night, rest until noon, discharged to SOC_FRAC_LEAST, rest."""

VOLTAGE_OFFSET_V, VOLTAGE_NOISE_V = 0.001, 0.0005
"""Standard deviations of a cell's lasting error, and of one reading: of the order of a monitor's data sheet."""
CURRENT_GAIN, CURRENT_OFFSET_A = 1.002, 0.1

HEALTHY = MonitorHealth(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Truth:
    """What the string is after a step. `room_ah[n]`: the charge that each cell still takes."""

    elapsed_s: float
    room_ah: Floats
    wasted_wh: float

    @property
    def spread_ah(self) -> float:
        """Between the fullest and the emptiest cell: what the string cannot use."""
        return float(np.ptp(self.room_ah))


class BalancedString:
    """Cells that differ as a rig's do in SoC, capacity and resistance. The same seed, the same string, cycles and
    sensors, whatever bleeds."""

    def __init__(self, seed: int) -> None:
        self._sensors = np.random.default_rng([seed, 1])
        self._capacity_ah = _capacity_ah(_pack(seed))
        self._rack = RackPlant(_pack(seed))
        self._offset_v = VOLTAGE_OFFSET_V * self._sensors.standard_normal(CELLS)
        self._wasted_wh = self._elapsed_s = 0.0
        self._rate_a = RATE_PER_H * load_cell(CELL).capacity_ah
        self._full = False

    def steps(self, days: float) -> Iterator[RackReading]:
        """A reading after each step; `bleed` says what happens in the next one."""
        while self._elapsed_s < days * DAY_S:
            self._step()
            yield self._reading()

    def bleed(self, flags: Flags) -> None:
        self._rack.bleed[:] = flags

    @property
    def truth(self) -> Truth:
        room_ah = (1.0 - self._rack.cells.soc_frac) * self._capacity_ah
        return Truth(self._elapsed_s, room_ah, self._wasted_wh)

    def _step(self) -> None:
        rack = self._rack
        rack.current_a = self._wanted_a()
        bleed_w = rack.cells.voltage_v**2 * rack.bleed * rack.bleed_s
        rack.step(STEP_S, AMBIENT_DEGC)
        self._wasted_wh += float(bleed_w.sum()) * STEP_S / 3600.0
        self._elapsed_s += STEP_S

    def _wanted_a(self) -> float:
        hour, cells = self._elapsed_s % DAY_S / 3600.0, self._rack.cells
        soc_frac, rate_a = float(cells.soc_frac.mean()), self._rate_a
        if hour < CHARGE_FROM_H:
            self._full = False
        elif hour < CHARGE_TO_H:
            self._full |= soc_frac > SOC_FRAC_MOST or float(cells.voltage_v.max()) > VOLTAGE_V_MOST
            return 0.0 if self._full else -rate_a
        return rate_a if hour >= DISCHARGE_FROM_H and soc_frac > SOC_FRAC_LEAST else 0.0

    def _reading(self) -> RackReading:
        rack, now = self._rack, np.zeros(CELLS, np.int64)
        noise_v = VOLTAGE_NOISE_V * self._sensors.standard_normal(CELLS)
        return RackReading(
            voltage_v=rack.measured_voltage_v() + self._offset_v + noise_v,
            voltage_at_ns=now,
            temperature_degc=rack.measured_temperature_degc(),
            temperature_at_ns=now,
            bleeding=rack.bleeding(),
            current_a=CURRENT_GAIN * rack.current_a + CURRENT_OFFSET_A,
            current_at_ns=0,
            rack_voltage_v=rack.voltage_v,
            link_voltage_v=rack.voltage_v,
            main_closed=True,
            precharge_closed=False,
            command_age_s=0.0,
            io_at_ns=0,
            health=HEALTHY,
        )


def least_wh(seed: int, spread_ah: float) -> float:
    """What nobody can do without: every cell above `spread_ah` from the emptiest bled to just there, and no other."""
    room_ah = BalancedString(seed).truth.room_ah
    return float(np.maximum(room_ah.max() - spread_ah - room_ah, 0.0).sum() * load_cell(CELL).ocv_v.mean())


def _pack(seed: int) -> CellPack:
    return spread_cells(load_cell(CELL), CELLS, START_FRAC, AMBIENT_DEGC, np.random.default_rng([seed, 0]))


def _capacity_ah(twin: CellPack) -> Floats:
    """By how far one ampere-hour moves a twin of the cells."""
    before_frac = twin.soc_frac.copy()
    twin.step(1.0, np.zeros(CELLS), AMBIENT_DEGC, 3600.0)
    capacity_ah: Floats = 1.0 / (before_frac - twin.soc_frac)
    return capacity_ah
