"""Serves a simulated converter and meter on real sockets until killed, for peers in other processes.

Prints `ready INVERTER_PORT METER_PORT`. The converter follows its set-point at once.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.devices.sunspec_inverter import SunSpecInverterDevice
from hil_rigs.devices.sunspec_inverter_models import BatterySummary
from hil_rigs.devices.sunspec_meter import SunSpecMeterDevice
from hil_rigs.plant.grid_support import GridSupport


class StandIn:
    rated_power_w = 500e3
    dc_voltage_v = 1350.0
    frequency_hz, ac_voltage_pu = 59.98, 0.991
    apparent_power_va, reactive_var_max = 560e3, 250e3
    alarm = None

    def __init__(self) -> None:
        self.state = "running"
        self.ac_power_w = -123_400.0
        self.reactive_var = 0.0
        self.support = GridSupport()

    @property
    def dc_power_w(self) -> float:
        return self.ac_power_w

    @property
    def dc_current_a(self) -> float:
        return self.dc_power_w / self.dc_voltage_v

    def start(self) -> None:
        self.state = "running"

    def stop(self) -> None:
        self.state, self.ac_power_w = "off", 0.0

    def reset(self) -> None:
        self.stop()

    def set_reactive(self, reactive_var: float | None) -> None:
        self.reactive_var = reactive_var or 0.0

    def set_power(self, power_w: float) -> None:
        self.ac_power_w = power_w if self.state == "running" else 0.0


async def main() -> None:
    battery = BatterySummary(0.553, 0.99, 375e3, 280.0, 1351.2, -91.4)
    inverter = ModbusServer(SunSpecInverterDevice(StandIn(), lambda: battery))
    meter = ModbusServer(SunSpecMeterDevice(lambda: -43_200.0, lambda: 59.98, 1.5e6))
    await inverter.start("127.0.0.1", 0)
    await meter.start("127.0.0.1", 0)
    print("ready", inverter.port, meter.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
