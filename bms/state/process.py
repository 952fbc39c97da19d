"""The state of a run in real time: a process of its own writes it, so that no disk can ever delay a tick."""

import asyncio
import contextlib
import json
import logging
import math
import os
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bms.child_python import module_command
from bms.state.files import StateFiles
from bms.state.store import ANSWER_S, Reset, Told

READY_S, FINISH_S = 30.0, 10.0
STALLED_S = 10.0
"""A state that is not on the disk after this time is a fault; waiting for a disk may take seconds."""
RESTART_S = 2.0
"""A writer that ended is replaced after this time."""
EVENTS_MAX = 1000
"""Events that wait for a writer."""

log = logging.getLogger(__name__)


class StateError(Exception):
    """The state of a site cannot be kept there at all; the text is one line."""


class ProcessStore:
    """`async with ProcessStore(folder, site) as store:` starts the writing process, which holds the lock on the state
    of this site, and ends it in order.

    Entering raises StateError when another controller has that state. What is handed over is in the pipe and survives a
    kill of this process, unless the disk is so slow that the pipe is full: then `ready` is False. A writer that ends is
    replaced."""

    def __init__(self, folder: Path, site: str) -> None:
        self.files = StateFiles(folder, site)
        self._events: deque[bytes] = deque(maxlen=EVENTS_MAX)
        self._asked: list[Reset] = []
        self._maintain: list[str] = []
        self._told: list[Told] = []
        self._local = False
        self._ending = False
        self._unanswered_s: float | None = None
        self._fault = ""

    @property
    def fault(self) -> str:
        waiting_s = 0.0 if self._unanswered_s is None else asyncio.get_running_loop().time() - self._unanswered_s
        if waiting_s > STALLED_S:
            self._blame(f"{self.files.current}: cannot be saved: the disk does not answer")
        return self._fault

    @property
    def writer_pid(self) -> int:
        """Process id of the writer."""
        return self._writer.pid

    @property
    def ready(self) -> bool:
        pipe = self._writer.stdin
        if pipe is None or pipe.is_closing() or self._writer.returncode is not None:
            return False
        return pipe.transport.get_write_buffer_size() == 0

    def save(self, state: Mapping[str, Any]) -> None:
        if self._unanswered_s is None:
            self._unanswered_s = asyncio.get_running_loop().time()
        self._hand_over(json.dumps({"state": state}, separators=(",", ":")).encode() + b"\n")

    def log(self, event: Mapping[str, Any]) -> None:
        self._events.append(json.dumps({"event": event}).encode() + b"\n")
        if self.ready:
            self._hand_over(b"")

    def resets(self) -> list[Reset]:
        asked, self._asked = self._asked, []
        return asked

    def maintain(self) -> list[str]:
        asked, self._maintain = self._maintain, []
        return asked

    def told(self) -> list[Told]:
        told, self._told = self._told, []
        return told

    def local(self) -> bool:
        asked, self._local = self._local, False
        return asked

    async def __aenter__(self) -> Self:
        self._writer = await self._start()
        self._watch = asyncio.create_task(self._follow(), name="state writer")
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Waits until everything is saved, FINISH_S at most; the writer goes on by itself after that."""
        self._ending = True
        if self._writer.stdin is not None:
            self._writer.stdin.close()
        await asyncio.wait([self._watch], timeout=FINISH_S)
        self._watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watch

    def _hand_over(self, line: bytes) -> None:
        assert self._writer.stdin is not None
        self._writer.stdin.write(b"".join(self._events) + line)
        self._events.clear()

    async def _start(self) -> Process:
        """A writer that has the lock, importing the same packages as this process. StateError if it cannot have it."""
        command = module_command("bms.state.writer", str(self.files.folder), self.files.site)
        writer = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, env=_environment(), start_new_session=True
        )
        try:
            async with asyncio.timeout(READY_S):
                await self._until_ready(writer)
        except TimeoutError:
            writer.kill()
            raise StateError(f"{self.files.folder}: the process that saves the state does not start") from None
        return writer

    async def _until_ready(self, writer: Process) -> None:
        assert writer.stdout is not None
        while line := await writer.stdout.readline():
            said = _words(line)
            if "refused" in said:
                await writer.wait()
                raise StateError(said["refused"])
            if "ready" in said:
                return
            self._take(said)
        raise StateError(f"{self.files.folder}: the process that saves the state ended at once")

    async def _follow(self) -> None:
        while True:
            assert self._writer.stdout is not None
            while line := await self._writer.stdout.readline():
                self._take(_words(line))
            await self._writer.wait()
            if self._ending:
                return
            self._blame(f"{self.files.current}: the process that saves it ended; another is started")
            await asyncio.sleep(RESTART_S)
            with contextlib.suppress(StateError, OSError):
                self._writer = await self._start()
                self._unanswered_s = None
                self._blame("")

    def _take(self, said: dict[str, Any]) -> None:
        if "fault" in said:
            self._unanswered_s = None
            self._blame(said["fault"])
        late_s = time.monotonic() - said.get("asked_s", math.inf)
        if late_s > ANSWER_S:  # whoever asked was told that nobody answers
            log.warning("asked for %.0f s ago, too late to be done: %s", late_s, json.dumps(said))
            return
        self._asked += [Reset(*pair) for pair in said.get("reset", [])]
        self._maintain += said.get("maintain", [])
        self._told += [Told(*each) for each in said.get("set", [])]
        self._local |= said.get("local", False)

    def _blame(self, fault: str) -> None:
        if fault and fault != self._fault:
            log.warning("state: %s", fault)
        self._fault = fault


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}


def _words(line: bytes) -> dict[str, Any]:
    """What the writer said; nothing where it was killed in the middle of a word."""
    try:
        said: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return said
