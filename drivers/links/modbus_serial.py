"""Modbus RTU over a serial line: the same link, but replies carry no number that says which request they answer."""

import asyncio
from dataclasses import dataclass
from typing import Literal

from pymodbus.client import AsyncModbusSerialClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.pdu import ModbusPDU

from drivers.links.modbus import ModbusLink, Request

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


class SerialLink(ModbusLink):
    """`unit` at a serial line, which no other link may use at the same time."""

    def __init__(self, line: SerialLine, unit: int) -> None:
        super().__init__(line.port, 0, unit, line.timeout_s)
        self._line = line
        self._distrusts = False

    @property
    def name(self) -> str:
        return f"{self._line.port} unit {self._unit}"

    def _make_client(self) -> ModbusBaseClient:
        self._distrusts = False
        return AsyncModbusSerialClient(
            self._line.port,
            baudrate=self._line.baudrate,
            parity=self._line.parity,
            stopbits=self._line.stop_bits,
            timeout=self._timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._connection_changed,
        )

    async def _attempt(self, request: Request, expires_ns: int | None) -> tuple[ModbusPDU, int]:
        """After a time-out the first reply may belong to the request before: it is asked for and thrown away, and the
        same request is made once more. Every request is a read or a write of fixed values, so that it may be."""
        if self._distrusts:
            await asyncio.sleep(DRAIN_S)
            await super()._attempt(request, expires_ns)
            self._distrusts = False
        return await super()._attempt(request, expires_ns)

    def _note_timeout(self) -> None:
        self._distrusts = True
        super()._note_timeout()

    def _note_bad_answer(self) -> None:
        self._distrusts = True
        super()._note_bad_answer()
