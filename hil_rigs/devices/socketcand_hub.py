"""Carries simulated CAN buses to other processes: a TCP server that speaks socketcand's raw mode."""

import asyncio
import struct
from collections.abc import Mapping
from typing import cast

from drivers.frames import EXTENDED_ID_FLAG, FrameBatch
from hil_rigs.devices.socketcand_text import BadMessageError, parse_send, split_messages
from hil_rigs.world.canbus import BusPort, CanBus

RAW_START_S = 0.05
"""Pause between answering rawmode and the first frame: python-can wants the answer alone in one receive."""
WRITE_BUFFER_BYTES_MAX = 1 << 20
"""What a client may leave unread, about 5 s of a full bus; then it is dropped."""

_FRAME = struct.Struct("<IB3x8s")


class SocketcandHub:
    """Serves each named CanBus on one TCP port; every client is a node of the bus it opened. `slow_dropped` and
    `bad_dropped` count clients cut off for not reading or for not speaking the protocol."""

    def __init__(self, channels: Mapping[str, CanBus], host: str = "127.0.0.1", port: int = 0) -> None:
        self.channels = dict(channels)
        self.host = host
        self.port = port
        self.slow_dropped = 0
        self.bad_dropped = 0
        self._clients: set[_Client] = set()
        self._server: asyncio.Server | None = None
        self._batch: FrameBatch | None = None
        self._text = b""

    async def start(self) -> None:
        """Listen; `port` is the real one afterwards. OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self, self._clients), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Stop listening and cut all clients."""
        if self._server is not None:
            self._server.close()
        for client in tuple(self._clients):
            client.cut()

    def text(self, batch: FrameBatch) -> bytes:
        """The batch as socketcand frame messages, made once for all clients of a bus."""
        if batch is not self._batch:
            self._batch, self._text = batch, frames_text(batch)
        return self._text


def frames_text(batch: FrameBatch) -> bytes:
    """`< frame ID SECONDS DATA >` for each frame, ids of 3 (standard) or 8 (extended) hex digits."""
    at_s = f"{batch.at_ns / 1e9:.6f}"
    return "".join(
        [
            f"< frame {can_id & 0x1FFFFFFF:08X} {at_s} {data[:length].hex()} >"
            if can_id & EXTENDED_ID_FLAG
            else f"< frame {can_id:03X} {at_s} {data[:length].hex()} >"
            for can_id, length, data in _FRAME.iter_unpack(batch.data)
        ]
    ).encode()


class _Client(asyncio.Protocol):
    """One connection: open a channel, switch to raw mode, then frames both ways."""

    def __init__(self, hub: SocketcandHub, clients: "set[_Client]") -> None:
        self._hub = hub
        self._clients = clients
        self._buffer = b""
        self._bus: CanBus | None = None
        self._port: BusPort | None = None
        self._raw = False
        self._speaking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._clients.add(self)
        self._transport.write(b"< hi >")

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.discard(self)
        if self._port is not None:
            self._port.close()

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        try:
            messages, self._buffer = split_messages(self._buffer + data)
            self._handle(messages)
        except BadMessageError:
            self._hub.bad_dropped += 1
            self.cut()

    def cut(self) -> None:
        """Drop the connection and what is unsent."""
        self._transport.abort()

    def _handle(self, messages: list[bytes]) -> None:
        frames: list[bytes] = []
        for message in messages:
            if self._raw and message.startswith(b"send "):
                frames.append(parse_send(message))
            else:
                self._control(message.split())
        if frames and self._port is not None:
            self._port.send(b"".join(frames))

    def _control(self, words: list[bytes]) -> None:
        match words:
            case [b"echo"]:
                self._transport.write(b"< echo >")
            case [b"open", channel] if self._bus is None and channel.decode("ascii", "replace") in self._hub.channels:
                self._bus = self._hub.channels[channel.decode("ascii")]
                self._transport.write(b"< ok >")
            case [b"rawmode"] if self._bus is not None and not self._raw:
                self._raw = True
                self._transport.write(b"< ok >")
                self._port = self._bus.attach(self._forward)
                asyncio.get_running_loop().call_later(RAW_START_S, self._speak)
            case _:
                raise BadMessageError

    def _speak(self) -> None:
        self._speaking = True

    def _forward(self, batch: FrameBatch) -> None:
        if not self._speaking:
            return
        self._transport.write(self._hub.text(batch))
        if self._transport.get_write_buffer_size() > WRITE_BUFFER_BYTES_MAX:
            self._hub.slow_dropped += 1
            self.cut()
