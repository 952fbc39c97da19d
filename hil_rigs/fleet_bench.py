"""Many simulated units and one grid meter on the running loop, for the controller of a fleet."""

import asyncio
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bms.fleet.settings import Fleet, FleetUnit
from bms.site import GridMeterDevice
from bms.site.applications import Application
from drivers.clock import loop_ns
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.devices.sunspec_inverter import SunSpecInverterDevice
from hil_rigs.devices.sunspec_inverter_models import BatterySummary
from hil_rigs.devices.sunspec_meter import SunSpecMeterDevice
from hil_rigs.plant.load import Load
from hil_rigs.plant.unit import UnitPlant, make_unit

Floats = NDArray[np.float64]
HOST = "127.0.0.1"
STEP_NS = 10_000_000


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """Units of one size, and how full each is."""

    rated_power_w: float
    energy_wh: float
    soc_frac: Sequence[float]


class FleetBench:
    """`start`, then `run` until cancelled; `close` cuts the connections. `time_s`, `battery_w` and `grid_w` grow by one
    sample a step; `servers[i].faults` and `units[i].converter` are where units are broken."""

    def __init__(self, spec: FleetSpec, load: Load) -> None:
        self.units = [make_unit(spec.rated_power_w, spec.energy_wh, soc_frac) for soc_frac in spec.soc_frac]
        self.load = load
        self.devices = [self._device(unit, number) for number, unit in enumerate(self.units)]
        self.servers = [ModbusServer(device, 1) for device in self.devices]
        most_w = load.power_w_max + spec.rated_power_w * len(self.units)
        self.meter = SunSpecMeterDevice(lambda: self.grid_power_w, lambda: 60.0, most_w)
        self.meter_server = ModbusServer(self.meter, 1)
        self.grid_power_w = load.power_w(0.0)
        self._time_s, self._battery_w, self._grid_w = array("d"), array("d"), array("d")

    def _device(self, unit: UnitPlant, number: int) -> SunSpecInverterDevice:
        def battery() -> BatterySummary:
            voltage_v = unit.dc_voltage_v
            return BatterySummary(
                soc_frac=unit.soc_frac,
                soh_frac=1.0,
                energy_rated_wh=unit.energy_wh,
                charge_rated_ah=unit.energy_wh / voltage_v,
                voltage_v=voltage_v,
                current_a=unit.dc_current_a,
            )

        return SunSpecInverterDevice(unit.converter, battery, serial=str(number + 1))

    async def start(self, name: str, applications: Sequence[Application]) -> Fleet:
        """Open the servers; the fleet file of a controller for them."""
        for server in (*self.servers, self.meter_server):
            await server.start(HOST, 0)
        units = [
            FleetUnit(name=f"unit-{number + 1}", host=HOST, port=server.port)
            for number, server in enumerate(self.servers)
        ]
        meter = GridMeterDevice(host=HOST, port=self.meter_server.port)
        return Fleet(name=name, units=tuple(units), grid_meter=meter, applications=tuple(applications))

    async def run(self) -> None:
        """Advance every 10 ms on absolute deadlines, until cancelled."""
        loop = asyncio.get_running_loop()
        start_ns, done = loop_ns(loop), 0
        while True:
            done += 1
            now_s = done * STEP_NS / 1e9
            for unit in self.units:
                unit.step(STEP_NS / 1e9)
            battery_w = sum(unit.converter.ac_power_w for unit in self.units)
            self.grid_power_w = self.load.power_w(now_s) - battery_w
            self._time_s.append(now_s)
            self._battery_w.append(battery_w)
            self._grid_w.append(self.grid_power_w)
            await asyncio.sleep((start_ns + done * STEP_NS) / 1e9 - loop.time())

    @property
    def time_s(self) -> Floats:
        return np.array(self._time_s)

    @property
    def battery_w(self) -> Floats:
        return np.array(self._battery_w)

    @property
    def grid_w(self) -> Floats:
        return np.array(self._grid_w)

    def close(self) -> None:
        for server in (*self.servers, self.meter_server):
            server.close()
        for device in self.devices:
            device.close()
