"""What the limit solver and its twin share: the bounds, the results, the checked parameters, tables by temperature."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels import checks
from kernels.cell_tables import SOC_GRID, CellTables, minutes_pair, surface_lag_h
from kernels.checks import Floats

Integers = NDArray[np.intp]

HORIZONS_S = (1.0, 10.0, 60.0, 1800.0)
"""How long a limit can be held; the last one stands for "continuously": the SoC bound is half an hour away or more."""
SIGMAS = 2.0
"""How many sigmas of its errors a cell's voltage is worse than estimated. 2 keeps a single cell safe; in a long string
the worst of many estimates is too low already, and where the cells' errors are independent 1 is as safe."""
SOC_SIGMAS = 0.0
"""The same where the SoC is held against its window: the window itself leaves room for the estimator's error."""
SHOWN_SOC_FRAC = 0.1
"""What a cell shows now beyond the model fades as this much SoC moves: an error of the curve lies where it lies."""
SHOWN_V_MAX = 0.05
"""No more than this is taken from it: a larger difference is a bad sensor or a wrong SoC, not the model's error."""
PAIRS_MAX = 8
ROW_DEGC = 1.0
"""Step between the temperatures of the solver's tables; between them R lies above its law by at most 0.2 %."""
COLDER_DEGC = 30.0
"""ln R goes on with its last slope over 1/T so far below the coldest table."""
HELD_PARTS = 8
"""A held power is followed in so many equal parts of its time."""
COLUMNS = 3
"""Columns before the RC pairs: OCV, hysteresis, series resistance."""
KELVIN = 273.15


class Bound(IntEnum):
    """What keeps a limit from being higher."""

    CURRENT = 0
    VOLTAGE = 1
    SOC = 2
    UNKNOWN = 3
    """A value that the limit needs is absent or impossible; the limit is 0."""


@dataclass(frozen=True, slots=True)
class Window:
    """What no cell may leave, and the string's own bounds of current (magnitudes); ValueError for what cannot be."""

    voltage_v_min: float
    voltage_v_max: float
    soc_frac_min: float
    soc_frac_max: float
    charge_current_a_max: float
    discharge_current_a_max: float

    def __post_init__(self) -> None:
        for name in ("voltage_v", "soc_frac"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if not (np.isfinite([low, high]).all() and low < high):
                raise ValueError(f"{name}_min, {name}_max: got {low} and {high}, expected finite values that rise")
        if not 0 <= self.soc_frac_min < self.soc_frac_max <= 1:
            raise ValueError(f"soc_frac_min, soc_frac_max: got {self.soc_frac_min} and {self.soc_frac_max}, of 0 to 1")
        checks.not_negative("charge_current_a_max", self.charge_current_a_max)
        checks.not_negative("discharge_current_a_max", self.discharge_current_a_max)


@dataclass(frozen=True, slots=True)
class Limit:
    """One direction of one string, one value for each horizon: magnitudes, what binds (a `Bound`) and the cell that
    does (-1: none in particular)."""

    current_a: Floats
    power_w: Floats
    bound: Integers
    cell: Integers


class LimitModel:
    """The checked parameters of a solver for n cells in series.

    `held_decay[time, part, pair]` is the share that is left of each pair's present current after each part of a time.
    `rows[T, z, column]` holds the tables every kelvin from `first_degc` on: OCV, hysteresis, R0, R_1 ... R_k; `law[T]`
    the hysteresis' rate, the saturation current, and how far the SoC of the resistances lies below the mean one by the
    current behind `lag_pair`. Above the hottest table its values hold (R falls with heat)."""

    def __init__(
        self, tables: CellTables, cells_n: int, window: Window, horizon_s: ArrayLike, sigmas: float, soc_sigmas: float
    ) -> None:
        if cells_n < 1:
            raise ValueError(f"cells_n: got {cells_n}, expected at least 1")
        self.tables = tables
        self.cells_n = cells_n
        self.window = window
        self.sigmas = checks.not_negative("sigmas", sigmas)
        self.soc_sigmas = checks.not_negative("soc_sigmas", soc_sigmas)
        self.horizon_s = checks.positive_cells("horizon_s", horizon_s)
        if (np.diff(self.horizon_s) <= 0).any():
            raise ValueError(f"horizon_s: got {self.horizon_s.tolist()}, expected values that rise")
        self.rc_tau_s = np.array(tables.rc_tau_s)
        if self.rc_tau_s.size > PAIRS_MAX:
            raise ValueError(f"rc_tau_s: got {self.rc_tau_s.size} RC pairs, expected at most {PAIRS_MAX}")
        self.lag_pair = minutes_pair(self.rc_tau_s) if tables.surface_lag_h > 0 else None
        self.time_s = _check_times(self.horizon_s)
        self.rc_decay = np.exp(-self.time_s[:, None] / self.rc_tau_s)
        self.held_decay = self.rc_decay[:, None] ** (np.arange(HELD_PARTS + 1) / HELD_PARTS)[:, None]
        self._make_rows()

    def _make_rows(self) -> None:
        known_degc = self.tables.temperature_degc
        first, last = np.floor(known_degc[0] - COLDER_DEGC), np.ceil(known_degc[-1]) + ROW_DEGC
        degc = np.arange(first, last + ROW_DEGC / 2, ROW_DEGC)
        self.first_degc = float(first)
        resistances = [self.tables.resistance_ohm, *self.tables.rc_resistance_ohm]
        linear = [_linear(degc, known_degc, table) for table in (self.tables.ocv_v, self.tables.hysteresis_v)]
        self.rows = np.stack([*linear, *(_arrhenius(degc, known_degc, table) for table in resistances)], axis=-1)
        law = np.stack([self.tables.hysteresis_rate, self.tables.saturation_current_a], axis=-1)
        lag_h = [surface_lag_h(self.tables.surface_lag_h, t) for t in np.minimum(degc, known_degc[-1]).tolist()]
        self.law = np.column_stack([_linear(degc, known_degc, law), np.array(lag_h) / self.tables.capacity_ah])

    @property
    def grid_per_soc(self) -> float:
        """Points of the tables' SoC grid in one unit of SoC."""
        return float((SOC_GRID.size - 1) / (SOC_GRID[-1] - SOC_GRID[0]))


def _check_times(horizon_s: Floats) -> Floats:
    """The start, each horizon, and between two horizons their geometric mean: while pairs of different speed relax a
    voltage may pass an extreme before the end."""
    between = np.sqrt(horizon_s[1:] * horizon_s[:-1])
    return np.sort(np.concatenate(([0.0], horizon_s, between)))


def _linear(degc: Floats, known_degc: Floats, table: Floats) -> Floats:
    return np.stack([np.interp(degc, known_degc, column) for column in table.T], axis=-1)


def _arrhenius(degc: Floats, known_degc: Floats, table: Floats) -> Floats:
    """ln R linear in 1/T; below the coldest it goes on where that raises R."""
    x, known_x = -1 / (degc + KELVIN), -1 / (known_degc + KELVIN)
    log_ohm = np.stack([np.interp(x, known_x, column) for column in np.log(table).T], axis=-1)
    if len(known_degc) > 1:
        slope = np.minimum(np.diff(np.log(table[:2]), axis=0)[0] / (known_x[1] - known_x[0]), 0)
        log_ohm += np.minimum(x - known_x[0], 0)[:, None] * slope
    return np.asarray(np.exp(log_ohm))
