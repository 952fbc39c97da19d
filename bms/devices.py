"""The devices of a site: which driver class serves which word of the site file, and what every driver offers."""

from collections.abc import Callable
from typing import Protocol

from bms.site import GridMeterDevice, InverterDevice, Rack
from drivers.cell_monitors.native import NativeRackMonitor
from drivers.commands import BleedCommand, InverterCommand, OutputsCommand, RackCommand
from drivers.inverters.described import DescribedInverter
from drivers.inverters.sunspec import SunSpecInverter
from drivers.links.can import CanOpener
from drivers.meters.described import DescribedMeter
from drivers.meters.sunspec import SunSpecMeter
from drivers.readings import InverterRating, InverterReading, LinkHealth, MeterReading, RackReading, SentPower


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
    def silence(self) -> str | None:
        """Why nothing takes it to 0 W when nobody speaks to it any more; None = it goes there by itself."""

    def command(self, command: InverterCommand) -> None: ...


class RackMonitor(Device, Protocol):
    def reading(self) -> RackReading: ...

    def command(self, command: RackCommand) -> None: ...

    def bleed(self, command: BleedCommand) -> None: ...

    def outputs(self, command: OutputsCommand) -> None: ...


def open_inverter(device: InverterDevice, on_reading: Callable[[InverterReading], None]) -> Inverter:
    link = device.open_link()
    period_s, reversion_s = device.poll_period_s, device.reversion_s
    if device.description is not None:
        return DescribedInverter(link, device.description, on_reading, period_s, reversion_s)
    return SunSpecInverter(link, on_reading, period_s, reversion_s)


def open_meter(device: GridMeterDevice, on_reading: Callable[[MeterReading], None]) -> Device:
    link = device.open_link()
    if device.description is not None:
        return DescribedMeter(link, device.description, on_reading, poll_period_s=device.poll_period_s)
    return SunSpecMeter(link, on_reading, poll_period_s=device.poll_period_s)


def open_rack(rack: Rack, can_opener: CanOpener) -> RackMonitor:
    monitors = {"native": NativeRackMonitor}
    return monitors[rack.monitor](rack.modules, rack.cells_per_module, rack.can.config, can_opener)
