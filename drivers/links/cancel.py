"""Python 3.11's asyncio.wait_for, which libraries use, forgets a cancellation that comes with the result."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def heeding_cancellation(awaitable: Awaitable[T]) -> T:
    """Await code of others that may use asyncio.wait_for. CancelledError if the running task was cancelled meanwhile
    and nobody said so: it would run on, and its owner wait for ever.

    Only what came during the await counts: in Python 3.11 a TaskGroup that fails leaves its own request to cancel on
    the task for good."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    result = await awaitable
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return result
