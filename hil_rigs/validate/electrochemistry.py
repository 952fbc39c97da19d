"""PyBaMM's porous-electrode model (Doyle-Fuller-Newman) of an LFP cell, and the circuit that the plant makes of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hil_rigs.validate.circuit import CONSTANT, PULSES, STEP_S, Circuit, Floats, profiles
from hil_rigs.validate.solve import Solved, load_pybamm

PARAMETERS = "Prada2013"
"""LFP/graphite, 2.3 Ah: Prada et al., J. Electrochem. Soc. 160 (2013) A616, as PyBaMM ships it."""
GRID = 201
"""Points of the open-circuit curve."""
FIT_TAU_S = (5.0, 50.0, 500.0)
"""Time constants of the fitted circuit, a decade apart."""
SETTLED_S = 600.0
"""The overvoltages of a current that stays have come up by then."""
RELATIVE = ABSOLUTE = 1e-6
"""Tolerances of PyBaMM's solver: microvolts."""
INPUT = "Current function [A]"


class PorousCell:
    """The model at constant temperature. `ocv_v`: of its electrodes in equilibrium, at GRID states of charge.
    MissingExtraError without PyBaMM."""

    def __init__(self) -> None:
        self._pybamm = load_pybamm()
        values = self._values()
        electrodes = self._pybamm.lithium_ion.ElectrodeSOHSolver(values)
        negative_min, negative_max, positive_min, positive_max = electrodes.get_min_max_stoichiometries()
        lithium = self._pybamm.LithiumIonParameters()
        self._negative = (negative_min, negative_max)
        self.capacity_ah = float(values.evaluate(lithium.n.Q_init)) * (negative_max - negative_min)
        soc_frac = np.linspace(0.0, 1.0, GRID)
        negative = negative_min + soc_frac * (negative_max - negative_min)
        positive = positive_max - soc_frac * (positive_max - positive_min)
        self.ocv_v: Floats = np.array(
            [
                values.evaluate(values["Positive electrode OCP [V]"](y) - values["Negative electrode OCP [V]"](x))
                for x, y in zip(negative, positive, strict=True)
            ],
            float,
        )

    def solve(self, soc_frac: float, current_a: Floats) -> Solved:
        """A current that stays for several steps is solved in one piece."""
        pybamm, values = self._pybamm, self._values()
        values.set_initial_state(soc_frac)
        solver = pybamm.IDAKLUSolver(rtol=RELATIVE, atol=ABSOLUTE)
        simulation = pybamm.Simulation(pybamm.lithium_ion.DFN(), parameter_values=values, solver=solver)
        pieces: list[Floats] = []
        solution: Any = None
        for held_a in np.split(current_a, np.flatnonzero(np.diff(current_a)) + 1):
            ends_s = STEP_S * np.arange(1, len(held_a) + 1)
            solution = simulation.step(ends_s[-1], t_interp=ends_s, inputs={INPUT: float(held_a[0])}, save=False)
            pieces.append(solution["Voltage [V]"].entries[-len(held_a) :])
        lithium = float(solution["Average negative particle stoichiometry"].entries[-1])
        negative_min, negative_max = self._negative
        return Solved(np.concatenate(pieces), (lithium - negative_min) / (negative_max - negative_min))

    def _values(self) -> Any:
        values = self._pybamm.ParameterValues(PARAMETERS)
        values[INPUT] = "[input]"
        return values


def fitted(cell: PorousCell, seen: Mapping[str, Solved]) -> Circuit:
    """The circuit with the cell's own open-circuit curve: how its resistances follow the SoC by the CONSTANT profile,
    how large they are by least squares on the PULSES; `seen`: what the cell did on those."""
    given, grid = profiles(cell.capacity_ah), np.linspace(0.0, 1.0, GRID)
    soc, current_a = _soc(cell, *given[CONSTANT]), given[CONSTANT][1]
    whole_ohm = (np.interp(soc, grid, cell.ocv_v) - seen[CONSTANT].voltage_v) / current_a
    settled = np.arange(len(soc)) >= SETTLED_S / STEP_S
    factor = np.interp(grid, soc[settled][::-1], whole_ohm[settled][::-1])
    factor /= np.interp(given[PULSES][0], grid, factor)

    soc, current_a = _soc(cell, *given[PULSES]), given[PULSES][1]
    scaled_a = np.interp(soc, grid, factor) * current_a
    drives_a = np.column_stack([scaled_a, *(_lagged(scaled_a, tau_s) for tau_s in FIT_TAU_S)])
    over_v = np.interp(soc, grid, cell.ocv_v) - seen[PULSES].voltage_v
    series, fast, middle, slow = (float(each) for each in np.linalg.lstsq(drives_a, over_v, rcond=None)[0])
    return Circuit(cell.ocv_v, series, (fast, middle, slow), FIT_TAU_S, cell.capacity_ah, factor)


def _soc(cell: PorousCell, soc_frac: float, current_a: Floats) -> Floats:
    soc: Floats = soc_frac - np.cumsum(current_a) * STEP_S / 3600.0 / cell.capacity_ah
    return soc


def _lagged(current_a: Floats, tau_s: float) -> Floats:
    """What flows through the resistance of an RC pair at the end of each step."""
    lagged_a, held, keeps = np.empty(len(current_a)), 0.0, float(np.exp(-STEP_S / tau_s))
    for step, each_a in enumerate(current_a):
        held = keeps * held + (1.0 - keeps) * each_a
        lagged_a[step] = held
    return lagged_a
