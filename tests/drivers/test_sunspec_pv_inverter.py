"""The PV inverter's driver against a strict device: limits rounded down, renewed, and ended by the device itself."""

import asyncio
from contextlib import suppress

from drivers.clock import now_ns
from drivers.commands import PvCommand
from drivers.links.modbus import ModbusLink
from drivers.pv_inverters.sunspec import SunSpecPvInverter
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.devices.sunspec_pv_inverter import SunSpecPvInverterDevice
from hil_rigs.plant.load import ConstantLoad
from hil_rigs.plant.pv import PvPlant
from hil_rigs.world import run_virtual

HOST, PORT = "10.0.0.9", 502


async def limits(power_w_max: float, after_s: tuple[float, ...]) -> list[float]:
    """What the plant may give at these times after one command that lasts 1 s; reversion 2 s to 40 %."""
    plant = PvPlant(ConstantLoad(50e3), 50e3)
    device = SunSpecPvInverterDevice(plant)
    server = ModbusServer(device)
    await server.start(HOST, PORT)
    driver = SunSpecPvInverter(ModbusLink(HOST, PORT, 1), reversion_s=2, revert_frac=0.4)
    running = asyncio.create_task(driver.run())
    driver.command(PvCommand(power_w_max, now_ns() + 1_000_000_000))
    seen, start_s = [], asyncio.get_running_loop().time()
    for each_s in after_s:
        await asyncio.sleep(start_s + each_s - asyncio.get_running_loop().time())
        seen.append(plant.limit_frac)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    server.close()
    device.close()
    return seen


def test_limit_is_a_share_of_the_rating_rounded_down() -> None:
    """10.04 kW of 50 kW are 20.08 %, in steps of 0.1 % 20.0 %."""
    assert run_virtual(limits(10.04e3, (0.8,))) == [0.2]


def test_no_limit_is_all_it_can() -> None:
    assert run_virtual(limits(float("inf"), (0.8,))) == [1.0]


def test_limit_that_is_not_renewed_ends_by_the_devices_own_timer() -> None:
    assert run_virtual(limits(5e3, (0.9, 2.5, 3.5))) == [0.1, 0.1, 0.4]
