"""Reads the columns of a log file as they stand there, CSV or Parquet, and names what cannot be read."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Columns = dict[str, Floats]

ROWS_MAX = 20_000_000


class LogError(ValueError):
    """A log file that cannot be used; the message is one line with file, row and reason. Rows count from 1 without
    header and comments."""


def read_columns(path: Path, needed: Sequence[str], wanted: Sequence[str]) -> Columns:
    """The `needed` columns, and those of the `wanted` ones that the file has, as float64 of one length >= 1.

    An empty cell is NaN. CSV has a header row and may have `#` comment lines. Raises LogError."""
    if not path.is_file():
        raise LogError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
    suffix = path.suffix.lower()
    if suffix == ".csv":
        columns = _read_csv(path, needed, wanted)
    elif suffix in (".parquet", ".pq"):
        columns = _read_parquet(path, needed, wanted)
    else:
        raise LogError(f"{path}: expected a .csv or .parquet file")
    if columns[needed[0]].size == 0:
        raise LogError(f"{path}: no rows")
    return columns


def _chosen(path: Path, names: Sequence[str], needed: Sequence[str], wanted: Sequence[str]) -> list[str]:
    for name in needed:
        if name not in names:
            raise LogError(f"{path}: no column {name} (it has: {', '.join(names) or 'nothing'})")
    twice = [name for name in (*needed, *wanted) if list(names).count(name) > 1]
    if twice:
        raise LogError(f"{path}: column {twice[0]} appears more than once")
    return [name for name in (*needed, *wanted) if name in names]


def _read_csv(path: Path, needed: Sequence[str], wanted: Sequence[str]) -> Columns:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(line for line in file if line.strip() and not line.startswith("#"))
            return _parse_csv(path, lines, needed, wanted)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LogError(f"{path}: cannot be read: {_reason(error)}") from error


def _parse_csv(path: Path, lines: Iterator[list[str]], needed: Sequence[str], wanted: Sequence[str]) -> Columns:
    header = [name.strip() for name in next(lines, [])]
    names = _chosen(path, header, needed, wanted)
    places = [header.index(name) for name in names]
    values: list[list[float]] = []
    for number, cells in enumerate(lines, 1):
        if number > ROWS_MAX:
            raise LogError(f"{path}: more than {ROWS_MAX} rows")
        if len(cells) != len(header):
            raise LogError(f"{path}: row {number}: got {len(cells)} cells, expected {len(header)} as in the header")
        try:
            values.append([float(cells[place]) if cells[place].strip() else np.nan for place in places])
        except ValueError:
            raise LogError(f"{path}: row {number}: {_not_a_number(names, places, cells)}") from None
    table = np.array(values, dtype=np.float64).reshape(len(values), len(names))
    return {name: table[:, place].copy() for place, name in enumerate(names)}


def _not_a_number(names: Sequence[str], places: Sequence[int], cells: Sequence[str]) -> str:
    for name, place in zip(names, places, strict=True):
        try:
            float(cells[place].strip() or "nan")
        except ValueError:
            return f"{name} is {cells[place]!r}, expected a number"
    raise AssertionError("every cell is a number")


def _read_parquet(path: Path, needed: Sequence[str], wanted: Sequence[str]) -> Columns:
    try:
        with pq.ParquetFile(path) as file:
            names = _chosen(path, file.schema_arrow.names, needed, wanted)
            if file.metadata.num_rows > ROWS_MAX:
                raise LogError(f"{path}: more than {ROWS_MAX} rows")
            table = file.read(columns=names)
        return {name: _as_floats(path, name, table[name]) for name in names}
    except (OSError, pa.ArrowException) as error:
        raise LogError(f"{path}: cannot be read: {_reason(error)}") from error


def _as_floats(path: Path, name: str, column: "pa.ChunkedArray") -> Floats:
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise LogError(f"{path}: column {name} holds {column.type}, expected numbers")
    return np.array(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())
