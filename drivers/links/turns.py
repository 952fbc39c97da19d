"""Whose turn it is on a link that carries one transaction at a time: the urgent first, else first come first served."""

import asyncio
from collections import deque

Queue = deque[asyncio.Future[None]]


class Turns:
    """A lock with two queues. Its length is bound by the number of tasks that use the link."""

    def __init__(self) -> None:
        self._taken = False
        self._urgent: Queue = deque()
        self._ordinary: Queue = deque()

    def taken(self, urgent: bool) -> "Turn":
        """`async with` it: holds the turn inside the block."""
        return Turn(self, self._urgent if urgent else self._ordinary)

    async def take(self, queue: Queue) -> None:
        """Called by a Turn."""
        if not self._taken:
            self._taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the turn came just when the task was cancelled: somebody else shall have it
                self.pass_on()
            raise

    def pass_on(self) -> None:
        """Called by a Turn."""
        for queue in (self._urgent, self._ordinary):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._taken = False


class Turn:
    """One turn. Not a generator: asyncio keeps a register of the asynchronous ones, which costs as much as the rest."""

    __slots__ = ("_queue", "_turns")

    def __init__(self, turns: Turns, queue: Queue) -> None:
        self._turns, self._queue = turns, queue

    async def __aenter__(self) -> None:
        await self._turns.take(self._queue)

    async def __aexit__(self, *_: object) -> None:
        self._turns.pass_on()
