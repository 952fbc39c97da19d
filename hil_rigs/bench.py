"""A rig come alive on the running loop: plant, CAN nodes and Modbus devices. The same code in real and virtual time."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import fields
from functools import partial
from typing import Protocol

import numpy as np

from drivers.auxiliary.described import fields_of
from drivers.clock import loop_ns, sleep_until
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanPort
from drivers.low_voltage import PROFILES
from drivers.low_voltage import Profile as Variant
from drivers.profiles import find_profile
from hil_rigs.devices.described_auxiliary import DescribedAuxiliaryDevice
from hil_rigs.devices.described_contactors import DescribedContactorBlock
from hil_rigs.devices.described_inverter import DescribedInverterDevice
from hil_rigs.devices.described_meter import DescribedMeterDevice
from hil_rigs.devices.described_switchgear import DescribedSwitchgearDevice
from hil_rigs.devices.low_voltage_rack import LowVoltageRackNode
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.devices.rack_control import RackControl
from hil_rigs.devices.rack_node import SLOT_NS, RackNode
from hil_rigs.devices.sunspec_inverter import SunSpecInverterDevice
from hil_rigs.devices.sunspec_inverter_models import BatterySummary
from hil_rigs.devices.sunspec_legacy_inverter import SunSpecLegacyInverterDevice
from hil_rigs.devices.sunspec_meter import SunSpecMeterDevice
from hil_rigs.devices.sunspec_pv_inverter import SunSpecPvInverterDevice
from hil_rigs.load_spec import LoadSpec
from hil_rigs.plant.build import build_plant
from hil_rigs.plant.day import HOUR_S
from hil_rigs.plant.enclosure import Enclosure, bus_insulation_kohm
from hil_rigs.plant.microgrid import Microgrid, Ups
from hil_rigs.plant.rack import RackPlant
from hil_rigs.rig import LEGACY, SUNSPEC, CanEndpoint, Endpoints, ModbusEndpoint, RigFile, block_names
from hil_rigs.rig_plant import plant_config
from hil_rigs.truth import Truth
from hil_rigs.world.canbus import CanBus
from kernels.parameters import load_cell

HOST = "127.0.0.1"
UNIT = 1
STEP_NS = SLOT_NS
"""The racks' nodes speak in slots; a plant's step is one, or a whole part of it (`plant.step_s`)."""
CATCH_UP_STEPS_MAX = 100
"""A rig that was held up (a stopped process) makes up for at most this many steps and drops the rest."""


FED_FRAC, BOOT_S = 0.5, 3.0
"""A converter that the DC link feeds lives above this share of the racks' voltage, and answers so long after."""

MIDNIGHT_S = 1_782_864_000.0
"""0:00 UTC on 1 July 2026: every rig's day."""


class ProcessUnderTest(Protocol):
    """The controller as the operating system sees it."""

    def kill(self, dead_s: float) -> None: ...
    def pause(self, paused_s: float) -> None: ...
    def fill_disk(self) -> None: ...


class Bench:
    """Everything that is simulated of one rig. `start`, then `run` until cancelled; `close` cuts the connections.

    What lasts of injected faults is in `ongoing`, each called before every step of the plant with its length (s), and
    draws from `rng`. `process` is the controller's, where that runs beside the bench in virtual time."""

    def __init__(self, rig: RigFile, seed: int, load: LoadSpec | None = None, signals: Collection[str] = ()) -> None:
        """`load` replaces the rig's; `signals` are sampled beside the powers."""
        self.rig = rig
        self.plant = build_plant(plant_config(rig, seed, load))
        self.cell = load_cell(rig.plant.cell)
        self._by_converter = rig.site.precharge.by == "inverter"
        if self._by_converter:
            self.plant.precharge_by_converter()
        bus_rng, node_rng = (np.random.default_rng(part) for part in np.random.SeedSequence([seed, 7]).spawn(2))
        self.buses = {f"can{index}": CanBus(rng) for index, rng in enumerate(bus_rng.spawn(rig.plant.racks))}
        shape = rig.plant.modules_per_rack, rig.plant.cells_per_module
        self.enclosures = [Enclosure() for _ in self.plant.racks]
        self._surrounded = list(zip(self.plant.racks, self.enclosures, strict=True))
        self._coolant_rise_k = [0.0 for _ in self.plant.racks]
        rngs = node_rng.spawn(rig.plant.racks)
        buses = zip(self.plant.racks, self.buses.values(), strict=True)
        variant = rig.plant.low_voltage
        self.nodes = [] if variant is not None else [
            RackNode(
                rack, bus, *shape, rngs[index], self.enclosures[index], partial(self._insulation_kohm, index),
                self._control(rack), rig.plant.last_module_cells, drives=rig.plant.contactor_profile is None,
            )
            for index, (rack, bus) in enumerate(buses)
        ]  # fmt: skip
        self.batteries = (
            [] if variant is None else [self._battery_node(rack, bus, PROFILES[variant]) for rack, bus in buses]
        )
        self.microgrid = self.plant.microgrid = self._microgrid(seed)
        self.inverter = self._inverter()
        if rig.plant.converter == "forming":
            self.form_island()
        self.meter = self._meter()
        self.inverter_server = ModbusServer(self.inverter, UNIT)
        self.meter_server = ModbusServer(self.meter, UNIT)
        self.pv_inverter, self.pv_meter = self._pv_devices()
        self.pv_servers = [ModbusServer(device, UNIT) for device in (self.pv_meter, self.pv_inverter) if device]
        self.switchgear = self._switchgear()
        self.switchgear_server = None if self.switchgear is None else ModbusServer(self.switchgear, UNIT)
        self.auxiliary_servers = [ModbusServer(device, UNIT) for device in self._auxiliaries()]
        self.contactor_blocks = self._contactor_blocks()
        self.block_servers = [ModbusServer(block, UNIT) for block in self.contactor_blocks]
        self.truth = Truth(self.plant, signals)
        self.clock_error_s = self._fed_s = self._began_s = 0.0
        self.rng = np.random.default_rng([seed, 12])
        self.ongoing: list[Callable[[float], None]] = []
        self.process: ProcessUnderTest | None = None
        self.steps = self.overruns = self.left_out = 0
        """Steps made, those of them that came a step late or more, and those that were due and never made."""

    @property
    def modbus_servers(self) -> dict[str, ModbusServer]:
        """By the names that `hil serve` gives the devices."""
        names = ("pv-meter", "pv-inverter")
        servers = {"inverter": self.inverter_server, "grid-meter": self.meter_server}
        servers |= dict(zip(names, self.pv_servers, strict=False))
        if self.switchgear_server is not None:
            servers["intertie"] = self.switchgear_server
        specs = zip(self.rig.auxiliaries, self.auxiliary_servers, strict=True)
        blocks = zip(block_names(self.rig), self.block_servers, strict=True)
        return servers | {spec.name: server for spec, server in specs} | dict(blocks)

    async def start(self, inverter_port: int = 0, meter_port: int = 0, switchgear_port: int = 0) -> Endpoints:
        """Open the Modbus servers and say where everything is; the CAN buses are in this process only."""
        self._began_s = asyncio.get_running_loop().time()
        await self.inverter_server.start(HOST, inverter_port)
        await self.meter_server.start(HOST, meter_port)
        for server in self.pv_servers:
            await server.start(HOST, 0)
        pv_meter, pv_inverter = [ModbusEndpoint(HOST, server.port, UNIT) for server in self.pv_servers] or (None, None)
        switchgear = None
        if self.switchgear_server is not None:
            await self.switchgear_server.start(HOST, switchgear_port)
            switchgear = ModbusEndpoint(HOST, self.switchgear_server.port, UNIT)
        for server in [*self.auxiliary_servers, *self.block_servers]:
            await server.start(HOST, 0)
        return Endpoints(
            contactor_blocks=tuple(ModbusEndpoint(HOST, server.port, UNIT) for server in self.block_servers),
            auxiliaries=tuple(ModbusEndpoint(HOST, server.port, UNIT) for server in self.auxiliary_servers),
            switchgear=switchgear,
            inverter=ModbusEndpoint(HOST, self.inverter_server.port, UNIT),
            grid_meter=ModbusEndpoint(HOST, self.meter_server.port, UNIT),
            racks=tuple(CanEndpoint("virtual", channel) for channel in self.buses),
            pv_meter=pv_meter,
            pv_inverter=pv_inverter,
        )

    def form_island(self) -> None:
        """The grid is lost, and the converter makes one of its own."""
        device = self._sunspec()
        device.grid_forming = True
        self.plant.form_island(lambda: device.cap_w)

    def join_grid(self) -> None:
        """The grid is back, and the converter follows it."""
        self._sunspec().grid_forming = False
        self.plant.join_grid()

    def restart_inverter(self, boot_s: float) -> None:
        """The converter's electronics start again: it stops, forgets what it was told, and is silent meanwhile."""
        forms = isinstance(self.inverter, SunSpecInverterDevice) and self.inverter.grid_forming
        faults, local = self.inverter.faults, self.inverter.local_control
        self.plant.converter.stop()
        self.inverter.close()
        self.inverter = self._inverter()
        self.inverter.local_control = local
        for each in fields(faults):
            setattr(self.inverter.faults, each.name, getattr(faults, each.name))
        if forms and self.microgrid is None:
            self.form_island()
        self.inverter_server.replace(self.inverter)
        self.inverter_server.faults.boots = True
        asyncio.get_running_loop().call_later(boot_s, self._booted)

    def _booted(self) -> None:
        self.inverter_server.faults.boots = False

    def _sunspec(self) -> SunSpecInverterDevice:
        """The converter, as one that can say whether it forms; TypeError for one that only a profile describes."""
        if not isinstance(self.inverter, SunSpecInverterDevice):
            raise TypeError(f"rig {self.rig.name}: a converter of a profile does not say whether it forms a grid")
        return self.inverter

    def wall_clock(self) -> float:
        """Seconds since 1970 as the rig's time server says."""
        start_s = MIDNIGHT_S + self.rig.start_hour * HOUR_S
        return start_s + asyncio.get_running_loop().time() - self._began_s + self.clock_error_s

    async def run(self) -> None:
        """Advance the plant, and every 10 ms let the racks' nodes speak, on absolute deadlines, until cancelled."""
        loop = asyncio.get_running_loop()
        step_ns = round(self.rig.plant.step_s * 1e9)
        step_s, fed_by_link = step_ns / 1e9, self.rig.plant.converter_supply != "aux"
        a_slot, spoken = STEP_NS // step_ns, -1
        start_ns, done = loop_ns(loop), 0
        while True:
            now = loop_ns(loop)
            due = (now - start_ns) // step_ns + 1
            if due > done + 1:
                first = max(done, due - CATCH_UP_STEPS_MAX * a_slot)
                self.left_out += first - done
                self.overruns += due - first - 1
                done = first
            self.steps += due - done
            while done < due:
                for each in self.ongoing:
                    each(step_s)
                self.plant.step(step_s)
                self.truth.see()
                self._meet_enclosures()
                if fed_by_link:
                    self._feed_converter()
                if self.microgrid is not None:
                    self._show_switch(self.microgrid)
                done += 1
            slot = (done - 1) // a_slot
            if slot != spoken:
                self._let_speak(slot, now)
            spoken = slot
            await sleep_until(loop, start_ns + done * step_ns)

    def _let_speak(self, slot: int, now: int) -> None:
        for node in self.nodes:
            node.step(slot, now)
        for battery in self.batteries:
            battery.step(slot, now)

    def _feed_converter(self) -> None:
        """Electronics that the DC link feeds: dead without it, and silent while they boot."""
        fed = self.plant.bus.voltage_v > FED_FRAC * self.plant.racks[0].voltage_v
        self._fed_s = self._fed_s + self.rig.plant.step_s if fed else 0.0
        if not fed:
            self.plant.converter.stop()
        self.inverter_server.faults.off = self._fed_s < BOOT_S

    def _show_switch(self, microgrid: Microgrid) -> None:
        """The switch's auxiliary contact at the converter, and the UPS behind everybody's electronics."""
        device, converter = self._sunspec(), self.plant.converter
        device.grid_forming = not microgrid.closed
        if microgrid.closed and device.cap_w is not None:
            converter.held_power_w = None
        if not microgrid.aux_alive:
            converter.stop()
        for server in (self.inverter_server, self.meter_server, self.switchgear_server):
            if server is not None and self.rig.plant.converter_supply == "aux":
                server.faults.off = not microgrid.aux_alive

    def close(self) -> None:
        self.inverter_server.close()
        self.meter_server.close()
        if self.switchgear_server is not None:
            self.switchgear_server.close()
        self.inverter.close()
        for server in [*self.pv_servers, *self.auxiliary_servers, *self.block_servers]:
            server.close()
        for block in self.contactor_blocks:
            block.close()
        if self.pv_inverter is not None:
            self.pv_inverter.close()

    async def open_can(self, config: CanConfig, on_batch: Callable[[FrameBatch], None]) -> CanPort:
        """A CanOpener onto the buses of this process; ConnectionError for a channel that does not exist."""
        if config.channel not in self.buses:
            raise ConnectionError(f"rig {self.rig.name} has no CAN channel {config.channel!r}")
        return self.buses[config.channel].attach(on_batch)

    def _meet_enclosures(self) -> None:
        """What happens to a rack shows in its enclosure, and the enclosure's cooling cools it."""
        for index, (rack, enclosure) in enumerate(self._surrounded):
            coolant, was_k = rack.coolant, self._coolant_rise_k[index]
            coolant.works = enclosure.cools
            if coolant.rise_k != was_k:
                enclosure.coolant_temperature_degc += coolant.rise_k - was_k
                self._coolant_rise_k[index] = coolant.rise_k
            if rack.fuse.melted:
                enclosure.fuse_intact = False

    def _battery_node(self, rack: RackPlant, bus: CanBus, variant: Variant) -> LowVoltageRackNode:
        return LowVoltageRackNode(
            rack, bus, variant, self.cell.capacity_ah, lambda: float(rack.cells.soc_frac.mean())
        )  # fmt: skip

    def _control(self, rack: RackPlant) -> RackControl | None:
        """The rack's own BMS where that moves the contactors."""
        return RackControl(rack, precharges=not self._by_converter) if self.rig.plant.contactors == "rack" else None

    def _inverter(self) -> SunSpecInverterDevice | SunSpecLegacyInverterDevice | DescribedInverterDevice:
        profile = self.rig.plant.inverter_profile
        if profile == SUNSPEC:
            return SunSpecInverterDevice(self.plant.converter, self._battery)
        if profile == LEGACY:
            return SunSpecLegacyInverterDevice(self.plant.converter, self._battery)
        return DescribedInverterDevice(self.plant.converter, find_profile(profile))

    def _meter(self) -> SunSpecMeterDevice | DescribedMeterDevice:
        profile = self.rig.plant.meter_profile
        plant = self.plant
        measured = lambda: plant.grid_power_w, lambda: plant.measured_hz
        if profile == SUNSPEC:
            return SunSpecMeterDevice(
                *measured, self._grid_power_w_max(), voltage_pu=lambda: plant.voltage_pu,
                model_id=self.rig.plant.meter_model,
            )  # fmt: skip
        return DescribedMeterDevice(*measured, find_profile(profile), lambda: plant.voltage_pu)

    def _pv_devices(self) -> tuple[SunSpecPvInverterDevice | None, SunSpecMeterDevice | None]:
        plant, pv = self.plant, self.plant.pv
        if pv is None:
            return None, None
        meter = SunSpecMeterDevice(
            lambda: -plant.pv_power_w, lambda: plant.measured_hz, pv.rated_power_w, voltage_pu=lambda: plant.voltage_pu
        )
        return SunSpecPvInverterDevice(pv), meter

    def _microgrid(self, seed: int) -> Microgrid | None:
        spec = self.rig.microgrid
        if spec is None:
            return None
        return Microgrid(
            self.plant.grid, self.plant.converter, [block.power_w for block in spec.blocks],
            np.random.default_rng([seed, 9]), dark=spec.dark, ups=Ups(spec.ups_energy_wh),
        )  # fmt: skip

    def _switchgear(self) -> DescribedSwitchgearDevice | None:
        if self.microgrid is None or self.rig.microgrid is None:
            return None
        return DescribedSwitchgearDevice(self.microgrid, find_profile(self.rig.microgrid.profile))

    def _auxiliaries(self) -> list[DescribedAuxiliaryDevice]:
        """Around all racks; what they show is not wired to the racks' own I/O."""
        profiles = [find_profile(spec.profile) for spec in self.rig.auxiliaries]
        for node in self.nodes:
            node.safety.elsewhere = frozenset().union(*(fields_of(profile) for profile in profiles))
        return [DescribedAuxiliaryDevice(self.enclosures, profile) for profile in profiles]

    def _contactor_blocks(self) -> list[DescribedContactorBlock]:
        profile = self.rig.plant.contactor_profile
        if profile is None:
            return []
        return [DescribedContactorBlock(rack, find_profile(profile)) for rack in self.plant.racks]

    def _insulation_kohm(self, index: int) -> float:
        return bus_insulation_kohm(self.enclosures, self.plant.racks, index)

    def _grid_power_w_max(self) -> float:
        """The meter's range: the load's peak with the converter charging at its rating, or export of all there is."""
        pv_w = 0.0 if self.plant.pv is None else self.plant.pv.rated_power_w
        return max(self.plant.load.power_w_max, pv_w) + self.plant.converter.rated_power_w

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
