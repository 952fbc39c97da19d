"""Splits one power over many units: by what each can give and how full it is, over as few as work well, and without
switching them to and fro."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MARGIN = 1.1
"""Working units can give this much more than is asked, so that the next step of the load needs no other."""
WAKE = 2.0
"""A resting unit is woken once the shares are this much above the power below which a unit works badly."""
LEAST_WEIGHT = 1e-6
"""An empty unit may still be asked as the last one: its limit says what it can give."""


@dataclass(frozen=True, slots=True)
class Units:
    """What `n` units can do now, all [n]: powers in W (magnitudes, 0 = cannot), SoC, energy between empty and full, and
    the power below which a unit's converter works badly (0 = any power is fine)."""

    charge_power_w_limit: Floats
    discharge_power_w_limit: Floats
    soc_frac: Floats
    energy_wh: Floats
    efficient_power_w: Floats


class Split(NamedTuple):
    """`power_w[n]`, discharge positive, all of one sign; `short_w` is how much of what was asked nobody can give."""

    power_w: Floats
    short_w: float


class Arbiter:
    """Remembers which of `count` units work, so that a power that moves a little switches none of them."""

    def __init__(self, count: int) -> None:
        self._works: Flags = np.zeros(count, dtype=bool)

    def split(self, power_w: float, units: Units) -> Split:
        """Shares whose sum is as near to `power_w` as the units can, none beyond its limit. The fuller a unit the more
        it discharges and the less it charges, so that they get empty or full together.

        ValueError if `power_w` is not a finite number."""
        if not abs(power_w) < float("inf"):
            raise ValueError(f"power must be finite, got {power_w}")
        caps_w = units.discharge_power_w_limit if power_w > 0 else units.charge_power_w_limit
        asked_w = abs(power_w)
        most_w = float(caps_w.sum())
        if asked_w == 0.0 or most_w == 0.0:
            return Split(np.zeros(len(caps_w)), asked_w)
        weights = np.maximum(_weights(units, discharge=power_w > 0), LEAST_WEIGHT)
        self._works = _working(self._works, min(asked_w, most_w), caps_w, weights, units.efficient_power_w)
        shares_w = _filled(min(asked_w, most_w), np.where(self._works, caps_w, 0.0), weights)
        return Split(np.copysign(shares_w, power_w), max(asked_w - most_w, 0.0))


def _weights(units: Units, *, discharge: bool) -> Floats:
    """Energy that a unit can still give or take, in Wh."""
    return units.energy_wh * (units.soc_frac if discharge else 1.0 - units.soc_frac)


def _working(works: Flags, asked_w: float, caps_w: Floats, weights: Floats, efficient_w: Floats) -> Flags:
    """The units that shall share: enough for the power with some margin, and not so many that their shares are too
    small. Those that work stay as long as both hold; the ones with most energy come first and go last."""
    works = works & (caps_w > 0.0)
    order = np.lexsort((-weights, ~works, caps_w <= 0.0))
    enough = 1 + int(np.searchsorted(np.cumsum(caps_w[order]), min(asked_w * MARGIN, caps_w.sum()) * (1 - 1e-12)))
    least_w = np.cumsum(efficient_w[order])
    at_most = int(np.searchsorted(least_w, asked_w, side="right"))
    wakes = int(np.searchsorted(least_w, asked_w / WAKE, side="right"))
    count = max(min(max(int(works.sum()), wakes), at_most), enough)
    chosen = np.zeros(len(caps_w), dtype=bool)
    chosen[order[: min(count, int((caps_w > 0.0).sum()))]] = True
    return chosen


def _filled(asked_w: float, caps_w: Floats, weights: Floats) -> Floats:
    """Shares in proportion to `weights`, none above its cap; their sum is `asked_w`, or all caps if those are less."""
    if asked_w >= caps_w.sum():
        return caps_w.copy()
    open_weights = np.where(caps_w > 0.0, weights, 0.0)
    levels = np.divide(caps_w, open_weights, out=np.full(len(caps_w), np.inf), where=open_weights > 0.0)
    order = np.argsort(levels)
    capped_w = np.concatenate(([0.0], np.cumsum(caps_w[order])))[:-1]
    left = np.cumsum(open_weights[order][::-1])[::-1]
    level = np.divide(asked_w - capped_w, left, out=np.full(len(caps_w), np.inf), where=left > 0.0)
    first = int(np.argmax(level <= levels[order]))
    shares_w: Floats = np.minimum(caps_w, level[first] * open_weights)
    return shares_w
