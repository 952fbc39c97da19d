"""Runs one coroutine in a virtual world of its own, and sees to it that nothing outlives it."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hil_rigs.world.errors import LeftPending
from hil_rigs.world.loop import VirtualLoop, task_names
from hil_rigs.world.network import Network

T = TypeVar("T")

CLOSING_S = 1.0
"""Virtual time that tasks get after main returned, for closing handshakes that are under way."""

COLLECTED_AFTER = 100_000
"""Objects more than were freed, until garbage is looked for: a simulated hour makes millions that need no collector."""


def run_virtual(main: Coroutine[Any, Any, T], *, seed: int = 0) -> T:
    """Runs `main` on a new VirtualLoop and returns its result; the same seed gives the same run.

    Raises what `main` raises; Stalled when nothing can ever wake up; LeftPending when tasks still run CLOSING_S of
    virtual time after `main` returned. Remaining tasks are cancelled and asynchronous generators closed either way.
    """
    with _few_collections(), asyncio.Runner(debug=False, loop_factory=lambda: VirtualLoop(seed)) as runner:
        results: list[T] = []
        left = runner.run(_owned(main, results.append))
    if left:
        raise LeftPending(left)
    return results[0]


@contextmanager
def _few_collections() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(COLLECTED_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def current_network() -> Network:
    """The network of the running virtual loop; RuntimeError on any other loop."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise RuntimeError("current_network() needs a running VirtualLoop: start the coroutine with run_virtual()")
    return loop.network


async def _owned(main: Coroutine[Any, Any, T], done: Callable[[T], None]) -> list[str]:
    """Hands the result to `done`: as the task's own result asyncio's runner would put all of it into words."""
    this = asyncio.current_task()
    done(await main)
    if others := asyncio.all_tasks() - {this}:
        await asyncio.wait(others, timeout=CLOSING_S)
    return task_names(task for task in asyncio.all_tasks() if task is not this)
