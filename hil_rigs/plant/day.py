"""A day of power as a table: pulses, slow noise and a place on the clock, from which loads and clouds are made."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil_rigs.plant.load import LoadProfile

Floats = NDArray[np.float64]

DAY_S = 86_400.0
HOUR_S = 3600.0
EDGE_S = 0.05
"""A contactor's or a relay's power is there within this."""


class Pulse(NamedTuple):
    """Power from `start_s` to `end_s` of the day, rising and falling over `edge_s` inside these."""

    start_s: float
    end_s: float
    power_w: float
    edge_s: float = EDGE_S


def pulses(which: Iterable[Pulse], base_w: float = 0.0) -> tuple[Floats, Floats]:
    """Time and power of their sum on top of `base_w`, over one day; what is beyond midnight is cut."""
    kinks = [(0.0, 0.0), (DAY_S, 0.0)]
    for pulse in which:
        edge_s = min(pulse.edge_s, (pulse.end_s - pulse.start_s) / 2.0)
        if edge_s <= 0.0:
            continue
        slope = pulse.power_w / edge_s
        kinks += [
            (pulse.start_s, slope), (pulse.start_s + edge_s, -slope),
            (pulse.end_s - edge_s, -slope), (pulse.end_s, slope),
        ]  # fmt: skip
    at_s, slope_steps = np.array([kink for kink in kinks if 0.0 <= kink[0] <= DAY_S]).T
    time_s, places = np.unique(at_s, return_inverse=True)
    slopes = np.cumsum(np.bincount(places, weights=slope_steps))
    power_w = base_w + np.concatenate(([0.0], np.cumsum(slopes[:-1] * np.diff(time_s))))
    return time_s, np.maximum(power_w, 0.0)


def slow_noise(samples: int, step_s: float, forgets_s: float, rng: np.random.Generator) -> Floats:
    """Ornstein-Uhlenbeck of standard deviation 1."""
    keep = float(np.exp(-step_s / forgets_s))
    draws = rng.standard_normal(samples) * np.sqrt(1.0 - keep * keep)
    walk = np.empty(samples)
    state = float(rng.standard_normal())
    for i, draw in enumerate(draws.tolist()):
        walk[i] = state = keep * state + draw
    return walk


def arrivals(per_hour: Sequence[float], rng: np.random.Generator) -> Floats:
    """Times (s) in a day of events that come by chance, so many in each of its 24 hours on average."""
    found = [hour * HOUR_S + rng.uniform(0.0, HOUR_S, rng.poisson(rate)) for hour, rate in enumerate(per_hour)]
    return np.sort(np.concatenate(found))


class DayLoad:
    """A table of one day, repeated; the run starts at `start_s` of it. `time_s[0]` is 0."""

    def __init__(self, time_s: Floats, power_w: Floats, start_s: float) -> None:
        self._table = LoadProfile(time_s, power_w)
        self._start_s = start_s
        self.power_w_max = self._table.power_w_max

    def power_w(self, t_s: float) -> float:
        return self._table.power_w(self._start_s + t_s)
