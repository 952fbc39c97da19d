"""A rack whose contactors hang on a block of their own beside its cell monitor."""

import asyncio

from drivers.cell_monitors.with_sensors import Monitor
from drivers.commands import BleedCommand, OutputsCommand, RackCommand
from drivers.contactors.described import DescribedContactors
from drivers.readings import LinkHealth, RackReading


class RackWithContactors:
    """The monitor's reading with the contactors as the block says them: they and the DC link's voltage, which the
    monitor measures, are as old as the older of both. Contactor commands go to the block alone."""

    def __init__(self, monitor: Monitor, block: DescribedContactors) -> None:
        self._monitor, self._block = monitor, block

    @property
    def health(self) -> LinkHealth:
        """The monitor's."""
        return self._monitor.health

    def reading(self) -> RackReading:
        """What is known now."""
        reading, said = self._monitor.reading(), self._block.reading()
        return reading._replace(
            main_closed=said.main_closed,
            precharge_closed=said.precharge_closed,
            command_age_s=said.command_age_s,
            io_at_ns=min(reading.io_at_ns, said.at_ns),
            watchdog_tripped=said.watchdog_tripped,
        )

    def command(self, command: RackCommand) -> None:
        self._block.command(command)

    def bleed(self, command: BleedCommand) -> None:
        self._monitor.bleed(command)

    def outputs(self, command: OutputsCommand) -> None:
        self._monitor.outputs(command)

    async def run(self) -> None:
        """Both until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._monitor.run())
            tasks.create_task(self._block.run())
