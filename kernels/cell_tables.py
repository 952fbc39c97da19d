"""A cell's tables over temperature and state of charge, as identified from measurements: what the estimator needs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import cell_file

Floats = NDArray[np.float64]

GRID_FIRST, GRID_LAST, GRID_POINTS = -0.05, 1.05, 221
SOC_GRID: Floats = np.linspace(GRID_FIRST, GRID_LAST, GRID_POINTS)
"""Uniform SoC grid of all tables: one point each 0.5 %, a little beyond empty and full."""
SLOPE_V_MIN = 0.05
"""Least slope of the OCV beyond empty and full, V per unit of SoC."""
LINEAR_A = 1e6
"""Saturation current of a charge transfer that is linear at every current."""
TWO_PHASES = ("lfp",)
MINUTES_TAU_S = 60.0, 1000.0
LAG_ACTIVATION_K = 3500.0
"""Diffusion: `surface_lag_h` grows in the cold as the slow pairs' resistances do."""
TABLE_KEYS = (
    "temperature_degc",
    "temperature_measured_degc",
    "soc",
    "ocv_v",
    "ocv_sigma_v",
    "model_sigma_v",
    "resistance_ohm",
    "resistance_sigma_frac",
    "rc",
    "hysteresis_v",
    "hysteresis_rate",
    "saturation_current_a",
    "coulombic_efficiency",
    "self_discharge_per_h",
    "capacity_sigma_frac",
)
"""Keys of a file with tables, beside those that every cell file has."""
LAST_ROWS = ("hysteresis_rate", "saturation_current_a", "coulombic_efficiency", "self_discharge_per_h")
OPTIONAL_KEYS = ("heat_capacity_j_per_k", "hysteresis_tau_s", "surface_lag_h")


@dataclass(frozen=True, slots=True)
class CellTables:
    """One cell type; T temperatures, k RC pairs, every table [..., 221] on SOC_GRID, read-only float64.

    Terminal voltage, current positive on discharge: ocv - m h - R0 i - sum_j R_j f(x_j), where x_j (A) is the current
    behind RC pair j (time constant `rc_tau_s[j]`), h (-1..1) the hysteresis, +1 after discharge, that moves by
    1 - exp(-rate |x| dt / Q) towards the sign of x, the current behind `hysteresis_pair` or else i itself, and f is
    linear but for the first pair: i0 asinh(x / i0), i0 = `saturation_current_a`. ln R is linear in 1/T (K), the others
    between temperatures too. R is that of the SoC at the particles' surface, which lies `surface_lag_h` (25 degC) x / Q
    below the mean one, x the current behind `minutes_pair`; `temperature_measured_degc` (lowest, highest) is what the
    measurements covered. `hysteresis_tau_s` names the `hysteresis_pair` by its time constant, 0 = i itself, None =
    usual for the chemistry. `ocv_sigma_v` is the OCV's own uncertainty, `model_sigma_v` what the voltage does around
    it, `resistance_sigma_frac[T]` that of all R together. Of charge that goes in, `coulombic_efficiency` stays;
    `self_discharge_per_h` of the capacity is lost at all times."""

    name: str
    chemistry: str
    source: str
    capacity_ah: float
    capacity_sigma_frac: float
    temperature_degc: Floats
    temperature_measured_degc: tuple[float, float]
    ocv_v: Floats
    ocv_sigma_v: Floats
    model_sigma_v: Floats
    resistance_ohm: Floats
    resistance_sigma_frac: Floats
    rc_tau_s: Floats
    rc_resistance_ohm: Floats
    hysteresis_v: Floats
    hysteresis_rate: Floats
    saturation_current_a: Floats
    coulombic_efficiency: Floats
    self_discharge_per_h: Floats
    surface_lag_h: float = 0.0
    hysteresis_tau_s: float | None = None

    @property
    def hysteresis_pair(self) -> int | None:
        """Whose current turns the hysteresis, None = the cell's own."""
        if self.hysteresis_tau_s is None:
            return usual_hysteresis_pair(self.chemistry, self.rc_tau_s)
        return _place(self.hysteresis_tau_s, self.rc_tau_s)


def usual_hysteresis_pair(chemistry: str, tau_s: Sequence[float] | Floats) -> int | None:
    """Which pair's current turns the hysteresis: where two phases live side by side (LFP), one of minutes, because a
    cell that is charged for seconds amid a discharge returns to the branch that it was on."""
    return minutes_pair(tau_s) if chemistry in TWO_PHASES else None


def minutes_pair(tau_s: Sequence[float] | Floats) -> int | None:
    """The first pair of 1 to 17 minutes."""
    slow = [pair for pair, tau in enumerate(tau_s) if MINUTES_TAU_S[0] <= tau <= MINUTES_TAU_S[1]]
    return slow[0] if slow else None


def surface_lag_h(at_25_degc_h: float, degc: float) -> float:
    """At another temperature."""
    return at_25_degc_h * math.exp(LAG_ACTIVATION_K * (1 / (degc + 273.15) - 1 / 298.15))


def _place(tau_s: float, taus_s: Floats) -> int | None:
    """Of the pair that has this time constant."""
    same = np.flatnonzero(np.isclose(taus_s, tau_s, rtol=1e-3))
    return int(same[0]) if len(same) else None


def read_tables(path: Path, content: Mapping[str, Any]) -> CellTables:
    """The tables of a file's content; ValueError with one line, `FILE: KEY: what was expected`."""
    return _Reader(path, content).tables()


def extended(soc_frac: Floats, ocv_v: Floats) -> Floats:
    """An OCV given over 0..1, never falling, on SOC_GRID; beyond both ends it goes on with its last slope."""
    v = np.maximum.accumulate(np.interp(SOC_GRID, soc_frac, ocv_v))
    first, last = 10, GRID_POINTS - 11
    step = SOC_GRID[1] - SOC_GRID[0]
    below = max((v[first + 4] - v[first]) / (4 * step), SLOPE_V_MIN)
    above = max((v[last] - v[last - 4]) / (4 * step), SLOPE_V_MIN)
    v = np.where(SOC_GRID < 0, v[first] + SOC_GRID * below, v)
    return np.where(SOC_GRID > 1, v[last] + (SOC_GRID - 1) * above, v)


class _Reader:
    """Reads one file with tables; every error names file and key."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self._path = path
        self._content = content

    def tables(self) -> CellTables:
        cell_file.check_keys(self._path, self._content, (*cell_file.COMMON_KEYS, *TABLE_KEYS), OPTIONAL_KEYS)
        degc = self._row("temperature_degc", self._content["temperature_degc"], None)
        soc = self._row("soc", self._content["soc"], None)
        if (np.diff(degc) <= 0).any():
            raise self._wrong("temperature_degc", "temperatures that rise")
        if len(soc) < 2 or soc[0] != 0 or soc[-1] != 1 or (np.diff(soc) <= 0).any():
            raise self._wrong("soc", "values that rise from 0 to 1")
        self._temperatures, self._soc = len(degc), soc
        pairs = self._pairs()
        return frozen_tables(
            **{key: cell_file.text(self._path, key, self._content[key]) for key in cell_file.TEXTS},
            capacity_ah=cell_file.number(self._path, "capacity_ah", self._content["capacity_ah"], above_zero=True),
            capacity_sigma_frac=cell_file.number(
                self._path, "capacity_sigma_frac", self._content["capacity_sigma_frac"], above_zero=True
            ),
            temperature_degc=degc,
            temperature_measured_degc=tuple(
                self._row("temperature_measured_degc", self._content["temperature_measured_degc"], 2).tolist()
            ),
            ocv_v=self._ocv(),
            ocv_sigma_v=self._table("ocv_sigma_v", self._content["ocv_sigma_v"], 0.0),
            model_sigma_v=self._table("model_sigma_v", self._content["model_sigma_v"], 0.0),
            resistance_ohm=self._table("resistance_ohm", self._content["resistance_ohm"], 1e-9),
            resistance_sigma_frac=self._row("resistance_sigma_frac", self._content["resistance_sigma_frac"], len(degc)),
            rc_tau_s=np.array([tau for tau, _ in pairs]),
            rc_resistance_ohm=np.array([table for _, table in pairs]).reshape(-1, self._temperatures, GRID_POINTS),
            hysteresis_v=self._table("hysteresis_v", self._content["hysteresis_v"], 0.0),
            hysteresis_tau_s=self._hysteresis_tau_s(np.array([tau for tau, _ in pairs])),
            **{key: self._row(key, self._content[key], len(degc)) for key in LAST_ROWS},
            surface_lag_h=self._surface_lag_h(pairs),
        )

    def _surface_lag_h(self, pairs: list[tuple[float, Floats]]) -> float:
        lag_h = cell_file.number(self._path, "surface_lag_h", self._content.get("surface_lag_h", 0.0), above_zero=False)
        if lag_h > 0 and minutes_pair([tau for tau, _ in pairs]) is None:
            least_s, most_s = MINUTES_TAU_S
            raise self._wrong("surface_lag_h", f"0, or an rc pair with tau_s from {least_s:g} to {most_s:g}")
        return lag_h

    def _pairs(self) -> list[tuple[float, Floats]]:
        pairs = self._content["rc"]
        if not isinstance(pairs, list) or not all(
            isinstance(pair, dict) and set(pair) == {"tau_s", "resistance_ohm"} for pair in pairs
        ):
            raise self._wrong("rc", "a list of {tau_s, resistance_ohm}")
        return [
            (
                cell_file.number(self._path, f"rc[{j}].tau_s", pair["tau_s"], above_zero=True),
                self._table(f"rc[{j}].resistance_ohm", pair["resistance_ohm"], 1e-9),
            )
            for j, pair in enumerate(pairs)
        ]

    def _hysteresis_tau_s(self, taus_s: Floats) -> float | None:
        if "hysteresis_tau_s" not in self._content:
            return None
        value = self._content["hysteresis_tau_s"]
        tau_s = cell_file.number(self._path, "hysteresis_tau_s", value, above_zero=False)
        if tau_s > 0 and _place(tau_s, taus_s) is None:
            raise self._wrong("hysteresis_tau_s", "0 or the tau_s of a pair")
        return tau_s

    def _ocv(self) -> Floats:
        rows = self._rows("ocv_v", self._content["ocv_v"])
        if (np.diff(rows, axis=1) < 0).any():
            raise self._wrong("ocv_v", "volts that never fall over soc")
        return np.array([extended(self._soc, row) for row in rows])

    def _table(self, key: str, value: object, least: float) -> Floats:
        rows = self._rows(key, value)
        if (rows < least).any():
            raise self._wrong(key, f"values of at least {least:g}")
        return np.array([np.interp(SOC_GRID, self._soc, row) for row in rows])

    def _rows(self, key: str, value: object) -> Floats:
        if not isinstance(value, list) or len(value) != self._temperatures:
            raise self._wrong(key, f"one row for each of {self._temperatures} temperatures")
        return np.array([self._row(f"{key}[{i}]", row, len(self._soc)) for i, row in enumerate(value)])

    def _row(self, key: str, value: object, length: int | None) -> Floats:
        numbers = isinstance(value, list) and all(
            isinstance(item, int | float) and not isinstance(item, bool) for item in value
        )
        row = np.array(value, dtype=np.float64) if numbers else np.empty(0)
        if row.ndim != 1 or len(row) == 0 or not np.isfinite(row).all() or (length is not None and len(row) != length):
            raise self._wrong(key, "a list of finite numbers" if length is None else f"{length} finite numbers")
        return row

    def _wrong(self, key: str, expected: str) -> ValueError:
        return ValueError(f"{self._path}: {key}: expected {expected}")


def frozen_tables(**fields: Any) -> CellTables:
    """CellTables whose arrays nobody can write to."""
    for value in fields.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return CellTables(**fields)
