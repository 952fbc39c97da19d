"""The driver of a third-party low-voltage battery: its word in, keep-alive out."""

import asyncio
import math

import numpy as np

from drivers.commands import BleedCommand, OutputsCommand, RackCommand
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanLink, CanOpener, open_python_can
from drivers.low_voltage.codec import KEEP_ALIVE_PERIOD_S, SILENCE_S, BatteryDecoder, BatteryEncoder
from drivers.low_voltage.profile import Profile
from drivers.pace import Pace
from drivers.readings import NEVER_NS, Flags, Floats, LinkHealth, RackReading, Times


class LowVoltageBattery:
    """One battery of `cells` in series on its own bus, in its maker's variant.

    `reading().battery` is what it says; of single cells it says nothing, so every voltage and temperature of a cell
    is NaN and NEVER_NS. It owns its contactors, bleeds by itself and has no other outputs: those commands go nowhere.
    The keep-alive goes out once a second; without it the battery raises its own alarm.
    """

    owns_contactors = True

    def __init__(self, cells: int, profile: Profile, config: CanConfig, opener: CanOpener = open_python_can) -> None:
        self._decoder = BatteryDecoder(profile)
        self._keep_alive = BatteryEncoder(profile).keep_alive()
        self._link = CanLink(config, self.on_batch, opener, silence_s=2 * SILENCE_S)
        self._absent: Floats = np.full(cells, math.nan)
        self._never: Times = np.full(cells, NEVER_NS)
        self._not_bleeding: Flags = np.zeros(cells, np.uint8)
        for array in (self._absent, self._never, self._not_bleeding):
            array.flags.writeable = False

    @property
    def health(self) -> LinkHealth:
        """State and counts of the bus; the frames' own counts are in each reading."""
        return self._link.health

    def reading(self) -> RackReading:
        """What is known now."""
        says = self._decoder.says()
        return RackReading(
            voltage_v=self._absent,
            voltage_at_ns=self._never,
            temperature_degc=self._absent,
            temperature_at_ns=self._never,
            bleeding=self._not_bleeding,
            current_a=says.current_a,
            current_at_ns=says.measured_at_ns,
            rack_voltage_v=says.voltage_v,
            link_voltage_v=math.nan,
            main_closed=None,
            precharge_closed=None,
            command_age_s=math.nan,
            io_at_ns=says.measured_at_ns,
            health=self._decoder.health,
            battery=says,
        )

    def on_batch(self, batch: FrameBatch) -> None:
        """Take frames from the bus."""
        self._decoder.feed(batch)

    def command(self, command: RackCommand) -> None:
        """Its contactors are its own."""

    def bleed(self, command: BleedCommand) -> None:
        """It balances by itself."""

    def outputs(self, command: OutputsCommand) -> None:
        """It has none."""

    async def run(self) -> None:
        """Keep the bus open and the battery told that somebody is there, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            tasks.create_task(self._keep_alive_for_ever())

    async def _keep_alive_for_ever(self) -> None:
        pace = Pace(KEEP_ALIVE_PERIOD_S)
        while True:
            self._link.send(self._keep_alive)
            await pace.next()
