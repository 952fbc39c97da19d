"""A simulated rack that speaks any DBC file, by the same mapping that its driver reads."""

import numpy as np

from drivers.cell_monitors.dbc.mapping import DbcMapping
from drivers.frames import FrameBatch
from drivers.readings import NEVER_NS, Floats, Times
from hil_rigs.devices.rack_node import RackUnderTest
from hil_rigs.world.canbus import CanBus
from kernels.canbits import FrameDecoder, FrameEncoder

PERIOD_SLOTS = 5
WATCHDOG_NS = 4_000_000_000


class DbcNode:
    """One slot of 10 ms a `step`: all measured messages and pages every 50 ms. Obeys its command message; 4 s after the
    last one its contactors open. `silent` says nothing."""

    def __init__(self, rack: RackUnderTest, bus: CanBus, mapping: DbcMapping) -> None:
        self.silent = False
        self._rack, self._mapping = rack, mapping
        self._measured, self._commands = mapping.measured(), mapping.commands()
        self._encoder, self._decoder = FrameEncoder(self._measured.frames), FrameDecoder(self._commands.frames)
        self._values: Floats = np.zeros(len(self._measured.signal_index))
        self._frames: Times = np.flatnonzero(self._measured.frames.mux_bits == 0)
        self._port = bus.attach(self._on_batch)

    def step(self, slot: int, now: int) -> None:
        """What happens in one slot, `now` (ns)."""
        heard_ns = int(self._decoder.at_ns[0])
        if heard_ns != NEVER_NS and now - heard_ns >= WATCHDOG_NS:
            self._rack.command(False, False)
        if slot % PERIOD_SLOTS == 0 and not self.silent:
            self._measure()
            self._port.send(self._encoder.encode(self._frames, self._values))

    def _on_batch(self, batch: FrameBatch) -> None:
        if self._decoder.feed(batch.data, batch.at_ns):
            command, place = self._mapping.command, self._commands.signal_index
            main = self._decoder.values[place[command.message, command.main]] > 0.0
            name = command.precharge
            precharge = name is not None and self._decoder.values[place[command.message, name]] > 0.0
            self._rack.command(bool(main), bool(precharge))

    def _measure(self) -> None:
        mapping, place, rack = self._mapping, self._measured.signal_index, self._rack
        degc = rack.measured_temperature_degc()
        sensors = len(mapping.temperatures.signals)
        groups = (
            (mapping.voltages, rack.measured_voltage_v()),
            (mapping.temperatures, degc[np.arange(sensors) * len(degc) // sensors]),
            (mapping.current, [rack.measured_current_a()]),
            (mapping.rack_voltage, [rack.voltage_v]),
            (mapping.link_voltage, [rack.link_voltage_v]),
        )
        for group, values in groups:
            for key, value in zip(group.signals, values, strict=True):
                self._values[place[key]] = value / group.factor
        contacts = ((mapping.main_closed, rack.main_closed), (mapping.precharge_closed, rack.precharge_closed))
        for feedback, closed in contacts:
            if feedback is not None:
                self._values[place[feedback.signal]] = feedback.closed if closed else 0.0
