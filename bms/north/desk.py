"""The gateway process's end of the line to the controller: the newest status, and requests with their answers."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from bms.north.gateway import reply_from
from bms.north.reply import ANSWER_S, SILENT, Asked, Reply
from bms.requests import Source

UNDER_WAY_MAX = 16
"""More requests wait here, not at the controller."""
STATUS_AGE_S = 3.0
"""An older status is none: the controller stands still."""

Say = Callable[[dict[str, Any]], None]


class Desk:
    """`say` writes one line to the controller."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._places = asyncio.Semaphore(UNDER_WAY_MAX)
        self._last_id = 0
        self._faults: dict[str, str] = {}
        self._status: dict[str, Any] | None = None
        self._status_s = 0.0

    @property
    def status(self) -> dict[str, Any] | None:
        """The controller's newest word; None while there is none, or none that is new."""
        new = asyncio.get_running_loop().time() - self._status_s < STATUS_AGE_S
        return self._status if new else None

    async def ask(self, source: Source, name: str, asked: Asked) -> Reply:
        """The controller's answer; not ok and without a reason where there is none within ANSWER_S."""
        try:
            async with asyncio.timeout(ANSWER_S), self._places:
                return await self._ask(source, name, asked)
        except TimeoutError:
            return Reply(False, None, SILENT)

    async def _ask(self, source: Source, name: str, asked: Asked) -> Reply:
        self._last_id += 1
        number, loop = self._last_id, asyncio.get_running_loop()
        self._waiting[number] = loop.create_future()
        try:
            what = {"source": source, "name": name, "value": asked.value, "for_s": asked.for_s}
            self._say({"id": number, "at_s": loop.time(), **what})
            return await self._waiting[number]
        finally:
            del self._waiting[number]

    def blame(self, part: str, fault: str) -> None:
        """What is wrong with a part of the gateway, in one line; empty = nothing any more."""
        if self._faults.get(part, "") != fault:
            self._faults[part] = fault
            self._say({"fault": "; ".join(filter(None, self._faults.values()))})

    def take(self, line: bytes) -> None:
        """One line of the controller's."""
        said = json.loads(line)
        if "status" in said:
            self._status, self._status_s = said["status"], asyncio.get_running_loop().time()
        waiting = self._waiting.get(said.get("id", 0))
        if waiting is not None and not waiting.done():
            waiting.set_result(reply_from(said["reply"]))
