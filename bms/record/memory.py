"""The record of a run in virtual time: kept in memory, written when the run is over."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from bms.record.files import arrow_schema, record_batch, write_record
from bms.record.readings import Readings
from bms.record.schema import RecordError, TickRow, record_path

BATCH_ROWS = 1024
ROWS_MAX = 20_000_000
"""About 5 GB; a fortnight of 10 Hz has 12 million."""


class MemoryRecorder:
    """Collects rows as Arrow columns; rows beyond `rows_max` are dropped and counted. `metadata` (site, scenario, seed)
    goes into the file. There is no wall time in it unless given. Without `readings` it keeps the rows alone: enough to
    judge by, not to replay."""

    def __init__(
        self, metadata: Mapping[str, str] | None = None, *, rows_max: int = ROWS_MAX, readings: bool = True
    ) -> None:
        self.keeps_readings = readings
        self._schema = arrow_schema(metadata or {})
        self._rows_max = rows_max
        self._recent: list[tuple[TickRow, Readings | None]] = []
        self._batches: list[Any] = []
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._batches) * BATCH_ROWS + len(self._recent)

    @property
    def dropped(self) -> int:
        return self._dropped

    @property
    def fault(self) -> str | None:
        return f"the record is full at {self._rows_max} rows" if self._dropped else None

    def add(self, row: TickRow, readings: Readings | None = None) -> None:
        if len(self) >= self._rows_max:
            self._dropped += 1
            return
        self._recent.append((row, readings if self.keeps_readings else None))
        if len(self._recent) == BATCH_ROWS:
            self._batches.append(record_batch(self._recent, self._schema))
            self._recent.clear()

    def table(self) -> Any:
        """pyarrow.Table of all rows so far."""
        return pa.Table.from_batches(self._all_batches(), self._schema)

    def write(self, path: str | Path) -> None:
        """Writes the rows so far, over a file that may be there; the same rows give the same bytes."""
        path = record_path(path)
        try:
            write_record(self._all_batches, path, self._schema)
        except OSError as error:
            raise RecordError(f"{path}: cannot write the record: {error.strerror or error}") from error

    def _all_batches(self) -> list[Any]:
        recent = [record_batch(self._recent, self._schema)] if self._recent else []
        return [*self._batches, *recent]
