"""A cell that heats by itself: faster than any load can do it, or less fast but with another sign of it."""

from collections import deque
from collections.abc import Collection, Iterator

import numpy as np

from bms.protect.levels import Condition, cell
from drivers.readings import Floats, RackReading
from drivers.safety import SafetyInputs

HEATING_K_PER_S, HEATING_WINDOW_S, HEATING_DEGC_MIN = 0.5, 4.0, 40.0
"""No load heats a cell like this. In both halves of the window: a sensor that jumps does so once."""

WITH_SIGN_K, WITH_SIGN_WINDOW_S = 0.24, 2.0
"""Together with gas, smoke or a drop of that cell's voltage a rise by one step of a sensor (0.25 K) in each of two
seconds is enough, at any temperature: ten times what 1C does to a cell."""

DROP_V, DROP_WINDOW_S = 0.05, 10.0
"""A cell's voltage that falls so far against the string's median within this time is no effect of load."""


class HeatWatch:
    """Looks at all cells of a rack, `look_s` apart. `wired` are the rack's safety inputs."""

    def __init__(self, wired: Collection[str], look_s: float) -> None:
        self._smoke, self._gas = "smoke" in wired, "gas" in wired
        self._look_s = look_s
        looks = round(HEATING_WINDOW_S / look_s)
        self._degc: deque[Floats] = deque(maxlen=looks)
        self._above_v: deque[Floats] = deque(maxlen=round(DROP_WINDOW_S))
        self._since_s = 0.0

    def look(self, reading: RackReading, median_v: float) -> Iterator[Condition]:
        self._degc.append(reading.temperature_degc.copy())
        above_v = reading.voltage_v - median_v
        self._since_s -= self._look_s
        if self._since_s <= 0.0:
            self._since_s = 1.0
            self._above_v.append(above_v)
        found = self._alone() or self._with_sign(reading.safety, above_v)
        if found:
            yield found

    def _alone(self) -> Condition | None:
        last_degc = self._degc[-1]
        if last_degc.item(last_degc.argmax()) <= HEATING_DEGC_MIN:
            return None
        rise_k = self._rise_k(HEATING_WINDOW_S)
        if rise_k is None:
            return None
        rise_k_per_s = np.where(last_degc > HEATING_DEGC_MIN, rise_k / (0.5 * HEATING_WINDOW_S), 0.0)
        worst = int(rise_k_per_s.argmax())
        if rise_k_per_s[worst] <= HEATING_K_PER_S:
            return None
        return Condition("thermal_event", float(rise_k_per_s[worst]), HEATING_K_PER_S, f"{cell(worst)}, K/s")

    def _with_sign(self, inputs: SafetyInputs, above_v: Floats) -> Condition | None:
        detected = (self._smoke and inputs.smoke_detected) or (self._gas and inputs.gas_detected)
        drop_v = self._above_v[0] - above_v
        if not detected and drop_v.item(drop_v.argmax()) <= DROP_V:
            return None
        rise_k = self._rise_k(WITH_SIGN_WINDOW_S)
        if rise_k is None:
            return None
        heating_k = rise_k if detected else np.where(drop_v > DROP_V, rise_k, 0.0)
        worst = int(heating_k.argmax())
        if heating_k[worst] <= WITH_SIGN_K:
            return None
        where = f"{cell(worst)} with {'gas or smoke' if detected else 'voltage drop'}, K in a second"
        return Condition("thermal_event", float(heating_k[worst]), WITH_SIGN_K, where)

    def _rise_k(self, window_s: float) -> Floats | None:
        """Of each cell, the smaller one of the two halves of the window; None while it is not full."""
        looks = round(window_s / self._look_s)
        if len(self._degc) < looks:
            return None
        first, middle, last = self._degc[-looks], self._degc[-looks // 2], self._degc[-1]
        rise_k: Floats = np.minimum(last - middle, middle - first)
        return rise_k
