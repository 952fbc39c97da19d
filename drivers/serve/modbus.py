"""A small strict Modbus TCP server. It never waits: whoever floods it or does not read its answers is cut off.

Source: Modbus Application Protocol 1.1b3 and Modbus Messaging on TCP/IP 1.0b.
"""

import asyncio
import ssl
from typing import Protocol, runtime_checkable

from drivers.serve.frames import (
    GATEWAY_NO_ANSWER,
    BitAccess,
    Frame,
    ModbusFault,
    answer_bits,
    answer_to,
    exception_pdu,
    split_frames,
)

CONNECTIONS_MAX = 16
BIT_FUNCTIONS = (1, 2, 5, 15)
REQUESTS_MAX = 16
"""Most requests that a client may have under way (Modbus Messaging on TCP/IP 1.0b, 4.3.1.1: 1 to 16)."""


class RegisterDevice(Protocol):
    """What the server serves. Both raise ModbusFault(code); a write is applied as a whole or not at all."""

    def read(self, address: int, count: int) -> list[int]: ...

    def write(self, address: int, values: list[int]) -> None: ...


@runtime_checkable
class InputDevice(Protocol):
    """A RegisterDevice whose input registers (function 4) are not its holding registers (function 3)."""

    def read_input(self, address: int, count: int) -> list[int]: ...


@runtime_checkable
class BitDevice(Protocol):
    """A RegisterDevice with coils (functions 1, 5, 15) and discrete inputs (function 2), each 0 or 1."""

    def read_coils(self, address: int, count: int) -> list[int]: ...

    def read_discrete(self, address: int, count: int) -> list[int]: ...

    def write_coils(self, address: int, values: list[int]) -> None: ...


class ModbusServer:
    """Serves one device as one unit; functions 3, 4 (the same registers, but for an InputDevice), 6 and 16, of a
    BitDevice 1, 2, 5 and 15, all others get exception 1.

    An unknown unit gets exception 0x0B, as from a gateway behind which nobody answers. A frame that cannot be Modbus
    ends its connection, as does a client that does not read its answers or has more than REQUESTS_MAX requests under
    way. More than CONNECTIONS_MAX clients at a time are refused.
    """

    def __init__(self, device: RegisterDevice, unit: int = 1) -> None:
        self.unit = unit
        self.serve(device)
        self.connections: dict[Connection, None] = {}
        self._server: asyncio.Server | None = None

    def serve(self, device: RegisterDevice) -> None:
        """From now on this device."""
        self.device = device
        self._read_input = device.read_input if isinstance(device, InputDevice) else device.read
        self._bits: BitAccess | None = None
        if isinstance(device, BitDevice):
            self._bits = BitAccess(device.read_coils, device.read_discrete, device.write_coils)

    @property
    def port(self) -> int:
        """TCP port on which it listens."""
        if self._server is None:
            raise RuntimeError("the server is not started")
        return int(self._server.sockets[0].getsockname()[1])

    async def listen(self, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        """Listens on host:port of the running loop, inside TLS with a `context`; port 0 takes any free one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.make_connection, host, port, ssl=context)

    def close(self) -> None:
        """Stops to listen and drops all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop_connections()

    def drop_connections(self) -> None:
        """Cuts every client off at once; they may connect again."""
        for connection in list(self.connections):
            connection.abort()

    def make_connection(self) -> "Connection":
        return Connection(self)

    def admit(self, connection: "Connection") -> bool:
        """Whether a new client may stay."""
        if len(self.connections) >= CONNECTIONS_MAX:
            return False
        self.connections[connection] = None
        return True

    def heard(self, connection: "Connection") -> None:
        """A client sent something."""

    def forget(self, connection: "Connection") -> None:
        self.connections.pop(connection, None)

    def carry_out(self, unit: int, request: bytes) -> bytes:
        """Answer PDU to a request PDU. ModbusFault where it is refused."""
        if unit != self.unit:
            raise ModbusFault(GATEWAY_NO_ANSWER)
        if self._bits is not None and request[0] in BIT_FUNCTIONS:
            return answer_bits(request, self._bits)
        return answer_to(request, self.device.read, self._read_input, self.device.write)


class Connection(asyncio.Protocol):
    """One client: cuts its bytes into frames and sends answers in the order of the requests."""

    def __init__(self, server: ModbusServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._received = b""

    @property
    def peer(self) -> str:
        """Address of the client; empty when there is none any more."""
        name = None if self._transport is None else self._transport.get_extra_info("peername")
        return str(name[0]) if name else ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._server.admit(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.forget(self)

    def pause_writing(self) -> None:
        self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self.take(data)

    def take(self, data: bytes) -> int:
        """Answer the requests that are whole now; how many they were."""
        self._server.heard(self)
        try:
            frames, self._received = split_frames(self._received + data)
        except ValueError:
            self.abort()
            return 0
        if len(frames) > REQUESTS_MAX:
            self.abort()
            return 0
        for frame in frames:
            answer = self.reply(frame)
            if answer is not None:
                self.send(frame.answer(answer))
        return len(frames)

    def reply(self, frame: Frame) -> bytes | None:
        """Answer PDU; None = no answer."""
        try:
            return self._server.carry_out(frame.unit, frame.pdu)
        except ModbusFault as fault:
            return exception_pdu(frame.pdu[0], fault.code)

    def send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
