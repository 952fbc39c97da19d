"""Which share of a charge comes back, over temperature."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hil_rigs.identify.basis import KELVIN

Floats = NDArray[np.float64]

LOSS_MIN = 5e-4
"""A smaller loss cannot be told from an error of the counters."""
LOSS_MAX = 0.2
COLDER_K = 5.0
"""So far below the measured temperatures the loss goes on rising, as the ohmic resistance does, and stays there."""
COLD_ACTIVATION_K = 0.0, 7000.0
"""How steeply it may."""
APART_K = 6.0
"""Runs whose temperatures lie closer are averaged."""


def efficiency_over_temperature(measured: Sequence[tuple[float, float]], degc: Floats) -> Floats:
    """The share at `degc` from (mean degC, share) of runs; 1 without any. What is lost follows reactions: ln of it is
    linear in 1/T between the runs (A123 26650: 0.5 % at 5 degC, 1.1 % at -5, 6.6 % at -25), and goes on with its own
    slope a little towards the cold, where it rises steeply."""
    if not measured:
        return np.ones(len(degc))
    at, log_loss = _grouped(measured)
    to = np.minimum(1 / (degc + KELVIN), 1 / (1 / at[-1] - COLDER_K))
    inside = np.interp(to, at, log_loss)
    slope = (log_loss[-1] - log_loss[-2]) / (at[-1] - at[-2]) if len(at) > 1 else 0.0
    colder = np.clip(slope, *COLD_ACTIVATION_K) * np.maximum(to - at[-1], 0.0)
    return np.asarray(1 - np.minimum(np.exp(inside + colder), LOSS_MAX))


def _grouped(measured: Sequence[tuple[float, float]]) -> tuple[Floats, Floats]:
    """(1/T, ln of the loss) with 1/T rising: warm runs first."""
    groups: list[list[tuple[float, float]]] = []
    for degc, share in sorted(measured, reverse=True):
        if groups and groups[-1][0][0] - degc < APART_K:
            groups[-1].append((degc, share))
        else:
            groups.append([(degc, share)])
    means = np.array([np.mean(group, axis=0) for group in groups])
    return 1 / (means[:, 0] + KELVIN), np.log(np.maximum(1 - means[:, 1], LOSS_MIN))
