"""A string with the estimator beside it, from not knowing its SoC through a charge, a discharge and a charge."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bms.estimate.held_current import SHARED_RESISTANCE_SIGMAS, SIGMAS, soc_sigma_frac
from bms.estimate.soc import RackSoc
from bms.summary import summarise_rack
from drivers.readings import Floats, MonitorHealth, RackReading
from hil_rigs.plant.spread import spread_cells
from kernels.cell_tables import CellTables
from kernels.cellsim import CellPack
from kernels.limits import LimitSolver
from kernels.limits_model import Limit, Window
from kernels.parameters import CellParameters, load_cell, load_tables, tables_of

CELLS = 24
HORIZONS_S = (1.0, 10.0, 60.0, 1800.0)
"""The last stands for "continuous"."""
START_FRAC = 0.5
STOPS_FRAC = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Where the limits are asked for, down and up again."""
END_FRAC, EMPTY_FRAC = 0.97, 0.06
FULL_ROOM_V = 0.01
"""A charge is over when the highest cell is this close to the window."""

PULSES_PER_H = np.repeat([1.0, -0.4, 0.0, 0.5], [30, 20, 10, 40])
"""C-rate of every second, over and over: the way forward, back, rest."""
REST_S = 300
FILL_PER_H = 0.3
TAPER_V = 0.1
"""The current sinks with the most extreme cell's room to the window below this."""
LEG_S_MAX = 6 * 3600

VOLTAGE_OFFSET_V, VOLTAGE_NOISE_V = 0.001, 0.0005
"""Standard deviations of a cell's lasting error, and of one reading."""
CURRENT_GAIN, CURRENT_OFFSET_PER_H = 1.002, 0.0005
CURRENT_AGE_S_MAX = 0.5
HEALTHY = MonitorHealth(0, 0, 0, 0, 0, 0)

NMC_OCV_V = [3.00, 3.45, 3.56, 3.61, 3.65, 3.70, 3.79, 3.90, 4.00, 4.09, 4.19]
NMC = CellParameters(
    name="nmc-60ah",
    chemistry="nmc",
    source="usual order for a prismatic NMC cell of 60 Ah",
    capacity_ah=60.0,
    resistance_ohm=0.0008,
    rc_resistance_ohm=0.0006,
    rc_tau_s=25.0,
    hysteresis_v=0.002,
    heat_capacity_j_per_k=1200.0,
    ocv_v=np.interp(np.linspace(0, 1, 201), np.linspace(0, 1, 11), NMC_OCV_V),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What the plant's cells are made around, what the estimator knows of them, and what they may not leave."""

    name: str
    plant: CellParameters
    known: CellTables
    window: Window


def _nmc_known() -> CellTables:
    """As fitted to a longer pulse: neither pair is one of the plant's."""
    one = tables_of(NMC)
    pairs_ohm = np.concatenate([one.rc_resistance_ohm, 0.35 * one.rc_resistance_ohm])
    return replace(one, rc_tau_s=np.array([20.0, 600.0]), rc_resistance_ohm=pairs_ohm)


KINDS = (
    Kind("LFP 280 Ah", load_cell("lfp-280ah"), load_tables("lfp-280ah"), Window(2.5, 3.65, 0.0, 1.0, 1400.0, 1700.0)),
    Kind("NMC 60 Ah", NMC, _nmc_known(), Window(2.8, 4.2, 0.0, 1.0, 360.0, 360.0)),
)
"""Bounds of current at 5C and 6C, and no bound of SoC but empty and full, so that mostly the cells' voltages bind."""


@dataclass(frozen=True, slots=True)
class Moment:
    """`pack` is the plant now; `limits` (discharge, charge) what the solver says with what the estimator knows."""

    kind: Kind
    degc: float
    upwards: bool
    stop_frac: float
    pack: CellPack
    limits: tuple[Limit, Limit]


class Course:
    """The same seed, the same string and sensors. The surroundings have one temperature."""

    def __init__(self, kind: Kind, degc: float, seed: int, horizon_s: Sequence[float] = HORIZONS_S) -> None:
        self._kind, self._degc = kind, degc
        self._pack = spread_cells(kind.plant, CELLS, START_FRAC, degc, np.random.default_rng([seed, 0]))
        self._sensors = np.random.default_rng([seed, 1])
        self._offset_v = VOLTAGE_OFFSET_V * self._sensors.standard_normal(CELLS)
        self._soc = RackSoc(kind.known, CELLS, CURRENT_AGE_S_MAX)
        self._solver = LimitSolver(kind.known, CELLS, kind.window, horizon_s, SIGMAS)
        self._step_s = 0.0

    def moments(self, stops_frac: Sequence[float] = STOPS_FRAC) -> Iterator[Moment]:
        """Filled slowly, then down and up in pulses; one moment at each stop on each way."""
        self._run(np.zeros(REST_S), 0.0)
        self._run(np.array([-FILL_PER_H]), 1.0, upwards=True)
        for upwards, end_frac in ((False, EMPTY_FRAC), (True, END_FRAC)):
            self._run(np.zeros(REST_S), 0.0)
            for stop_frac in sorted(stops_frac, reverse=not upwards):
                self._run(-PULSES_PER_H if upwards else PULSES_PER_H, stop_frac, upwards=upwards)
                yield Moment(self._kind, self._degc, upwards, stop_frac, self._pack.copy(), self._limits())
            self._run(-PULSES_PER_H if upwards else PULSES_PER_H, end_frac, upwards=upwards)

    def _limits(self) -> tuple[Limit, Limit]:
        soc = self._soc
        return self._solver.solve(
            soc_frac=soc.soc_frac,
            soc_sigma_frac=soc_sigma_frac(soc),
            temperature_degc=self._pack.temperature_degc,
            **soc.cell_state(SHARED_RESISTANCE_SIGMAS / SIGMAS),
        )

    def _run(self, rates_per_h: Floats, until_frac: float, upwards: bool | None = None) -> None:
        """Over and over until the mean SoC has passed or a cell is full; once where there is no way to go."""
        for second in range(len(rates_per_h) if upwards is None else LEG_S_MAX):
            mean_frac = float(self._pack.soc_frac.mean())
            if upwards is not None and (mean_frac >= until_frac if upwards else mean_frac <= until_frac):
                return
            if upwards and self._pack.voltage_v.max() > self._kind.window.voltage_v_max - FULL_ROOM_V:
                return
            self._second(float(rates_per_h[second % len(rates_per_h)]))

    def _second(self, rate_per_h: float) -> None:
        pack, window = self._pack, self._kind.window
        room_v = pack.voltage_v.min() - window.voltage_v_min
        if rate_per_h < 0:
            room_v = window.voltage_v_max - pack.voltage_v.max()
        current_a = rate_per_h * self._kind.plant.capacity_ah * float(np.clip(room_v / TAPER_V, 0.05, 1.0))
        pack.step(current_a, None, self._degc, 1.0)
        reading = self._reading(current_a)
        self._soc.step(reading, summarise_rack(reading, 0), self._step_s)
        self._step_s = 1.0

    def _reading(self, current_a: float) -> RackReading:
        pack, now = self._pack, np.zeros(CELLS, np.int64)
        noise_v = VOLTAGE_NOISE_V * self._sensors.standard_normal(CELLS)
        string_v = float(pack.voltage_v.sum())
        return RackReading(
            voltage_v=pack.voltage_v + self._offset_v + noise_v,
            voltage_at_ns=now,
            temperature_degc=pack.temperature_degc.copy(),
            temperature_at_ns=now,
            bleeding=np.zeros(CELLS, np.uint8),
            current_a=CURRENT_GAIN * current_a + CURRENT_OFFSET_PER_H * self._kind.plant.capacity_ah,
            current_at_ns=0,
            rack_voltage_v=string_v,
            link_voltage_v=string_v,
            main_closed=True,
            precharge_closed=False,
            command_age_s=0.0,
            io_at_ns=0,
            health=HEALTHY,
        )
