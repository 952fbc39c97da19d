"""One open bus for several drivers: an interface can often be opened only once."""

import asyncio
from dataclasses import dataclass, field

from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanOpener, CanPort, OnBatch


class SharedBus:
    """A CanOpener for the drivers of one bus: the first that opens it opens it, the last that closes it closes it, and
    each gets everything that is heard. Closed or dead, it is opened anew by whoever wants it next."""

    def __init__(self, opener: CanOpener) -> None:
        self._opener = opener
        self._lock = asyncio.Lock()
        self._port: CanPort | None = None
        self._members: list[_Member] = []

    async def __call__(self, config: CanConfig, on_batch: OnBatch) -> CanPort:
        async with self._lock:
            if self._port is None or not self._port.alive:
                self._members = []
                self._port = await self._opener(config, self._deliver)
            member = _Member(self, self._port, on_batch)
            self._members.append(member)
            return member

    def leave(self, member: "_Member") -> None:
        """Called by a member that closes."""
        if member in self._members:
            self._members.remove(member)
            if not self._members and self._port is not None:
                self._port.close()
                self._port = None

    def _deliver(self, batch: FrameBatch) -> None:
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
