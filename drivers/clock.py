"""The one clock of drivers and controller: the running event loop's own, in integer nanoseconds."""

import asyncio


def now_ns() -> int:
    """Time of the running event loop in ns; its origin means nothing, only differences do."""
    return round(asyncio.get_running_loop().time() * 1e9)
