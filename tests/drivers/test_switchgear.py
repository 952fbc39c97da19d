"""The driver of a switchgear on the wire: what it reads, and in which order it writes."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from drivers.clock import now_ns
from drivers.commands import SwitchgearCommand
from drivers.links.modbus import ModbusLink
from drivers.profiles import find_profile
from drivers.readings import SwitchgearReading
from drivers.switchgear.described import DescribedSwitchgear
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.world import run_virtual
from tests.drivers.test_described_inverter import RawTables

HOST, PORT = "10.0.0.9", 502
OPEN_OUT_OF_STEP = [0, 0, 3998, 59980, 4012, 60010, 0x10000 - 12345, 0b101]
"""Open, grid 399.8 V and 59.98 Hz, site 401.2 V and 60.01 Hz and 123.45 deg behind; blocks 0 and 2 closed."""


class Wire:
    def __init__(self, words: list[int]) -> None:
        self.device = RawTables({0: words, 100: [0, 0, 0]}, {})
        self.readings: list[SwitchgearReading] = []
        self.driver = DescribedSwitchgear(
            ModbusLink(HOST, PORT, 1), find_profile("static-switch"), self.readings.append
        )

    def command(self, close: bool, blocks: int, synchronise: bool = False, lasts_s: float = 60.0) -> None:
        self.driver.command(SwitchgearCommand(close, synchronise, blocks, now_ns() + round(lasts_s * 1e9)))


def on(words: list[int]) -> Callable[[Callable[[Wire], Awaitable[None]]], Callable[[], None]]:
    """The test gets a wire that was polled for half a second."""

    def decorate(test: Callable[[Wire], Awaitable[None]]) -> Callable[[], None]:
        async def main() -> None:
            wire = Wire(words)
            server = ModbusServer(wire.device)
            await server.start(HOST, PORT)
            running = asyncio.create_task(wire.driver.run())
            await asyncio.sleep(0.5)
            await test(wire)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            server.close()

        def run() -> None:
            run_virtual(main())

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return decorate


@on(OPEN_OUT_OF_STEP)
async def test_both_sides_are_read(wire: Wire) -> None:
    said = wire.readings[-1]
    assert (said.intertie_closed, said.sync_ok, said.blocks_closed) == (False, False, 5)
    assert (said.grid_voltage_v, said.grid_frequency_hz) == (399.8, 59.98)
    assert (said.site_voltage_v, said.site_frequency_hz, said.phase_deg) == (401.2, 60.01, -123.45)


@on([1, 1, 4000, 60000, 4000, 60000, 0x8000, 1])
async def test_angle_that_it_does_not_say_is_absent(wire: Wire) -> None:
    said = wire.readings[-1]
    assert (said.intertie_closed, said.sync_ok) == (True, True)
    assert math.isnan(said.phase_deg)


@on(OPEN_OUT_OF_STEP)
async def test_nothing_is_written_without_a_command_or_after_its_end(wire: Wire) -> None:
    assert wire.device.writes == []
    wire.command(close=True, blocks=7, lasts_s=0.0)
    await asyncio.sleep(0.3)
    assert wire.device.writes == []


@on(OPEN_OUT_OF_STEP)
async def test_it_opens_before_all_else_and_closes_last(wire: Wire) -> None:
    wire.command(close=True, blocks=3, synchronise=True)
    await asyncio.sleep(0.2)
    assert wire.device.writes == [(101, [1]), (102, [3]), (100, [1])]
    wire.device.writes.clear()
    wire.command(close=False, blocks=1)
    await asyncio.sleep(0.2)
    assert wire.device.writes == [(100, [0]), (101, [0]), (102, [1])]


@on(OPEN_OUT_OF_STEP)
async def test_command_is_written_again_every_second(wire: Wire) -> None:
    wire.command(close=False, blocks=1)
    await asyncio.sleep(3.2)
    assert wire.device.writes.count((102, [1])) == 4


def test_load_blocks_that_it_does_not_say_are_no_reading_and_it_goes_on() -> None:
    profile = find_profile("static-switch")
    registers = tuple(
        each.model_copy(update={"absent": 0xFFFF}) if each.role == "blocks-closed" else each
        for each in profile.registers
    )
    words = [1, 1, 4000, 60000, 4000, 60000, 0, 0xFFFF]

    async def main() -> None:
        wire = Wire(words)
        link = ModbusLink(HOST, PORT, 1)
        driver = DescribedSwitchgear(link, profile.model_copy(update={"registers": registers}), wire.readings.append)
        server = ModbusServer(wire.device)
        await server.start(HOST, PORT)
        running = asyncio.create_task(driver.run())
        await asyncio.sleep(0.5)
        assert wire.readings == []
        assert driver.health.errors > 0
        wire.device.holding[7] = 0b101
        await asyncio.sleep(0.5)
        assert wire.readings[-1].blocks_closed == 0b101
        running.cancel()
        await asyncio.wait([running])
        server.close()

    run_virtual(main())


def test_profile_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a switchgear"):
        DescribedSwitchgear(ModbusLink(HOST, PORT, 1), find_profile("meter-input-f32"), print)
