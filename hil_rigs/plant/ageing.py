"""Cells that grow old while they are simulated: capacity goes and resistance comes, by the calendar and by cycles.

After Naumann et al., J. Energy Storage 17 (2018) 153 and J. Power Sources 451 (2020) 227666, of an LFP/graphite cell:
what is lost by the calendar grows with the root of time, by Arrhenius and faster when full; what is lost by cycles with
the root of the charge that went through. How much, in years and cycles, is the rig's to say."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

END_LOSS_FRAC = 0.2
"""Lost at what is called 80 %."""
LOSS_FRAC_MAX = 0.8
"""A cell does not lose more: the model says nothing about what is left of it."""
ACTIVATION_J_PER_MOL = 17_126.0
GAS_J_PER_MOL_K = 8.314_462
REFERENCE_K = 298.15
SOC_CUBE, SOC_AT_HALF = 2.8575, 0.60225
"""Calendar loss follows SOC_CUBE (SoC - 0.5)^3 + SOC_AT_HALF."""
YEAR_S = 365.25 * 86_400.0
UPDATE_S = 10.0
"""The cells are changed so often; nothing changes much meanwhile, whatever the speed."""


@dataclass(frozen=True, slots=True)
class AgeingParameters:
    """Each alone brings a cell to 80 % of its capacity: `calendar_years` at rest at 25 degC and half charge, or so many
    full `cycles`. `resistance_factor` is what it has then. `speed`: so many times faster than in life."""

    calendar_years: float
    cycles: float
    resistance_factor: float
    speed: float = 1.0

    def __post_init__(self) -> None:
        if min(self.calendar_years, self.cycles, self.speed) <= 0 or self.resistance_factor < 1:
            raise ValueError("years, cycles and speed must be positive, and the resistance must not fall with age")


class Ageing:
    """Of `cells` in series that share `capacity_ah` of charge, which is a full cycle's half. `step` it; when they are
    due, change them by the factors that `due` gives. `lost_frac[n]` is of their capacity at the start."""

    def __init__(self, parameters: AgeingParameters, cells: int, capacity_ah: float) -> None:
        self._parameters = parameters
        self._cycle_as = 2 * 3600 * capacity_ah
        self._calendar_frac2: Floats = np.zeros(cells)
        self._cycled_frac2 = 0.0
        self.lost_frac: Floats = np.zeros(cells)
        self._charge_as = self._since_s = 0.0

    def step(self, current_a: float, dt_s: float) -> bool:
        """`dt_s` at the string's current; True = the cells are due."""
        self._charge_as += abs(current_a) * dt_s
        self._since_s += dt_s
        return self._since_s >= UPDATE_S - 1e-9

    def due(self, soc_frac: Floats, degc: Floats) -> tuple[Floats, Floats]:
        """What the cells' capacities and resistances are to be multiplied by for the time since the last call, at this
        SoC and temperature. Squares grow evenly: so the root's steep start needs no small steps."""
        given, before = self._parameters, self.lost_frac
        end_frac2 = given.speed * END_LOSS_FRAC**2
        pace = arrhenius(degc) * fullness(soc_frac)
        self._calendar_frac2 += end_frac2 * self._since_s / (given.calendar_years * YEAR_S) * pace**2
        self._cycled_frac2 += end_frac2 * self._charge_as / (self._cycle_as * given.cycles)
        self._charge_as = self._since_s = 0.0
        lost_frac = np.sqrt(self._calendar_frac2) + np.sqrt(self._cycled_frac2)
        self.lost_frac = np.minimum(lost_frac, LOSS_FRAC_MAX)
        return (1 - self.lost_frac) / (1 - before), self._resistance(self.lost_frac) / self._resistance(before)

    def _resistance(self, lost_frac: Floats) -> Floats:
        return 1 + (self._parameters.resistance_factor - 1) * lost_frac / END_LOSS_FRAC


def arrhenius(degc: Floats) -> Floats:
    """Pace of the calendar over that at 25 degC."""
    apart = 1 / REFERENCE_K - 1 / (degc + 273.15)
    return np.asarray(np.exp(ACTIVATION_J_PER_MOL / GAS_J_PER_MOL_K * apart))


def fullness(soc_frac: Floats) -> Floats:
    """Pace of the calendar over that at half charge."""
    from_half = np.clip(soc_frac, 0.0, 1.0) - 0.5
    return np.asarray((SOC_CUBE * from_half**3 + SOC_AT_HALF) / SOC_AT_HALF)
