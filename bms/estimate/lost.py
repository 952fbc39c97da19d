"""Sees that the filters have lost the cell: one that rests shows a voltage that nothing near their SoC explains."""

import numpy as np

from kernels.bank_model import Floats
from kernels.cell_tables import SOC_GRID, CellTables

STRETCH_S = 600.0
"""The mean over so long a rest counts."""
DROP_V_MAX = 0.03
"""A cell rests where current and relaxation take no more than this off its voltage."""
NEAR_FRAC = 0.05
MODEL_V = 0.03
"""What the open-circuit curve may be beside a real cell's, temperature and hysteresis included."""
TIMES = 2.5
"""Measured cells stay below 1, but for what is colder than their model knows; lost ones reach 4."""


class LostWatch:
    """Of one string. A filter that settled on a plateau stays there: no slope leads it out, whatever it is shown."""

    def __init__(self, cell: CellTables) -> None:
        ocv_v = cell.ocv_v[len(cell.temperature_degc) // 2]
        above_v, below_v = (np.interp(SOC_GRID + off, SOC_GRID, ocv_v) for off in (NEAR_FRAC, -NEAR_FRAC))
        self._most_v: Floats = TIMES * (np.maximum(above_v - ocv_v, ocv_v - below_v) + MODEL_V)
        self._degc_min, self._degc_max = cell.temperature_measured_degc
        self.interrupt()

    def interrupt(self) -> None:
        """What comes next does not go on from what was."""
        self._since_s = self._sum_v_s = 0.0

    def take(self, away_v: float, drop_v: float, soc_frac: float, temperature_degc: float, dt_s: float) -> bool:
        """`away_v`: measured less expected voltage over `dt_s`. True at the end of a stretch that says: lost."""
        known = self._degc_min <= temperature_degc <= self._degc_max
        if not (known and abs(drop_v) <= DROP_V_MAX and abs(away_v) >= 0.0):
            self.interrupt()
            return False
        self._since_s += dt_s
        self._sum_v_s += away_v * dt_s
        if self._since_s < STRETCH_S:
            return False
        mean_v = self._sum_v_s / self._since_s
        self.interrupt()
        return abs(mean_v) > float(np.interp(soc_frac, SOC_GRID, self._most_v))
