"""`bms status` asks here: a socket beside the state's files, which says once what the controller does and hangs up."""

import asyncio
import json
import logging
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bms.protect.protection import ActiveFault
from bms.state.files import StateFiles
from bms.status import status_document
from bms.tick_report import TickReporter
from drivers.clock import now_ns

FRESH_S = 0.1
"""Whoever asks again within this time gets the same answer: no asking costs a tick its time."""
WAITING_MAX = 8
"""So many may wait to be answered; the kernel refuses more."""
BYTES_MAX = 1 << 20

log = logging.getLogger(__name__)


class SilentError(Exception):
    """A controller has the socket and says nothing."""


@dataclass(frozen=True, slots=True)
class FaultSaid:
    """One fault of a running controller, or one that a stopped one left latched."""

    fault: str
    target: str
    detail: str
    latched: bool

    def __str__(self) -> str:
        return f"{self.fault} ({self.target}: {self.detail})"


class StatusSocket:
    """`async with StatusSocket(files, report):` answers whoever may write to the socket's file, and is told nothing.
    `fault` says in one line why it cannot, empty = it can."""

    def __init__(self, files: StateFiles, report: TickReporter) -> None:
        self._path, self._report = files.status, report
        self._server: asyncio.Server | None = None
        self._said, self._said_s = b"", -FRESH_S
        self.fault = ""

    async def __aenter__(self) -> Self:
        try:
            listening = _listen(self._path)
        except OSError as error:
            self.fault = f"status: {self._path}: cannot be served: {error.strerror or error}"
            log.warning("%s", self.fault)
        else:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(
                lambda: _Answer(self._say), sock=listening, backlog=WAITING_MAX
            )
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    def _say(self) -> bytes:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._said_s >= FRESH_S:
            self._said, self._said_s = json.dumps(_document(self._report)).encode() + b"\n", now_s
        return self._said


class _Answer(asyncio.Protocol):
    """One caller, who is not listened to."""

    def __init__(self, say: Callable[[], bytes]) -> None:
        self._say = say

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(self._say())
        transport.close()


def ask_status(files: StateFiles, within_s: float) -> dict[str, Any] | None:
    """What the running controller says: `status` as `bms run --json` has it (None before the first tick), `tick_age_s`
    and `faults`. None when nobody listens. SilentError; PermissionError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(within_s)
        try:
            with _short(files.status) as path:
                caller.connect(path)
            said = b""
            while len(said) < BYTES_MAX and (more := caller.recv(1 << 16)):
                said += more
            document: dict[str, Any] = json.loads(said)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return None
        except (TimeoutError, BlockingIOError, ConnectionError, ValueError):
            raise SilentError(f"{files.status}: the controller does not answer") from None
    return document


def _document(report: TickReporter) -> dict[str, Any]:
    status, tick = report.status(), report.newest
    if status is None or tick is None:
        return {"status": None, "tick_age_s": None, "faults": []}
    return {
        "status": status_document(status),
        "tick_age_s": (now_ns() - tick.image.at_ns) / 1e9,
        "faults": [_said(fault) for fault in tick.faults],
    }


def _said(fault: ActiveFault) -> dict[str, Any]:
    return {"fault": fault.kind.id, "target": fault.target, "detail": fault.detail, "latched": fault.kind.latched}


def _listen(path: Path) -> socket.socket:
    """The place of one who was killed is taken: only who holds the state's lock comes here. OSError."""
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as name:
            listening.bind(name)
    except OSError:
        listening.close()
        raise
    return listening


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """The same path within the 107 bytes that a socket's may have, see unix(7)."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
