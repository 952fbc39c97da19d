"""The driver of a foxBMS 2: cells page by page in, the requested state out."""

import asyncio

import numpy as np

from drivers.cell_monitors.foxbms.layout import REQUEST_PERIOD_NS, Source, foxbms_layout
from drivers.cell_monitors.foxbms.snapshot import FoxBmsDecoder
from drivers.clock import now_ns
from drivers.commands import BleedCommand, OutputsCommand, RackCommand
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanLink, CanOpener, open_python_can
from drivers.pace import Pace
from drivers.readings import NEVER_NS, Floats, LinkHealth, RackReading, Times
from kernels.canbits import FrameEncoder

STANDBY, CONNECT = 0.0, 1.0
"""RequestMode: contactors open, or precharge and close (foxBMS calls it discharge)."""
BALANCING_THRESHOLD_V = 0.01

_ONLY: Times = np.zeros(1, dtype=np.int64)


class FoxBmsMonitor:
    """One string of `modules` x `cells_per_module` cells behind a foxBMS 2.

    Too slow for protection: it sends 4 cells each 100 ms, so that a sweep takes `sweep_s` (5.4 s for 216 cells), and
    the age of its values trips the controller's limits unless the site relaxes them in so many words. foxBMS 2 stays
    the one that protects the cells.

    It precharges and closes by itself, so that either contactor wanted means to connect. It balances by itself; a
    BleedCommand with any cell lets it. Requests are repeated every 100 ms until they expire; past that nothing is sent,
    which foxBMS 2 counts as a CAN timing error.
    """

    def __init__(
        self,
        modules: int,
        cells_per_module: int,
        config: CanConfig,
        opener: CanOpener = open_python_can,
        *,
        sensors_per_module: int,
        source: Source,
    ) -> None:
        self._layout = layout = foxbms_layout(modules * cells_per_module, modules * sensors_per_module, source)
        module, place = np.divmod(np.arange(layout.cells), cells_per_module)
        sensor = module * sensors_per_module + place * sensors_per_module // cells_per_module
        self._decoder = FoxBmsDecoder(layout, sensor)
        self._link = CanLink(config, self.on_batch, opener)
        self._encoder = FrameEncoder(layout.request.frames)
        self._values: Floats = np.array([STANDBY, 0.0, BALANCING_THRESHOLD_V])
        self._expires_ns = self._bleed_expires_ns = self._sent_ns = NEVER_NS

    @property
    def health(self) -> LinkHealth:
        """State and counts of the bus; the frames' own counts are in each reading."""
        return self._link.health

    @property
    def sweep_s(self) -> float:
        """Time for all cells once."""
        return self._layout.sweep_s

    def reading(self) -> RackReading:
        """What is known now."""
        return self._decoder.reading()

    def on_batch(self, batch: FrameBatch) -> None:
        """Take frames from the bus."""
        self._decoder.feed(batch)

    def command(self, command: RackCommand) -> None:
        """Wanted state until its expiry; the latest wins and a change goes out at once."""
        wanted = CONNECT if command.main_closed or command.precharge_closed else STANDBY
        changed = wanted != self._values[0] or self._expires_ns == NEVER_NS
        self._values[0], self._expires_ns = wanted, command.expires_ns
        if changed:
            self._send()

    def bleed(self, command: BleedCommand) -> None:
        """Let foxBMS 2 balance while any cell is wanted."""
        self._values[1] = float(command.bleed.any())
        self._bleed_expires_ns = command.expires_ns

    def outputs(self, command: OutputsCommand) -> None:
        """It has none."""

    async def run(self) -> None:
        """Keep the bus open and the request refreshed until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            tasks.create_task(self._send_for_ever())

    async def _send_for_ever(self) -> None:
        pace = Pace(REQUEST_PERIOD_NS / 1e9)
        while True:
            self._send()
            await pace.next()

    def _send(self) -> None:
        now = now_ns()
        if now >= self._expires_ns or not self._link.open:
            return
        if now >= self._bleed_expires_ns:
            self._values[1] = 0.0
        self._link.send(self._encoder.encode(_ONLY, self._values))
