"""Terminal voltage of a circuit under a current that holds for each step: by our plant, and by PyBaMM."""

from typing import Any, NamedTuple

import numpy as np

from hil_rigs.validate.circuit import STEP_S, Circuit, Floats
from kernels.cellsim import CellPack

AMBIENT_DEGC = 25.0
ALWAYS_COLD_J_PER_K = 1e15
"""A heat capacity that keeps a cell's temperature where it is."""
RELATIVE, ABSOLUTE = 1e-9, 1e-10
"""Tolerances of PyBaMM's solver, far below what is to be shown."""


class MissingExtraError(RuntimeError):
    """An optional package is not installed; the message says how to get it."""


class Solved(NamedTuple):
    """Voltage at the end of each step, and the SoC at the end of the last."""

    voltage_v: Floats
    soc_frac: float


def by_plant(circuit: Circuit, soc_frac: float, current_a: Floats) -> Solved:
    cell = CellPack(
        circuit.ocv_v, [circuit.resistance_ohm], [circuit.rc_resistance_ohm], circuit.rc_tau_s, [circuit.capacity_ah],
        [soc_frac], 0.0, ALWAYS_COLD_J_PER_K, 0.0, [AMBIENT_DEGC], resistance_factor=circuit.resistance_factor,
    )  # fmt: skip
    no_bleed_a, voltage_v = np.zeros(1), np.empty(len(current_a))
    for step, each_a in enumerate(current_a):
        cell.step(float(each_a), no_bleed_a, AMBIENT_DEGC, STEP_S)
        voltage_v[step] = cell.voltage_v[0]
    return Solved(voltage_v, float(cell.soc_frac[0]))


def by_pybamm(circuit: Circuit, soc_frac: float, current_a: Floats) -> Solved:
    """MissingExtraError without PyBaMM."""
    pybamm = load_pybamm()
    model = pybamm.equivalent_circuit.Thevenin(options={"number of rc elements": len(circuit.rc_tau_s)})
    values = model.default_parameter_values
    values.update(_parameters(pybamm, circuit, soc_frac), check_already_exists=False)
    solver = pybamm.IDAKLUSolver(rtol=RELATIVE, atol=ABSOLUTE)
    simulation = pybamm.Simulation(model, parameter_values=values, solver=solver)
    voltage_v, solution = np.empty(len(current_a)), None
    for step, each_a in enumerate(current_a):
        solution = simulation.step(STEP_S, inputs={"Current function [A]": float(each_a)}, save=False)
        voltage_v[step] = solution["Voltage [V]"].entries[-1]
    assert solution is not None, "a profile has steps"
    return Solved(voltage_v, float(solution["SoC"].entries[-1]))


def pybamm_version() -> str:
    """MissingExtraError without PyBaMM."""
    return str(load_pybamm().__version__)


def load_pybamm() -> Any:
    """MissingExtraError without it."""
    try:
        import pybamm
    except ImportError:
        raise MissingExtraError("PyBaMM is not installed: pip install 'cellward[validation]'") from None
    return pybamm


def _parameters(pybamm: Any, circuit: Circuit, soc_frac: float) -> dict[str, Any]:
    grid = np.linspace(0.0, 1.0, len(circuit.ocv_v))
    parameters: dict[str, Any] = {
        "Current function [A]": "[input]",
        "Cell capacity [A.h]": circuit.capacity_ah,
        "Nominal cell capacity [A.h]": circuit.capacity_ah,
        "Initial SoC": soc_frac,
        "Open-circuit voltage [V]": lambda soc: pybamm.Interpolant(grid, circuit.ocv_v, soc, interpolator="linear"),
        "Entropic change [V/K]": 0.0,
        "R0 [Ohm]": circuit.resistance_ohm,
        "Cell thermal mass [J/K]": ALWAYS_COLD_J_PER_K,
        "Lower voltage cut-off [V]": 0.0,
        "Upper voltage cut-off [V]": 10.0,
    }
    for number, (ohm, tau_s) in enumerate(zip(circuit.rc_resistance_ohm, circuit.rc_tau_s, strict=True), start=1):
        parameters |= {
            f"R{number} [Ohm]": ohm,
            f"C{number} [F]": tau_s / ohm,
            f"Element-{number} initial overpotential [V]": 0.0,
        }
    return parameters
