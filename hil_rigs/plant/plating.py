"""How unevenly the zinc of a rack is plated: it grows with what is charged, and ends where no zinc is left."""

from math import exp

import numpy as np
from numpy.typing import NDArray

EMPTY_FRAC = 0.002
"""Below this SoC a cell's plate is bare."""
STRIP_TIME_S = 600.0
"""Time constant with which the last of it goes from bare plates. Assumed, as all of this; measured on no product."""
LOOK_S = 1.0
"""The cells are looked at this often: all of this takes hours."""


class Plating:
    """`irregularity_frac` of one rack: at 1 its cells lose twice what they lose when new or stripped. Every full charge
    adds `frac_per_charge`."""

    def __init__(self, frac_per_charge: float, capacity_ah: float, irregularity_frac: float = 0.0) -> None:
        self.irregularity_frac = irregularity_frac
        self._frac_per_as = frac_per_charge / (capacity_ah * 3600.0)
        self._since_s = 0.0

    def step(self, current_a: float, soc_frac: NDArray[np.float64], dt_s: float) -> None:
        """Advance by `dt_s` at the rack's current (discharge positive); `soc_frac` of its cells."""
        self.irregularity_frac += self._frac_per_as * max(-current_a, 0.0) * dt_s
        self._since_s += dt_s
        if self._since_s >= LOOK_S:
            if soc_frac.max() < EMPTY_FRAC:
                self.irregularity_frac *= exp(-self._since_s / STRIP_TIME_S)
            self._since_s = 0.0
