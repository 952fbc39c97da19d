"""One open bus for several drivers: an interface can often be opened only once."""

import asyncio
from dataclasses import dataclass, field

from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanOpener, CanPort, OnBatch

SILENT_S = 0.9
"""Who leaves after so long without a frame leaves because of it: links give up after 1 s at the earliest."""


class SharedBus:
    """A CanOpener for the drivers of one bus: the first that opens it opens it, the last that closes it closes it, and
    each gets everything that is heard. Who closes it because nothing was heard closes it for all, so that the next one
    opens it anew rather than joins a bus that is silent."""

    def __init__(self, opener: CanOpener) -> None:
        self._opener = opener
        self._lock = asyncio.Lock()
        self._port: CanPort | None = None
        self._members: list[_Member] = []
        self._heard_s = 0.0

    async def __call__(self, config: CanConfig, on_batch: OnBatch) -> CanPort:
        async with self._lock:
            if self._port is None or not self._port.alive:
                self._members = []
                self._port = await self._opener(config, self._deliver)
                self._heard_s = asyncio.get_running_loop().time()
            member = _Member(self, self._port, on_batch)
            self._members.append(member)
            return member

    def leave(self, member: "_Member") -> None:
        """Called by a member that closes."""
        if member not in self._members:
            return
        self._members.remove(member)
        silent = asyncio.get_running_loop().time() - self._heard_s > SILENT_S
        if self._port is not None and (silent or not self._members):
            self._port.close()
            self._port = None

    def _deliver(self, batch: FrameBatch) -> None:
        self._heard_s = batch.at_ns / 1e9
        for member in tuple(self._members):
            member.on_batch(batch)


@dataclass(eq=False)
class _Member:
    """One driver's place on the shared bus; satisfies CanPort."""

    bus: SharedBus
    port: CanPort
    on_batch: OnBatch
    dropped: int = field(default=0, init=False)
    closed: bool = field(default=False, init=False)

    @property
    def alive(self) -> bool:
        return not self.closed and self.port.alive

    def send(self, frames: bytes) -> None:
        if not self.closed:
            before = self.port.dropped
            self.port.send(frames)
            self.dropped += self.port.dropped - before

    def close(self) -> None:
        self.closed = True
        self.bus.leave(self)
