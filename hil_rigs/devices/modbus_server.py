"""The Modbus TCP server of simulated devices: drivers.serve.modbus, faults of a bad network or device, and roles."""

import asyncio
from dataclasses import dataclass

from drivers.serve.frames import ILLEGAL_FUNCTION, Frame, ModbusFault, exception_pdu
from drivers.serve.modbus import Connection, InputDevice, RegisterDevice
from drivers.serve.modbus import ModbusServer as PlainServer
from hil_rigs.devices.modbus_security import DeviceSecurity, may, role_on

__all__ = ["InputDevice", "ModbusServer", "RegisterDevice", "Transactions", "WireFaults"]


@dataclass(slots=True)
class WireFaults:
    """What is wrong with the device's communication right now.

    silent: requests are taken and neither carried out nor answered. off: the same, for want of supply.
    delay_s: answers come that much later.
    exception: every request is refused with this code.
    """

    silent: bool = False
    off: bool = False
    delay_s: float = 0.0
    exception: int | None = None


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
        self.transactions = Transactions()
        self.secure = False

    async def start(self, host: str, port: int, security: DeviceSecurity | None = None) -> None:
        """Listens on host:port of the running loop; port 0 takes any free one. With `security` inside TLS, for clients
        that have a role."""
        self.secure = security is not None
        await self.listen(host, port, None if security is None else security.context())

    def make_connection(self) -> Connection:
        return _Connection(self)

    def carry_out(self, unit: int, request: bytes) -> bytes:
        if unit == self.unit and self.faults.exception is not None:
            raise ModbusFault(self.faults.exception)
        return super().carry_out(unit, request)

    def answer(self, frame: Frame, role: str | None) -> bytes | None:
        """Answer PDU to a client with this role, None where roles do not count; None = no answer."""
        if self.faults.silent or self.faults.off:
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
            super().send(data)
        else:
            self._loop.call_at(self._free_s, super().send, data)
