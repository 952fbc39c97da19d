"""State of charge of a battery with a management system of its own: what that says, without an estimator."""

import math
from typing import Any

import numpy as np

from bms.estimate.soc import RackSoc
from bms.summary import RackSummary
from drivers.readings import RackReading
from kernels.cell_tables import CellTables


class BatterySoc(RackSoc):
    """Takes the battery's own word for all of its cells. `known` stays False: of single cells nothing is known, so
    that nothing is held back, balanced or saved by them. `sigma_frac` is NaN: it does not say how sure it is."""

    def __init__(self, cell: CellTables, cells: int, current_age_s_max: float, energy_wh: float) -> None:
        """`energy_wh`: what it holds when it is full."""
        super().__init__(cell, cells, current_age_s_max)
        self._full_wh = energy_wh

    def step(self, reading: RackReading, summary: RackSummary, dt_s: float) -> None:
        """NaN while it is not said."""
        said = reading.battery
        soc_frac = math.nan if said is None else said.soc_frac
        self.soc_frac = np.full(len(self.soc_frac), soc_frac)
        self.usable_frac, self.energy_wh = soc_frac, soc_frac * self._full_wh
        self.soh_frac_min = math.nan if said is None else said.soh_frac

    def restore(self, saved: dict[str, Any], age_s: float) -> None:
        """Its own management remembers."""
