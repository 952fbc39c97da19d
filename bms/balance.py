"""Which cells of a rack bleed: chosen by charge, or by voltage while that tells more; in quiet times only."""

import math

import numpy as np

from bms.estimate.soc import RackSoc
from bms.site import Balancing
from bms.summary import RackSummary
from drivers.readings import Flags, Floats, RackReading
from kernels.balance import choose_bleed

SIGMA_FRAC_MAX = 0.01
"""The cells' charge is compared while its differences are known this well, and their voltage otherwise: on a plateau
that says nothing and no cell stands out, near full it says who is fuller, if not by how much."""

QUIET_TIME_S = 60.0
"""Time constant of the mean current that counts as rest or not: a load that passes through zero is no rest."""


class Balancer:
    """Choice of one rack, once a control tick. `reason` says why nothing bleeds; empty when the choice is free."""

    def __init__(self, settings: Balancing, rated_current_a: float) -> None:
        self._settings = settings
        self._quiet_a = settings.current_frac_max * rated_current_a
        self._mean_a = math.inf
        self.reason = "no reading yet"

    def choose(self, reading: RackReading, summary: RackSummary, soc: RackSoc, faulted: bool, dt_s: float) -> Flags:
        """Cells that shall bleed now (1), one entry a cell; all 0 while there is a `reason` against it."""
        self._follow(abs(summary.current_a), dt_s)
        self.reason = self._against(soc, faulted)
        if self.reason:
            return np.zeros(len(reading.voltage_v), np.uint8)
        by_soc = float(soc.difference_sigma_frac.max()) < SIGMA_FRAC_MAX
        return self._by_soc(reading, soc) if by_soc else self._by_voltage(reading)

    def _by_soc(self, reading: RackReading, soc: RackSoc) -> Flags:
        settings = self._settings
        return self._chosen(reading, soc.fullness_frac, settings.on_above_frac, settings.off_above_frac)

    def _by_voltage(self, reading: RackReading) -> Flags:
        """Against the median: a single weak cell must not make all others bleed."""
        settings, median_v = self._settings, float(np.median(reading.voltage_v))
        high_v = np.maximum(reading.voltage_v, median_v)
        return self._chosen(reading, high_v, settings.on_above_v, settings.off_above_v)

    def _chosen(self, reading: RackReading, height: Floats, on_above: float, off_above: float) -> Flags:
        settings = self._settings
        return choose_bleed(
            height,
            reading.voltage_v,
            reading.temperature_degc,
            reading.bleeding,
            on_above,
            off_above,
            settings.voltage_v_min,
            settings.temperature_degc_max,
            settings.cells_max_per_rack,
        )

    def _follow(self, current_a: float, dt_s: float) -> None:
        if math.isnan(current_a):
            self._mean_a = math.inf
        elif math.isinf(self._mean_a):
            self._mean_a = current_a
        else:
            self._mean_a += (1.0 - math.exp(-dt_s / QUIET_TIME_S)) * (current_a - self._mean_a)

    def _against(self, soc: RackSoc, faulted: bool) -> str:
        if faulted:
            return "fault"
        if not soc.known:
            return "SoC unknown"
        return "" if self._mean_a < self._quiet_a else "not at rest"
