"""Our described drivers on a Modbus server of other people (pyModbusTCP), with registers typed by hand."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pyModbusTCP.server import ModbusServer as PyModbusTcpServer

from drivers.clock import now_ns
from drivers.commands import InverterCommand, RackCommand
from drivers.contactors.described import DescribedContactors
from drivers.inverters.described import DescribedInverter
from drivers.links.modbus import ModbusLink
from drivers.meters.described import DescribedMeter
from drivers.profiles import find_profile
from drivers.readings import InverterState

HOST = "127.0.0.1"


@pytest.fixture
def server() -> Iterator[Any]:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    it = PyModbusTcpServer(HOST, port, no_block=True)
    it.start()
    yield it
    it.stop()


@asynccontextmanager
async def running(driver: DescribedInverter | DescribedMeter | DescribedContactors) -> AsyncIterator[None]:
    task = asyncio.create_task(driver.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_meter_profile_reads_its_input_registers(server: Any) -> None:
    """-43.25 kW, 230.5 V and 59.96875 Hz as big-endian floats."""
    server.data_bank.set_input_registers(42, [0x4366, 0x8000])
    server.data_bank.set_input_registers(52, [0xC728, 0xF200])
    server.data_bank.set_input_registers(70, [0x426F, 0xE000])
    readings: list[Any] = []
    meter = DescribedMeter(ModbusLink(HOST, server.port, 1), find_profile("meter-input-f32"), readings.append)
    async with running(meter):
        await asyncio.sleep(1.0)
    assert (readings[-1].power_w, readings[-1].voltage_v, readings[-1].frequency_hz) == (-43_250.0, 230.5, 59.96875)


async def test_converter_profile_reads_and_writes_its_holding_registers(server: Any) -> None:
    """Running; -12340 x 10 W in the device's direction, which is charging; 5000 x 100 W rated."""
    bank = server.data_bank
    bank.set_holding_registers(1000, [3, 1, 1, 0, 0])
    bank.set_holding_registers(1010, [0xFFFF, 0xCFCC, 0, 0, 0, 13312, 0, 0, 5998])
    bank.set_holding_registers(1100, [0, 5000, 0, 5000])
    readings: list[Any] = []
    inverter = DescribedInverter(ModbusLink(HOST, server.port, 1), find_profile("pcs-holding-s32"), readings.append)
    async with running(inverter):
        await asyncio.sleep(0.5)
        inverter.command(InverterCommand(-54_321.0, True, now_ns() + 2_000_000_000))
        await asyncio.sleep(0.5)
        assert inverter.applied_power_w == -54_321.0
    assert (readings[-1].ac_power_w, readings[-1].state) == (123_400.0, InverterState.RUNNING)
    assert bank.get_holding_registers(2000, 3) == [0x0000, 0xD431, 1000]
    assert bank.get_holding_registers(2010, 1) == [1]


async def test_contactor_block_reads_discrete_inputs_and_writes_coils(server: Any) -> None:
    """Main contactor closed, precharge open; the watchdog is given 40 times 100 ms and set going."""
    bank = server.data_bank
    bank.set_discrete_inputs(0, [True, False])
    block = DescribedContactors(ModbusLink(HOST, server.port, 1), find_profile("contactor-block"), 4.0)
    async with running(block):
        await asyncio.sleep(0.3)
        block.command(RackCommand(True, False, now_ns() + 2_000_000_000))
        await asyncio.sleep(0.3)
        assert bank.get_coils(0, 2) == [True, False]
        block.command(RackCommand(False, True, now_ns() + 2_000_000_000))
        await asyncio.sleep(0.3)
        assert bank.get_coils(0, 2) == [False, True]
        assert (block.reading().main_closed, block.reading().precharge_closed) == (True, False)
        assert block.reading().command_age_s < 1.0
    assert bank.get_holding_registers(0x1000, 2) == [40, 0x0010]
    assert (bank.get_holding_registers(0x1003, 1), bank.get_holding_registers(0x1008, 1)) == ([1], [0x55AA])
