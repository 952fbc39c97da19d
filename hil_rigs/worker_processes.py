"""Work shared out to processes, so that Ctrl-C ends it at once and always.

A KeyboardInterrupt inside `concurrent.futures` can leave one of its locks held for good, and the end of the pool then
waits for ever. Here Ctrl-C is only noted while the pool is in use, and raised between two looks at it.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import resource_tracker
from types import FrameType, TracebackType
from typing import Any, ParamSpec, Self, TypeVar

LOOK_EVERY_S = 0.1

P = ParamSpec("P")
T = TypeVar("T")


class WorkerProcesses:
    """`jobs` fresh processes, for the main thread to use in a `with` statement. Left with an exception (an interrupt
    too), what runs is dropped and its processes are ended."""

    def __init__(self, jobs: int) -> None:
        self._pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"))
        self._interrupted = False
        self._before: Any = None

    def __enter__(self) -> Self:
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._note)
        resource_tracker.ensure_running()  # its start would unblock what `submit` blocks
        return self

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """`work` and its arguments must be picklable. A process that this starts never sees Ctrl-C, which a terminal
        sends to the whole group: the parent decides."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self._pool.submit(work, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def finished(self, running: Iterable["Future[T]"]) -> set["Future[T]"]:
        """Those that have ended, at least one. KeyboardInterrupt when Ctrl-C was pressed."""
        waiting = set(running)
        while True:
            done = wait(waiting, LOOK_EVERY_S, FIRST_COMPLETED).done
            if self._interrupted:
                raise KeyboardInterrupt
            if done:
                return done

    def result(self, future: "Future[T]") -> T:
        """What it returned or raised, when it has ended. KeyboardInterrupt when Ctrl-C was pressed."""
        self.finished([future])
        return future.result()

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is not None:
            for process in multiprocessing.active_children():
                process.terminate()
        self._pool.shutdown()
        signal.signal(signal.SIGINT, self._before)

    def _note(self, _: int, __: FrameType | None) -> None:
        self._interrupted = True
