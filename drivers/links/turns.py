"""Whose turn it is on a link that carries one transaction at a time: the urgent first, else first come first served."""

import asyncio
from collections import deque

Queue = deque[asyncio.Future[None]]


class Turns:
    """A lock with two queues: `free() or await wait(urgent)`, then `pass_on()` in any case. No context manager: that
    would cost as much as the rest. Its length is bound by the number of tasks that use the link."""

    def __init__(self) -> None:
        self._taken = False
        self._urgent: Queue = deque()
        self._ordinary: Queue = deque()

    def free(self) -> bool:
        """Takes the turn at once if nobody has it."""
        if self._taken:
            return False
        self._taken = True
        return True

    async def wait(self, urgent: bool) -> None:
        """For a turn that was not free."""
        queue = self._urgent if urgent else self._ordinary
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the turn came just when the task was cancelled: somebody else shall have it
                self.pass_on()
            raise

    def pass_on(self) -> None:
        """Whoever had it is done."""
        for queue in (self._urgent, self._ordinary):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._taken = False
