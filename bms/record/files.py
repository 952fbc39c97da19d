"""Record files on disk: Parquet or MDF when finished, an Arrow stream beside it (FILE.part) while one is being
written."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bms.record.reading_columns import reading_columns, reading_fields
from bms.record.readings import Readings
from bms.record.schema import COLUMNS, MDF, SCHEMA_VERSION, RecordError, record_path, versioned

COLUMN_TYPES = [pa.type_for_alias(column.type) for column in COLUMNS]
READ_ROWS = 512
"""Rows that are read at a time: ten seconds."""
GROUP_ROWS = 65_536
"""Rows of a Parquet row group: fixed, so that the bytes do not depend on how rows came in batches."""


def arrow_schema(metadata: Mapping[str, str]) -> Any:
    """pyarrow.Schema of a record file; each field carries its unit and meaning."""
    fields = [
        pa.field(column.name, column.type, metadata={"unit": column.unit, "meaning": column.meaning})
        for column in COLUMNS
    ]
    return pa.schema([*fields, *reading_fields()], metadata=versioned(metadata))


def record_batch(rows: Sequence[tuple[Sequence[Any], Readings | None]], schema: Any) -> Any:
    """pyarrow.RecordBatch of rows, each with what it rests on."""
    values, readings = zip(*rows, strict=True)
    flat = [pa.array(column, COLUMN_TYPES[place]) for place, column in enumerate(zip(*values, strict=True))]
    return pa.record_batch([*flat, *reading_columns(readings)], schema)


def write_record(batches: Callable[[], Iterable[Any]], path: Path, schema: Any) -> None:
    """Writes `path` in one go, in the format of its ending: it appears whole or not at all. `batches` gives the rows
    whenever it is asked. MDF holds no readings. Same rows and metadata, same bytes. OSError."""
    unfinished = path.with_name(path.name + ".tmp")
    try:
        if path.suffix == MDF:
            from bms.record.mdf import write_mdf  # half a second, which other records need not wait for

            flat = pa.schema(list(schema)[: len(COLUMNS)], metadata=schema.metadata)
            write_mdf(lambda: (group.select(flat.names) for group in _groups(batches(), schema)), unfinished, flat)
        else:
            _write_parquet(_groups(batches(), schema), unfinished, schema)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_parquet(groups: Iterable[Any], path: Path, schema: Any) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=3) as writer:
        for group in groups:
            writer.write_table(group, row_group_size=GROUP_ROWS)


def read_record(path: str | Path) -> Any:
    """pyarrow.Table of a record file, or of its FILE.part where the writer was killed: all rows that are whole there.
    RecordError when there is neither, or when it is no record file."""
    path = record_path(path)
    try:
        table = _finished(path) if path.exists() else _unfinished(part_of(path))
    except FileNotFoundError:
        raise RecordError(f"{path}: there is no such record file, nor a {part_of(path).name}") from None
    except (OSError, ValueError) as error:  # pyarrow.ArrowInvalid is a ValueError
        raise RecordError(f"{path}: no record file ({str(error).splitlines()[0]})") from error
    if not _is_record(table.schema):
        raise RecordError(f"{path}: no record file of schema version {SCHEMA_VERSION}")
    return table


def read_batches(path: str | Path) -> tuple[Any, Iterator[Any]]:
    """Schema and rows of a record file as pyarrow.RecordBatches, which takes little memory however long it is. Of MDF,
    and of a FILE.part, all at once. RecordError as `read_record`."""
    path = record_path(path)
    if path.suffix == MDF or not path.exists():
        table = read_record(path)
        return table.schema, iter(table.to_batches(max_chunksize=READ_ROWS))
    try:
        file = pq.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: no record file ({str(error).splitlines()[0]})") from error
    if not _is_record(file.schema_arrow):
        file.close()
        raise RecordError(f"{path}: no record file of schema version {SCHEMA_VERSION}")
    return file.schema_arrow, _closing(file)


def _closing(file: Any) -> Iterator[Any]:
    with file:
        yield from file.iter_batches(batch_size=READ_ROWS)


def _is_record(schema: Any) -> bool:
    version = (schema.metadata or {}).get(b"schema_version")
    return version == str(SCHEMA_VERSION).encode() and {column.name for column in COLUMNS} <= set(schema.names)


def _finished(path: Path) -> Any:
    if path.suffix == MDF:
        from bms.record.mdf import read_mdf

        return read_mdf(path, list(arrow_schema({}))[: len(COLUMNS)])
    with pq.ParquetFile(path) as file:
        return file.read()


def _unfinished(part: Path) -> Any:
    if not part.stat().st_size:
        return pa.Table.from_batches([], arrow_schema({}))
    with pa.OSFile(str(part)) as file:
        schema, batches = read_part(file)
        return pa.Table.from_batches(batches, schema)


def read_part(part: Any) -> tuple[Any, Iterator[Any]]:
    """Schema and whole batches of an open FILE.part; what a kill cut short at its end is left out."""
    stream = pa.ipc.open_stream(part)
    return stream.schema, _whole_batches(stream)


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def keep_earlier(path: Path) -> None:
    """Renames an earlier record of that name (and its .part) to the next free run.1.parquet, run.2.parquet, …"""
    names = (path.with_stem(f"{path.stem}.{number}") for number in itertools.count(1))
    free = next(name for name in names if not name.exists() and not part_of(name).exists())
    for old, new in ((path, free), (part_of(path), part_of(free))):
        if old.exists():
            old.rename(new)


def _whole_batches(stream: Any) -> Iterator[Any]:
    while True:
        try:
            yield stream.read_next_batch()
        except (StopIteration, OSError, pa.ArrowInvalid):
            return


def _groups(batches: Iterable[Any], schema: Any) -> Iterator[Any]:
    waiting = pa.Table.from_batches([], schema)
    for batch in batches:
        waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch], schema)])
        while waiting.num_rows >= GROUP_ROWS:
            yield waiting.slice(0, GROUP_ROWS).combine_chunks()
            waiting = waiting.slice(GROUP_ROWS)
    if waiting.num_rows:
        yield waiting.combine_chunks()
