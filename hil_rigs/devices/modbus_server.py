"""The Modbus TCP server of simulated devices: drivers.serve.modbus, faults of a bad network or device, and roles."""

import asyncio
from dataclasses import dataclass

from drivers.serve.frames import ILLEGAL_FUNCTION, Frame, ModbusFault, exception_pdu
from drivers.serve.modbus import Connection, InputDevice, RegisterDevice
from drivers.serve.modbus import ModbusServer as PlainServer
from hil_rigs.devices.modbus_security import DeviceSecurity, may, role_on

__all__ = ["InputDevice", "ModbusServer", "RegisterDevice", "Transactions", "WireFaults"]

SPLIT_S = 0.005
"""Between the two segments of an answer that comes in pieces."""
UNIT_AT = 6
"""Byte of a frame that says its unit."""


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


class ModbusServer(PlainServer):
    """Serves one simulated device as one unit, see PlainServer."""

    def __init__(self, device: RegisterDevice, unit: int = 1) -> None:
        super().__init__(device, unit)
        self.faults = WireFaults()
        self.sent = 0
        self.transactions = Transactions()
        self.secure = False

    async def start(self, host: str, port: int, security: DeviceSecurity | None = None) -> None:
        """Listens on host:port of the running loop; port 0 takes any free one. With `security` inside TLS, for clients
        that have a role."""
        self.secure = security is not None
        await self.listen(host, port, None if security is None else security.context())

    def replace(self, device: RegisterDevice) -> None:
        """Serves another device from now on, as after a restart; clients are cut off."""
        self.serve(device)
        self.drop_connections()

    def make_connection(self) -> Connection:
        return _Connection(self)

    def carry_out(self, unit: int, request: bytes) -> bytes:
        if unit == self.unit and self.faults.exception is not None:
            raise ModbusFault(self.faults.exception)
        return super().carry_out(unit, request)

    def answer(self, frame: Frame, role: str | None) -> bytes | None:
        """Answer PDU to a client with this role, None where roles do not count; None = no answer."""
        faults = self.faults
        if faults.silent or faults.off or faults.boots:
            self.transactions.unanswered += 1
            return None
        self.transactions.answered += 1
        try:
            if role is not None and not may(role, frame.pdu[0]):
                raise ModbusFault(ILLEGAL_FUNCTION)
            return self.carry_out(frame.unit, frame.pdu)
        except ModbusFault as fault:
            self.transactions.refused += 1
            return exception_pdu(frame.pdu[0], fault.code)


class _Connection(Connection):
    """One client of a simulated device, whose answers may be late."""

    def __init__(self, server: ModbusServer) -> None:
        super().__init__(server)
        self._device_server, self._loop = server, asyncio.get_running_loop()
        self._free_s = 0.0
        self._role: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._device_server.secure:
            assert isinstance(transport, asyncio.Transport)
            self._role = role_on(transport)
            if self._role is None:
                transport.abort()
                return
        super().connection_made(transport)

    def reply(self, frame: Frame) -> bytes | None:
        return self._device_server.answer(frame, self._role)

    def send(self, data: bytes) -> None:
        """Sends now, or later when a delay is set; never before an earlier answer."""
        now_s = self._loop.time()
        self._free_s = max(now_s + self._device_server.faults.delay_s, self._free_s)
        if self._free_s <= now_s:
            self._put(data)
        else:
            self._loop.call_at(self._free_s, self._put, data)

    def _put(self, data: bytes) -> None:
        """An answer's turn has come."""
        server = self._device_server
        server.sent += 1
        if server.faults.damages:
            self._put_damaged(server.faults, data)
        else:
            super().send(data)

    def _put_damaged(self, faults: WireFaults, data: bytes) -> None:
        if faults.unit is not None:
            data = data[:UNIT_AT] + bytes((faults.unit,)) + data[UNIT_AT + 1 :]
        middle = len(data) // 2
        if faults.cut_every and self._device_server.sent % faults.cut_every == 0:
            super().send(data[:middle])
            self.abort()
        elif faults.splits:
            super().send(data[:middle])
            self._free_s = max(self._free_s, self._loop.time() + SPLIT_S)
            self._loop.call_at(self._free_s, super().send, data[middle:])
        else:
            super().send(data * 2 if faults.repeats else data)
