"""MQTT and HTTP live in a process of their own, which may be slow, flooded or dead: the controller's side of it.

The process gets lines of JSON (its settings once, then the status and answers) and says lines of JSON (requests, and
what is wrong with its broker or port).
"""

import asyncio
import contextlib
import json
import logging
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bms.child_python import module_command
from bms.north.reply import ANSWER_S, SILENT, Reply
from bms.requests import RequestRefused, Requests, Source, Why
from bms.site import Site
from bms.site.north import North
from bms.status import Status, status_document
from drivers.clock import now_ns

STATUS_S = 0.5
"""The process is told the status this often."""
RESTART_S = 2.0
"""A process that ended is replaced after this time."""
EXIT_S = 5.0
"""It says that the site goes offline, and ends, within this time."""
BUFFER_BYTES_MAX = 1 << 20
"""A process that leaves so much unread hangs, and is replaced."""
LINE_BYTES_MAX = 1 << 16
SILENCE = Reply(False, None, SILENT)

log = logging.getLogger(__name__)


class Gateway:
    """`async with Gateway(…)` runs the process beside the controller, if the site has anything for it; `fault` says in
    one line what is wrong outside, empty = nothing. Nothing here waits for the process, and none of its failures is
    ours."""

    def __init__(self, site: Site, requests: Requests, status: Callable[[], Status | None]) -> None:
        north = site.north
        self._settings = north if north is not None and north.aside else None
        self._site, self._requests, self._status = site.name, requests, status
        self._process: Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = False
        self.fault = ""

    async def __aenter__(self) -> Self:
        if self._settings is not None:
            keep = self._keep(self._settings)
            self._tasks = [asyncio.create_task(keep), asyncio.create_task(self._tell_for_ever())]
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ending = True
        process = self._process
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(EXIT_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, settings: North) -> None:
        while not self._ending:
            try:
                await self._follow(settings)
            except OSError as error:
                self._blame(f"north: its process cannot be started: {error.strerror}")
            else:
                self._blame("" if self._ending else "north: its process ended; another is started")
            await asyncio.sleep(RESTART_S)

    async def _follow(self, settings: North) -> None:
        """One process from its start to its end."""
        # A session of its own: Ctrl-C on the terminal ends the controller, which then ends its children in order.
        process = await asyncio.create_subprocess_exec(
            *module_command("bms.north.gateway_main"), stdin=PIPE, stdout=PIPE, env=_environment(),
            start_new_session=True, limit=LINE_BYTES_MAX,
        )  # fmt: skip
        self._process = process
        names = list(self._requests.names)
        self._write({"site": self._site, "inputs": names, "north": settings.model_dump(mode="json")})
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                self._take(json.loads(line))
            await process.wait()
        except ValueError:
            process.kill()  # it does not speak our language any more
            await process.wait()
        except asyncio.CancelledError:
            if process.returncode is None:
                process.kill()
            raise

    async def _tell_for_ever(self) -> None:
        while True:
            await asyncio.sleep(STATUS_S)
            status = self._status()
            if status is not None:
                self._write({"status": status_document(status)})

    def _take(self, said: dict[str, Any]) -> None:
        if "fault" in said:
            self._blame(said["fault"])
        if "id" in said:
            # Both loops' clock is the machine's, which does not start anew with a process.
            old = asyncio.get_running_loop().time() - said["at_s"] > ANSWER_S
            reply = SILENCE if old else self._answer(Source(said["source"]), said["name"], said["value"], said["for_s"])
            self._write({"id": said["id"], "reply": reply})

    def _answer(self, source: Source, name: str, value: float | None, for_s: float) -> Reply:
        try:
            if value is None:
                self._requests.withdraw(name, source)
            else:
                self._requests.ask(name, value, for_s, source, now_ns())
        except RequestRefused as refused:
            return Reply(False, refused.why, str(refused))
        return Reply(True, None, "")

    def _write(self, what: dict[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None or process.stdin.is_closing():
            return
        if process.stdin.transport.get_write_buffer_size() > BUFFER_BYTES_MAX:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            return
        process.stdin.write(json.dumps(what).encode() + b"\n")

    def _blame(self, fault: str) -> None:
        if fault and fault != self.fault:
            log.warning("%s", fault)
        self.fault = fault


def reply_from(said: list[Any]) -> Reply:
    """As it comes out of JSON."""
    ok, why, words = said
    return Reply(bool(ok), None if why is None else Why(why), str(words))


def _environment() -> dict[str, str]:
    """The same packages as this process."""
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
