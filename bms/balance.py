"""Which cells of a rack bleed: chosen by charge, or by voltage while that tells more; in quiet times only."""

import math

import numpy as np

from bms.estimate.soc import RackSoc
from bms.site import Balancing
from bms.summary import RackSummary, median_of
from drivers.readings import Flags, Floats, RackReading
from kernels.balance import StringBalancer
from kernels.balance_model import BleedLimits

SIGMA_FRAC_MAX = 0.01
"""The cells' charge is compared while its differences are known this well, and their voltage otherwise: on a plateau
that says nothing and no cell stands out, near full it says who is fuller, if not by how much."""

SURE_SIGMAS = 3.0
"""A cell bleeds for the charge that it surely has more than the lowest: all others must follow what is bled by
mistake."""

QUIET_TIME_S = 60.0
"""Time constant of the mean current that counts as rest or not: a load that passes through zero is no rest."""

DUTY_S = 600.0
"""The share of time that a resistor is on is seen over about this long: resistor and board warm up within minutes."""

DUTY_RESTART = 0.9
"""A resistor that was on too much rests until this share of its limit."""


class Balancer:
    """Choice of one rack, once a control tick. `reason` says why nothing bleeds; empty when the choice is free."""

    def __init__(self, settings: Balancing, rated_current_a: float, cells: int, cells_per_module: int) -> None:
        self._quiet_a = settings.current_frac_max * rated_current_a
        self._mean_a = math.inf
        self._by_soc = _chooser(settings, settings.on_above_frac, settings.off_above_frac, cells, cells_per_module)
        self._by_voltage = _chooser(settings, settings.on_above_v, settings.off_above_v, cells, cells_per_module)
        self._exact = np.zeros((1, cells), np.float32)
        self._level = np.zeros((1, cells), np.float32)
        self.reason = "no reading yet"

    def choose(self, reading: RackReading, summary: RackSummary, soc: RackSoc, faulted: bool, dt_s: float) -> Flags:
        """Cells that shall bleed now (1), one entry a cell; all 0 while there is a `reason` against it. `dt_s` since
        the last choice, 0 in the first."""
        self._follow(abs(summary.current_a), dt_s)
        self.reason = self._against(soc, faulted)
        if dt_s <= 0.0:
            return np.zeros(len(reading.voltage_v), np.uint8)
        by_soc = not self.reason and float(soc.difference_sigma_frac.max()) < SIGMA_FRAC_MAX
        by_voltage = not self.reason and not by_soc
        # Both are asked: each follows how much the resistors were on.
        soc_height = _surely_above(soc).astype(np.float32)[None] if by_soc else self._level
        voltage_height = _above_median(reading).astype(np.float32)[None] if by_voltage else self._level
        given = self._exact, reading.voltage_v[None], reading.temperature_degc[None], reading.bleeding[None], dt_s
        chosen: Flags = self._by_soc.choose(soc_height, *given)[0] | self._by_voltage.choose(voltage_height, *given)[0]
        return chosen

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


def _chooser(
    settings: Balancing, on_above: float, off_above: float, cells: int, cells_per_module: int
) -> StringBalancer:
    limits = BleedLimits(
        on_above_frac=on_above,
        off_above_frac=off_above,
        sigma_frac_max=SIGMA_FRAC_MAX,
        voltage_v_min=settings.voltage_v_min,
        temperature_degc_max=settings.temperature_degc_max,
        module_cells_max=settings.cells_max_per_module,
        string_cells_max=settings.cells_max_per_rack,
        duty_max=settings.duty_frac_max,
        duty_restart=DUTY_RESTART * settings.duty_frac_max,
        duty_s=DUTY_S,
    )
    return StringBalancer(limits, 1, cells, cells_per_module)


def _surely_above(soc: RackSoc) -> Floats:
    """Each cell's fullness at its least, above what no cell is surely below."""
    doubt_frac = SURE_SIGMAS * soc.fullness_sigma_frac
    lowest_frac = float((soc.fullness_frac + doubt_frac).min())
    return np.maximum(soc.fullness_frac - doubt_frac, lowest_frac)


def _above_median(reading: RackReading) -> Floats:
    """Not above the lowest: a single weak cell must not make all others bleed."""
    return np.maximum(reading.voltage_v, median_of(reading.voltage_v))
