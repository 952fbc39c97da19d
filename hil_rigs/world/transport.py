"""One TCP connection in memory, as its two ends see it."""

import asyncio
import contextvars
import errno
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from hil_rigs.world.pipe import Mark, Path, Pipe

if TYPE_CHECKING:
    from hil_rigs.world.loop import VirtualLoop

Sockaddr = tuple[Any, ...]

HIGH_WATER_BYTES = 64 * 1024
"""Unarrived bytes above which a protocol is asked to pause writing, as in asyncio."""


class MemoryTransport(asyncio.Transport):
    """One end of a connection. As a socket's transport in asyncio: writes never block, close() flushes what was
    written, connection_lost comes once and last, a protocol that raises loses its connection."""

    def __init__(
        self, loop: "VirtualLoop", outgoing: Pipe, incoming: Pipe, sockname: Sockaddr, peername: Sockaddr
    ) -> None:
        super().__init__({"sockname": sockname, "peername": peername})
        self._loop, self._outgoing, self._incoming = loop, outgoing, incoming
        self._protocol: Any = None
        self._context = contextvars.copy_context()
        self._paused = self._closing = self._eof = self._writing_paused = False
        self._high, self._low = HIGH_WATER_BYTES, HIGH_WATER_BYTES // 4
        self.on_lost: Callable[[], None] = lambda: None
        self.lost = False
        outgoing.sender = incoming.receiver = self

    def start(self, factory: Callable[[], asyncio.BaseProtocol]) -> asyncio.BaseProtocol:
        """Makes the protocol, connects it, then lets data in. Both belong to the process that calls this."""
        self._context = contextvars.copy_context()
        self._protocol = protocol = factory()
        protocol.connection_made(self)
        self._incoming.arm()
        return protocol

    @property
    def readable(self) -> bool:
        """Whether arriving segments are taken: a closed end takes them too (to answer with a reset), a paused process
        takes none."""
        if self._closing:
            return True
        return self._protocol is not None and not self._paused and not self._loop.withholds(self._context)

    def receive(self, item: bytes | Mark) -> None:
        """A segment arrived."""
        self._context.run(self._receive, item)

    def _receive(self, item: bytes | Mark) -> None:
        if self._closing:
            if isinstance(item, bytes):
                self._outgoing.send(Mark.RST)
        elif not isinstance(item, bytes) and item is Mark.RST:
            self.lose(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
        else:
            self._guarded(item)

    def lose(self, error: Exception | None) -> None:
        """The connection ends here and now; what was written and has not arrived is lost."""
        self._outgoing.drop()
        if not self._closing:
            self._closing = True
            self._incoming.arm()
            self._loop.call_soon(self._finish, error, context=self._context)

    def sent(self) -> None:
        """Something of this end's arrived at the other: room to write again."""
        if self._writing_paused and self._outgoing.size <= self._low:
            self._writing_paused = False
            self._context.run(self._protocol.resume_writing)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or not data:
            return
        if self._eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        self._outgoing.send(bytes(data))
        if not self._writing_paused and self._outgoing.size > self._high:
            self._writing_paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._closing and not self._eof:
            self._eof = True
            self._outgoing.send(Mark.FIN)

    def close(self) -> None:
        self._end(None)

    def abort(self) -> None:
        """As close(): a kernel still sends what it took, and the queue stands for the kernel's buffer."""
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._incoming.arm()

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high if high is not None else (4 * low if low is not None else HIGH_WATER_BYTES)
        self._low = low if low is not None else self._high // 4
        if not self._high >= self._low >= 0:
            raise ValueError(f"high ({self._high!r}) must be >= low ({self._low!r}) must be >= 0")

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        return self._outgoing.size

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol  # type: ignore[no-any-return]

    def _guarded(self, item: bytes | Mark) -> None:
        try:
            if isinstance(item, bytes):
                _feed(self._protocol, item)
            elif not self._protocol.eof_received():
                self.close()
        except Exception as error:  # asyncio's contract: whatever a protocol raises is reported and ends its connection
            context = {"message": "protocol raised", "exception": error, "transport": self, "protocol": self._protocol}
            self._loop.call_exception_handler(context)
            self._end(error)

    def _end(self, error: Exception | None) -> None:
        if not self._closing:
            self.write_eof()
            self._closing = True
            self._incoming.arm()
            self._loop.call_soon(self._finish, error, context=self._context)

    def _finish(self, error: Exception | None) -> None:
        self.lost = True
        if self._protocol is not None:
            self._protocol.connection_lost(error)
        self.on_lost()


class Link:
    """A connection: client and server end, known to its path until both are lost."""

    def __init__(
        self, loop: "VirtualLoop", path: Path, rng: np.random.Generator, client_name: Sockaddr, server_name: Sockaddr
    ) -> None:
        self.requests = Pipe(loop, path, rng, answers=False)
        self.answers = Pipe(loop, path, rng, answers=True)
        self.client = MemoryTransport(loop, self.requests, self.answers, client_name, server_name)
        self.server = MemoryTransport(loop, self.answers, self.requests, server_name, client_name)
        self.client.on_lost = self.server.on_lost = self._forget
        self._path = path
        path.links[self] = None

    def _forget(self) -> None:
        if self.client.lost and self.server.lost:
            self.requests.drop()
            self.answers.drop()
            self._path.links.pop(self, None)


def _feed(protocol: Any, data: bytes) -> None:
    if not isinstance(protocol, asyncio.BufferedProtocol):
        protocol.data_received(data)
        return
    view = memoryview(data)
    while view:
        buffer = memoryview(protocol.get_buffer(len(view))).cast("B")
        taken = min(len(buffer), len(view))
        if not taken:
            raise RuntimeError("get_buffer() returned an empty buffer")
        buffer[:taken] = view[:taken]
        protocol.buffer_updated(taken)
        view = view[taken:]
