"""Hears on the devices' side what reaches them: the stop in the converter's registers, commands on the CAN wires."""

import asyncio
from collections.abc import Callable, Collection
from functools import partial

from drivers.cell_monitors.native.layout import native_layout
from drivers.clock import loop_ns
from drivers.frames import FrameBatch
from hil_rigs.bench import STEP_NS, Bench
from kernels.canbits import FrameDecoder


class WireWatch:
    """Times (ns, loop clock) of what the devices were told, from `arm` on; None until it happened. `stop_ns`: 0 W and
    STOP are both in the converter's registers. `opening_ns`: the last armed rack's first frame that opens both
    contactors was on its wire. `high_ns`: the last step of the plant in which a rack carried break current or more."""

    def __init__(self, bench: Bench) -> None:
        self.stop_ns: int | None = None
        self.high_ns = 0
        self.complete = asyncio.Event()
        self._bench = bench
        self._loop = asyncio.get_running_loop()
        self._armed = False
        self._needs_stop = True
        self._listening: frozenset[int] = frozenset()
        self._opening_ns: dict[int, int] = {}
        bench.inverter.on_control = self._controlled
        for rack, bus in enumerate(bench.buses.values()):
            bus.attach(self._hearer(rack))

    @property
    def opening_ns(self) -> int | None:
        opened = self._opening_ns
        return max(opened.values()) if self._listening and opened.keys() == self._listening else None

    def arm(self, *, racks: Collection[int], needs_stop: bool) -> None:
        """The cause is there. Commands count that reach `racks` (indices); without `needs_stop` 0 W alone is the
        stop."""
        self._armed, self._listening, self._needs_stop = True, frozenset(racks), needs_stop

    async def see_currents(self) -> None:
        """Look at the racks' currents after every step of the plant, until cancelled; to be started with the bench."""
        limit_a = self._bench.rig.plant.contactor_break_current_a
        step_ns = loop_ns(self._loop)
        while True:
            await asyncio.sleep((step_ns + STEP_NS // 2) / 1e9 - self._loop.time())
            if any(abs(rack.current_a) >= limit_a for rack in self._bench.plant.racks):
                self.high_ns = step_ns
            step_ns += STEP_NS

    def _controlled(self) -> None:
        device = self._bench.inverter
        stopped = device.set_power_w == 0.0 and not (self._needs_stop and device.told_to_run)
        if self._armed and stopped and self.stop_ns is None:
            self.stop_ns = loop_ns(self._loop)
            self._look()

    def _hearer(self, rack: int) -> Callable[[FrameBatch], None]:
        plant = self._bench.rig.plant
        commands = native_layout(plant.modules_per_rack, plant.cells_per_module).commands
        return partial(self._heard, rack, FrameDecoder(commands.frames))

    def _heard(self, rack: int, decoder: FrameDecoder, batch: FrameBatch) -> None:
        """`batch` was on this rack's wire; its time is the end of its last frame there."""
        accepted = decoder.feed(batch.data, batch.at_ns)
        if not accepted or decoder.at_ns[-1] != batch.at_ns or decoder.values[-3:-1].any():
            return
        if self._armed and rack in self._listening:
            self._opening_ns.setdefault(rack, batch.at_ns)
            self._look()

    def _look(self) -> None:
        if self.stop_ns is not None and (self.opening_ns is not None or not self._listening):
            self.complete.set()
