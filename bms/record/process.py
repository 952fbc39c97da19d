"""The record of a run in real time: a process of its own writes it, so that no disk can ever delay a tick."""

import asyncio
import contextlib
import fcntl
import json
import os
import select
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bms.child_python import module_command
from bms.record.readings import Readings, reading_lines
from bms.record.schema import RecordError, TickRow, record_path

PIPE_BYTES = 1 << 20
"""Rows wait in the pipe: with the readings of two racks about 400, eight seconds; the most that Linux gives unasked."""
READY_S, FINISH_S = 15.0, 60.0


class ProcessRecorder:
    """`async with ProcessRecorder(path) as recorder:` starts the writing process and ends it in order.

    Entering raises RecordError when the file cannot be written. A row that was added is in the pipe and survives a
    kill of this process; a row that finds the pipe full, or the writer gone, is dropped and counted. A record that has
    the name already is kept as run.1.parquet. `metadata` goes into the file."""

    keeps_readings = True

    def __init__(self, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
        self._path = record_path(path)
        self._metadata = dict(metadata or {})
        self._encode = json.JSONEncoder(separators=(",", ":"), default=_plain).encode
        self._fault: str | None = None
        self._dropped = 0
        self._pipe = -1

    @property
    def dropped(self) -> int:
        return self._dropped

    @property
    def fault(self) -> str | None:
        return self._fault

    @property
    def writer_pid(self) -> int:
        """Process id of the writer."""
        return self._writer.pid

    def add(self, row: TickRow, readings: Readings | None = None) -> None:
        """Hands the row over, what it rests on first; takes some 20 µs, with the readings of two
        racks 50 µs, and never waits."""
        lines = [] if readings is None else reading_lines(readings)
        if self._pipe < 0 or not all(self._hand_over(self._encode(line)) for line in (*lines, row)):
            self._dropped += 1

    async def __aenter__(self) -> Self:
        self._writer, self._pipe = _spawn(self._path)
        self._said, self._transport = await _reader(self._writer)
        answer = ""
        try:
            async with asyncio.timeout(READY_S):
                answer = (await self._said.readline()).decode().strip()
        except TimeoutError:
            answer = f"{self._path}: the recording process did not start within {READY_S:.0f} s"
        finally:
            if answer != "ready":
                self._give_up()
        if answer != "ready":
            raise RecordError(answer or f"{self._path}: the recording process ended at once")
        self._tell(self._encode(self._metadata).encode() + b"\n")
        self._watch = asyncio.create_task(self._follow(), name="record writer")
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Waits until FILE is complete, FINISH_S at most; the writer goes on by itself after that."""
        self._hang_up()
        done, _ = await asyncio.wait([self._watch], timeout=FINISH_S)
        if not done:
            self._watch.cancel()
            self._fault = f"{self._path}: still being written after {FINISH_S:.0f} s"

    async def _follow(self) -> None:
        try:
            said = (await self._said.read()).decode().strip()
        finally:
            self._transport.close()
        self._hang_up()
        if self._writer.wait():
            self._fault = said.splitlines()[-1] if said else f"{self._path}: the recording process ended early"

    def _tell(self, data: bytes) -> None:
        """The first line may be longer than a row; the writer reads already, and nobody waits for a tick yet."""
        os.set_blocking(self._pipe, True)
        while data:
            data = data[os.write(self._pipe, data) :]
        os.set_blocking(self._pipe, False)

    def _hand_over(self, line: str) -> bool:
        data = line.encode() + b"\n"
        if len(data) > select.PIPE_BUF:
            self._fault = f"{self._path}: a row of {len(data)} bytes is too long to be recorded"
            return False
        try:
            os.write(self._pipe, data)  # whole or not at all: POSIX write(), n <= PIPE_BUF
        except (BlockingIOError, BrokenPipeError):
            self._fault = self._fault or f"{self._path}: rows are lost: the recording process does not take them"
            return False
        return True

    def _give_up(self) -> None:
        self._hang_up()
        self._transport.close()
        self._writer.kill()
        self._writer.wait()

    def _hang_up(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def _spawn(path: Path) -> tuple["subprocess.Popen[bytes]", int]:
    """The writer, importing the same packages as this process, and the writing end of the pipe to it. A session of its
    own keeps the terminal's Ctrl-C from it."""
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(write_end, False)
    with contextlib.suppress(OSError):  # a system with a lower limit keeps its own size
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        writer = subprocess.Popen(
            module_command("bms.record.writer", str(path)),
            stdin=read_end,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,
        )
    finally:
        os.close(read_end)
    return writer, write_end


async def _reader(writer: "subprocess.Popen[bytes]") -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader, loop = asyncio.StreamReader(), asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), writer.stdout)
    return reader, transport


def _plain(value: Any) -> Any:
    """NumPy scalars as Python's own."""
    return value.item()
