"""Strings in parallel that stand as one rack: one is resolved to its cells, the others are so many mean cells."""

import numpy as np
from numpy.typing import NDArray

from kernels.cellsim import CellPack

Floats = NDArray[np.float64]


class ParallelStrings:
    """What a rack asks of its cells. They and the bleed currents are those of the resolved string `cells`; `mean_cell`
    is the one cell of which each of the `others` has as many. `emf_v` and `resistance_ohm` are those of all strings
    together, and the current is shared so that they have one voltage: strings that are charged differently feed each
    other, also while the rack carries nothing."""

    def __init__(self, cells: CellPack, mean_cell: CellPack, others: int) -> None:
        """ValueError without others."""
        if others < 1:
            raise ValueError(f"others: got {others}, expected at least 1")
        self.cells, self.mean_cell = cells, mean_cell
        self._others, self._count = others, len(cells.voltage_v)

    @property
    def voltage_v(self) -> Floats:
        return self.cells.voltage_v

    @property
    def soc_frac(self) -> Floats:
        return self.cells.soc_frac

    @property
    def temperature_degc(self) -> Floats:
        return self.cells.temperature_degc

    @property
    def resistance_ohm(self) -> float:
        return 1.0 / (1.0 / self.cells.resistance_ohm + 1.0 / self._others_ohm)

    @property
    def emf_v(self) -> float:
        cells, others_ohm = self.cells, self._others_ohm
        others_v = self._count * self.mean_cell.emf_v
        return (cells.emf_v * others_ohm + others_v * cells.resistance_ohm) / (cells.resistance_ohm + others_ohm)

    @property
    def _others_ohm(self) -> float:
        """Of all others together."""
        return self._count * self.mean_cell.resistance_ohm / self._others

    def step(self, current_a: float, bleed_a: Floats | None, ambient_degc: float, dt_s: float) -> None:
        """As CellPack.step, with the current of all strings."""
        voltage_v = self.emf_v - current_a * self.resistance_ohm
        own_a = (self.cells.emf_v - voltage_v) / self.cells.resistance_ohm
        self.cells.step(own_a, bleed_a, ambient_degc, dt_s)
        self.mean_cell.step((current_a - own_a) / self._others, None, ambient_degc, dt_s)

    def set_soc(self, cell: int, soc_frac: float) -> None:
        self.cells.set_soc(cell, soc_frac)

    def heat(self, cell: int, temperature_degc: float) -> None:
        self.cells.heat(cell, temperature_degc)

    def age(self, cell: int, capacity_factor: float, resistance_factor: float) -> None:
        self.cells.age(cell, capacity_factor, resistance_factor)

    def age_each(self, capacity_factor: Floats, resistance_factor: Floats) -> None:
        """The other strings' cells as the mean of these."""
        self.cells.age_each(capacity_factor, resistance_factor)
        self.mean_cell.age_each([float(capacity_factor.mean())], [float(resistance_factor.mean())])
