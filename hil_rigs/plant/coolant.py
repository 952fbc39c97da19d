"""What a rack's cells give their heat to: coolant that the cooling holds at its supply's temperature while it works."""

from math import exp
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hil_rigs.plant.spread import COOLING_W_PER_K

HEAT_J_PER_K = 1000.0
"""Of the coolant a cell: 0.3 kg of water and glycol in plates and pipes."""
LOST_W_PER_K = 0.05
"""A cell, from pipes and enclosure to the surroundings: 20 W/K for a rack of 400 cells."""
RECOVERY_S = 30.0
"""Time constant with which the cooling that works again takes the coolant back."""
CALM_K = 1e-3


class HeatSink(Protocol):
    """What a rack's cells are cooled by; `works`: its cooling does, `rise_k`: above the supply's temperature."""

    works: bool
    rise_k: float

    def step(self, cells_degc: NDArray[np.float64], supply_degc: float, dt_s: float) -> float:
        """Its temperature at the end of `dt_s`."""


class Coolant:
    """Warms by what the cells give it once the cooling does not work; `rise_k` is above the supply's temperature."""

    def __init__(self) -> None:
        self.works = True
        self.rise_k = 0.0

    def step(self, cells_degc: NDArray[np.float64], supply_degc: float, dt_s: float) -> float:
        """Its temperature at the end of `dt_s`."""
        if not self.works:
            taken, lost = dt_s * COOLING_W_PER_K / HEAT_J_PER_K, dt_s * LOST_W_PER_K / HEAT_J_PER_K
            warmer_k = float(cells_degc.mean()) - supply_degc
            self.rise_k = (self.rise_k + taken * warmer_k) / (1.0 + taken + lost)
        elif self.rise_k != 0.0:
            self.rise_k *= exp(-dt_s / RECOVERY_S)
            self.rise_k = self.rise_k if abs(self.rise_k) > CALM_K else 0.0
        return supply_degc + self.rise_k
