"""Reads load samples from CSV and Parquet and refuses bad ones by file and row."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Columns = dict[str, Floats]

ROWS_MAX = 20_000_000


class LoadFileError(ValueError):
    """A load file that cannot be used; the message is one line with file, row and reason. Rows count from 1
    without header and comments."""


def read_samples(path: Path, power_column: str, run: int | None) -> tuple[Floats, Floats]:
    """Time (s) and the power column of a file, checked: finite, time strictly increasing, at least one row.

    `run` keeps the rows whose `run` column has that value. CSV has a header row and may have `#` comment lines."""
    columns = read_columns(path, (power_column,), run)
    return columns["time_s"], columns[power_column]


def read_columns(path: Path, needed: tuple[str, ...], run: int | None, optional: tuple[str, ...] = ()) -> Columns:
    """As `read_samples`, for several columns beside `time_s`; of the `optional` ones those that the file has."""
    rows = _read_table(path, ("time_s", *needed), run is not None, optional)
    if rows["time_s"].size == 0:
        raise LoadFileError(f"{path}: no rows")
    numbers = np.arange(1, rows["time_s"].size + 1)
    if run is not None:
        numbers = numbers[_rows_of_run(path, rows["run"], run)]
    columns = {name: values[numbers - 1] for name, values in rows.items() if name != "run"}
    for name, values in columns.items():
        _check_finite(path, name, values, numbers)
    _check_increasing(path, columns["time_s"], numbers, unpicked="run" in rows and run is None)
    return columns


def _read_table(path: Path, needed: tuple[str, ...], with_run: bool, optional: tuple[str, ...]) -> Columns:
    """The needed columns as float64, and the optional ones and `run` where the file has them."""
    if not path.is_file():
        raise LoadFileError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
    names = (*needed, "run") if with_run else needed
    if path.suffix.lower() == ".csv":
        return _read_csv(path, names, optional)
    if path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path, names, optional)
    raise LoadFileError(f"{path}: expected a .csv or .parquet file")


def _read_csv(path: Path, needed: tuple[str, ...], optional: tuple[str, ...]) -> Columns:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(line for line in file if line.strip() and not line.startswith("#"))
            return _parse_csv(path, lines, needed, optional)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LoadFileError(f"{path}: cannot be read: {error}") from error


def _parse_csv(path: Path, lines: Iterator[list[str]], needed: tuple[str, ...], optional: tuple[str, ...]) -> Columns:
    header = [name.strip() for name in next(lines, [])]
    _check_columns(path, header, needed)
    wanted = [name for name in dict.fromkeys((*needed, *optional, "run")) if name in header]
    places = [header.index(name) for name in wanted]
    values: list[list[float]] = []
    for number, cells in enumerate(lines, 1):
        if number > ROWS_MAX:
            raise LoadFileError(f"{path}: more than {ROWS_MAX} rows")
        try:
            values.append([float(cells[place]) for place in places])
        except (ValueError, IndexError) as error:
            expected = ", ".join(wanted)
            raise LoadFileError(f"{path}: row {number}: expected numbers in {expected}, got {cells}") from error
    table = np.array(values, dtype=np.float64).reshape(len(values), len(wanted))
    return {name: table[:, place] for place, name in enumerate(wanted)}


def _read_parquet(path: Path, needed: tuple[str, ...], optional: tuple[str, ...]) -> Columns:
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_columns(path, names, needed)
            if file.metadata.num_rows > ROWS_MAX:
                raise LoadFileError(f"{path}: more than {ROWS_MAX} rows")
            wanted = [name for name in dict.fromkeys((*needed, *optional, "run")) if name in names]
            table = file.read(columns=wanted)
        return {name: np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64) for name in wanted}
    except (OSError, pa.ArrowException) as error:
        raise LoadFileError(f"{path}: cannot be read: {error}") from error


def _check_columns(path: Path, names: list[str], needed: tuple[str, ...]) -> None:
    for name in needed:
        if name not in names:
            raise LoadFileError(f"{path}: no column {name} (it has: {', '.join(names) or 'nothing'})")


def _rows_of_run(path: Path, runs: Floats, run: int) -> NDArray[np.bool_]:
    chosen: NDArray[np.bool_] = runs == run
    if not chosen.any():
        there = ", ".join(f"{value:g}" for value in np.unique(runs)[:20])
        raise LoadFileError(f"{path}: no run {run} (it has: {there})")
    return chosen


def _check_finite(path: Path, name: str, values: Floats, numbers: NDArray[np.int64]) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise LoadFileError(f"{path}: row {numbers[bad[0]]}: {name} is {values[bad[0]]}, expected a finite number")


def _check_increasing(path: Path, time_s: Floats, numbers: NDArray[np.int64], unpicked: bool) -> None:
    bad = np.flatnonzero(np.diff(time_s) <= 0)
    if bad.size:
        row = bad[0] + 1
        hint = "; the file has several runs, pick one with --run" if unpicked else ""
        raise LoadFileError(
            f"{path}: row {numbers[row]}: time_s does not increase ({time_s[row]:g} after {time_s[row - 1]:g}){hint}"
        )
