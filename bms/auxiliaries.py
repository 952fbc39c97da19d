"""Auxiliary devices beside the racks' monitors: what they say is the racks' safety inputs, and outputs reach them."""

from collections.abc import Sequence
from typing import Any

from bms.devices import Device, RackMonitor
from bms.protect.safety_inputs import OF_INSULATION, WIRED_AS
from bms.site import AuxiliaryDevice, Rack, Site
from drivers.auxiliary.described import DescribedAuxiliary, fields_of
from drivers.clock import now_ns
from drivers.commands import BleedCommand, OutputsCommand, RackCommand
from drivers.readings import LinkHealth, RackReading
from drivers.safety import NOT_HEARD, CoolingRequest, SafetyInputs


class Auxiliary:
    """One device of the site file, its newest word, and what its racks want of it together."""

    def __init__(self, device: AuxiliaryDevice) -> None:
        self.fields = sorted(fields_of(device.description))
        self.heard = NOT_HEARD
        self._age_ns = round(device.age_s_max * 1e9)
        self._wanted: dict[str, OutputsCommand] = {}
        self.driver = DescribedAuxiliary(
            device.open_link(), device.description, self._put, poll_period_s=device.poll_period_s
        )

    def said(self, at_ns: int) -> SafetyInputs:
        """Its newest word; nothing once that is too old."""
        return self.heard if at_ns - self.heard.at_ns <= self._age_ns else NOT_HEARD

    def outputs(self, rack: str, command: OutputsCommand) -> None:
        """A fire anywhere is a fire; the cooling stops if any rack must not be cooled."""
        self._wanted[rack] = command
        wanted = self._wanted.values()
        off = any(each.cooling is CoolingRequest.OFF for each in wanted)
        self.driver.command(
            OutputsCommand(
                fire_alarm=any(each.fire_alarm for each in wanted),
                cooling=CoolingRequest.OFF if off else CoolingRequest.ON,
                insulation_on=command.insulation_on,
                expires_ns=command.expires_ns,
            )
        )

    def _put(self, reading: SafetyInputs) -> None:
        self.heard = reading


class RackBesideAuxiliaries:
    """A rack's monitor whose safety inputs come in part from auxiliary devices: what such a device says is taken from
    it alone, and is absent while it is silent."""

    def __init__(self, rack: Rack, monitor: RackMonitor, devices: Sequence[Auxiliary]) -> None:
        self._name, self._monitor, self._devices = rack.name, monitor, devices
        beside = {WIRED_AS[field] for device in devices for field in device.fields}
        self._monitor_says = bool(set(rack.safety_inputs) - OF_INSULATION - beside)

    @property
    def health(self) -> LinkHealth:
        """The monitor's."""
        return self._monitor.health

    def reading(self) -> RackReading:
        """What is known now. Inputs that no frame of the monitor carries are as old as the newest word of a device."""
        reading, at_ns = self._monitor.reading(), now_ns()
        taken: dict[str, Any] = {}
        newest_ns = NOT_HEARD.at_ns
        for device in self._devices:
            said = device.said(at_ns)
            newest_ns = max(newest_ns, said.at_ns)
            taken.update((field, getattr(said, field)) for field in device.fields)
        if not self._monitor_says:
            taken["at_ns"] = at_ns if newest_ns == NOT_HEARD.at_ns else newest_ns
        return reading._replace(safety=reading.safety._replace(**taken))

    def command(self, command: RackCommand) -> None:
        self._monitor.command(command)

    def bleed(self, command: BleedCommand) -> None:
        self._monitor.bleed(command)

    def outputs(self, command: OutputsCommand) -> None:
        self._monitor.outputs(command)
        for device in self._devices:
            device.outputs(self._name, command)

    async def run(self) -> None:
        """The monitor's part; the devices are run by whom they belong to."""
        await self._monitor.run()


class Auxiliaries:
    """All auxiliary devices of a site."""

    def __init__(self, site: Site) -> None:
        self._devices = [(device, Auxiliary(device)) for device in site.auxiliaries]

    @property
    def drivers(self) -> list[Device]:
        return [auxiliary.driver for _, auxiliary in self._devices]

    def beside(self, rack: Rack, monitor: RackMonitor) -> RackMonitor:
        """The monitor, with the devices around this rack if there are any."""
        around = [auxiliary for device, auxiliary in self._devices if device.concerns(rack.name)]
        return RackBesideAuxiliaries(rack, monitor, around) if around else monitor
