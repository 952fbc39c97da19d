"""The virtual world's event loop: its clock stands still while code runs and jumps to the next timer when none does."""

import asyncio
import contextvars
import itertools
import socket
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

import numpy as np

from hil_rigs.world.errors import RefusedInVirtualTime, Stalled
from hil_rigs.world.network import Network
from hil_rigs.world.refusing import RefusingLoop
from kernels.timeline import Call, Timeline

T = TypeVar("T")
Context = contextvars.Context

START_NS = 1_000_000_000_000
"""Where every virtual clock starts (1000 s): not zero, so that code which takes 0 for "now" or "never" shows."""
SPINS_MAX = 1_000_000
"""Rounds of ready callbacks without the clock moving, after which a run counts as stalled."""

PROCESS: contextvars.ContextVar[str] = contextvars.ContextVar("process", default="")
"""Which simulated process a task and its callbacks belong to; tasks that it starts inherit it."""


class VirtualLoop(Timeline, RefusingLoop):
    """Event loop on an integer-nanosecond clock, `now_ns`. Timers due at the same ns run in the order they were
    scheduled. `network` joins clients and servers in memory; `seed` feeds its latencies and nothing else. `wire` is the
    context of what no process does: segments on their way arrive whoever is paused."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.now_ns = START_NS
        self.network = Network(self, np.random.default_rng(seed))
        self._task_numbers = itertools.count(1)
        self._paused = ""
        self._withheld: list[Any] = []
        self.wire = contextvars.Context()
        self.set_task_factory(self._numbered_task)

    def close(self) -> None:
        """As in asyncio."""
        super().close()
        self.closed = True

    def stop(self) -> None:
        """As in asyncio."""
        super().stop()
        self.stopping = True

    def stand_still(self, seconds: float) -> None:
        """Time passes in which no callback runs, as on a machine that is suspended or overloaded."""
        self.now_ns += round(seconds * 1e9)

    def pause(self, process: str) -> None:
        """Callbacks of this PROCESS wait, as behind SIGSTOP, until `resume`; one process at a time."""
        self._paused = process
        self.held = True

    def resume(self) -> None:
        """What waited runs now, in its order, and what waits in connections is read."""
        self._paused, self.held = "", False
        withheld, self._withheld = self._withheld, []
        self.ready.extend(withheld)
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
        """What asyncio calls until the loop stops: timer after timer until then, after each all that is ready."""
        while True:
            if not self.ready and not self.stopping and not self.jump():
                raise Stalled(f"nothing can ever wake up at t = {self.time():.9f} s", self.pending())
            if not self.run(SPINS_MAX):
                raise Stalled(f"tasks spin without awaiting time at t = {self.time():.9f} s", self.pending())
            if self.stopping:
                self.stopping = False
                return

    def withhold(self) -> None:
        """Takes what belongs to the paused process out of what is ready."""
        calls, self.ready = self.ready, []
        for call in calls:
            (self._withheld if self.withholds(call.context) else self.ready).append(call)

    def broke(self, call: Call, error: BaseException) -> None:
        """A callback raised: reported as in asyncio."""
        self.call_exception_handler({"message": f"Exception in callback {call!r}", "exception": error, "handle": call})

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


def task_names(tasks: Iterable["asyncio.Task[Any]"]) -> list[str]:
    """`name (coroutine)` of each, in the order they were made."""
    ordered = sorted(tasks, key=hash)
    return [f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', '?')})" for task in ordered]


def _refuse_options(method: str, options: dict[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if options.get(name) not in (None, False):
            raise RefusedInVirtualTime(f"{method}({name}=…)")
