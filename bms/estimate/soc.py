"""State of charge of every cell of a rack: feeds the compiled filter from readings and bridges gaps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bms.summary import RackSummary
from drivers.readings import Floats, RackReading
from kernels.parameters import CellParameters
from kernels.soc import SocFilter

VOLTAGE_SIGMA_V = 0.02
"""Error of the modelled voltage (hysteresis, resistance, curve), not of the sensor: honest on the plateau."""
CURRENT_SIGMA_FRAC_PER_H = 0.005
"""Current sensor offset assumed for the filter's own noise, in C-rate."""

STEP_S_MAX = 1.0
"""A longer gap is not integrated with the first current after it; sigma grows instead."""

GAP_SIGMA_FRAC_PER_S = 1.0 / 3600.0
"""Growth of sigma over a gap: 1 C for its whole length."""


class RackSoc:
    """SoC of one rack's cells. Without a first complete reading `known` is False and all values are NaN."""

    def __init__(self, cell: CellParameters, cells: int, current_age_s_max: float) -> None:
        same = np.ones(cells)
        self._filter = SocFilter(
            ocv_v=cell.ocv_v,
            resistance_ohm=cell.resistance_ohm * same,
            rc_resistance_ohm=cell.rc_resistance_ohm * same,
            rc_tau_s=cell.rc_tau_s,
            capacity_ah=cell.capacity_ah * same,
            voltage_sigma_v=VOLTAGE_SIGMA_V,
            current_sigma_a=CURRENT_SIGMA_FRAC_PER_H * cell.capacity_ah,
        )
        self._current_age_s_max = current_age_s_max
        self._gap_s = 0.0
        self._unknown = np.full(cells, np.nan)
        self.known = False

    @property
    def soc_frac(self) -> Floats:
        return self._filter.soc_frac if self.known else self._unknown

    @property
    def sigma_frac(self) -> Floats:
        return self._filter.soc_sigma_frac if self.known else self._unknown

    def step(self, reading: RackReading, summary: RackSummary, dt_s: float) -> None:
        """Advance by `dt_s` since the previous step, or remember the gap when the current is missing."""
        if not self.known:
            if summary.complete:
                self._filter.reset(reading.voltage_v)
                self.known = True
            return
        if summary.current_age_s > self._current_age_s_max or dt_s > STEP_S_MAX:
            self._gap_s += dt_s
            return
        if self._gap_s > 0.0:
            self._widen(self._gap_s)
            self._gap_s = 0.0
        self._filter.step(reading.voltage_v, reading.current_a, dt_s)

    def _widen(self, gap_s: float) -> None:
        sigma = self._filter.soc_sigma_frac
        grown = np.sqrt(sigma**2 + (GAP_SIGMA_FRAC_PER_S * gap_s) ** 2)
        self._filter.set_state(np.array(self._filter.soc_frac), np.minimum(grown, 0.3))


@dataclass(frozen=True, slots=True)
class SocSummary:
    """SoC over all racks' cells, and per rack; NaN until known."""

    frac_min: float
    frac_mean: float
    frac_max: float
    sigma_frac_max: float
    rack_frac_min: tuple[float, ...]
    rack_frac_max: tuple[float, ...]


def summarise_soc(racks: Sequence[RackSoc]) -> SocSummary:
    lowest = tuple(float(rack.soc_frac.min()) for rack in racks)
    highest = tuple(float(rack.soc_frac.max()) for rack in racks)
    return SocSummary(
        frac_min=min(lowest),
        frac_mean=float(np.mean([rack.soc_frac.mean() for rack in racks])),
        frac_max=max(highest),
        sigma_frac_max=max(float(rack.sigma_frac.max()) for rack in racks),
        rack_frac_min=lowest,
        rack_frac_max=highest,
    )
