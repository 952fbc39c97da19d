"""The native cell monitor's driver: one rack's frames in, contactor and bleed commands out."""

import asyncio

import numpy as np

from drivers.cell_monitors.native.layout import (
    BLEED_COMMAND_PERIOD_NS,
    OUTPUTS_COMMAND_PERIOD_NS,
    RACK_COMMAND_PERIOD_NS,
    native_layout,
)
from drivers.cell_monitors.native.snapshot import RackDecoder
from drivers.clock import loop_ns, now_ns, sleep_until
from drivers.commands import BleedCommand, OutputsCommand, RackCommand
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanLink, CanOpener, open_python_can
from drivers.readings import NEVER_NS, Floats, LinkHealth, RackReading, Times
from kernels.canbits import FrameEncoder

_EARLY_NS = 10_000_000
"""A refresh is sent this much before it is due rather than a whole cycle late: timers wake a little early or late."""

_ONLY: Times = np.zeros(1, dtype=np.int64)


class NativeRackMonitor:
    """One rack of `modules` x `cells_per_module` cells on its own bus, the last module perhaps of fewer. Frames of
    other modules count as unknown.

    `reading()` gives what is known at any time. Commands are repeated until they expire (RackCommand every 100 ms,
    BleedCommand and OutputsCommand every 0.5 s), a changed one is sent at once; past the expiry nothing is sent and
    the rack's own watchdogs act.
    """

    def __init__(
        self,
        modules: int,
        cells_per_module: int,
        config: CanConfig,
        opener: CanOpener = open_python_can,
        last_module_cells: int | None = None,
    ) -> None:
        self._layout = native_layout(modules, cells_per_module, last_module_cells)
        self._decoder = RackDecoder(self._layout)
        self._link = CanLink(config, self.on_batch, opener)
        self._encoder = FrameEncoder(self._layout.commands.frames)
        self._values: Floats = np.zeros(modules + 3)
        self._rack_frame = np.array([modules], dtype=np.int64)
        self._rack_expires_ns = self._rack_due_ns = NEVER_NS
        self._bleed_wanted = np.zeros(self._layout.cells, dtype=np.bool_)
        self._bled = np.zeros(modules, dtype=np.bool_)
        self._bleed_expires_ns = self._bleed_due_ns = NEVER_NS
        self._outputs_encoder = FrameEncoder(self._layout.outputs.frames)
        self._outputs: Floats = np.full(3, np.nan)
        self._outputs_expires_ns = self._outputs_due_ns = NEVER_NS

    @property
    def health(self) -> LinkHealth:
        """State and counts of the bus; the frames' own counts are in each reading."""
        return self._link.health

    def reading(self) -> RackReading:
        """What is known now."""
        return self._decoder.reading()

    def on_batch(self, batch: FrameBatch) -> None:
        """Take frames from the bus."""
        self._decoder.feed(batch)

    def command(self, command: RackCommand) -> None:
        """Wanted contactor state until its expiry; the latest wins and a change goes out at once."""
        wanted = [float(command.main_closed), float(command.precharge_closed), float(command.hold)]
        changed = wanted != self._values[-3:].tolist()
        self._values[-3:] = wanted
        self._rack_expires_ns = command.expires_ns
        if changed:
            self._rack_due_ns = now = now_ns()
            self.send_cycle(now)

    def bleed(self, command: BleedCommand) -> None:
        """Cells to bleed until the expiry; the latest wins. ValueError unless there is one flag a cell."""
        wanted = np.array(command.bleed, dtype=np.bool_)
        if wanted.shape != self._bleed_wanted.shape:
            raise ValueError(f"bleed has shape {wanted.shape}, the rack has {self._bleed_wanted.size} cells")
        self._bleed_expires_ns = command.expires_ns
        if wanted.tobytes() != self._bleed_wanted.tobytes():
            self._bleed_wanted = wanted
            self._values[:-3] = masks = self._layout.masks(wanted.view(np.uint8))
            self._bled |= masks > 0
            self._bleed_due_ns = NEVER_NS

    def outputs(self, command: OutputsCommand) -> None:
        """Wanted outputs until the expiry; the latest wins and a change goes out at once."""
        wanted = np.array([command.fire_alarm, command.cooling, not command.insulation_on], dtype=np.float64)
        self._outputs_expires_ns = command.expires_ns
        if wanted.tobytes() != self._outputs.tobytes():
            self._outputs, self._outputs_due_ns = wanted, NEVER_NS
            self.send_cycle(now_ns())

    def send_cycle(self, now: int) -> None:
        """Send what is due at `now` (ns)."""
        if self._rack_due_ns - _EARLY_NS <= now < self._rack_expires_ns:
            self._rack_due_ns = _next_due(self._rack_due_ns, now, RACK_COMMAND_PERIOD_NS)
            self._send(self._rack_frame)
        if self._bleed_due_ns - _EARLY_NS <= now < self._bleed_expires_ns:
            self._bleed_due_ns = _next_due(self._bleed_due_ns, now, BLEED_COMMAND_PERIOD_NS)
            self._send(np.flatnonzero(self._bled))
        if self._outputs_due_ns - _EARLY_NS <= now < self._outputs_expires_ns and self._link.open:
            self._outputs_due_ns = _next_due(self._outputs_due_ns, now, OUTPUTS_COMMAND_PERIOD_NS)
            self._link.send(self._outputs_encoder.encode(_ONLY, self._outputs))

    async def run(self) -> None:
        """Keep the bus open and the commands refreshed until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            tasks.create_task(self._send_for_ever())

    async def _send_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        due_ns = now_ns()
        while True:
            self.send_cycle(loop_ns(loop))
            due_ns = _next_due(due_ns, loop_ns(loop), RACK_COMMAND_PERIOD_NS)
            await sleep_until(loop, due_ns)

    def _send(self, frames: Times) -> None:
        if self._link.open and frames.size:
            self._link.send(self._encoder.encode(frames, self._values))


def _next_due(due_ns: int, now: int, period_ns: int) -> int:
    """The next deadline of a grid, or a new grid from now when this one was missed by a period or more."""
    return due_ns + period_ns if now < due_ns + period_ns else now + period_ns
