"""Curves for a drawing: so few points that a page stays small, and every peak still there."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BUCKETS = 400
"""Of each the lowest and the highest sample is kept."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One signal: `time_s[n]` and `value[n]`, five figures each."""

    name: str
    time_s: tuple[float, ...]
    value: tuple[float, ...]


def thinned(time_s: Floats, signals: Mapping[str, Floats]) -> tuple[Curve, ...]:
    """All signals, each at its own times; a signal that never changes is two points."""
    return tuple(_thin(name, time_s, value) for name, value in signals.items())


def _thin(name: str, time_s: Floats, value: Floats) -> Curve:
    kept = _kept(value)
    return Curve(name, tuple(np.round(time_s[kept], 3).tolist()), tuple(float(f"{v:.5g}") for v in value[kept]))


def _kept(value: Floats) -> NDArray[np.int64]:
    """Indices, rising: first and last, lowest and highest of each bucket, without those that repeat both neighbours."""
    count = len(value)
    if count <= 2 * BUCKETS:
        kept = np.arange(count)
    else:
        edges = np.linspace(0, count, BUCKETS + 1).astype(np.int64)
        pairs = [(a + value[a:b].argmin(), a + value[a:b].argmax()) for a, b in pairwise(edges)]
        kept = np.unique(np.array([0, count - 1, *(index for pair in pairs for index in pair)]))
    if len(kept) < 3:
        return kept
    inner = value[kept]
    repeats = (inner[1:-1] == inner[:-2]) & (inner[1:-1] == inner[2:])
    return kept[np.concatenate(([True], ~repeats, [True]))]
