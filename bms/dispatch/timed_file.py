"""Files of values over wall-clock time: prices of the day ahead, schedules."""

import csv
from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

ROWS_MAX = 100_000


class TimedFileError(ValueError):
    """A file that cannot be used; the message is one line with file, row (from 1, without the header) and reason."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Values by column, each holding from its start (seconds since 1970) until the next; the last as long as the one
    before it."""

    starts_s: tuple[float, ...]
    ends_s: float
    columns: dict[str, tuple[float, ...]]

    def at(self, column: str, utc_s: float) -> float | None:
        """None outside the file's time."""
        if not self.starts_s[0] <= utc_s < self.ends_s:
            return None
        return self.columns[column][bisect_right(self.starts_s, utc_s) - 1]


def read_timed(path: Path, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> Timed:
    """A CSV or Parquet file with `time` (ISO 8601 with a zone or Z; in Parquet also a timestamp with zone), rising, and
    number columns. TimedFileError."""
    rows = _rows(path)
    names = [name for name in (*needed, *optional) if rows and name in rows[0]]
    for name in ("time", *needed):
        if not rows or name not in rows[0]:
            raise TimedFileError(f"{path}: no {'rows' if not rows else 'column ' + name}")
    if not 2 <= len(rows) <= ROWS_MAX:
        raise TimedFileError(f"{path}: {len(rows)} rows, expected 2 to {ROWS_MAX}")
    starts_s = tuple(_time_s(path, number, row["time"]) for number, row in enumerate(rows, 1))
    for number, (before_s, start_s) in enumerate(pairwise(starts_s), 2):
        if start_s <= before_s:
            raise TimedFileError(f"{path}: row {number}: time does not increase")
    columns = {
        name: tuple(_number(path, number, name, row[name]) for number, row in enumerate(rows, 1)) for name in names
    }
    return Timed(starts_s, 2 * starts_s[-1] - starts_s[-2], columns)


def _rows(path: Path) -> list[dict[str, Any]]:
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as file:
                return list(csv.DictReader(line for line in file if line.strip() and not line.startswith("#")))
        if suffix in (".parquet", ".pq"):
            return _parquet(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TimedFileError(f"{path}: cannot be read: {error}") from error
    raise TimedFileError(f"{path}: expected a .csv or .parquet file")


def _parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_table(path).to_pylist())
    except pa.ArrowException as error:
        raise TimedFileError(f"{path}: cannot be read: {error}") from error


def _time_s(path: Path, number: int, value: object) -> float:
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        expected = "a time with its zone, as 2026-07-01T00:00:00+09:00"
        raise TimedFileError(f"{path}: row {number}: time is {value!r}, expected {expected}")
    return time.timestamp()


def _number(path: Path, number: int, name: str, value: Any) -> float:
    try:
        parsed = float(value)
    except (TypeError, ValueError):
        parsed = float("nan")
    if not isfinite(parsed):
        raise TimedFileError(f"{path}: row {number}: {name} is {value!r}, expected a number")
    return parsed
