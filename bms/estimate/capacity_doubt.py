"""Sees in what the filters have learned that a cell's capacity is not that of its file: it has aged, or is another."""

import math

DOUBTED_SIGMA_FRAC = 0.15
"""How far capacity may lie from the file's where that is no good: three of it are a cell at 64 %."""
ODDS = 150.0
"""Of so many cells one is not what its file says: before it is believed, what was measured must be as much likelier."""
LOOK_S = 60.0
RESISTANCE_FACTOR_MAX = 2.2
"""Where the resistance is so far off, too, the whole file is another cell's, and a capacity would only make it fit."""
GROWN_RESISTANCE_FACTOR, GROWN_SIGMAS = 1.4, 3.0
"""A resistance that has grown by so much, and surely so, is an aged cell's. New ones come to 1.21 at most where SoC and
temperature are known (A123, NCR18650PF, About:Energy from full), to 1.27 with the single pair of a data sheet."""
KNOWN_SOC_SIGMA = 0.02
"""An unknown SoC amid a plateau passes for a resistance: About:Energy, switched on at 65 %, seemed to have 1.6 times
its own while sigma was 3 to 6 %."""


def has_aged(resistance_factor: float, sigma_frac: float, soc_sigma_frac: float) -> bool:
    """Whether the resistance alone says so, which it does in the first hours, before any charge tells the capacity."""
    grown = GROWN_RESISTANCE_FACTOR < resistance_factor < RESISTANCE_FACTOR_MAX
    return grown and soc_sigma_frac < KNOWN_SOC_SIGMA and math.log(resistance_factor) > GROWN_SIGMAS * sigma_frac


def is_doubtful(log_factor: float, sigma: float, known_sigma: float) -> bool:
    """Whether all samples together are ODDS times likelier from a cell whose capacity was known to DOUBTED_SIGMA_FRAC
    than from one known to `known_sigma`, by ln of the capacity's factor and its sigma after them. Without the first
    knowledge, which was 0 with `known_sigma`, they would say what is left when it is taken out again."""
    said = 1.0 / sigma**2 - 1.0 / known_sigma**2
    if said <= 0.0 or known_sigma >= DOUBTED_SIGMA_FRAC:
        return False
    away = log_factor / sigma**2 / said
    known, doubted = known_sigma**2 + 1.0 / said, DOUBTED_SIGMA_FRAC**2 + 1.0 / said
    return 0.5 * (away**2 * (1.0 / known - 1.0 / doubted) + math.log(known / doubted)) > math.log(ODDS)
