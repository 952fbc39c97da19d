"""A simulated device at a pseudo-terminal: golden frames in any pieces, and silence for what is not for it."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hil_rigs.devices.modbus_rtu import RtuPort, crc
from hil_rigs.devices.modbus_server import ModbusServer
from tests.drivers.test_described_inverter import RawTables

READ_REQUEST = bytes.fromhex("11 03 00 6B 00 03 76 87")
READ_REPLY = bytes.fromhex("11 03 06 AE 41 56 52 43 40 49 AD")
"""Unit 17, holding registers 107 to 109: the worked example of https://www.simplymodbus.ca/FC03.htm."""
WRITE_REQUEST = bytes.fromhex("11 10 00 01 00 02 04 00 0A 01 02 C6 F0")
WRITE_REPLY = bytes.fromhex("11 10 00 01 00 02 12 98")
"""Unit 17, 10 and 258 into registers 1 and 2: the worked example of https://www.simplymodbus.ca/FC16.htm."""


class Line:
    def __init__(self) -> None:
        self.device = RawTables({1: [0, 0], 107: [0xAE41, 0x5652, 0x4340]}, {})
        self.port = RtuPort(ModbusServer(self.device, 17))
        self._near = os.open(self.port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    async def say(self, *pieces: bytes) -> bytes:
        """What comes back within 30 ms."""
        for piece in pieces:
            os.write(self._near, piece)
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
        try:
            return os.read(self._near, 300)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self._near)
        self.port.close()


@asynccontextmanager
async def line() -> AsyncIterator[Line]:
    opened = Line()
    try:
        yield opened
    finally:
        opened.close()


async def test_golden_read_and_write() -> None:
    async with line() as it:
        assert await it.say(READ_REQUEST) == READ_REPLY
        assert await it.say(WRITE_REQUEST) == WRITE_REPLY
        assert it.device.writes == [(1, [10, 258])]


@pytest.mark.parametrize("request_", [READ_REQUEST, WRITE_REQUEST], ids=["read", "write"])
async def test_frame_may_come_byte_by_byte(request_: bytes) -> None:
    async with line() as it:
        assert await it.say(*(bytes([byte]) for byte in request_)) in (READ_REPLY, WRITE_REPLY)


async def test_noise_before_a_frame_is_passed_over() -> None:
    async with line() as it:
        assert await it.say(b"\x00\xff\x11" + READ_REQUEST) == READ_REPLY


async def test_another_unit_a_wrong_checksum_and_an_unknown_function_get_no_answer() -> None:
    other = bytes.fromhex("12 03 00 6B 00 03")
    async with line() as it:
        assert await it.say(other + crc(other).to_bytes(2, "little")) == b""
        assert await it.say(READ_REQUEST[:-1] + b"\x88") == b""
        assert await it.say(bytes.fromhex("11 2B 0E 01 00 00 00 00")) == b""
        assert await it.say(READ_REQUEST) == READ_REPLY


async def test_off_the_map_is_exception_2() -> None:
    body = bytes.fromhex("11 03 00 00 00 01")
    async with line() as it:
        reply = await it.say(body + crc(body).to_bytes(2, "little"))
        assert reply[:3] == bytes.fromhex("11 83 02")
        assert crc(reply) == 0
