"""The timer of a device that goes back by itself when nobody speaks to it any more."""

import asyncio
from collections.abc import Callable


class Reversion:
    """Calls `revert` once, a time after the last `restart`. Needs a running loop."""

    def __init__(self, revert: Callable[[], None]) -> None:
        self._revert = revert
        self._timer: asyncio.TimerHandle | None = None

    def restart(self, delay_s: float) -> None:
        """0 = never."""
        self.close()
        if delay_s > 0:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(loop.time() + delay_s, self._end)

    def remaining_s(self) -> float:
        return 0.0 if self._timer is None else self._timer.when() - asyncio.get_running_loop().time()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._timer = None
        self._revert()
