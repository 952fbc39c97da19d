"""A simulated Modbus device at a serial line: RTU frames over a pseudo-terminal, for controllers of other people.

Source: Modbus over Serial Line 1.02, sections 2.5.1 (frame) and 6.2.2 (CRC).
"""

import asyncio
import os
import tty

from drivers.serve.frames import Frame
from hil_rigs.devices.modbus_server import ModbusServer

FRAME_MAX = 256
FIXED = {3: 8, 4: 8, 6: 8}
"""Bytes of a request with its unit and CRC, by function; function 16 says its own length."""
BLOCK, BLOCK_HEAD = 16, 9


class RtuPort:
    """The same device as `server` serves, at a pseudo-terminal whose name is `path`. What is no whole frame for its
    unit is passed over in silence, as on a line that others share."""

    def __init__(self, server: ModbusServer) -> None:
        self._server, self._heard = server, b""
        self._far, self._near = os.openpty()
        for end in (self._far, self._near):
            tty.setraw(end)
        os.set_blocking(self._far, False)
        self.path = os.ttyname(self._near)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._far, self._read)

    def close(self) -> None:
        self._loop.remove_reader(self._far)
        os.close(self._far)
        os.close(self._near)

    def _read(self) -> None:
        self._heard += os.read(self._far, FRAME_MAX)
        while self._heard:
            size = frame_size(self._heard)
            if size is not None and size > len(self._heard):
                return
            if size is None or crc(self._heard[:size]) != 0:
                self._heard = self._heard[1:]
                continue
            frame, self._heard = self._heard[:size], self._heard[size:]
            self._answer(frame)

    def _answer(self, frame: bytes) -> None:
        unit, pdu = frame[0], frame[1:-2]
        if unit != self._server.unit:
            return
        answer = self._server.answer(Frame(0, unit, pdu), None)
        if answer is not None:
            body = bytes((unit,)) + answer
            os.write(self._far, body + crc(body).to_bytes(2, "little"))


def frame_size(heard: bytes) -> int | None:
    """Bytes of the request that begins here; more than there are = it is not whole yet; None = no request."""
    if len(heard) < 2:
        return 2
    function = heard[1]
    if function != BLOCK:
        return FIXED.get(function)
    if len(heard) < BLOCK_HEAD - 2:
        return BLOCK_HEAD
    return BLOCK_HEAD + heard[BLOCK_HEAD - 3]


def crc(data: bytes) -> int:
    """CRC-16/MODBUS; 0 over a frame together with its CRC."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value
