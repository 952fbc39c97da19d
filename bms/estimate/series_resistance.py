"""How each cell of a string answers within seconds to a change of current, against what the model says. Limits for a
second or ten live on that, and one factor for all resistances of a cell does not know it."""

import math
from collections import deque

import numpy as np

from drivers.readings import Floats

LAG = 3
"""Windows (1 s) between two that are compared: a voltage that is read 0.1 s before its current matters little then."""
STEP_PER_H = 0.1
"""A change of the current, by capacity, that is answered; less is relaxation, which other resistances make."""
SIGMA, SIGMA_MIN = 0.15, 0.05
"""Of the factor before the first step, and at least: what relaxes within seconds counts as series resistance."""
WALK_PER_SQRT_S = 0.02 / 600**0.5
"""Temperature and SoC move it: 2 % in ten minutes."""
NOISE_V = 0.001
ANSWER_FRAC = 0.15
"""Error of one answer as a share of it: the two windows' times."""
LEAST, MOST = 0.3, 3.0


class SeriesResistance:
    """`factor` of each cell multiplies the model's series resistance, beside the factor in the drop that `take` is
    given; `sigma_frac` is how well it is known."""

    def __init__(self, cells: int, capacity_ah: float) -> None:
        self.factor: Floats = np.ones(cells)
        self._variance = SIGMA**2
        self._step_a = STEP_PER_H * capacity_ah
        self._seen: deque[tuple[Floats, float, float]] = deque(maxlen=LAG)

    @property
    def sigma_frac(self) -> float:
        return math.sqrt(self._variance)

    def interrupt(self) -> None:
        """What comes next does not go on from what was."""
        self._seen.clear()

    def take(self, fallen_v: Floats, drop_v: float, current_a: float, dt_s: float) -> None:
        """Means of a window of `dt_s`: how far each cell's voltage lies below the open-circuit curve, the drop as
        modelled, and the current. A cell whose voltage is NaN learns nothing."""
        self._variance = min(self._variance + WALK_PER_SQRT_S**2 * dt_s, SIGMA**2)
        if len(self._seen) == LAG:
            before_v, drop_before_v, before_a = self._seen[0]
            if abs(current_a - before_a) > self._step_a:
                self._learn(fallen_v - before_v, drop_v - drop_before_v)
        self._seen.append((fallen_v, drop_v, current_a))

    def _learn(self, answer_v: Floats, expected_v: float) -> None:
        noise_v2 = NOISE_V**2 + (ANSWER_FRAC * expected_v) ** 2
        gain = self._variance * expected_v / (self._variance * expected_v**2 + noise_v2)
        learnt = np.clip(self.factor + gain * (answer_v - self.factor * expected_v), LEAST, MOST)
        self.factor = np.where(np.isfinite(learnt), learnt, self.factor)
        self._variance = max(self._variance * (1.0 - gain * expected_v), SIGMA_MIN**2)
