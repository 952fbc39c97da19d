"""What the answers of services are made of: straight lines between points, and a first-order lag."""

from bisect import bisect_right
from collections.abc import Sequence
from math import exp, log


class Piecewise:
    """Straight lines between points (x, y) with rising x; flat before the first and after the last."""

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        self._xs, self._ys = [x for x, _ in points], [y for _, y in points]

    def at(self, x: float) -> float:
        after = bisect_right(self._xs, x)
        if after == 0 or after == len(self._xs):
            return self._ys[0 if after == 0 else -1]
        before_x, before_y = self._xs[after - 1], self._ys[after - 1]
        share = (x - before_x) / (self._xs[after] - before_x)
        return before_y + share * (self._ys[after] - before_y)


class Lag:
    """First-order: 90 % of a step after `response_time_s`, as open-loop response times are defined; 0 = none."""

    def __init__(self, response_time_s: float) -> None:
        self._tau_s = response_time_s / log(10.0)
        self._value: float | None = None

    def follow(self, wanted: float, dt_s: float) -> float:
        if self._value is None or self._tau_s == 0.0:
            self._value = wanted
        else:
            self._value += (1.0 - exp(-dt_s / self._tau_s)) * (wanted - self._value)
        return self._value

    def reset(self) -> None:
        self._value = None
