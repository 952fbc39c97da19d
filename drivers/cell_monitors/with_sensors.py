"""A rack whose bus has sensors of their own beside its monitor: a second current, an insulation monitor."""

import asyncio
import math
from typing import Protocol

from drivers.commands import BleedCommand, OutputsCommand, RackCommand
from drivers.current_sensors.ivt_s import IvtSensor
from drivers.insulation.iso165c import Iso165c
from drivers.readings import LinkHealth, RackReading

APART_NS = 100_000_000
"""A second current that is older than the first by more says nothing about it."""


class Monitor(Protocol):
    """The rack's cell monitor, as bms/devices.py describes it."""

    @property
    def health(self) -> LinkHealth: ...

    def reading(self) -> RackReading: ...

    def command(self, command: RackCommand) -> None: ...

    def bleed(self, command: BleedCommand) -> None: ...

    def outputs(self, command: OutputsCommand) -> None: ...

    async def run(self) -> None: ...


class RackWithSensors:
    """The monitor's reading with `current_redundant_a` by the IVT-S, and with what the iso165C says in the place of the
    monitor's own insulation. Commands go to the monitor, and outputs to the iso165C too."""

    def __init__(self, monitor: Monitor, current: IvtSensor | None, insulation: Iso165c | None) -> None:
        self._monitor, self._current, self._insulation = monitor, current, insulation

    @property
    def health(self) -> LinkHealth:
        """The monitor's."""
        return self._monitor.health

    def reading(self) -> RackReading:
        """What is known now."""
        reading = self._monitor.reading()
        if self._current is not None:
            reading = reading._replace(current_redundant_a=self._redundant_a(self._current, reading.current_at_ns))
        if self._insulation is not None:
            said = self._insulation.reading()
            safety = reading.safety._replace(
                insulation_at_ns=said.at_ns, insulation_kohm=said.insulation_kohm, insulation_state=said.state
            )
            reading = reading._replace(safety=safety)
        return reading

    def command(self, command: RackCommand) -> None:
        self._monitor.command(command)

    def bleed(self, command: BleedCommand) -> None:
        self._monitor.bleed(command)

    def outputs(self, command: OutputsCommand) -> None:
        self._monitor.outputs(command)
        if self._insulation is not None:
            self._insulation.outputs(command)

    async def run(self) -> None:
        """All of them until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for device in (self._monitor, self._current, self._insulation):
                if device is not None:
                    tasks.create_task(device.run())

    def _redundant_a(self, sensor: IvtSensor, current_at_ns: int) -> float:
        said = sensor.reading()
        return said.current_a if current_at_ns - said.current_at_ns <= APART_NS else math.nan
