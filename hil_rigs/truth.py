"""What really happened on the plant, kept for judging: the controller never sees it."""

import math
from array import array
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil_rigs.plant.site import Plant
from hil_rigs.signals import POWERS, sampled

Floats = NDArray[np.float64]
SAMPLES_MAX = 10_000_000
"""Bound: 28 h at 10 ms. Older samples stay, newer ones are not taken any more."""


@dataclass(frozen=True, slots=True)
class TrueCurves:
    """Powers at the plant's own steps beside `time_s`, all [n]."""

    time_s: Floats
    load_power_w: Floats
    grid_power_w: Floats
    battery_power_w: Floats
    pv_power_w: Floats


class Truth:
    """Samples the plant after each of its steps; beside the powers the `signals` of these names (see signals.py)."""

    def __init__(self, plant: Plant, signals: Collection[str] = ()) -> None:
        self._plant = plant
        self._time_s, self._load_w, self._grid_w, self._pv_w = array("d"), array("d"), array("d"), array("d")
        self._signals = [(signal, array("d")) for signal in sampled(set(signals) - set(POWERS))]
        self._closed = self._ever_closed = [False] * len(plant.racks)
        self.opened_again = False

    def see(self) -> None:
        """Take the plant's present state."""
        plant = self._plant
        closed = [rack.main.closed for rack in plant.racks]
        if closed != self._closed:
            self.opened_again |= any(was and not now for was, now in zip(self._ever_closed, closed, strict=True))
            self._ever_closed = [was or now for was, now in zip(self._ever_closed, closed, strict=True)]
            self._closed = closed
        if len(self._time_s) < SAMPLES_MAX:
            self._time_s.append(plant.time_s)
            self._load_w.append(plant.load_power_w)
            self._grid_w.append(plant.grid_power_w)
            self._pv_w.append(plant.pv_power_w)
            for signal, values in self._signals:
                values.append(signal.value(plant))

    def curves(self, until_s: float = math.inf) -> TrueCurves:
        """All samples taken up to `until_s`."""
        count = bisect_right(self._time_s, until_s)
        load_w, grid_w, pv_w = (np.array(each[:count]) for each in (self._load_w, self._grid_w, self._pv_w))
        return TrueCurves(np.array(self._time_s[:count]), load_w, grid_w, load_w - pv_w - grid_w, pv_w)

    def signals(self, until_s: float = math.inf) -> dict[str, Floats]:
        """Every signal sampled, by name, as long as the curves up to `until_s`."""
        count = bisect_right(self._time_s, until_s)
        powers = {"grid_power_w": self._grid_w, "load_power_w": self._load_w, "pv_power_w": self._pv_w}
        sampled = powers | {signal.name: values for signal, values in self._signals}
        return {name: np.array(values[:count]) for name, values in sampled.items()}

    def battery_power_w_max(self, last_s: float) -> float:
        """Largest magnitude of the battery's power over the last `last_s`."""
        since_s = self._plant.time_s - last_s
        curves = self.curves()
        return float(np.abs(curves.battery_power_w[curves.time_s >= since_s]).max(initial=0.0))
