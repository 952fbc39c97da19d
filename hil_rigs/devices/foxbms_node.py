"""A simulated foxBMS 2 with its rack: cells page by page, state and pack values, contactors on request."""

import numpy as np

from drivers.cell_monitors.foxbms.layout import Source, foxbms_layout
from drivers.cell_monitors.foxbms.monitor import CONNECT
from drivers.cell_monitors.foxbms.snapshot import BmsState
from drivers.frames import FrameBatch
from drivers.readings import NEVER_NS, Floats, Times
from hil_rigs.devices.rack_node import RackUnderTest
from hil_rigs.world.canbus import CanBus
from kernels.canbits import FrameDecoder, FrameEncoder

STANDBY, NORMAL = 5, 7
PRECHARGED_FRAC = 0.01
REQUEST_TIMEOUT_NS = 1_000_000_000
"""Of the simulation: without a request for so long it opens."""
SLOTS = 10
VOLTAGES, STATE, LIMITS, VALUES, TEMPERATURES, CHARGE = 1, 0, 3, 6, 2, 5
"""Slots of 10 ms in which each message goes out (the phases of can_cfg_tx-cyclic-message-definitions.h)."""


class FoxBmsNode:
    """One slot of 10 ms a `step`. Obeys StateRequest: precharges and closes by itself, opens on standby. `silent` says
    nothing; `invalid` are cells whose flag says that they are not valid."""

    def __init__(
        self, rack: RackUnderTest, bus: CanBus, modules: int, cells_per_module: int, sensors_per_module: int,
        source: Source,
    ) -> None:  # fmt: skip
        self.silent = False
        self.invalid: set[int] = set()
        self._rack = rack
        self._layout = layout = foxbms_layout(modules * cells_per_module, modules * sensors_per_module, source)
        self._encoder = FrameEncoder(layout.measured.frames)
        self._requests = FrameDecoder(layout.request.frames)
        self._values: Floats = np.zeros(len(layout.measured.signal_index))
        module, place = np.divmod(np.arange(layout.sensors), sensors_per_module)
        self._cell_of_sensor = module * cells_per_module + place * cells_per_module // sensors_per_module
        self._port = bus.attach(self._on_batch)

    def step(self, slot: int, now: int) -> None:
        """What happens in one slot, `now` (ns)."""
        self._obey(now)
        self._measure()
        frames = self._frames(slot)
        if frames.size and not self.silent:
            self._port.send(self._encoder.encode(frames, self._values))

    def _on_batch(self, batch: FrameBatch) -> None:
        self._requests.feed(batch.data, batch.at_ns)

    @property
    def _wanted(self) -> bool:
        return bool(self._requests.values[0] == CONNECT)

    def _obey(self, now: int) -> None:
        rack, at_ns = self._rack, int(self._requests.at_ns[0])
        if at_ns == NEVER_NS or now - at_ns > REQUEST_TIMEOUT_NS or not self._wanted:
            rack.command(False, False)
        elif not rack.main_closed:
            apart_v = abs(rack.voltage_v - rack.link_voltage_v)
            charged = rack.precharge_closed and apart_v < PRECHARGED_FRAC * rack.voltage_v
            rack.command(charged, not charged)

    def _measure(self) -> None:
        layout, values, rack = self._layout, self._values, self._rack
        cells, sensors = layout.cells, layout.sensors
        values[:cells] = np.clip(rack.measured_voltage_v(), 0.0, 8.191)
        values[cells : 2 * cells] = [cell not in self.invalid for cell in range(cells)]
        temperature_degc = rack.measured_temperature_degc()[self._cell_of_sensor]
        values[2 * cells : 2 * cells + sensors] = np.clip(temperature_degc, -128.0, 127.0)
        values[2 * cells + sensors : layout.scalars.start] = 1.0
        state = NORMAL if rack.main_closed else int(BmsState.PRECHARGE) if rack.precharge_closed else STANDBY
        values[layout.scalars] = (
            np.clip(rack.measured_current_a(), -655.0, 655.0), rack.voltage_v, rack.link_voltage_v,
            state, rack.main_closed, 1.0, 0.0, 0.0, 20_000.0,
            200.0, 200.0, min(4.0 * cells, 1020.0), 0.0, 50.0, 50.0, 100.0,
        )  # fmt: skip

    def _frames(self, slot: int) -> Times:
        """Indices of the frames that are due."""
        place, round_ = slot % SLOTS, slot // SLOTS
        frame, page = self._layout.measured.frame_index, self._layout.measured.page_index
        due: list[int] = []
        if place == VOLTAGES:
            due.append(page["CellVoltages", round_ % self._layout.voltage_pages])
        if place == TEMPERATURES and round_ % 2 == 0:
            due.append(page["CellTemperatures", round_ // 2 % self._layout.temperature_pages])
        for slot_of, message in ((STATE, "State"), (LIMITS, "PackLimits"), (VALUES, "PackValues")):
            due += [frame[message]] if place == slot_of else []
        due += [frame["PackCharge"]] if place == CHARGE and round_ % 10 == 0 else []
        return np.array(due, np.int64)
