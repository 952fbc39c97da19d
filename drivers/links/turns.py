"""Whose turn it is on a link that carries one transaction at a time: the urgent first, else first come first served."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

Queue = deque[asyncio.Future[None]]


class Turns:
    """A lock with two queues. Its length is bound by the number of tasks that use the link."""

    def __init__(self) -> None:
        self._taken = False
        self._urgent: Queue = deque()
        self._ordinary: Queue = deque()

    @asynccontextmanager
    async def taken(self, urgent: bool) -> AsyncIterator[None]:
        """Holds the turn inside the block."""
        await self._take(self._urgent if urgent else self._ordinary)
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, queue: Queue) -> None:
        if not self._taken:
            self._taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the turn came just when the task was cancelled: somebody else shall have it
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        for queue in (self._urgent, self._ordinary):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._taken = False
