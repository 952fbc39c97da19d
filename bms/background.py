"""Runs what takes longer than a tick may (a plan for a day, a file) beside the ticks."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

Work = Callable[[], None]


class Background(Protocol):
    """Called once a control tick. What a work raises comes out of a later `start`: a programming error stops the
    controller."""

    def start(self, works: Sequence[Work]) -> None: ...


class _AtOnce:
    def start(self, works: Sequence[Work]) -> None:
        for work in works:
            work()


AT_ONCE: Background = _AtOnce()
"""For virtual time, which stands still meanwhile, and where threads are refused."""


class BackgroundThread:
    """One thread, one work after the other. The solver leaves the interpreter's lock alone while it computes, and what
    it does in Python is interrupted for a tick after the interpreter's switch interval."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="background")
        self._running: deque[Future[None]] = deque()

    def start(self, works: Sequence[Work]) -> None:
        while self._running and self._running[0].done():
            self._running.popleft().result()
        self._running.extend(self._pool.submit(work) for work in works)

    def close(self) -> None:
        """Wait for what is running; nothing new starts."""
        self._pool.shutdown()
