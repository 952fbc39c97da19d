"""A sigma-point Kalman filter on a cell with hysteresis: a stronger comparison than the plain EKF."""

from math import exp, sqrt

import numpy as np

from bms.estimate.log_table import Floats
from bms.estimate.plain_cell import STEP, PlainCell, PlainTables
from bms.estimate.plain_ekf import (
    CURRENT_SIGMA_PER_H,
    GAP_SIGMA_FRAC_PER_S,
    SOC_FRAC_MAX,
    SOC_FRAC_MIN,
    VOLTAGE_SIGMA_V,
)
from bms.estimate.replay import GAP_S
from kernels.cell_tables import GRID_FIRST, GRID_POINTS, CellTables

STATES = 4
SPREAD = STATES**0.5
"""Of the 2 x STATES equally weighted sigma points, in standard deviations; none in the centre, so that no weight is
negative and the covariance stays one."""
HYSTERESIS_SIGMA = 0.5
"""At the start, of a state within -1..1."""
HYSTERESIS_SIGMA_PER_SQRT_S = 1e-3
LEAST_VARIANCE = 1e-14


class SigmaPointFilter:
    """States: SoC, the currents behind two RC pairs, hysteresis (+1 after discharge). White noise only, no sensor bias.
    After G. L. Plett, J. Power Sources 161 (2006) 1356, with additive noise. An unknown start
    is 0.5 with sigma 0.3. The states' motion is linear in them, so sigma points are drawn for the voltage only."""

    def __init__(self, cell: CellTables) -> None:
        self._cell = PlainCell(cell)
        self._capacity_as = 3600.0 * cell.capacity_ah
        self._noise_a = CURRENT_SIGMA_PER_H * cell.capacity_ah
        self._kept_of: PlainTables | None = None
        self.start()

    def start(self, soc_frac: float | None = None, soc_sigma_frac: float | None = None) -> None:
        sigma = 0.3 if soc_sigma_frac is None else soc_sigma_frac
        self._x = np.array([0.5 if soc_frac is None else soc_frac, 0.0, 0.0, 0.0])
        self._p = np.diag([sigma**2, 0.0, 0.0, HYSTERESIS_SIGMA**2])
        self._current_a = 0.0

    @property
    def soc_frac(self) -> float:
        return float(self._x[0])

    @property
    def soc_sigma_frac(self) -> float:
        return sqrt(self._p[0, 0])

    def step(self, voltage_v: float, current_a: float, temperature_degc: float, dt_s: float) -> None:
        tables = self._cell.at(temperature_degc)
        mean_a = 0.5 * (self._current_a + current_a)
        if dt_s > GAP_S or mean_a != mean_a:
            self._x[1:3] = 0.0
            self._p[0, 0] += (GAP_SIGMA_FRAC_PER_S * dt_s) ** 2
        elif dt_s > 0.0:
            self._predict(mean_a, dt_s, tables.hysteresis_rate)
        self._current_a = current_a
        if voltage_v == voltage_v and current_a == current_a:
            self._update(voltage_v, current_a, tables)

    def doubt(self, charge_sigma_ah: float) -> None:
        self._p[0, 0] += (3600.0 * charge_sigma_ah / self._capacity_as) ** 2

    def _predict(self, current_a: float, dt_s: float, hysteresis_rate: float) -> None:
        fast, slow = (exp(-dt_s / tau_s) for tau_s in self._cell.pair_tau_s)
        kept = exp(-hysteresis_rate * abs(current_a) * dt_s / self._capacity_as)
        decay = np.array([1.0, fast, slow, kept])
        gain = np.array([-dt_s / self._capacity_as, 1.0 - fast, 1.0 - slow, 0.0])
        self._x = decay * self._x + gain * current_a
        self._x[3] += (1.0 - kept) * np.sign(current_a)
        self._p = decay[:, None] * self._p * decay + self._noise_a**2 * gain[:, None] * gain
        self._p[3, 3] += HYSTERESIS_SIGMA_PER_SQRT_S**2 * dt_s

    def _update(self, voltage_v: float, current_a: float, tables: PlainTables) -> None:
        root = SPREAD * np.linalg.cholesky(self._p + LEAST_VARIANCE * np.eye(STATES)).T
        offsets = np.concatenate((root, -root))
        seen_v = self._voltage_v(self._x + offsets, current_a, self._table(tables), tables.lag_per_a)
        predicted_v = float(seen_v.mean())
        spread_v = seen_v - predicted_v
        variance = float(spread_v @ spread_v) / len(spread_v) + VOLTAGE_SIGMA_V**2
        gain = spread_v @ offsets / (len(spread_v) * variance)
        self._x = self._x + gain * (voltage_v - predicted_v)
        self._p = self._p - variance * gain[:, None] * gain
        self._x[0] = min(max(self._x[0], SOC_FRAC_MIN), SOC_FRAC_MAX)
        self._x[3] = min(max(self._x[3], -1.0), 1.0)

    def _voltage_v(self, points: Floats, current_a: float, table: Floats, lag_per_a: float) -> Floats:
        ocv_v, hysteresis_v = _interpolated(table[:2], points[:, 0])
        surface = np.maximum(points[:, 0] - lag_per_a * points[:, 2], SOC_FRAC_MIN)
        ohm, fast_ohm, slow_ohm = _interpolated(table[2:], surface)
        drop_v = ohm * current_a + fast_ohm * points[:, 1] + slow_ohm * points[:, 2] + hysteresis_v * points[:, 3]
        return np.asarray(ocv_v - drop_v)

    def _table(self, tables: PlainTables) -> Floats:
        """The five rows that the voltage needs as one array, made anew when the temperature changed."""
        if self._kept_of is not tables:
            rows = (tables.ocv_v, tables.hysteresis_v, tables.resistance_ohm, *tables.pair_ohm)
            self._kept, self._kept_of = np.array(rows), tables
        return self._kept


def _interpolated(rows: Floats, soc_frac: Floats) -> Floats:
    u = (soc_frac - GRID_FIRST) / STEP
    j = np.clip(u.astype(np.int64), 0, GRID_POINTS - 2)
    return np.asarray(rows[:, j] + (u - j) * (rows[:, j + 1] - rows[:, j]))
