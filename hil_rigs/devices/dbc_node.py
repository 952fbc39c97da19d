"""A simulated rack that speaks any DBC file, by the same mapping that its driver reads."""

from typing import Literal

import numpy as np

from drivers.cell_monitors.dbc.mapping import Command, DbcMapping
from drivers.frames import FrameBatch
from drivers.readings import NEVER_NS, Floats, Times
from hil_rigs.devices.rack_node import RackUnderTest
from hil_rigs.world.canbus import CanBus
from kernels.canbits import FrameDecoder, FrameEncoder

PERIOD_SLOTS = 5
WATCHDOG_NS = 4_000_000_000


class DbcNode:
    """One slot of 10 ms a `step`: all measured messages and pages every 50 ms. Obeys its command message, if it has
    one; 4 s after the last one its contactors open. `silent` says nothing."""

    def __init__(self, rack: RackUnderTest, bus: CanBus, mapping: DbcMapping) -> None:
        self.silent = False
        self._rack, self._mapping = rack, mapping
        self._measured = mapping.measured()
        self._encoder = FrameEncoder(self._measured.frames)
        self._orders = None if mapping.command is None else _Orders(mapping, mapping.command)
        self._values: Floats = np.zeros(len(self._measured.signal_index))
        self._frames: Times = np.flatnonzero(self._measured.frames.mux_bits == 0)
        self._port = bus.attach(self._on_batch)

    def step(self, slot: int, now: int) -> None:
        """What happens in one slot, `now` (ns)."""
        if self._orders is not None and self._orders.ended(now):
            self._rack.command(False, False)
        if slot % PERIOD_SLOTS == 0 and not self.silent:
            self._measure()
            self._port.send(self._encoder.encode(self._frames, self._values))

    def _on_batch(self, batch: FrameBatch) -> None:
        if self._orders is not None and self._orders.hear(batch):
            self._rack.command(self._orders.closes("main"), self._orders.closes("precharge"))

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


class _Orders:
    """What the command message says."""

    def __init__(self, mapping: DbcMapping, command: Command) -> None:
        self._command, self._plan = command, mapping.commands(command)
        self._decoder = FrameDecoder(self._plan.frames)

    def hear(self, batch: FrameBatch) -> bool:
        """There was an order among the frames."""
        return self._decoder.feed(batch.data, batch.at_ns) > 0

    def closes(self, contactor: Literal["main", "precharge"]) -> bool:
        name: str | None = getattr(self._command, contactor)
        return name is not None and bool(
            self._decoder.values[self._plan.signal_index[self._command.message, name]] > 0.0
        )

    def ended(self, now: int) -> bool:
        """The last order is too old."""
        heard_ns = int(self._decoder.at_ns[0])
        return heard_ns != NEVER_NS and now - heard_ns >= WATCHDOG_NS
