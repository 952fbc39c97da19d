"""State of charge of every cell of a rack: feeds the compiled filter from readings and bridges gaps."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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

WATCHDOGS_S = 5.0
"""After a controller's death converter and contactors stop the current within this time."""
UNWATCHED_SIGMA_FRAC_PER_S = 0.002 / 3600.0
"""Growth of sigma while no controller watches: self-discharge, supply of the monitors, somebody's work by hand."""
SIGMA_FRAC_MAX = 0.3


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
        """Advance by `dt_s` since the previous step (0 = first), or remember the gap when the current is missing."""
        if not self.known:
            if summary.complete:
                self._filter.reset(reading.voltage_v)
                self.known = True
            return
        if dt_s <= 0.0:
            return
        if summary.current_age_s > self._current_age_s_max or dt_s > STEP_S_MAX:
            self._gap_s += dt_s
            return
        if self._gap_s > 0.0:
            self._widen(GAP_SIGMA_FRAC_PER_S * self._gap_s)
            self._gap_s = 0.0
        self._filter.step(reading.voltage_v, reading.current_a, dt_s)

    def save(self) -> dict[str, Any] | None:
        """What `restore` needs, as JSON takes it; None while the SoC is unknown."""
        if not self.known:
            return None
        return {"soc_frac": _packed(self._filter.soc_frac), "sigma_frac": _packed(self._filter.soc_sigma_frac)}

    def restore(self, saved: dict[str, Any], age_s: float) -> None:
        """Go on from what was saved `age_s` ago (infinite = nobody knows when). ValueError names what cannot be, and
        nothing has changed then."""
        cells = self._unknown.size
        soc_frac, sigma_frac = (_unpacked(saved, name, cells) for name in ("soc_frac", "sigma_frac"))
        watched_s = min(age_s, WATCHDOGS_S)
        drift_frac = GAP_SIGMA_FRAC_PER_S * watched_s + UNWATCHED_SIGMA_FRAC_PER_S * (age_s - watched_s)
        self._filter.set_state(soc_frac, sigma_frac)
        self._widen(min(drift_frac, SIGMA_FRAC_MAX))
        self.known = True

    def _widen(self, drift_frac: float) -> None:
        grown = np.hypot(self._filter.soc_sigma_frac, drift_frac)
        self._filter.set_state(np.array(self._filter.soc_frac), np.minimum(grown, SIGMA_FRAC_MAX))


def _packed(values: Floats) -> str:
    """Little-endian float32 in base64: a tick has no time for numbers in words."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _unpacked(saved: dict[str, Any], name: str, cells: int) -> Floats:
    try:
        values = np.frombuffer(base64.b64decode(saved[name], validate=True), "<f4").astype(float)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{name} is no list of numbers") from None
    if values.size != cells:
        raise ValueError(f"{name} has {values.size} cells, expected {cells}")
    if not np.all((values >= 0.0) & (values <= 1.0)):
        raise ValueError(f"{name} is not within 0 to 1")
    return values


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
