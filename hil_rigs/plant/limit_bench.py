"""Holds a current or a power on a simulated string from one and the same state, to find what it truly can hold."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hil_rigs.plant.spread import spread_cells
from kernels.cellsim import CellPack
from kernels.parameters import CellParameters

STEPS = 120
BISECTIONS = 14


@dataclass(frozen=True, slots=True)
class Extremes:
    """Of all cells over one hold, and the largest current in it (magnitude)."""

    voltage_v_min: float
    voltage_v_max: float
    soc_frac_min: float
    soc_frac_max: float
    current_a_max: float


@dataclass(frozen=True)
class LimitBench:
    """One string with a past: `history` of (current in A, seconds), current positive on discharge.

    Every hold starts with a copy of the pack that went through the past.
    """

    parameters: CellParameters
    cells: int
    soc_frac: float
    temperature_degc: float
    history: tuple[tuple[float, int], ...]
    seed: int

    def pack(self) -> CellPack:
        """In the state in which every hold begins."""
        return self._began.copy()

    @cached_property
    def _began(self) -> CellPack:
        rng = np.random.default_rng(self.seed)
        pack = spread_cells(self.parameters, self.cells, self.soc_frac, self.temperature_degc, rng)
        for current_a, seconds in self.history:
            for _ in range(seconds):
                self._step(pack, current_a, 1.0)
        return pack

    def hold_current(self, current_a: float, horizon_s: float) -> Extremes:
        return self._hold(lambda pack: current_a, horizon_s)

    def hold_power(self, power_w: float, horizon_s: float) -> Extremes:
        """At the string's terminals, positive on discharge."""
        return self._hold(lambda pack: current_of(pack, power_w), horizon_s)

    def _hold(self, current_of_pack: Callable[[CellPack], float], horizon_s: float) -> Extremes:
        return run_hold(self.pack(), current_of_pack, self.temperature_degc, horizon_s)

    def _step(self, pack: CellPack, current_a: float, dt_s: float) -> None:
        pack.step(current_a, None, self.temperature_degc, dt_s)


def run_hold(
    pack: CellPack, current_of_pack: Callable[[CellPack], float], ambient_degc: float, horizon_s: float
) -> Extremes:
    """The pack's own state moves: hand a copy over to keep it."""
    seen = []
    for _ in range(STEPS):
        current_a = current_of_pack(pack)
        pack.step(current_a, None, ambient_degc, horizon_s / STEPS)
        voltage_v, soc_frac = pack.voltage_v, pack.soc_frac
        seen.append((voltage_v.min(), -voltage_v.max(), soc_frac.min(), -soc_frac.max(), -abs(current_a)))
    v_min, v_max, soc_min, soc_max, current_a_max = np.min(seen, axis=0).tolist()
    return Extremes(v_min, -v_max, soc_min, -soc_max, -current_a_max)


def largest(holds: Callable[[float], bool], most: float) -> float:
    """The largest value up to `most` that holds, from below, to a share of 2**-BISECTIONS."""
    if holds(most):
        return most
    low, high = 0.0, most
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def current_of(pack: CellPack, power_w: float) -> float:
    """The smaller current at which emf and series resistance give the power; at the peak power where none does."""
    emf_v, ohm = pack.emf_v, pack.resistance_ohm
    return float((emf_v - np.sqrt(max(emf_v**2 - 4 * ohm * power_w, 0.0))) / (2 * ohm))
