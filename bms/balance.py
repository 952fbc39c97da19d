"""Which cells of a rack bleed: chosen by SoC, in quiet times only, never without trust in the estimate."""

import math

import numpy as np

from bms.estimate.soc import RackSoc
from bms.protect.protection import Protected
from bms.site import Balancing
from bms.summary import RackSummary
from drivers.readings import Flags, RackReading
from kernels.balance import choose_bleed

SIGMA_FRAC_MAX = 0.03
"""A cell whose own SoC is less certain is not bled: on a voltage plateau nobody knows whether it is a high one."""

QUIET_TIME_S = 60.0
"""Time constant of the mean current that counts as rest or not: a load that passes through zero is no rest."""


class Balancer:
    """Choice of one rack, once a control tick. `reason` says why nothing bleeds; empty when the choice is free."""

    def __init__(self, settings: Balancing, rated_current_a: float) -> None:
        self._settings = settings
        self._quiet_a = settings.current_frac_max * rated_current_a
        self._mean_a = math.inf
        self.reason = "no reading yet"

    def choose(
        self, reading: RackReading, summary: RackSummary, soc: RackSoc, protected: Protected, dt_s: float
    ) -> Flags:
        """Cells that shall bleed now (1), one entry a cell; all 0 while there is a `reason` against it."""
        self._follow(abs(summary.current_a), dt_s)
        self.reason = self._against(soc, protected)
        if self.reason:
            return np.zeros(len(reading.voltage_v), np.uint8)
        settings = self._settings
        chosen = choose_bleed(
            soc.soc_frac,
            reading.voltage_v,
            reading.temperature_degc,
            reading.bleeding,
            settings.on_above_frac,
            settings.off_above_frac,
            settings.voltage_v_min,
            settings.temperature_degc_max,
            settings.cells_max_per_rack,
        )
        return chosen & (soc.sigma_frac < SIGMA_FRAC_MAX).astype(np.uint8)

    def _follow(self, current_a: float, dt_s: float) -> None:
        if math.isnan(current_a):
            self._mean_a = math.inf
        elif math.isinf(self._mean_a):
            self._mean_a = current_a
        else:
            self._mean_a += (1.0 - math.exp(-dt_s / QUIET_TIME_S)) * (current_a - self._mean_a)

    def _against(self, soc: RackSoc, protected: Protected) -> str:
        if protected.faults:
            return "fault"
        if not soc.known:
            return "SoC unknown"
        if float(soc.sigma_frac.min()) >= SIGMA_FRAC_MAX:
            return "SoC too uncertain"
        return "" if self._mean_a < self._quiet_a else "not at rest"
