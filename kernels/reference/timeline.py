"""The timeline with Python's own heap: what kernels.timeline must equal."""

import contextvars
import heapq
from collections.abc import Callable
from itertools import count
from typing import Any


class Call:
    """See kernels.timeline.Call."""

    def __init__(self, when_ns: int, callback: Any, args: Any, context: contextvars.Context | None) -> None:
        self.when_ns, self.callback, self.args, self.gone = when_ns, callback, args, False
        self.context = contextvars.copy_context() if context is None else context

    def cancel(self) -> None:
        self.gone = True

    def cancelled(self) -> bool:
        return self.gone

    def when(self) -> float:
        return self.when_ns / 1e9


class Timeline:
    """See kernels.timeline.Timeline; cancelled timers stay until they are due."""

    broke: Callable[[Any, BaseException], None]
    withhold: Callable[[], None]

    def __init__(self) -> None:
        self.now_ns = 0
        self.ready: list[Any] = []
        self.held = self.stopping = self.closed = False
        self._timers: list[tuple[int, int, Call]] = []
        self._numbers = count()

    def call_soon(self, callback: Callable[..., object], *args: object, context: Any = None) -> Call:
        call = self._made(self.now_ns, callback, args, context)
        self.ready.append(call)
        return call

    def call_at_ns(self, when_ns: int, callback: Callable[..., object], *args: object, context: Any = None) -> Call:
        call = self._made(when_ns, callback, args, context)
        heapq.heappush(self._timers, (when_ns, next(self._numbers), call))
        return call

    def call_later(self, delay: float, callback: Callable[..., object], *args: object, context: Any = None) -> Call:
        return self.call_at_ns(self.now_ns + round(delay * 1e9), callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., object], *args: object, context: Any = None) -> Call:
        return self.call_at_ns(round(when * 1e9), callback, *args, context=context)

    def time(self) -> float:
        return self.now_ns / 1e9

    def jump(self) -> bool:
        waiting = [when_ns for when_ns, _, call in self._timers if not call.gone]
        self.now_ns = max(self.now_ns, min(waiting, default=self.now_ns))
        return bool(waiting)

    def run(self, rounds_max: int) -> bool:
        for _ in range(rounds_max + 1):
            while self._timers and self._timers[0][0] <= self.now_ns:
                self.ready.append(heapq.heappop(self._timers)[2])
            if self.held:
                self.withhold()
            calls, self.ready = self.ready, []
            self._run_round(calls)
            if not self.ready or self.stopping:
                return True
        return False

    def _run_round(self, calls: list[Any]) -> None:
        for place, call in enumerate(calls):
            try:
                if not call.gone:
                    call.context.run(call.callback, *call.args)
            except (SystemExit, KeyboardInterrupt):
                self.ready = calls[place + 1 :] + self.ready
                raise
            except BaseException as error:  # asyncio's contract: whatever a callback raises is reported
                self.broke(call, error)

    def _made(self, when_ns: int, callback: Any, args: Any, context: Any) -> Call:
        if self.closed:
            raise RuntimeError("Event loop is closed")
        return Call(when_ns, callback, args, context)
