"""One equivalent circuit, to be solved by our plant and by PyBaMM, and the currents that it is solved for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.parameters import load_cell

Floats = NDArray[np.float64]
STEP_S = 1.0
SEED = 1
PULSES, DRIVE, CONSTANT = "pulses of 1C", "drive-like, up to 1C", "constant 0.5C, 90 to 15 %"


@dataclass(frozen=True, slots=True)
class Circuit:
    """A cell at constant temperature: open-circuit voltage on a uniform SoC grid, R0 and three RC pairs, all times
    `resistance_factor` on the same grid (None = 1)."""

    ocv_v: Floats
    resistance_ohm: float
    rc_resistance_ohm: tuple[float, float, float]
    rc_tau_s: tuple[float, float, float]
    capacity_ah: float
    resistance_factor: Floats | None = None


def circuit_of(cell: str) -> Circuit:
    """A shipped cell without its hysteresis, which PyBaMM's circuit lacks, its RC pair between a fast and a slow
    one."""
    known = load_cell(cell)
    rc_ohm = known.rc_resistance_ohm
    return Circuit(
        ocv_v=known.ocv_v,
        resistance_ohm=known.resistance_ohm,
        rc_resistance_ohm=(0.3 * rc_ohm, rc_ohm, 0.5 * rc_ohm),
        rc_tau_s=(5.0, known.rc_tau_s, 900.0),
        capacity_ah=known.capacity_ah,
    )


def profiles(capacity_ah: float) -> dict[str, tuple[float, Floats]]:
    """By name (PULSES, DRIVE, CONSTANT): SoC at the start and the current of each STEP_S, A, discharge positive."""
    walk = np.cumsum(np.random.default_rng(SEED).normal(0.0, 0.15, 1800))
    pulse = np.concatenate([np.full(60, 1.0), np.zeros(240), np.full(60, -1.0), np.zeros(240)])
    shapes = {
        PULSES: (0.5, np.tile(pulse, 3)),
        DRIVE: (0.6, np.clip(walk - walk.mean(), -1.0, 1.0)),
        CONSTANT: (0.9, np.full(5400, 0.5)),
    }
    return {name: (soc_frac, c_rate * capacity_ah) for name, (soc_frac, c_rate) in shapes.items()}
