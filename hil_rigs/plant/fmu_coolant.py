"""The thermal network around a rack's cells, computed by an FMU."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil_rigs.plant.fmu import Fmu
from hil_rigs.plant.load_file import LoadFileError
from hil_rigs.plant.spread import COOLING_W_PER_K

COOLANT, HEAT, AMBIENT, WORKS = "coolant_degc", "heat_w", "ambient_degc", "cooling_works"
COOLANT_DEGC = -60.0, 200.0
"""What it may say."""


class FmuCoolant:
    """A HeatSink: the FMU's output `coolant_degc`, what the rack's cells are cooled by, once it was told those of
    `heat_w` (W, what all cells gave it over the step), `ambient_degc` and `cooling_works` (0 or 1) that it wants to
    know. One instance a rack, of cells that are `in_parallel`. LoadFileError as of an Fmu, and for what no coolant can
    be."""

    def __init__(self, path: Path, in_parallel: int = 1) -> None:
        self.works = True
        self.rise_k = 0.0
        self._w_per_k = COOLING_W_PER_K * in_parallel
        self._fmu = Fmu(path, (COOLANT,), may_hear=(HEAT, AMBIENT, WORKS))
        self._coolant_degc = self._read()

    def step(self, cells_degc: NDArray[np.float64], supply_degc: float, dt_s: float) -> float:
        """Its temperature at the end of `dt_s`."""
        self._fmu.tell(HEAT, self._w_per_k * float((cells_degc - self._coolant_degc).sum()))
        self._fmu.tell(AMBIENT, supply_degc)
        self._fmu.tell(WORKS, float(self.works))
        self._fmu.step(dt_s)
        self._coolant_degc = self._read()
        self.rise_k = self._coolant_degc - supply_degc
        return self._coolant_degc

    def _read(self) -> float:
        value, (low, high) = self._fmu.values()[COOLANT], COOLANT_DEGC
        if not low <= value <= high:
            at_s = self._fmu.time_s
            raise LoadFileError(
                f"{self._fmu.path}: {COOLANT} is {value:g} at {at_s:.2f} s, expected {low:g} to {high:g}"
            )
        return value
