"""What current every cell of a rack can hold by its model: the part of the power limits that looks ahead."""

from typing import NamedTuple

import numpy as np

from bms.estimate.soc import RackSoc
from bms.site import Limits
from drivers.readings import Floats, RackReading
from kernels.cell_tables import CellTables
from kernels.limits import LimitSolver
from kernels.limits_model import Bound, Limit, Window

HORIZON_S = 10.0
"""How long the current can be held; docs/decisions/0009 says why."""

SOLVE_S = 1.0
"""As often as the estimator moves on."""

SIGMAS = 1.0
"""How many sigmas worse than estimated each cell is taken: the worst of hundreds is too low already."""

SHARED_SOC_SIGMAS, SHARED_RESISTANCE_SIGMAS = 1.5, 2.0
"""The same of what all cells share of the errors: no number of cells averages it out."""

SOC_SIGMA_FRAC_MAX = 0.05
"""No more ignorance of SoC than this is reckoned with: beyond it the measured voltage says more than the model, and
the voltage curves bind by that."""


SETTLE_S = 10.0
"""The first current after the start tells resistance and hysteresis apart; what the model says before that would stand
in the limit's memory for a minute. Until then voltage, temperature and SoC limit as if there were no model."""


class HeldLimit(NamedTuple):
    """Current in A (magnitude) and the cell, from 0, that allows no more; NaN and None: not known."""

    current_a: float
    cell: int | None


class HeldCurrents(NamedTuple):
    """Both directions of one rack."""

    charge: HeldLimit
    discharge: HeldLimit


NOT_KNOWN = HeldCurrents(HeldLimit(np.nan, None), HeldLimit(np.nan, None))


class HeldCurrent:
    """Asks the solver once a second; `currents` is what it said last, `NOT_KNOWN` before the SoC is settled."""

    def __init__(self, tables: CellTables, cells: int, limits: Limits) -> None:
        window = Window(
            voltage_v_min=limits.cell_voltage_v_min_operating,
            voltage_v_max=limits.cell_voltage_v_max_operating,
            soc_frac_min=limits.soc_frac_min,
            soc_frac_max=limits.soc_frac_max,
            charge_current_a_max=limits.rack_current_a("charge", "operating"),
            discharge_current_a_max=limits.rack_current_a("discharge", "operating"),
        )
        self._solver = LimitSolver(tables, cells, window, (HORIZON_S,), SIGMAS)
        self._since_s = SOLVE_S
        self._known_s = 0.0
        self.currents = NOT_KNOWN

    def step(self, soc: RackSoc, reading: RackReading, dt_s: float) -> None:
        """Look anew if it is time; `dt_s` since the previous step."""
        self._since_s += dt_s
        self._known_s = self._known_s + dt_s if soc.known else 0.0
        if self._since_s < SOLVE_S:
            return
        self._since_s = 0.0
        self.currents = self._solve(soc, reading) if self._known_s > SETTLE_S else NOT_KNOWN

    def _solve(self, soc: RackSoc, reading: RackReading) -> HeldCurrents:
        discharge, charge = self._solver.solve(
            soc_frac=soc.soc_frac,
            soc_sigma_frac=np.minimum(soc_sigma_frac(soc), SOC_SIGMA_FRAC_MAX),
            temperature_degc=reading.temperature_degc,
            powers=False,
            **soc.cell_state(SHARED_RESISTANCE_SIGMAS / SIGMAS),
        )
        return HeldCurrents(_held(charge), _held(discharge))


def soc_sigma_frac(soc: RackSoc) -> Floats:
    """Of each cell, for a solver that reckons with SIGMAS of it."""
    own_frac = soc.difference_sigma_frac
    shared_frac2 = np.maximum(soc.sigma_frac**2 - own_frac**2, 0.0)
    return np.asarray(np.sqrt(own_frac**2 + (SHARED_SOC_SIGMAS / SIGMAS) ** 2 * shared_frac2))


def _held(limit: Limit) -> HeldLimit:
    """Of the one horizon; a solver that misses a value says 0 A, which is no limit but ignorance."""
    if limit.bound[0] == Bound.UNKNOWN:
        return NOT_KNOWN.charge
    cell = int(limit.cell[0])
    return HeldLimit(float(limit.current_a[0]), cell if cell >= 0 else None)
