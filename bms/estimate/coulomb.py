"""Coulomb counting: the comparison that any estimator must beat."""

from math import hypot

from bms.estimate.replay import GAP_S
from kernels.cell_tables import CellTables

OFFSET_PER_H = 0.005
"""Offset of the current sensor assumed for sigma, in shares of the capacity an hour."""


class CoulombCounter:
    """SoC = start - charge / capacity, by the trapezoid rule; voltage and temperature are not looked at. An unknown
    start is 0.5 with sigma 0.3. Sigma grows as if the sensor had its assumed offset."""

    def __init__(self, cell: CellTables) -> None:
        self._capacity_as = 3600.0 * cell.capacity_ah
        self.start()

    def start(self, soc_frac: float | None = None, soc_sigma_frac: float | None = None) -> None:
        self.soc_frac = 0.5 if soc_frac is None else soc_frac
        self._sigma_frac = 0.3 if soc_sigma_frac is None else soc_sigma_frac
        self._counted_s = 0.0
        self._current_a = 0.0

    @property
    def soc_sigma_frac(self) -> float:
        return self._sigma_frac + OFFSET_PER_H / 3600.0 * self._counted_s

    def step(self, voltage_v: float, current_a: float, temperature_degc: float, dt_s: float) -> None:
        mean_a = 0.5 * (self._current_a + current_a)
        if 0.0 < dt_s <= GAP_S and mean_a == mean_a:
            self.soc_frac -= mean_a * dt_s / self._capacity_as
            self._counted_s += dt_s
        self._current_a = current_a

    def doubt(self, charge_sigma_ah: float) -> None:
        self._sigma_frac = hypot(self._sigma_frac, 3600.0 * charge_sigma_ah / self._capacity_as)
