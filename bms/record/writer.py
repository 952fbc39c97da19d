"""The process that writes a record file: python -m bms.record.writer FILE. It outlives a killed controller.

Standard input: one line of metadata (a JSON object), then one line a row (a JSON array in the order of the columns),
after the readings that it rests on if there are any (JSON objects, see reading_lines). Rows are appended to FILE.part
twice a second; at the end of input FILE is written from it (Parquet or MDF by its ending) and FILE.part removed. A
record that has the name already is kept as run.1.parquet. Standard output says "ready" once the files can be written;
errors are one line on standard error, status 2 before that, 1 after. Ends at the end of input only: SIGINT and SIGTERM,
which reach a whole process group, are ignored.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from bms.priority import step_back
from bms.record.files import arrow_schema, keep_earlier, part_of, read_part, record_batch, write_record
from bms.record.readings import ReadingLines, Readings
from bms.record.schema import RecordError, record_path

GATHER_MS = 500
"""How long rows gather before they go to the file: what a power cut may cost."""
SYNC_BATCHES = 20
"""Batches after which the file is forced to the disk (about 10 s)."""
READ_BYTES = 1 << 20


def main(argv: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    step_back()
    if len(argv) != 2:
        return _fail(2, "usage: python -m bms.record.writer FILE")
    try:
        path = record_path(argv[1])
        part = _claim(path)
    except RecordError as error:
        return _fail(2, str(error))
    except OSError as error:
        return _fail(2, f"{argv[1]}: cannot write the record: {error.strerror}")
    print("ready", flush=True)
    return _record(path, part)


def _record(path: Path, part: BinaryIO) -> int:
    try:
        if _fill(part, sys.stdin.fileno()):
            _finish(path)
        part_of(path).unlink()
    except OSError as error:
        return _fail(
            1, f"{path}: recording ended: {error.strerror or error}; {part_of(path).name} holds what was saved"
        )
    finally:
        with contextlib.suppress(OSError):  # bytes that a full disk does not take: reported above
            part.close()
    return 0


def _claim(path: Path) -> BinaryIO:
    """FILE.part, new and locked; what was there before is kept under another name."""
    if part_of(path).exists():
        with part_of(path).open("rb") as earlier:
            _lock(earlier, path)
    keep_earlier(path)
    part = part_of(path).open("xb")
    _lock(part, path)
    return part


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecordError(f"{path}: another process is recording to it") from None


def _fill(part: BinaryIO, source: int) -> bool:
    """Appends rows until the end of input; False when not even the metadata came."""
    batches = _line_batches(source)
    first = next(batches, [])
    if not first:
        return False
    schema, pieces = arrow_schema(json.loads(first[0])), ReadingLines()
    with pa.ipc.new_stream(part, schema) as stream:
        for count, lines in enumerate(_chained(first[1:], batches)):
            rows = list(_rows(lines, pieces))
            if not rows:
                continue
            stream.write_batch(record_batch(rows, schema))
            part.flush()
            if count % SYNC_BATCHES == 0:
                os.fsync(part.fileno())
    part.flush()
    return True


def _rows(lines: list[bytes], pieces: ReadingLines) -> Iterator[tuple[list[Any], Readings | None]]:
    """Each row with the readings that came before it, also in earlier `lines`."""
    for line in lines:
        piece = json.loads(line)
        if isinstance(piece, dict):
            pieces.take(piece)
        else:
            yield piece, pieces.end()


def _finish(path: Path) -> None:
    with pa.OSFile(str(part_of(path))) as part:
        schema, _ = read_part(part)

        def batches() -> Iterator[Any]:
            part.seek(0)
            return read_part(part)[1]

        write_record(batches, path, schema)


def _chained(first: list[bytes], batches: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    if first:
        yield first
    yield from batches


def _line_batches(source: int) -> Iterator[list[bytes]]:
    """Whole lines, gathered for GATHER_MS or until the end of input; an unfinished last line is dropped."""
    os.set_blocking(source, False)
    arrival, end = select.poll(), select.poll()
    arrival.register(source, select.POLLIN)
    end.register(source, 0)  # hang-up is always reported
    rest, ended = b"", False
    while not ended:
        arrival.poll()
        end.poll(GATHER_MS)
        data, ended = _available(source)
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            yield lines


def _available(source: int) -> tuple[bytes, bool]:
    """What can be read now, at most READ_BYTES or a little more, and whether input ended."""
    data = b""
    while len(data) < READ_BYTES:
        try:
            piece = os.read(source, READ_BYTES)
        except BlockingIOError:
            return data, False
        if not piece:
            return data, True
        data += piece
    return data, False


def _fail(status: int, line: str) -> int:
    print(line, file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv))
