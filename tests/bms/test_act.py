"""A decision on its way to the converter: what reaches the device's registers."""

import asyncio
from contextlib import suppress

from bms.act import Actuators
from bms.decision import Decision
from drivers.clock import now_ns
from drivers.inverters.sunspec import SunSpecInverter
from drivers.links.modbus import ModbusLink
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.world import run_virtual
from tests.drivers import sunspec_registers as raw

HOST, PORT = "10.0.0.3", 502
REACTIVE_AT = raw.CONTROLS_AT + 35


def decide(reactive_var: float | None) -> Decision:
    return Decision(10_000.0, True, (), (), "", "", reactive_var=reactive_var)


def test_reactive_power_of_a_decision_reaches_the_converter_at_once_and_none_takes_it_back() -> None:
    async def main() -> None:
        device = raw.converter()
        server = ModbusServer(device)
        await server.start(HOST, PORT)
        driver = SunSpecInverter(ModbusLink(HOST, PORT, 1), lambda reading: None)
        running = asyncio.create_task(driver.run())
        await asyncio.sleep(0.5)
        actuators = Actuators(driver, [])
        written: list[list[list[int]]] = []
        for reactive_var in (None, 12_340.0, -12_340.0, None):
            device.writes.clear()
            actuators.apply(decide(reactive_var), now_ns(), refresh=False, heard=True)
            await asyncio.sleep(0.02)
            written.append([values[:5] for at, values in device.writes if at == REACTIVE_AT])
        assert written == [[], [[1, 4, 0, 0, 1234]], [[1, 4, 0, 0xFFFF, 0xFB2E]], [[0, 4, 0, 0, 0]]]
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        server.close()

    run_virtual(main())
