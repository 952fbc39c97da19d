"""The virtual world's event loop: its clock stands still while code runs and jumps to the next timer when none does."""

import asyncio
import contextvars
import heapq
import itertools
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar, TypeVarTuple, Unpack

import numpy as np

from hil_rigs.world.errors import RefusedInVirtualTime, Stalled
from hil_rigs.world.network import Network
from hil_rigs.world.refusing import RefusingLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Context = contextvars.Context

START_NS = 1_000_000_000_000
"""Where every virtual clock starts (1000 s): not zero, so that code which takes 0 for "now" or "never" shows."""
SPINS_MAX = 1_000_000
"""Rounds of ready callbacks without the clock moving, after which a run counts as stalled."""
CANCELLED_KEPT = 100
"""Cancelled timers kept in the heap before it is worth sweeping them out."""


PROCESS: contextvars.ContextVar[str] = contextvars.ContextVar("process", default="")
"""Which simulated process a task and its callbacks belong to; tasks that it starts inherit it."""


class VirtualLoop(RefusingLoop):
    """Event loop on an integer-nanosecond clock, `now_ns`. Timers due at the same ns run in the order they were
    scheduled. `network` joins clients and servers in memory; `seed` feeds its latencies and nothing else. `wire` is the
    context of what no process does: segments on their way arrive whoever is paused."""

    _ready: deque[asyncio.Handle]  # this and the next two belong to asyncio.BaseEventLoop
    _closed: bool
    _stopping: bool

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.now_ns = START_NS
        self.network = Network(self, np.random.default_rng(seed))
        self._timers: list[tuple[int, int, _Timer]] = []
        self._sequence = itertools.count()
        self._cancelled_timers = 0
        self._task_numbers = itertools.count(1)
        self._paused = ""
        self._withheld: list[Any] = []
        self.wire = contextvars.Context()
        self.set_task_factory(self._numbered_task)

    def time(self) -> float:
        """now_ns / 1e9; round(time() * 1e9) is now_ns again for the first 26 days (2**51 ns)."""
        return self.now_ns / 1e9

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As in asyncio."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        handle = _Soon(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at_ns(
        self, when_ns: int, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """call_at on the exact clock."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        timer = _Timer(when_ns, callback, args, self, context)
        heapq.heappush(self._timers, (when_ns, next(self._sequence), timer))
        return timer

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As in asyncio; the delay is rounded to whole ns and added without float error."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        when_ns = self.now_ns + round(delay * 1e9)
        timer = _Timer(when_ns, callback, args, self, context)
        heapq.heappush(self._timers, (when_ns, next(self._sequence), timer))
        return timer

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As in asyncio; `when` (s) is rounded to whole ns."""
        return self.call_at_ns(round(when * 1e9), callback, *args, context=context)

    def stand_still(self, seconds: float) -> None:
        """Time passes in which no callback runs, as on a machine that is suspended or overloaded."""
        self.now_ns += round(seconds * 1e9)

    def pause(self, process: str) -> None:
        """Callbacks of this PROCESS wait, as behind SIGSTOP, until `resume`; one process at a time."""
        self._paused = process

    def resume(self) -> None:
        """What waited runs now, in its order, and what waits in connections is read."""
        self._paused = ""
        withheld, self._withheld = self._withheld, []
        self._ready.extend(withheld)
        self.network.arm()

    def withholds(self, context: Context) -> bool:
        """Whether this context's process is paused."""
        return self._paused != "" and context.get(PROCESS, "") == self._paused

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        """Literal addresses and localhost, without a thread; socket.gaierror for any other name."""
        address = self.network.address(host, int(port or 0))
        kind = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        return [(kind, type or socket.SOCK_STREAM, proto or socket.IPPROTO_TCP, "", self.network.sockaddr(address))]

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        """As in asyncio, through `network`; `ssl` and `sock` are refused."""
        _refuse_options("create_connection", options, ("ssl", "sock"))
        local_host, local_port = options.get("local_addr") or (None, 0)
        return await self.network.connect(protocol_factory, host, port, local_host, local_port)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        """As in asyncio, through `network`; port 0 takes the next free one; `ssl` and `sock` are refused."""
        _refuse_options("create_server", options, ("ssl", "sock"))
        hosts = [host] if host is None or isinstance(host, str) else list(host)
        server = self.network.listen(protocol_factory, hosts, port or 0)
        if options.get("start_serving", True):
            await server.start_serving()
        return server

    def pending(self) -> list[str]:
        """Names of the tasks that are not done, in the order they were made."""
        return task_names(asyncio.all_tasks(self))

    def _run_once(self) -> None:
        """Rounds of what is ready, until nothing is; then the next timer. One round is what asyncio does per call: it
        never runs callbacks that were scheduled within the round."""
        ready, timers, spins, take, take_first = self._ready, self._timers, 0, self._ready.popleft, heapq.heappop
        if not ready and not self._stopping:
            self._jump()
        while True:
            now_ns = self.now_ns
            while timers and timers[0][0] <= now_ns:
                timer = take_first(timers)[2]
                timer._scheduled = False
                if timer._cancelled:
                    self._cancelled_timers -= 1
                else:
                    ready.append(timer)
            if self._paused:
                self._withhold()
            for _ in range(len(ready)):
                handle: Any = take()
                if not handle._cancelled:
                    handle._run()
            if not ready or self._stopping:
                return
            spins += 1
            if spins > SPINS_MAX:
                raise Stalled(f"tasks spin without awaiting time at t = {self.time():.9f} s", self.pending())

    def _withhold(self) -> None:
        """Takes what belongs to the paused process out of what is ready."""
        handles: list[Any] = list(self._ready)
        self._ready.clear()
        for handle in handles:
            (self._withheld if self.withholds(handle._context) else self._ready).append(handle)

    def _jump(self) -> None:
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
            self._cancelled_timers -= 1
        if not timers:
            raise Stalled(f"nothing can ever wake up at t = {self.time():.9f} s", self.pending())
        if timers[0][0] > self.now_ns:
            self.now_ns = timers[0][0]

    def _cancelled_one(self) -> None:
        self._cancelled_timers += 1
        if self._cancelled_timers > CANCELLED_KEPT and self._cancelled_timers * 2 > len(self._timers):
            self._timers[:] = [entry for entry in self._timers if not entry[2]._cancelled]
            heapq.heapify(self._timers)
            self._cancelled_timers = 0

    def _numbered_task(self, _loop: object, coro: Any, context: Context | None = None) -> "asyncio.Task[Any]":
        return VirtualTask(next(self._task_numbers), coro, self, context)


class VirtualTask(asyncio.Task[T]):
    """Hashes by its number: asyncio keeps tasks in sets, whose order would otherwise follow memory addresses and
    differ from run to run (a TaskGroup cancels in that order)."""

    def __init__(self, number: int, coro: Coroutine[Any, Any, T], loop: VirtualLoop, context: Context | None) -> None:
        self.number = number
        super().__init__(coro, loop=loop, name=f"Task-{number}", context=context)

    def __hash__(self) -> int:
        return self.number


class _Soon(asyncio.Handle):
    """asyncio.Handle built without the checks of debug mode, which this loop never enters."""

    __slots__ = ()
    _repr = None
    _source_traceback = None

    def __init__(self, callback: Any, args: Any, loop: Any, context: Context | None) -> None:
        self._context = contextvars.copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False


class _Timer(asyncio.TimerHandle):
    """asyncio.TimerHandle built likewise; the heap orders it by (ns, sequence) in C, not by its own comparison."""

    __slots__ = ()
    _repr = None
    _source_traceback = None
    _callback: Any
    _args: Any
    _scheduled: bool
    _cancelled: bool

    def __init__(self, when_ns: int, callback: Any, args: Any, loop: Any, context: Context | None) -> None:
        self._context = contextvars.copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._when = when_ns
        self._scheduled = True

    def when(self) -> float:
        return self._when / 1e9

    def cancel(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            self._callback = self._args = None
            if self._scheduled:
                self._loop._cancelled_one()


def task_names(tasks: Iterable["asyncio.Task[Any]"]) -> list[str]:
    """`name (coroutine)` of each, in the order they were made."""
    ordered = sorted(tasks, key=hash)
    return [f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', '?')})" for task in ordered]


def _refuse_options(method: str, options: dict[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if options.get(name) not in (None, False):
            raise RefusedInVirtualTime(f"{method}({name}=…)")
