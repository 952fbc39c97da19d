"""Cells as they leave a real factory: each differs a little, and all of them from the data sheet."""

import numpy as np
from numpy.typing import NDArray

from hil_rigs.plant.state_dependence import entropic_v_per_k, resistance_factor
from kernels.cellsim import CellPack
from kernels.parameters import CellParameters

Floats = NDArray[np.float64]

CAPACITY_SIGMA = 0.010
RESISTANCE_SIGMA = 0.040
SOC_SIGMA_FRAC = 0.012
TEMPERATURE_SIGMA_K = 0.4
OCV_ERROR_V = 0.002
SLOW_RC_SHARE, SLOW_RC_TAU_S = 0.4, 900.0
"""Diffusion that an estimator with one RC knows nothing of: share of the known RC's resistance, time constant."""
FAST_RC_SHARE, FAST_RC_TAU_S = 0.15, 2.0
RC_SHARES = (1.0, FAST_RC_SHARE, SLOW_RC_SHARE)
COOLING_W_PER_K = 1.5
"""Of one cell to its surroundings: 6 K above them at 0.5 C, an assumption for a liquid-cooled rack."""
CONDUCTION_W_PER_K = 1.0
"""From one cell to the next of its module: a spacer of 1.5 mm with 0.03 W/(m K) on a face of 173 mm x 207 mm lets
through 0.7, the bus bar the rest."""


def spread_cells(
    parameters: CellParameters,
    cells: int,
    soc_frac: float,
    temperature_degc: float,
    rng: np.random.Generator,
    in_parallel: int = 1,
    module_cells: int | None = None,
) -> CellPack:
    """A pack of `cells` in series around the given parameters, SoC and temperature; same generator, same pack. Each is
    a block of `in_parallel`, which the parameters include and the cooling does not. Neighbours in a module of
    `module_cells` conduct heat; None = none do."""
    points = len(parameters.ocv_v)
    rc_ohm = parameters.rc_resistance_ohm * _around_one(cells, RESISTANCE_SIGMA, rng)
    return CellPack(
        ocv_v=disturbed_ocv(parameters.ocv_v, rng),
        resistance_ohm=parameters.resistance_ohm * _around_one(cells, RESISTANCE_SIGMA, rng),
        rc_resistance_ohm=np.outer(rc_ohm, RC_SHARES),
        rc_tau_s=_taus_s(parameters),
        capacity_ah=parameters.capacity_ah * _around_one(cells, CAPACITY_SIGMA, rng),
        soc_frac=np.clip(soc_frac + SOC_SIGMA_FRAC * _bounded_normal(cells, rng), 0.0, 1.0),
        hysteresis_v=parameters.hysteresis_v,
        heat_capacity_j_per_k=parameters.heat_capacity_j_per_k,
        cooling_w_per_k=COOLING_W_PER_K * in_parallel,
        temperature_degc=temperature_degc + TEMPERATURE_SIGMA_K * _bounded_normal(cells, rng),
        resistance_factor=resistance_factor(parameters.chemistry, points),
        entropic_v_per_k=entropic_v_per_k(parameters.chemistry, points),
        conduction_w_per_k=0.0 if module_cells is None else CONDUCTION_W_PER_K * in_parallel,
        module_cells=module_cells,
    )


def one_cell(parameters: CellParameters, soc_frac: float, temperature_degc: float) -> CellPack:
    """A cell as `spread_cells` makes them, without any spread."""
    points = len(parameters.ocv_v)
    return CellPack(
        ocv_v=parameters.ocv_v,
        resistance_ohm=[parameters.resistance_ohm],
        rc_resistance_ohm=np.outer([parameters.rc_resistance_ohm], RC_SHARES),
        rc_tau_s=_taus_s(parameters),
        capacity_ah=[parameters.capacity_ah],
        soc_frac=[soc_frac],
        hysteresis_v=parameters.hysteresis_v,
        heat_capacity_j_per_k=parameters.heat_capacity_j_per_k,
        cooling_w_per_k=COOLING_W_PER_K,
        temperature_degc=[temperature_degc],
        resistance_factor=resistance_factor(parameters.chemistry, points),
        entropic_v_per_k=entropic_v_per_k(parameters.chemistry, points),
    )


def disturbed_ocv(ocv_v: Floats, rng: np.random.Generator) -> Floats:
    """The table with a smooth error of up to OCV_ERROR_V, still not falling anywhere."""
    soc_frac = np.linspace(0.0, 1.0, len(ocv_v))
    waves = np.array([np.sin(np.pi * order * soc_frac + rng.uniform(0, 2 * np.pi)) for order in (1, 2, 3)])
    error = rng.uniform(-1.0, 1.0, 3) @ waves
    return np.maximum.accumulate(ocv_v + OCV_ERROR_V * error / np.abs(error).max())


def _taus_s(parameters: CellParameters) -> Floats:
    return np.array([parameters.rc_tau_s, FAST_RC_TAU_S, SLOW_RC_TAU_S])


def _around_one(cells: int, sigma: float, rng: np.random.Generator) -> Floats:
    return 1.0 + sigma * _bounded_normal(cells, rng)


def _bounded_normal(cells: int, rng: np.random.Generator) -> Floats:
    """Normal, cut at 3.5 sigma: a worse cell would not have passed the factory's own test."""
    return np.clip(rng.standard_normal(cells), -3.5, 3.5)
