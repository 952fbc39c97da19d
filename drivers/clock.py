"""The one clock of drivers and controller: the running event loop's own, in integer nanoseconds."""

import asyncio

NEVER_NS = -(2**62)
"""Time of what never happened: older than any bound."""


def now_ns() -> int:
    """Time of the running event loop in ns; its origin means nothing, only differences do."""
    return loop_ns(asyncio.get_running_loop())


def loop_ns(loop: asyncio.AbstractEventLoop) -> int:
    """`now_ns` for whoever has the running loop at hand already: to find it takes a system call in Python 3.11."""
    return round(loop.time() * 1e9)


async def sleep_until(loop: asyncio.AbstractEventLoop, at_ns: int) -> None:
    """asyncio.sleep of the running `loop`, up to a time of its clock, and without looking for it; once around if that
    has come."""
    at_s = at_ns / 1e9
    if at_s <= loop.time():
        await asyncio.sleep(0)
        return
    woken = loop.create_future()
    timer = loop.call_at(at_s, _wake, woken)
    try:
        await woken
    finally:
        timer.cancel()


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)
