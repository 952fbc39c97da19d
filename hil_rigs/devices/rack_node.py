"""All nodes of one simulated rack on its bus: cell monitors, current sensor and contactor I/O, with their watchdogs."""

import asyncio
import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.cell_monitors.native.layout import (
    BLEED_TIMEOUT_NS,
    CELLS_PER_SENSOR,
    RACK_WATCHDOG_NS,
    NativeLayout,
    native_layout,
)
from drivers.clock import now_ns
from drivers.frames import FrameBatch
from drivers.readings import NEVER_NS, Flags, Floats, Times
from hil_rigs.devices.frame_damage import break_crc, hold_counter
from hil_rigs.world.canbus import CanBus
from kernels.canbits import FrameDecoder, FrameEncoder

SLOT_NS = 10_000_000
SLOTS = 10
"""Slots of one round: 100 ms, in which every ModuleStatus goes out once and every ModuleVoltage twice."""
VOLTAGE_SLOTS = 5
SLOW_SLOTS = 5
VOLTAGE_V_MAX = 8.190
TEMPERATURE_DEGC_MIN, TEMPERATURE_DEGC_MAX = -40.0, 87.5
CURRENT_A_MAX = 83_886.0
RACK_VOLTAGE_V_MAX = 6553.4
COMMAND_AGE_S_MAX = 12.7


class RackUnderTest(Protocol):
    """What the node senses and drives; hil_rigs.plant.RackPlant is one."""

    bleed: Flags

    @property
    def main_closed(self) -> bool: ...
    @property
    def precharge_closed(self) -> bool: ...
    @property
    def voltage_v(self) -> float: ...
    @property
    def link_voltage_v(self) -> float: ...
    def command(self, main: bool, precharge: bool) -> None: ...
    def measured_voltage_v(self) -> Floats: ...
    def measured_temperature_degc(self) -> Floats: ...
    def measured_current_a(self) -> float: ...


@dataclass(slots=True)
class RackNodeFaults:
    """Set at any time. `frozen` repeats the last values in fresh frames; `stuck_counter` sends fresh values under an
    old counter; `break_crc_frac` is the share of frames whose CRC is wrong; `deaf` hears no command."""

    silent_modules: set[int] = field(default_factory=set)
    silent_current: bool = False
    break_crc_frac: float = 0.0
    stuck_counter: bool = False
    frozen: bool = False
    deaf: bool = False


class RackNode:
    """Sends a batch of frames every 10 ms and obeys RackCommand and BleedCommand as the real nodes do: contactors open
    4 s after the last valid RackCommand, a module stops bleeding 2 s after its last valid BleedCommand."""

    def __init__(
        self, rack: RackUnderTest, bus: CanBus, modules: int, cells_per_module: int, rng: np.random.Generator
    ) -> None:
        self.faults = RackNodeFaults()
        self.watchdog_tripped = False
        self._rack = rack
        self._rng = rng
        self._layout = layout = native_layout(modules, cells_per_module)
        self._port = bus.attach(self._on_batch)
        self._encoder = FrameEncoder(layout.measured.frames)
        self._commands = FrameDecoder(layout.commands.frames)
        self._values: Floats = np.full(len(layout.measured.signal_index), np.nan)
        self._slots = [_slot_frames(layout, slot) for slot in range(SLOTS)]
        self._sensor_first_cell = _sensor_first_cell(layout)
        self._rack_at_ns = NEVER_NS
        self._measure_slow()

    async def run(self) -> None:
        """Step for ever, every 10 ms on absolute deadlines; cancelled = silent."""
        loop = asyncio.get_running_loop()
        start_ns, slot = now_ns(), 0
        while True:
            self.step(slot)
            slot = max(slot + 1, (now_ns() - start_ns) // SLOT_NS)
            await asyncio.sleep((start_ns + slot * SLOT_NS) / 1e9 - loop.time())

    def step(self, slot: int) -> None:
        """What happens in one slot: the watchdogs look, one batch goes out. Slots count up, one every 10 ms."""
        self._watch(now_ns())
        self._send(slot % SLOTS)

    def _send(self, slot: int) -> None:
        if not self.faults.frozen:
            self._measure()
            if slot % SLOW_SLOTS == 0:
                self._measure_slow()
        frames = self._spoken(self._slots[slot])
        data = self._encoder.encode(frames, self._values)
        if self.faults.stuck_counter:
            data = hold_counter(data)
        if self.faults.break_crc_frac > 0.0:
            data = break_crc(data, self.faults.break_crc_frac, self._rng)
        if data:
            self._port.send(data)

    def _measure(self) -> None:
        """Put what the sensors show into the frames' values, limited to what a frame can carry."""
        layout, rack, values = self._layout, self._rack, self._values
        cells, sensors = layout.cells, layout.sensors
        _limit(rack.measured_voltage_v(), 0.0, VOLTAGE_V_MAX, values[:cells])
        first = cells + sensors + layout.modules
        values[first] = min(max(rack.measured_current_a(), -CURRENT_A_MAX), CURRENT_A_MAX)
        values[first + 1] = min(max(rack.voltage_v, 0.0), RACK_VOLTAGE_V_MAX)
        values[first + 2] = min(max(rack.link_voltage_v, 0.0), RACK_VOLTAGE_V_MAX)
        values[first + 3 : first + 6] = rack.main_closed, rack.precharge_closed, self.watchdog_tripped
        values[first + 6] = self._command_age_s()

    def _command_age_s(self) -> float:
        if self._rack_at_ns == NEVER_NS:
            return math.nan
        return min((now_ns() - self._rack_at_ns) / 1e9, COMMAND_AGE_S_MAX)

    def _measure_slow(self) -> None:
        """Temperatures and bleed switches, which nobody needs a hundred times a second."""
        layout, values = self._layout, self._values
        cells, sensors = layout.cells, layout.sensors
        hottest_degc = np.maximum.reduceat(self._rack.measured_temperature_degc(), self._sensor_first_cell)
        _limit(hottest_degc, TEMPERATURE_DEGC_MIN, TEMPERATURE_DEGC_MAX, values[cells : cells + sensors])
        values[cells + sensors : cells + sensors + layout.modules] = self._bleed_masks()

    def _bleed_masks(self) -> NDArray[np.uint16]:
        bits = self._rack.bleed.reshape(self._layout.modules, -1)
        packed = np.zeros((self._layout.modules, 2), np.uint8)
        packed[:, : -(-self._layout.cells_per_module // 8)] = np.packbits(bits, axis=1, bitorder="little")
        return packed.view("<u2").ravel()

    def _spoken(self, frames: Times) -> Times:
        """The slot's frames without those of silent senders."""
        faults = self.faults
        if not faults.silent_modules and not faults.silent_current:
            return frames
        layout = self._layout
        silent = np.zeros(len(layout.measured.frame_index), np.bool_)
        for module in faults.silent_modules:
            silent[module * layout.frames_per_module : (module + 1) * layout.frames_per_module] = True
            silent[layout.voltage_frames + module] = True
        silent[layout.measured.frame_index["RackCurrent"]] = faults.silent_current
        return frames[~silent[frames]]

    def _on_batch(self, batch: FrameBatch) -> None:
        """Commands from the bus; whatever is not a valid command frame changes nothing."""
        if self.faults.deaf or not self._commands.feed(batch.data, batch.at_ns):
            return
        if self._commands.at_ns[-1] > self._rack_at_ns:
            self._rack_at_ns = int(self._commands.at_ns[-1])
            self.watchdog_tripped = False
            main, precharge = self._commands.values[-2:].tolist()
            self._rack.command(main > 0.0, precharge > 0.0)
        self._bleed(batch.at_ns)

    def _watch(self, now: int) -> None:
        """Open the contactors and stop the bleeding that nobody asks for any more."""
        closed = self._rack.main_closed or self._rack.precharge_closed
        if closed and not self.watchdog_tripped and now - self._rack_at_ns >= RACK_WATCHDOG_NS:
            self.watchdog_tripped = True
            self._rack.command(False, False)
        if self._rack.bleed.any():
            self._bleed(now)

    def _bleed(self, now: int) -> None:
        fresh = now - self._commands.at_ns[:-1] < BLEED_TIMEOUT_NS
        masks = np.where(fresh, self._commands.values[:-2], 0.0).astype("<u2").view(np.uint8)
        bits = np.unpackbits(masks, bitorder="little").reshape(self._layout.modules, -1)
        self._rack.bleed[:] = bits[:, : self._layout.cells_per_module].ravel()


def _limit(measured: Floats, least: float, most: float, out: Floats) -> None:
    """np.clip at a third of its cost; NaN stays NaN."""
    np.maximum(measured, least, out=out)
    np.minimum(out, most, out=out)


def _slot_frames(layout: NativeLayout, slot: int) -> Times:
    """Frame indices of one slot, by rising id."""
    index = layout.measured.frame_index
    frames = [index["RackCurrent"]] + ([index["RackState"]] if slot % 2 == 0 else [])
    frames += range(slot % VOLTAGE_SLOTS, layout.voltage_frames, VOLTAGE_SLOTS)
    frames += range(layout.voltage_frames + slot, layout.voltage_frames + layout.modules, SLOTS)
    return np.array(frames, dtype=np.int64)


def _sensor_first_cell(layout: NativeLayout) -> Times:
    places = np.arange(0, layout.cells_per_module, CELLS_PER_SENSOR)
    return (np.arange(layout.modules)[:, None] * layout.cells_per_module + places).ravel().astype(np.int64)
