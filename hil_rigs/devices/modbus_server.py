"""A small strict Modbus TCP server for simulated devices, with the faults of a bad network or device built in.

Source: Modbus Application Protocol 1.1b3 and Modbus Messaging on TCP/IP 1.0b.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hil_rigs.devices.modbus_frames import (
    GATEWAY_NO_ANSWER,
    ILLEGAL_FUNCTION,
    UNIT_AT,
    ModbusFault,
    answer_to,
    exception_pdu,
    split_frames,
)
from hil_rigs.devices.modbus_security import DeviceSecurity, may, role_on

CONNECTIONS_MAX = 16
SPLIT_S = 0.005
"""Between the two segments of an answer that comes in pieces."""


class RegisterDevice(Protocol):
    """What the server serves. Both raise ModbusFault(code); a write is applied as a whole or not at all."""

    def read(self, address: int, count: int) -> list[int]: ...

    def write(self, address: int, values: list[int]) -> None: ...


@runtime_checkable
class InputDevice(Protocol):
    """A RegisterDevice whose input registers (function 4) are not its holding registers (function 3)."""

    def read_input(self, address: int, count: int) -> list[int]: ...


@dataclass(slots=True)
class WireFaults:
    """What is wrong with the device's communication right now.

    silent: requests are taken and neither carried out nor answered. off: the same, for want of supply; boots: the same,
    for a while. delay_s: answers come that much later.
    exception: every request is refused with this code. unit: answers carry this unit instead of their own.
    repeats: every answer comes twice. splits: every answer comes in two segments, SPLIT_S apart. cut_every: of every so
    many answers the last one ends in its middle, and the connection with it; 0 = none.
    """

    silent: bool = False
    off: bool = False
    boots: bool = False
    delay_s: float = 0.0
    exception: int | None = None
    unit: int | None = None
    repeats: bool = False
    splits: bool = False
    cut_every: int = 0

    @property
    def damages(self) -> bool:
        """Answers do not go out as they are."""
        return self.unit is not None or self.repeats or self.splits or self.cut_every > 0


@dataclass(slots=True)
class Transactions:
    """Requests since start: `answered` ones include `refused` ones."""

    answered: int = 0
    refused: int = 0
    unanswered: int = 0


class ModbusServer:
    """Serves one device as one unit; functions 3, 4 (the same registers, but for an InputDevice), 6 and 16, all others
    get exception 1.

    An unknown unit gets exception 0x0B, as from a gateway behind which nobody answers. A frame that cannot be Modbus
    ends its connection, as does a client that does not read its answers. More than 16 clients at a time are refused.
    """

    def __init__(self, device: RegisterDevice, unit: int = 1) -> None:
        self.device, self.unit = device, unit
        self._read_input = device.read_input if isinstance(device, InputDevice) else device.read
        self.faults = WireFaults()
        self.sent = 0
        self.transactions = Transactions()
        self.secure = False
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """TCP port on which it listens."""
        if self._server is None:
            raise RuntimeError("the server is not started")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, host: str, port: int, security: DeviceSecurity | None = None) -> None:
        """Listens on host:port of the running loop; port 0 takes any free one. With `security` inside TLS, for clients
        that have a role."""
        loop = asyncio.get_running_loop()
        self.secure = security is not None
        context = None if security is None else security.context()
        self._server = await loop.create_server(lambda: _Connection(self, loop), host, port, ssl=context)

    def replace(self, device: RegisterDevice) -> None:
        """Serves another device from now on, as after a restart; clients are cut off."""
        self.device = device
        self._read_input = device.read_input if isinstance(device, InputDevice) else device.read
        self.drop_connections()

    def close(self) -> None:
        """Stops to listen and drops all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop_connections()

    def drop_connections(self) -> None:
        """Cuts every client off at once; they may connect again."""
        for connection in list(self._connections):
            connection.abort()

    def admit(self, connection: "_Connection") -> bool:
        if len(self._connections) >= CONNECTIONS_MAX:
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: "_Connection") -> None:
        self._connections.discard(connection)

    def reply(self, unit: int, request: bytes, role: str | None) -> bytes | None:
        """Answer PDU to a request PDU of a client with this role, None where roles do not count; None = no answer."""
        faults = self.faults
        if faults.silent or faults.off or faults.boots:
            self.transactions.unanswered += 1
            return None
        self.transactions.answered += 1
        try:
            if role is not None and not may(role, request[0]):
                raise ModbusFault(ILLEGAL_FUNCTION)
            return self._carry_out(unit, request)
        except ModbusFault as fault:
            self.transactions.refused += 1
            return exception_pdu(request[0], fault.code)

    def _carry_out(self, unit: int, request: bytes) -> bytes:
        if unit != self.unit:
            raise ModbusFault(GATEWAY_NO_ANSWER)
        if self.faults.exception is not None:
            raise ModbusFault(self.faults.exception)
        return answer_to(request, self.device.read, self._read_input, self.device.write)


class _Connection(asyncio.Protocol):
    """One client: cuts its bytes into frames and sends answers in the order of the requests."""

    def __init__(self, server: ModbusServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server, self._loop = server, loop
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._free_s = 0.0
        self._role: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._server.secure:
            self._role = role_on(transport)
        if (self._server.secure and self._role is None) or not self._server.admit(self):
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
        try:
            frames, self._received = split_frames(self._received + data)
        except ValueError:
            self.abort()
            return
        for frame in frames:
            answer = self._server.reply(frame.unit, frame.pdu, self._role)
            if answer is not None:
                self._send(frame.answer(answer))

    def _send(self, data: bytes) -> None:
        """Sends now, or later when a delay is set; never before an earlier answer."""
        now_s = self._loop.time()
        self._free_s = max(now_s + self._server.faults.delay_s, self._free_s)
        if self._free_s <= now_s:
            self._write(data)
        else:
            self._loop.call_at(self._free_s, self._write, data)

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._server.sent += 1
        if self._server.faults.damages:
            self._write_damaged(self._server.faults, data)
        else:
            self._transport.write(data)

    def _write_damaged(self, faults: WireFaults, data: bytes) -> None:
        assert self._transport is not None, "only while it is open"
        if faults.unit is not None:
            data = data[:UNIT_AT] + bytes((faults.unit,)) + data[UNIT_AT + 1 :]
        middle = len(data) // 2
        if faults.cut_every and self._server.sent % faults.cut_every == 0:
            self._transport.write(data[:middle])
            self._transport.close()
        elif faults.splits:
            self._transport.write(data[:middle])
            self._free_s = max(self._free_s, self._loop.time() + SPLIT_S)
            self._loop.call_at(self._free_s, self._write_rest, data[middle:])
        else:
            self._transport.write(data * 2 if faults.repeats else data)

    def _write_rest(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
