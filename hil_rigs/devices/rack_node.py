"""All nodes of one simulated rack on its bus: cell monitors, current sensor and contactor I/O, with their watchdogs."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import Protocol

import numpy as np

from drivers.cell_monitors.native.layout import (
    BLEED_TIMEOUT_NS,
    CELLS_PER_SENSOR,
    RACK_WATCHDOG_NS,
    NativeLayout,
    native_layout,
)
from drivers.clock import loop_ns, sleep_until
from drivers.frames import FrameBatch
from drivers.readings import NEVER_NS, Flags, Floats, Times
from hil_rigs.devices.frame_damage import break_crc, hold_counter
from hil_rigs.devices.rack_control import RackControl
from hil_rigs.devices.rack_safety import RackSafety
from hil_rigs.plant.enclosure import Enclosure
from hil_rigs.world.canbus import CanBus
from kernels.canbits import FrameDecoder, FrameEncoder
from kernels.rackview import group_maxima

SLOT_NS = 10_000_000
SLOTS = 10
"""Slots of one round: 100 ms, in which every ModuleStatus goes out once and every ModuleVoltage twice."""
VOLTAGE_SLOTS = 5
SLOW_SLOTS = 5
SAFETY_SLOTS, INSULATION_SLOT = (3, 8), 9
"""Slots with room for RackSafety (each 50 ms) and RackInsulation (each 100 ms)."""
VOLTAGE_V_MAX = 8.190
TEMPERATURE_DEGC_MIN, TEMPERATURE_DEGC_MAX = -40.0, 87.5
REDUNDANT_DEGC_MIN = -39.75
CURRENT_A_MAX = 83_886.0
RACK_VOLTAGE_V_MAX = 6553.4
COMMAND_AGE_S_MAX = 12.7


CHATTER_SLOTS = 5

_RACK_VALUES = Struct("=9d")
"""What RackCurrent and RackState carry, in the order of the layout's SCALARS."""


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
    def measured_voltage_v(self, into: Floats | None = None) -> Floats: ...
    def measured_temperature_degc(self) -> Floats: ...
    def measured_current_a(self) -> float: ...


@dataclass(slots=True)
class RackNodeFaults:
    """Set at any time. `frozen` repeats the last values in fresh frames; `stuck_counter` sends fresh values under an
    old counter; `break_crc_frac` is the share of frames whose CRC is wrong; `deaf` hears no command. `held` are the
    values (index among the frames' values) that a sensor does not renew; `heating_k_per_s` is how fast a cell's sensor
    rises, from the first time it is read; `rack_voltage_off_v` is added to the rack's own voltage; `chatters`: the
    main contactor's auxiliary contact goes to and fro; `main_feedback` is what it says, None = the truth;
    `current_redundant_off_a` and `temperature_redundant_off_k` are added to what the second sensors show,
    `redundant_lost` takes them away; `command_delay_s`: the contactors follow so much later."""

    silent_modules: set[int] = field(default_factory=set)
    silent_current: bool = False
    silent_io: bool = False
    silent_safety: bool = False
    break_crc_frac: float = 0.0
    stuck_counter: bool = False
    frozen: bool = False
    deaf: bool = False
    held: dict[int, float] = field(default_factory=dict)
    heating_k_per_s: dict[int, float] = field(default_factory=dict)
    rack_voltage_off_v: float = 0.0
    chatters: bool = False
    main_feedback: bool | None = None
    current_redundant_off_a: float = 0.0
    temperature_redundant_off_k: float = 0.0
    redundant_lost: bool = False
    command_delay_s: float = 0.0


class RackNode:
    """Sends a batch of frames every 10 ms and obeys RackCommand and BleedCommand as the real nodes do: contactors open
    4 s after the last valid RackCommand unless it said Hold, a module stops bleeding 2 s after its last valid
    BleedCommand."""

    def __init__(
        self,
        rack: RackUnderTest,
        bus: CanBus,
        modules: int,
        cells_per_module: int,
        rng: np.random.Generator,
        enclosure: Enclosure | None = None,
        insulation_kohm: Callable[[], float] | None = None,
        control: RackControl | None = None,
        last_module_cells: int | None = None,
        *,
        drives: bool = True,
    ) -> None:
        """A healthy enclosure of its own unless one is given; `insulation_kohm` is then what there is to measure.
        `control` is the rack's own BMS if that moves the contactors. Without `drives` they and their auxiliary contacts
        hang elsewhere: its outputs move nothing, and its inputs show open."""
        self.faults = RackNodeFaults()
        self.watchdog_tripped = self._holds = False
        self.control = control
        self._drives = drives
        self._rack = rack
        self._rng = rng
        self._layout = layout = native_layout(modules, cells_per_module, last_module_cells)
        self._port = bus.attach(self._on_batch)
        self._commands = FrameDecoder(layout.commands.frames)
        self._values: Floats = np.full(len(layout.measured.signal_index), np.nan)
        self._places = _places(layout)
        self._encoder = FrameEncoder(layout.measured.frames, _value_bounds(self._places, len(self._values)))
        self._voltage_v = self._values[self._places.voltage]
        self._temperature_degc = self._values[self._places.temperature]
        self._rack_values = self._values[self._places.rack].data
        self._slots = [_slot_frames(layout, slot) for slot in range(SLOTS)]
        self._sensor_first_cell = _sensor_first_cell(layout)
        self._rack_at_ns = self._heats_since = NEVER_NS
        self._bleeds = False
        self._read_back = b""
        self._late: deque[tuple[int, bool, bool]] = deque()
        surroundings = enclosure or Enclosure()
        self.safety = RackSafety(layout, surroundings, insulation_kohm or (lambda: surroundings.insulation_kohm))
        self._measure(0, NEVER_NS)
        for slot in (*SAFETY_SLOTS, INSULATION_SLOT):
            self._measure_safety(slot, NEVER_NS)

    def left_closed(self, now: int) -> bool:
        """Told to hold its contactors, and since then nobody was heard for longer than its watchdog would wait."""
        return self._holds and now - self._rack_at_ns > RACK_WATCHDOG_NS

    async def run(self) -> None:
        """Step for ever, every 10 ms on absolute deadlines; cancelled = silent."""
        loop = asyncio.get_running_loop()
        start_ns, slot = loop_ns(loop), 0
        while True:
            self.step(slot, loop_ns(loop))
            slot = max(slot + 1, (loop_ns(loop) - start_ns) // SLOT_NS)
            await sleep_until(loop, start_ns + slot * SLOT_NS)

    def step(self, slot: int, now: int) -> None:
        """What happens in one slot, `now` (ns): the watchdogs look, one batch goes out. Slots count up, one every
        10 ms."""
        self._watch(now)
        if self._late:
            self._move_late(now)
        if self.control is not None:
            self.control.step(now)
        if not self.faults.frozen:
            self._measure(slot, now)
            self._measure_safety(slot % SLOTS, now)
        self._send(slot % SLOTS)

    def _send(self, slot: int) -> None:
        faults, frames = self.faults, self._slots[slot]
        if faults.silent_modules or faults.silent_current or faults.silent_io or faults.silent_safety:
            frames = self._spoken(frames)
        data = self._encoder.encode(frames, self._values)
        if faults.stuck_counter:
            data = hold_counter(data)
        if faults.break_crc_frac > 0.0:
            data = break_crc(data, faults.break_crc_frac, self._rng)
        if data:
            self._port.send(data)

    def _measure(self, slot: int, now: int) -> None:
        """Put what the sensors show into the frames' values; the encoder limits it to what a frame can carry.
        Temperatures and bleed switches are not read a hundred times a second, which nobody needs."""
        places, rack, values, faults = self._places, self._rack, self._values, self.faults
        rack.measured_voltage_v(self._voltage_v)
        if slot % SLOW_SLOTS == 0:
            temperature_degc = self._heated(rack.measured_temperature_degc(), now)
            group_maxima(temperature_degc, self._sensor_first_cell, self._temperature_degc)
            if (read_back := rack.bleed.tobytes()) != self._read_back:
                self._read_back = read_back
                values[places.bleed] = self._layout.masks(rack.bleed)
        current_a = rack.measured_current_a()
        _RACK_VALUES.pack_into(
            self._rack_values,
            0,
            current_a,
            rack.voltage_v + faults.rack_voltage_off_v,
            rack.link_voltage_v,
            self._main_says(slot),
            rack.precharge_closed and self._drives,
            self.watchdog_tripped,
            math.nan if self._rack_at_ns == NEVER_NS else (now - self._rack_at_ns) / 1e9,
            self.control.fault if self.control is not None else 0.0,
            # The second sensor sees what the first one sees, also what a fault lets that show.
            math.nan if faults.redundant_lost else current_a + faults.current_redundant_off_a,
        )
        for place, value in faults.held.items():
            values[place] = value

    def _redundant_degc(self) -> float:
        """The second chain's hottest place is the first one's."""
        if self.faults.redundant_lost:
            return math.nan
        shown_degc = float(self._temperature_degc.max())
        shown_degc = min(max(shown_degc, TEMPERATURE_DEGC_MIN), TEMPERATURE_DEGC_MAX)
        return shown_degc + self.faults.temperature_redundant_off_k

    def _main_says(self, slot: int) -> bool:
        says = (
            self._rack.main_closed and self._drives if self.faults.main_feedback is None else self.faults.main_feedback
        )
        return says != (self.faults.chatters and slot // CHATTER_SLOTS % 2 == 1)

    def _measure_safety(self, slot: int, now: int) -> None:
        """Just before their frames go out."""
        if slot in SAFETY_SLOTS:
            if (inputs := self.safety.changed_inputs()) is not None:
                self._values[self._places.safety] = inputs
        elif slot == INSULATION_SLOT:
            warmest = min(max(self._redundant_degc(), REDUNDANT_DEGC_MIN), TEMPERATURE_DEGC_MAX)
            self._values[self._places.insulation] = (*self.safety.insulation(now), warmest)

    def shown_voltage_v(self) -> Floats:
        """The cells' voltages as its frames carry them now."""
        return np.clip(self._values[self._places.voltage], 0.0, VOLTAGE_V_MAX)

    def hold_cell(self, cell: int) -> None:
        """Let a cell's voltage input stay as it is."""
        self.faults.held[cell] = float(self._values[cell])

    def hold_current(self) -> None:
        """Let the current sensors stay as they are."""
        for place in (self._places.rack.start, self._places.rack.stop - 1):
            self.faults.held[place] = float(self._values[place])

    def _heated(self, temperature_degc: Floats, now: int) -> Floats:
        heating = self.faults.heating_k_per_s
        if heating and self._heats_since == NEVER_NS:
            self._heats_since = now
        for cell, k_per_s in heating.items():
            temperature_degc[cell] += k_per_s * (now - self._heats_since) / 1e9
        return temperature_degc

    def _spoken(self, frames: Times) -> Times:
        """The slot's frames without those of silent senders."""
        faults = self.faults
        layout = self._layout
        silent = np.zeros(len(layout.measured.frame_index), np.bool_)
        for module in faults.silent_modules:
            first = module * layout.frames_per_module
            silent[first : min(first + layout.frames_per_module, layout.voltage_frames)] = True
            silent[layout.voltage_frames + module] = True
        silent[layout.measured.frame_index["RackCurrent"]] = faults.silent_current
        silent[layout.measured.frame_index["RackState"]] = faults.silent_io
        silent[layout.measured.frame_index["RackSafety"]] = faults.silent_safety
        silent[layout.measured.frame_index["RackInsulation"]] = faults.silent_safety
        return frames[~silent[frames]]

    def _on_batch(self, batch: FrameBatch) -> None:
        """Commands from the bus; whatever is not a valid command frame changes nothing."""
        if self.faults.deaf:
            return
        self.safety.hear(batch)
        accepted = self._commands.feed(batch.data, batch.at_ns)
        if accepted and self._commands.at_ns[-1] > self._rack_at_ns:
            self._obey_rack_command()
            accepted -= 1
        if accepted:
            self._bleed(batch.at_ns)

    def _obey_rack_command(self) -> None:
        self._rack_at_ns = int(self._commands.at_ns[-1])
        self.watchdog_tripped = False
        main, precharge, hold = self._commands.values[-3:].tolist()
        self._holds = hold > 0.0
        self._move(main > 0.0, precharge > 0.0, self._rack_at_ns)

    def _move(self, main: bool, precharge: bool, now: int) -> None:
        if self.faults.command_delay_s > 0.0:
            self._late.append((now + round(self.faults.command_delay_s * 1e9), main, precharge))
        else:
            self._drive(main, precharge, now)

    def _move_late(self, now: int) -> None:
        while self._late and self._late[0][0] <= now:
            _, main, precharge = self._late.popleft()
            self._drive(main, precharge, now)

    def _drive(self, main: bool, precharge: bool, now: int) -> None:
        if self.control is not None:
            self.control.request(main, now)
        elif self._drives:
            self._rack.command(main, precharge)

    def _watch(self, now: int) -> None:
        """Open the contactors and stop the bleeding that nobody asks for any more."""
        unheard = now - self._rack_at_ns >= RACK_WATCHDOG_NS and not self._holds and not self.watchdog_tripped
        if unheard and self._drives and (self._rack.main_closed or self._rack.precharge_closed):
            self.watchdog_tripped = True
            self._move(False, False, now)
        if self._bleeds:
            self._bleed(now)
        self.safety.watch(now)

    def _bleed(self, now: int) -> None:
        fresh = now - self._commands.at_ns[:-1] < BLEED_TIMEOUT_NS
        self._rack.bleed[:] = flags = self._layout.flags(np.where(fresh, self._commands.values[:-3], 0.0))
        self._bleeds = bool(flags.any())


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the measurements stand among the frames' values; `rack` from current to redundant current, `safety`
    those of RackSafety, `insulation` those of RackInsulation."""

    voltage: slice
    temperature: slice
    bleed: slice
    rack: slice
    safety: slice
    insulation: slice


def _places(layout: NativeLayout) -> _Places:
    temperature, bleed = layout.cells, layout.cells + layout.sensors
    rack, safety = layout.scalars, layout.safety
    insulation = safety.stop - 4
    return _Places(
        voltage=slice(temperature),
        temperature=slice(temperature, bleed),
        bleed=slice(bleed, rack.start),
        rack=rack,
        safety=slice(safety.start, insulation),
        insulation=slice(insulation, safety.stop),
    )


def _value_bounds(places: _Places, signals: int) -> tuple[Floats, Floats]:
    """Least and most that the frames can carry of each signal."""
    least: Floats = np.full(signals, -np.inf)
    most: Floats = np.full(signals, np.inf)
    least[places.voltage], most[places.voltage] = 0.0, VOLTAGE_V_MAX
    least[places.temperature], most[places.temperature] = TEMPERATURE_DEGC_MIN, TEMPERATURE_DEGC_MAX
    least[places.rack] = -CURRENT_A_MAX, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -CURRENT_A_MAX
    most[places.rack] = (
        CURRENT_A_MAX,
        RACK_VOLTAGE_V_MAX,
        RACK_VOLTAGE_V_MAX,
        1.0,
        1.0,
        1.0,
        COMMAND_AGE_S_MAX,
        7.0,
        CURRENT_A_MAX,
    )
    return least, most


def _slot_frames(layout: NativeLayout, slot: int) -> Times:
    """Frame indices of one slot, by rising id."""
    index = layout.measured.frame_index
    frames = [index["RackCurrent"]] + ([index["RackState"]] if slot % 2 == 0 else [])
    frames += [index["RackSafety"]] if slot in SAFETY_SLOTS else []
    frames += [index["RackInsulation"]] if slot == INSULATION_SLOT else []
    frames += range(slot % VOLTAGE_SLOTS, layout.voltage_frames, VOLTAGE_SLOTS)
    frames += range(layout.voltage_frames + slot, layout.voltage_frames + layout.modules, SLOTS)
    return np.array(frames, dtype=np.int64)


def _sensor_first_cell(layout: NativeLayout) -> Times:
    places = np.arange(0, layout.cells_per_module, CELLS_PER_SENSOR)
    first = (np.arange(layout.modules)[:, None] * layout.cells_per_module + places).ravel().astype(np.int64)
    return first[first < layout.cells]
