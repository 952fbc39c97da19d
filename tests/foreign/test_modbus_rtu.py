"""Modbus RTU at a pseudo-terminal, byte by byte: golden frames, and late replies that belong to another request."""

import asyncio
import contextlib
import dataclasses
import os
import pty
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from pymodbus.framer.rtu import FramerRTU

from drivers.clock import now_ns
from drivers.links.modbus import BadAnswer, DeviceException, LinkDown, LinkTimeout, TooLate
from drivers.links.modbus_serial import SerialLine, SerialLink

READ_REQUEST = bytes.fromhex("11 03 00 6B 00 03 76 87")
READ_REPLY = bytes.fromhex("11 03 06 AE 41 56 52 43 40 49 AD")
"""Unit 17, holding registers 107 to 109: the worked example of https://www.simplymodbus.ca/FC03.htm."""
WRITE_REQUEST = bytes.fromhex("11 10 00 01 00 02 04 00 0A 01 02 C6 F0")
WRITE_REPLY = bytes.fromhex("11 10 00 01 00 02 12 98")
"""Unit 17, 10 and 258 into registers 1 and 2: the worked example of https://www.simplymodbus.ca/FC16.htm."""


def framed(body: str) -> bytes:
    """A frame with its CRC."""
    data = bytes.fromhex(body)
    return data + FramerRTU.compute_CRC(data).to_bytes(2, "big")


class Device:
    """The far end of the line: `answer` gets each request and gives the reply, or None for silence."""

    def __init__(self, descriptor: int) -> None:
        self.requests: list[bytes] = []
        self.answer: Callable[[bytes], bytes | None] = lambda request: None
        self._descriptor: int | None = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def say(self, data: bytes) -> None:
        os.write(self._descriptor, data)

    def close(self) -> None:
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _read(self) -> None:
        request = os.read(self._descriptor, 300)
        self.requests.append(request)
        reply = self.answer(request)
        if reply is not None:
            self.say(reply)


@asynccontextmanager
async def line() -> AsyncIterator[tuple[SerialLink, Device]]:
    far, near = pty.openpty()
    tty.setraw(near)
    device = Device(far)
    link = SerialLink(SerialLine(os.ttyname(near), 115_200, "N", 1), 17)
    try:
        await asyncio.wait_for(link.connect(), 5.0)
        yield link, device
    finally:
        link.close()
        device.close()
        os.close(near)


async def test_read_is_the_golden_frame() -> None:
    async with line() as (link, device):
        device.answer = lambda request: READ_REPLY
        assert await link.read_holding(107, 3) == [0xAE41, 0x5652, 0x4340]
        assert device.requests == [READ_REQUEST]
        assert link.health.connected


async def test_write_is_the_golden_frame() -> None:
    async with line() as (link, device):
        device.answer = lambda request: WRITE_REPLY
        await link.write_registers(1, [10, 258])
        assert device.requests == [WRITE_REQUEST]


async def test_refusal_and_a_broken_checksum_are_told_apart() -> None:
    async with line() as (link, device):
        device.answer = lambda request: framed("11 83 02")
        with pytest.raises(DeviceException, match="exception 2"):
            await link.read_holding(107, 3)
        device.answer = lambda request: READ_REPLY[:-1] + b"\x00"
        with pytest.raises(LinkTimeout):
            await link.read_holding(107, 3)


async def test_reply_that_comes_during_the_next_request_is_not_taken_for_its_answer() -> None:
    """The device answers the read of register 0 after the time-out, in the moment of the read of register 1."""
    replies = {0: framed("11 03 02 00 07"), 1: framed("11 03 02 00 08")}

    async with line() as (link, device):
        with pytest.raises(LinkTimeout):
            await link.read_holding(0, 1)
        late = [replies[0]]

        def answer(request: bytes) -> bytes:
            return (late.pop() if late else b"") + replies[request[3]]

        device.answer = answer
        assert await link.read_holding(1, 1) == [8]
        assert await link.read_holding(0, 1) == [7]


async def test_reply_that_comes_on_the_quiet_line_after_a_time_out_is_thrown_away() -> None:
    async with line() as (link, device):
        with pytest.raises(LinkTimeout):
            await link.read_holding(0, 1)
        asyncio.get_running_loop().call_later(0.05, device.say, framed("11 03 02 00 07"))
        device.answer = lambda request: framed("11 03 02 00 08")
        assert await link.read_holding(1, 1) == [8]
        assert device.requests[1:] == [framed("11 03 00 01 00 01")] * 2


async def test_write_after_a_time_out_is_confirmed_by_its_own_reply() -> None:
    async with line() as (link, device):
        with pytest.raises(LinkTimeout):
            await link.write_registers(1, [10, 258])
        device.answer = lambda request: WRITE_REPLY
        await link.write_registers(1, [10, 258])
        assert device.requests == [WRITE_REQUEST] * 3


async def test_write_that_expires_while_the_line_is_drained_is_not_sent() -> None:
    async with line() as (link, device):
        with pytest.raises(LinkTimeout):
            await link.read_holding(0, 1)
        with pytest.raises(TooLate):
            await link.write_registers(1, [10, 258], expires_ns=now_ns() + 50_000_000)
        assert len(device.requests) == 1


async def test_reply_of_another_length_makes_the_next_one_suspect() -> None:
    async with line() as (link, device):
        device.answer = lambda request: READ_REPLY
        with pytest.raises(BadAnswer, match="asked for 2 registers from 107, got 3"):
            await link.read_holding(107, 2)
        assert await link.read_holding(107, 3) == [0xAE41, 0x5652, 0x4340]
        assert device.requests[1:] == [READ_REQUEST] * 2


async def test_cable_that_is_pulled_out_ends_the_connection() -> None:
    async with line() as (link, device):
        device.answer = lambda request: READ_REPLY
        await link.read_holding(107, 3)
        device.close()
        with pytest.raises(LinkDown):
            await link.read_holding(107, 3)
        assert not link.health.connected


@asynccontextmanager
async def shared_line() -> AsyncIterator[tuple[SerialLink, SerialLink, Device]]:
    """Units 17 and 18 at one line."""
    async with line() as (link, device):
        other = SerialLink(link._bus.line, 18)
        await asyncio.wait_for(other.connect(), 5.0)
        try:
            yield link, other, device
        finally:
            other.close()


async def test_two_units_share_a_line_one_request_at_a_time() -> None:
    waiting: list[bytes] = []

    def answer(request: bytes) -> bytes:
        waiting.append(request)
        assert len(request) == 8, "one request at a time"
        return framed(f"{request[0]:02X} 03 02 00 {request[0]:02X}")

    async with shared_line() as (link, other, device):
        device.answer = answer
        reads = [unit.read_holding(0, 1) for _ in range(5) for unit in (link, other)]
        assert await asyncio.gather(*reads) == [[17], [18]] * 5
        assert len(waiting) == 10


async def test_late_reply_of_one_unit_is_not_taken_for_the_other_units_answer() -> None:
    async with shared_line() as (link, other, device):
        with pytest.raises(LinkTimeout):
            await link.read_holding(0, 1)
        late = [framed("11 03 02 00 07")]
        device.answer = lambda request: (late.pop() if late else b"") + framed("12 03 02 00 09")
        with contextlib.suppress(LinkTimeout):  # the stranger in front may cost one more try
            await other.read_holding(0, 1)
        assert await other.read_holding(0, 1) == [9]


async def test_unit_that_is_given_up_leaves_the_line_open_for_the_other() -> None:
    async with shared_line() as (link, other, device):
        device.answer = lambda request: framed("12 03 02 00 09") if request[0] == 18 else None
        for _ in range(3):
            with pytest.raises(LinkTimeout):
                await link.read_holding(0, 1)
        assert not link.health.connected
        assert await other.read_holding(0, 1) == [9]
        assert other.health.reconnects == 0


async def test_line_that_is_set_otherwise_is_refused() -> None:
    async with line() as (link, _):
        with pytest.raises(ValueError, match="is in use with other settings"):
            SerialLink(dataclasses.replace(link._bus.line, baudrate=9600), 18)
