"""Modbus RTU over a serial line: the same link, but the line is shared, and replies carry no number that says which
request they answer."""

import asyncio
from dataclasses import dataclass
from typing import Literal
from weakref import WeakValueDictionary

from pymodbus.client import AsyncModbusSerialClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.pdu import ModbusPDU

from drivers.links.modbus import ModbusLink, Request
from drivers.links.turns import Turns

Parity = Literal["N", "E", "O"]
BITS_A_BYTE_MAX = 12
"""Start bit, eight data bits, parity, two stop bits."""
FRAMES_BYTES_MAX = 2 * 256
"""The longest request and the longest reply (Modbus over Serial Line 1.02, section 2.5.1)."""
DEVICE_S = 0.3
"""What a device may take to answer."""
DRAIN_S = 0.1
"""After a time-out the line must be given that long to become quiet: a late reply is thrown away meanwhile."""


@dataclass(frozen=True, slots=True)
class SerialLine:
    """A serial port and how it is set."""

    port: str
    baudrate: int
    parity: Parity
    stop_bits: int

    @property
    def timeout_s(self) -> float:
        """Time for the longest exchange at this speed, and for the device."""
        return DEVICE_S + FRAMES_BYTES_MAX * BITS_A_BYTE_MAX / self.baudrate


class SerialBus:
    """One open serial port and what all units at it share: whose turn it is, and whether the last reply is in."""

    def __init__(self, line: SerialLine) -> None:
        self.line = line
        self.turns = Turns()
        self.client: ModbusBaseClient | None = None
        self.distrusted = False
        self.opening = asyncio.Lock()
        self.users: set[SerialLink] = set()

    def leave(self, link: "SerialLink") -> None:
        """The last one closes the port."""
        self.users.discard(link)
        if not self.users and self.client is not None:
            client, self.client = self.client, None
            client.close()

    def changed(self, connected: bool) -> None:
        """The port itself was lost: for everybody."""
        if not connected:
            self.client = None
            for link in list(self.users):
                link.lost()


_BUSES: WeakValueDictionary[str, SerialBus] = WeakValueDictionary()
"""By port: two devices of one process at the same port are at the same bus."""


class SerialLink(ModbusLink):
    """`unit` at a serial line, beside others. ValueError when the line is in use with other settings."""

    def __init__(self, line: SerialLine, unit: int) -> None:
        super().__init__(line.port, 0, unit, line.timeout_s)
        self._bus = _BUSES.setdefault(line.port, SerialBus(line))
        if self._bus.line != line:
            raise ValueError(f"{line.port} is in use with other settings: {self._bus.line}")
        self._turns = self._bus.turns

    @property
    def name(self) -> str:
        return f"{self._host} unit {self._unit}"

    def close(self) -> None:
        """Leaves the line; the last unit at it closes the port."""
        self._client = None
        self._bus.leave(self)

    def lost(self) -> None:
        """The port is gone: a request that waits for its reply ends at once."""
        self._connection_changed(False)

    async def _try_connect(self) -> None:
        """Opens the port, or joins those who have it open."""
        async with self._bus.opening:
            if self._bus.client is None:
                await super()._try_connect()
                self._bus.client, self._bus.distrusted = self._client, False
            else:
                self._connected_by(self._bus.client)
        if self._client is not None:
            self._bus.users.add(self)

    def _make_client(self) -> ModbusBaseClient:
        line = self._bus.line
        return AsyncModbusSerialClient(
            line.port,
            baudrate=line.baudrate,
            parity=line.parity,
            stopbits=line.stop_bits,
            timeout=self._timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._bus.changed,
        )

    async def _attempt(self, request: Request, expires_ns: int | None) -> tuple[ModbusPDU, int]:
        """After a time-out the first reply may belong to the request before: it is asked for and thrown away, and the
        same request is made once more. Every request is a read or a write of fixed values, so that it may be."""
        if self._bus.distrusted:
            await asyncio.sleep(DRAIN_S)
            await super()._attempt(request, expires_ns)
            self._bus.distrusted = False
        return await super()._attempt(request, expires_ns)

    def _note_timeout(self) -> None:
        self._bus.distrusted = True
        super()._note_timeout()

    def _note_bad_answer(self) -> None:
        self._bus.distrusted = True
        super()._note_bad_answer()
