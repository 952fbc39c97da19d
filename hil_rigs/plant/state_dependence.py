"""How a cell's resistances and its entropy follow its SoC, by chemistry: generic shapes that the estimator lacks."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Points = tuple[tuple[float, float], ...]

LITHIUM_RESISTANCE: Points = ((0.0, 1.25), (0.05, 1.1), (0.1, 1.03), (0.15, 1.0), (0.9, 1.0), (1.0, 1.1))
"""Factor of the resistance at half charge: about the same between 10 and 90 %, and more at both ends, where charge
transfer into an almost empty or an almost full electrode is slow."""
LFP_ENTROPIC_MV_PER_K: Points = (
    (0.0, -0.4), (0.1, -0.25), (0.2, -0.12), (0.35, -0.02), (0.5, 0.0), (0.65, 0.12), (0.75, 0.12), (0.9, 0.05),
    (1.0, 0.0),
)  # fmt: skip
"""The shape that measurements of LFP/graphite share, mostly of the graphite: Forgez et al., J. Power Sources 195 (2010)
2961."""
LAYERED_ENTROPIC_MV_PER_K: Points = (
    (0.0, -0.4), (0.15, -0.3), (0.3, -0.1), (0.45, 0.0), (0.6, 0.1), (0.75, 0.05), (1.0, 0.0),
)  # fmt: skip
"""Of layered oxides and spinel against graphite, which have that sign and size."""
ZINC_BROMINE_MV_PER_K: Points = ((0.0, -0.72), (1.0, -0.72))
"""From standard entropies, J/(mol K): Zn 41.63, Br2 152.21, Zn2+ -109.8, Br- 82.55 (CODATA); two electrons."""

FLAT: Points = ((0.0, 1.0), (1.0, 1.0))
RESISTANCE = {"zinc": FLAT}
ENTROPIC_MV_PER_K = {"lfp": LFP_ENTROPIC_MV_PER_K, "zinc": ZINC_BROMINE_MV_PER_K}


def resistance_factor(chemistry: str, points: int) -> Floats:
    """Of all resistances of a cell, on a uniform SoC grid 0..1 of so many points."""
    return _on_grid(RESISTANCE.get(chemistry, LITHIUM_RESISTANCE), points)


def entropic_v_per_k(chemistry: str, points: int) -> Floats:
    """Slope of the open-circuit voltage by temperature, on the same grid."""
    return 1e-3 * _on_grid(ENTROPIC_MV_PER_K.get(chemistry, LAYERED_ENTROPIC_MV_PER_K), points)


def _on_grid(curve: Points, points: int) -> Floats:
    soc_frac, values = zip(*curve, strict=True)
    on_grid: Floats = np.interp(np.linspace(0.0, 1.0, points), soc_frac, values)
    return on_grid
