"""The devices of a site: which driver class serves which word of the site file, and what every driver offers."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from bms.site import GridMeterDevice, IntertieDevice, InverterDevice, PvInverterDevice, Rack
from bms.site.contactors import WATCHDOG_S
from bms.site.mapping import load_mapping
from drivers.cell_monitors.dbc import DbcMonitor
from drivers.cell_monitors.foxbms import FoxBmsMonitor
from drivers.cell_monitors.low_voltage import LowVoltageBattery
from drivers.cell_monitors.native import NativeRackMonitor
from drivers.cell_monitors.with_contactors import RackWithContactors
from drivers.cell_monitors.with_sensors import RackWithSensors
from drivers.commands import BleedCommand, InverterCommand, OutputsCommand, PvCommand, RackCommand, SwitchgearCommand
from drivers.contactors.described import DescribedContactors
from drivers.current_sensors.ivt_s import IvtSensor
from drivers.insulation.iso165c import Iso165c
from drivers.inverters.described import DescribedInverter
from drivers.inverters.described.device import open_device as open_described
from drivers.inverters.driver import OpenDevice
from drivers.inverters.own_function import OwnFunction
from drivers.inverters.own_loop import OwnLoop
from drivers.inverters.set_points import SetPointWriter
from drivers.inverters.sunspec import SunSpecInverter
from drivers.inverters.sunspec.device import open_device as open_sunspec
from drivers.links.can import CanOpener
from drivers.links.shared import SharedBus
from drivers.meters.described import DescribedMeter
from drivers.meters.sunspec import SunSpecMeter
from drivers.pv_inverters.sunspec import SunSpecPvInverter
from drivers.readings import (
    InverterRating,
    InverterReading,
    LinkHealth,
    MeterReading,
    RackReading,
    SentPower,
    SwitchgearReading,
)
from drivers.switchgear.described import DescribedSwitchgear


class Device(Protocol):
    """Every driver runs for ever, reconnects by itself and never raises for an operating fault."""

    @property
    def health(self) -> LinkHealth: ...

    async def run(self) -> None: ...


class Inverter(Device, Protocol):
    @property
    def rating(self) -> InverterRating | None: ...

    @property
    def sent(self) -> SentPower | None: ...

    @property
    def set_point_free(self) -> bool:
        """Somebody else may write set-points, over a connection of their own, while commands are without one."""

    @property
    def silence(self) -> str | None:
        """Why nothing takes it to 0 W when nobody speaks to it any more; None = it goes there by itself."""

    def command(self, command: InverterCommand) -> None: ...

    def reset_alarms(self, expires_ns: int) -> None:
        """Ask it, once, to forget a fault whose cause is gone."""


class PvInverter(Device, Protocol):
    def command(self, command: PvCommand) -> None: ...


class Meter(Device, Protocol):
    @property
    def fault(self) -> str | None:
        """Why there is no working session with it, one line; None while there is one."""


class RackMonitor(Device, Protocol):
    def reading(self) -> RackReading: ...

    def command(self, command: RackCommand) -> None: ...

    def bleed(self, command: BleedCommand) -> None: ...

    def outputs(self, command: OutputsCommand) -> None: ...


class Switchgear(Device, Protocol):
    def command(self, command: SwitchgearCommand) -> None: ...


def open_switchgear(device: IntertieDevice, on_reading: Callable[[SwitchgearReading], None]) -> Switchgear:
    return DescribedSwitchgear(device.open_link(), device.description, on_reading, device.poll_period_s)


def open_inverter(device: InverterDevice, on_reading: Callable[[InverterReading], None]) -> Inverter:
    link = device.open_link()
    period_s, reversion_s = device.poll_period_s, device.reversion_s
    if device.description is not None:
        return DescribedInverter(link, device.description, on_reading, period_s, reversion_s)
    return SunSpecInverter(link, on_reading, period_s, reversion_s)


def open_set_points(device: InverterDevice, on_done: Callable[[SentPower | None], None]) -> SetPointWriter:
    """A second writer of its set-points, see SetPointWriter."""
    if device.description is not None:
        opened: OpenDevice = partial(open_described, profile=device.description, reversion_s=device.reversion_s)
    else:
        opened = partial(open_sunspec, reversion_s=device.reversion_s)
    return SetPointWriter(device.open_link(), opened, on_done)


def open_own_loop(device: InverterDevice, period_s: float) -> OwnLoop:
    """The loop inside it, which the site's check has found in its profile."""
    assert device.description is not None, "the settings were checked"
    return OwnLoop(device.open_link(), device.description, period_s)


def open_own_function(device: InverterDevice) -> OwnFunction | None:
    """What keeps its curve in force, if it has one."""
    function = device.function
    return None if function is None else OwnFunction(device.open_link(), function.curve, function.verify_s)


def open_meter(device: GridMeterDevice, on_reading: Callable[[MeterReading], None]) -> Meter:
    link = device.open_link()
    if device.description is not None:
        return DescribedMeter(link, device.description, on_reading, poll_period_s=device.poll_period_s)
    return SunSpecMeter(link, on_reading, poll_period_s=device.poll_period_s)


def open_pv_inverter(device: PvInverterDevice) -> PvInverter:
    return SunSpecPvInverter(device.open_link(), device.write_period_s, device.reversion_s, device.revert_frac)


def open_rack(rack: Rack, can_opener: CanOpener) -> RackMonitor:
    monitors: dict[str, Callable[[Rack, CanOpener], RackMonitor]] = {
        "native": _native,
        "foxbms": _foxbms,
        "dbc": _dbc,
        "low-voltage": _low_voltage,
    }
    if rack.current_sensor is None and rack.insulation_monitor is None:
        return _with_contactors(rack, monitors[rack.monitor](rack, can_opener))
    bus = SharedBus(can_opener)
    monitor = RackWithSensors(monitors[rack.monitor](rack, bus), _current_sensor(rack, bus), _insulation(rack, bus))
    return _with_contactors(rack, monitor)


class Openers(NamedTuple):
    """What makes a site's drivers."""

    rack: Callable[[Rack, CanOpener], RackMonitor]
    inverter: Callable[[InverterDevice, Callable[[InverterReading], None]], Inverter]
    meter: Callable[[GridMeterDevice, Callable[[MeterReading], None]], Device]
    pv_inverter: Callable[[PvInverterDevice], PvInverter]


OPENERS = Openers(open_rack, open_inverter, open_meter, open_pv_inverter)


def _with_contactors(rack: Rack, monitor: RackMonitor) -> RackMonitor:
    """The monitor, with the block on which the rack's contactors hang if they do."""
    device = rack.contactor_block
    if device is None:
        return monitor
    block = DescribedContactors(device.open_link(), device.description, WATCHDOG_S, device.poll_period_s)
    return RackWithContactors(monitor, block)


def _current_sensor(rack: Rack, bus: SharedBus) -> IvtSensor | None:
    sensor = rack.current_sensor
    if sensor is None:
        return None
    return IvtSensor(rack.can.config, bus, positive=sensor.positive, first_id=sensor.first_id)


def _insulation(rack: Rack, bus: SharedBus) -> Iso165c | None:
    monitor = rack.insulation_monitor
    if monitor is None:
        return None
    return Iso165c(
        rack.can.config,
        bus,
        warning_kohm=monitor.warning_kohm,
        error_kohm=monitor.error_kohm,
        self_test_period_s=monitor.self_test_period_s,
    )


def _native(rack: Rack, can_opener: CanOpener) -> RackMonitor:
    return NativeRackMonitor(rack.modules, rack.cells_per_module, rack.can.config, can_opener, rack.last_module_cells)


def _foxbms(rack: Rack, can_opener: CanOpener) -> RackMonitor:
    return FoxBmsMonitor(
        rack.modules,
        rack.cells_per_module,
        rack.can.config,
        can_opener,
        sensors_per_module=rack.foxbms.sensors_per_module,
        source=rack.foxbms.cells_from,
    )


def _low_voltage(rack: Rack, can_opener: CanOpener) -> RackMonitor:
    assert rack.low_voltage is not None, "the settings were checked"
    return LowVoltageBattery(rack.cells, rack.low_voltage.profile, rack.can.config, can_opener)


def _dbc(rack: Rack, can_opener: CanOpener) -> RackMonitor:
    return DbcMonitor(load_mapping(str(rack.mapping)).mapping, rack.can.config, can_opener)
