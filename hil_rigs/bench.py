"""A rig come alive on the running loop: plant, CAN nodes and Modbus devices. The same code in real and virtual time."""

import asyncio
from collections.abc import Callable
from functools import partial

import numpy as np

from drivers.clock import loop_ns
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanPort
from drivers.profiles import find_profile
from hil_rigs.devices.described_inverter import DescribedInverterDevice
from hil_rigs.devices.described_meter import DescribedMeterDevice
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.devices.rack_node import SLOT_NS, RackNode
from hil_rigs.devices.sunspec_inverter import SunSpecInverterDevice
from hil_rigs.devices.sunspec_inverter_models import BatterySummary
from hil_rigs.devices.sunspec_meter import SunSpecMeterDevice
from hil_rigs.load_spec import LoadSpec
from hil_rigs.plant.build import build_plant
from hil_rigs.plant.enclosure import Enclosure, bus_insulation_kohm
from hil_rigs.rig import SUNSPEC, CanEndpoint, Endpoints, ModbusEndpoint, RigFile
from hil_rigs.rig_plant import plant_config
from hil_rigs.truth import Truth
from hil_rigs.world.canbus import CanBus
from kernels.parameters import load_cell

HOST = "127.0.0.1"
UNIT = 1
STEP_NS = SLOT_NS
CATCH_UP_STEPS_MAX = 100
"""A rig that was held up (a stopped process) makes up for at most this many steps and drops the rest."""


NOON_S = 1_782_907_200.0
"""12:00 UTC on 1 July 2026: when every rig's day starts."""


class Bench:
    """Everything that is simulated of one rig. `start`, then `run` until cancelled; `close` cuts the connections."""

    def __init__(self, rig: RigFile, seed: int, load: LoadSpec | None = None) -> None:
        self.rig = rig
        self.plant = build_plant(plant_config(rig, seed, load))
        self.cell = load_cell(rig.plant.cell)
        bus_rng, node_rng = (np.random.default_rng(part) for part in np.random.SeedSequence([seed, 7]).spawn(2))
        self.buses = {f"can{index}": CanBus(rng) for index, rng in enumerate(bus_rng.spawn(rig.plant.racks))}
        shape = rig.plant.modules_per_rack, rig.plant.cells_per_module
        self.enclosures = [Enclosure() for _ in self.plant.racks]
        rngs = node_rng.spawn(rig.plant.racks)
        self.nodes = [
            RackNode(rack, bus, *shape, rngs[index], self.enclosures[index], partial(self._insulation_kohm, index))
            for index, (rack, bus) in enumerate(zip(self.plant.racks, self.buses.values(), strict=True))
        ]
        self.inverter = self._inverter()
        self.meter = self._meter()
        self.inverter_server = ModbusServer(self.inverter, UNIT)
        self.meter_server = ModbusServer(self.meter, UNIT)
        self.truth = Truth(self.plant)
        self.clock_error_s = 0.0

    async def start(self, inverter_port: int = 0, meter_port: int = 0) -> Endpoints:
        """Open the Modbus servers and say where everything is; the CAN buses are in this process only."""
        await self.inverter_server.start(HOST, inverter_port)
        await self.meter_server.start(HOST, meter_port)
        return Endpoints(
            inverter=ModbusEndpoint(HOST, self.inverter_server.port, UNIT),
            grid_meter=ModbusEndpoint(HOST, self.meter_server.port, UNIT),
            racks=tuple(CanEndpoint("virtual", channel) for channel in self.buses),
        )

    def wall_clock(self) -> float:
        """Seconds since 1970 as the rig's time server says."""
        return NOON_S + asyncio.get_running_loop().time() + self.clock_error_s

    async def run(self) -> None:
        """Advance the plant and let the racks' nodes speak, every 10 ms on absolute deadlines, until cancelled."""
        loop = asyncio.get_running_loop()
        start_ns, done = loop_ns(loop), 0
        while True:
            now = loop_ns(loop)
            due = (now - start_ns) // STEP_NS + 1
            done = max(done, due - CATCH_UP_STEPS_MAX)
            while done < due:
                self.plant.step(STEP_NS / 1e9)
                self.truth.see()
                done += 1
            for node in self.nodes:
                node.step(done - 1, now)
            await asyncio.sleep((start_ns + done * STEP_NS) / 1e9 - loop.time())

    def close(self) -> None:
        self.inverter_server.close()
        self.meter_server.close()
        self.inverter.close()

    async def open_can(self, config: CanConfig, on_batch: Callable[[FrameBatch], None]) -> CanPort:
        """A CanOpener onto the buses of this process; ConnectionError for a channel that does not exist."""
        if config.channel not in self.buses:
            raise ConnectionError(f"rig {self.rig.name} has no CAN channel {config.channel!r}")
        return self.buses[config.channel].attach(on_batch)

    def _inverter(self) -> SunSpecInverterDevice | DescribedInverterDevice:
        profile = self.rig.plant.inverter_profile
        if profile == SUNSPEC:
            return SunSpecInverterDevice(self.plant.converter, self._battery)
        return DescribedInverterDevice(self.plant.converter, find_profile(profile))

    def _meter(self) -> SunSpecMeterDevice | DescribedMeterDevice:
        profile = self.rig.plant.meter_profile
        measured = lambda: self.plant.grid_power_w, lambda: self.plant.frequency_hz
        if profile == SUNSPEC:
            return SunSpecMeterDevice(*measured, self._grid_power_w_max())
        return DescribedMeterDevice(*measured, find_profile(profile))

    def _insulation_kohm(self, index: int) -> float:
        return bus_insulation_kohm(self.enclosures, self.plant.racks, index)

    def _grid_power_w_max(self) -> float:
        """The meter's range: the load's peak with the converter charging at its rating."""
        return self.plant.load.power_w_max + self.plant.converter.rated_power_w

    def _battery(self) -> BatterySummary:
        racks, cell = self.plant.racks, self.cell
        cells = len(racks) * racks[0].cell_count
        return BatterySummary(
            soc_frac=float(np.mean([rack.cells.soc_frac.mean() for rack in racks])),
            soh_frac=1.0,
            energy_rated_wh=cells * cell.capacity_ah * float(cell.ocv_v.mean()),
            charge_rated_ah=len(racks) * cell.capacity_ah,
            voltage_v=self.plant.bus.voltage_v,
            current_a=sum(rack.current_a for rack in racks),
        )
