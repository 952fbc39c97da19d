"""A measured log of one cell or of a string's mean cell, as the estimator and identification take it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bms.estimate.log_table import Columns, Floats, LogError, read_columns

__all__ = ["Log", "LogError", "read_log", "read_runs"]

NEEDED = ("time_s", "current_a", "voltage_v")
OPTIONAL = ("temperature_c", "soc", "ah")
RUN_COLUMNS = ("run", "cycle", "cell_no")
"""A column of one of these names numbers the runs of a file in which time restarts; the first one present counts."""

TEMPERATURE_DEGC = 25.0
"""Stands in for a temperature that was not logged; `Log.temperature_measured` says so."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a column's values lie within in the unit that is asked for, sensor noise and offset included: wide for every
    chemistry, narrow enough that the usual other unit lies outside."""

    low: float
    high: float
    meaning: str


BOUNDS = {
    "voltage_v": Bounds(-1.0, 10.0, "one cell's V (not mV, not a pack's)"),
    "soc": Bounds(-0.1, 1.1, "a fraction (not percent)"),
    "temperature_c": Bounds(-60.0, 120.0, "degC (not K)"),
}
"""A cell discharged to 0 V on purpose may read below it; 120 degC is where a cell's separator melts."""


@dataclass(frozen=True, slots=True)
class Log:
    """n samples of one run, read-only float64[n] each; time strictly increases.

    Current, and `ah` (charge since the file's start), are positive on discharge. NaN in `current_a`, `voltage_v` or
    `soc_frac` is a sample that is absent. `soc_frac` is the reference, None where the log has none. Gaps in the
    temperature are bridged linearly in time. `run` is the run's name in a file that has several, else None.
    `charge_sigma_ah`: how far what flowed since the row before may be from what the current says, None = no further
    than a sensor is."""

    path: Path
    time_s: Floats
    current_a: Floats
    voltage_v: Floats
    temperature_degc: Floats
    soc_frac: Floats | None
    ah: Floats | None
    run: str | None
    temperature_measured: bool = True
    charge_sigma_ah: Floats | None = None

    @property
    def named(self) -> str:
        """The file, and the run in it, for whoever reads a message."""
        return str(self.path) if self.run is None else f"{self.path} run {self.run}"


def read_log(path: Path, *, charge_positive: bool = False, run: str | int | None = None) -> Log:
    """The one run of a CSV or Parquet file, or the run of that name in a file with several.

    Columns `time_s, current_a, voltage_v[, temperature_c, soc, ah]`; of rows with the same time the last one counts. A
    value outside BOUNDS is refused: it is in another unit.
    `charge_positive` says that the file's current and `ah` are positive on charge. Raises LogError: one line."""
    columns = read_columns(path, NEEDED, (*OPTIONAL, *RUN_COLUMNS))
    runs = _runs(path, columns)
    if run is None:
        if runs and _goes_back(columns["time_s"]) is not None:
            raise LogError(f"{path}: has several runs, pick one with --run: {_listed(list(runs))}")
        return _log(path, columns, slice(None), charge_positive, None)
    name = str(run)
    if name not in runs:
        raise LogError(f"{path}: no run {name} (it has: {_listed(list(runs)) or 'no column run, cycle or cell_no'})")
    return _log(path, columns, runs[name], charge_positive, name)


def read_runs(path: Path, *, charge_positive: bool = False) -> list[Log]:
    """Every run of a file, in its order; a file whose time never goes back is one run. Raises LogError."""
    columns = read_columns(path, NEEDED, (*OPTIONAL, *RUN_COLUMNS))
    runs = _runs(path, columns)
    if not runs or _goes_back(columns["time_s"]) is None:
        return [_log(path, columns, slice(None), charge_positive, None)]
    return [_log(path, columns, rows, charge_positive, name) for name, rows in runs.items()]


def _runs(path: Path, columns: Columns) -> dict[str, slice]:
    """Rows of each run by name: the run column's value, with .2, .3 … where a value comes again."""
    column = next((name for name in RUN_COLUMNS if name in columns), None)
    if column is None:
        return {}
    values = columns[column]
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise LogError(f"{path}: row {row + 1}: {column} is {values[row]}, expected the number of a run")
    starts = [0, *(np.flatnonzero(np.diff(values) != 0) + 1).tolist()]
    runs: dict[str, slice] = {}
    times: dict[str, int] = {}
    for first, end in zip(starts, [*starts[1:], len(values)], strict=True):
        value = f"{values[first]:g}"
        times[value] = times.get(value, 0) + 1
        runs[value if times[value] == 1 else f"{value}.{times[value]}"] = slice(first, end)
    return runs


def _goes_back(time_s: Floats) -> int | None:
    """The first row (from 0) whose time lies before the row above it."""
    back = np.flatnonzero(np.diff(time_s) < 0)
    return int(back[0]) + 1 if back.size else None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" … {names[-1]} ({len(names)} runs)" if len(names) > 20 else "")


def _log(path: Path, columns: Columns, rows: slice, charge_positive: bool, run: str | None) -> Log:
    first = rows.start or 0
    picked = {name: values[rows] for name, values in columns.items()}
    _check(path, picked, first)
    last = np.append(np.diff(picked["time_s"]) > 0, True)
    picked = {name: values[last] for name, values in picked.items()}
    temperature_degc, measured = _temperature(picked)
    sign = -1.0 if charge_positive else 1.0
    ah = _unless_absent(picked.get("ah"))
    return Log(
        path=path,
        time_s=_fixed(picked["time_s"]),
        current_a=_fixed(sign * picked["current_a"]),
        voltage_v=_fixed(picked["voltage_v"]),
        temperature_degc=_fixed(temperature_degc),
        soc_frac=_unless_absent(picked.get("soc")),
        ah=None if ah is None else _fixed(sign * ah),
        run=run,
        temperature_measured=measured,
    )


def _check(path: Path, columns: Columns, first: int) -> None:
    for name in (*NEEDED, *(name for name in OPTIONAL if name in columns)):
        values = columns[name]
        wrong = np.flatnonzero(~np.isfinite(values) if name == "time_s" else np.isinf(values))
        if wrong.size:
            row = int(wrong[0])
            raise LogError(f"{path}: row {first + row + 1}: {name} is {values[row]}, expected a finite number")
    _check_units(path, columns, first)
    for name in ("current_a", "voltage_v"):
        if np.isnan(columns[name]).all():
            raise LogError(f"{path}: {name} has no value in any row")
    row_back = _goes_back(columns["time_s"])
    if row_back is not None:
        before, now = columns["time_s"][row_back - 1 : row_back + 1]
        raise LogError(f"{path}: row {first + row_back + 1}: time_s goes back ({now:g} after {before:g})")


def _check_units(path: Path, columns: Columns, first: int) -> None:
    for name, bounds in BOUNDS.items():
        values = columns.get(name, np.empty(0))
        wrong = np.flatnonzero((values < bounds.low) | (values > bounds.high))
        if wrong.size:
            row = int(wrong[0])
            expected = f"{bounds.meaning} from {bounds.low:g} to {bounds.high:g}"
            raise LogError(f"{path}: row {first + row + 1}: {name} is {values[row]}, expected {expected}")


def _temperature(columns: Columns) -> tuple[Floats, bool]:
    """degC of every row, and whether any of it was measured."""
    time_s, degc = columns["time_s"], columns.get("temperature_c")
    known = np.zeros(len(time_s), dtype=bool) if degc is None else np.isfinite(degc)
    if degc is None or not known.any():
        return np.full(len(time_s), TEMPERATURE_DEGC), False
    return np.interp(time_s, time_s[known], degc[known]), True


def _unless_absent(values: Floats | None) -> Floats | None:
    return None if values is None or np.isnan(values).all() else _fixed(values)


def _fixed(values: Floats) -> Floats:
    values.flags.writeable = False
    return values
