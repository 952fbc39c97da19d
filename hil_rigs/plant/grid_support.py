"""What a converter does of its own for the grid: reactive power by voltage or power, active power by voltage or
frequency (IEEE 1547-2018, 5.3, 5.4 and 6.5.2.7)."""

from dataclasses import dataclass
from itertools import pairwise
from math import exp, log

RESPONSE_SHARE = 0.9
"""Of a step that is done after the open-loop response time (IEEE 1547-2018, 3.1)."""


@dataclass(frozen=True, slots=True)
class Line:
    """Points (x rising) with straight lines between, level beyond; followed with the response time."""

    points: tuple[tuple[float, float], ...]
    response_time_s: float = 0.0

    def at(self, x: float) -> float:
        if x <= self.points[0][0]:
            return self.points[0][1]
        for (x0, y0), (x1, y1) in pairwise(self.points):
            if x < x1:
                return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
        return self.points[-1][1]


@dataclass(frozen=True, slots=True)
class DroopLaw:
    """Frequency beyond a deadband moves power: `droop_*` per unit of frequency move it by the rated power."""

    deadband_over_hz: float
    deadband_under_hz: float
    droop_over: float
    droop_under: float
    response_time_s: float = 0.0

    def at(self, off_hz: float, nominal_hz: float) -> float:
        """Change of power over rated power, positive in discharge."""
        if off_hz > self.deadband_over_hz:
            return -(off_hz - self.deadband_over_hz) / (nominal_hz * self.droop_over)
        if off_hz < -self.deadband_under_hz:
            return (-off_hz - self.deadband_under_hz) / (nominal_hz * self.droop_under)
        return 0.0


class GridSupport:
    """Functions in force, None = not. `volt_var` and `watt_var` say var (injected positive), `volt_watt` the most W by
    voltage in per unit; `watt_var` goes by W. Of the reactive ones `volt_var` goes first."""

    def __init__(self) -> None:
        self.volt_var: Line | None = None
        self.watt_var: Line | None = None
        self.volt_watt: Line | None = None
        self.droop: DroopLaw | None = None
        self._lagging: dict[str, float] = {}

    def reactive_var(self, voltage_pu: float, power_w: float, dt_s: float) -> float:
        if self.volt_var is not None:
            return self._follow("volt_var", self.volt_var.at(voltage_pu), self.volt_var.response_time_s, dt_s)
        if self._lagging:
            self._lagging.pop("volt_var", None)
        return 0.0 if self.watt_var is None else self.watt_var.at(power_w)

    def active_w(self, wanted_w: float, rated_w: float, ac: tuple[float, float, float], dt_s: float) -> float:
        """The wish moved by frequency and held by voltage; `ac` = voltage_pu, frequency_hz, nominal_hz."""
        voltage_pu, frequency_hz, nominal_hz = ac
        if self.droop is not None and frequency_hz > 0.0:
            share = self.droop.at(frequency_hz - nominal_hz, nominal_hz)
            wanted_w += rated_w * self._follow("droop", share, self.droop.response_time_s, dt_s)
        elif self._lagging:
            self._lagging.pop("droop", None)
        if self.volt_watt is not None:
            most_w = self.volt_watt.at(voltage_pu)
            wanted_w = min(wanted_w, self._follow("volt_watt", most_w, self.volt_watt.response_time_s, dt_s))
        elif self._lagging:
            self._lagging.pop("volt_watt", None)
        return wanted_w if -rated_w <= wanted_w <= rated_w else min(max(wanted_w, -rated_w), rated_w)

    def _follow(self, name: str, target: float, response_time_s: float, dt_s: float) -> float:
        """`volt_watt` begins at its target, the others from nothing."""
        before = self._lagging.get(name, target if name == "volt_watt" else 0.0)
        rate = -log(1.0 - RESPONSE_SHARE) / response_time_s if response_time_s > 0.0 else 0.0
        follow = 1.0 - exp(-dt_s * rate) if rate else 1.0
        self._lagging[name] = before + follow * (target - before)
        return self._lagging[name]
