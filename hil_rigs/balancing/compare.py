"""The energy that each scheme burns until the same string has the same spread left."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hil_rigs.balancing.schemes import SCHEMES
from hil_rigs.balancing.string import CELL, DAY_S, STEP_S, BalancedString, least_wh
from kernels.parameters import load_cell

SPREAD_FRAC = 0.015
"""Of the capacity: the string counts as balanced with so much left between its fullest and its emptiest cell."""

DAYS_MAX = 30.0
SAVING_FRAC_MIN = 0.30


@dataclass(frozen=True, slots=True)
class Balanced:
    """A scheme on a string. NaN where it was not balanced within DAYS_MAX."""

    seed: int
    scheme: str
    wasted_wh: float
    days: float


def balanced(seed: int, scheme: str) -> Balanced:
    string, chooser = BalancedString(seed), SCHEMES[scheme]()
    spread_ah = SPREAD_FRAC * load_cell(CELL).capacity_ah
    for reading in string.steps(DAYS_MAX):
        string.bleed(chooser.choose(reading, STEP_S))
        truth = string.truth
        if truth.spread_ah <= spread_ah:
            return Balanced(seed, scheme, truth.wasted_wh, truth.elapsed_s / DAY_S)
    return Balanced(seed, scheme, math.nan, math.nan)


def least(seed: int) -> float:
    """The least energy that could do it, in Wh."""
    return least_wh(seed, SPREAD_FRAC * load_cell(CELL).capacity_ah)


def saving_frac(pairs: Iterable[tuple[float, float]]) -> float:
    """Share of the other's energy that ours does not burn, over pairs (ours, other). Strings that the other never
    balanced do not count; 1 where it balanced none."""
    reached = [(ours_wh, other_wh) for ours_wh, other_wh in pairs if not math.isnan(other_wh)]
    other_wh = sum(other for _, other in reached)
    return 1.0 - sum(ours for ours, _ in reached) / other_wh if reached else 1.0
