"""The textbook cell behind the comparison filters: OCV, R0 and two linear RC pairs, out of the same tables."""

from dataclasses import dataclass
from math import asinh

import numpy as np

from bms.estimate.log_table import Floats
from kernels.cell_tables import GRID_FIRST, GRID_POINTS, SOC_GRID, CellTables, surface_lag_h

STEP = float(SOC_GRID[1] - SOC_GRID[0])
LINEAR_AT_PER_H = 1.0
"""C-rate at which the charge transfer, which is not linear, is made so: where a linear model would be fitted."""
TEMPERATURE_STEP_K = 0.1
CACHED_MAX = 2000


@dataclass(frozen=True, slots=True)
class PlainTables:
    """One temperature; each list has a value for every point of SOC_GRID. `pair_ohm` are two."""

    ocv_v: list[float]
    resistance_ohm: list[float]
    pair_ohm: tuple[list[float], list[float]]
    hysteresis_v: list[float]
    hysteresis_rate: float
    lag_per_a: float
    """How far the SoC of the resistances lies below the mean one, by the current behind the slow pair."""


def place(soc_frac: float) -> tuple[int, float]:
    """Where a SoC lies on SOC_GRID: the point below it, and the part of the way to the next."""
    u = (soc_frac - GRID_FIRST) / STEP
    j = min(max(int(u), 0), GRID_POINTS - 2)
    return j, u - j


class PlainCell:
    """Two pairs of the cell's own: the fastest, and one for all slower ones (resistances added, time constant their
    mean in logarithm, weighted by resistance). Temperatures beyond the tables' count as their ends."""

    def __init__(self, cell: CellTables) -> None:
        self._cell = cell
        self._warmth = 1.0 / (cell.temperature_degc + 273.15)
        self._cached: dict[int, PlainTables] = {}
        self.pair_tau_s = self._taus_s()

    def at(self, temperature_degc: float) -> PlainTables:
        """The tables at a temperature, to TEMPERATURE_STEP_K."""
        key = round(temperature_degc / TEMPERATURE_STEP_K)
        if key not in self._cached:
            if len(self._cached) >= CACHED_MAX:
                self._cached.clear()
            self._cached[key] = self._made(key * TEMPERATURE_STEP_K)
        return self._cached[key]

    def _taus_s(self) -> tuple[float, float]:
        tau_s = self._cell.rc_tau_s
        if len(tau_s) == 0:
            return 1.0, 1.0
        if len(tau_s) == 1:
            return float(tau_s[0]), float(tau_s[0])
        weights = self._cell.rc_resistance_ohm[1:].mean(axis=(1, 2))
        return float(tau_s[0]), float(np.exp(np.average(np.log(tau_s[1:]), weights=weights)))

    def _made(self, temperature_degc: float) -> PlainTables:
        cell = self._cell
        below, part, part_warmth = self._between(temperature_degc)

        def rows(table: Floats) -> Floats:
            return np.asarray((1 - part) * table[below] + part * table[min(below + 1, len(table) - 1)])

        def resistances(table: Floats) -> Floats:
            above = min(below + 1, len(table) - 1)
            return np.asarray(np.exp((1 - part_warmth) * np.log(table[below]) + part_warmth * np.log(table[above])))

        pairs = [resistances(table) for table in cell.rc_resistance_ohm]
        if pairs:
            bend_a = float(rows(cell.saturation_current_a))
            flow_a = LINEAR_AT_PER_H * cell.capacity_ah
            pairs[0] = pairs[0] * (bend_a / flow_a * asinh(flow_a / bend_a))
        slower = np.sum(pairs[1:], axis=0) if len(pairs) > 1 else np.zeros(GRID_POINTS)
        return PlainTables(
            ocv_v=rows(cell.ocv_v).tolist(),
            resistance_ohm=resistances(cell.resistance_ohm).tolist(),
            pair_ohm=((pairs[0] if pairs else slower).tolist(), slower.tolist()),
            hysteresis_v=rows(cell.hysteresis_v).tolist(),
            hysteresis_rate=float(rows(cell.hysteresis_rate)),
            lag_per_a=surface_lag_h(cell.surface_lag_h, temperature_degc) / cell.capacity_ah,
        )

    def _between(self, temperature_degc: float) -> tuple[int, float, float]:
        """The table below, and the part of the way to the next one: in degC and, for ln R, in 1/T."""
        degc = self._cell.temperature_degc
        held = float(np.clip(temperature_degc, degc[0], degc[-1]))
        if len(degc) == 1:
            return 0, 0.0, 0.0
        below = int(np.clip(np.searchsorted(degc, held, side="right") - 1, 0, len(degc) - 2))
        warmth = 1.0 / (held + 273.15)
        part = (held - degc[below]) / (degc[below + 1] - degc[below])
        part_warmth = (warmth - self._warmth[below]) / (self._warmth[below + 1] - self._warmth[below])
        return below, float(part), float(part_warmth)
