"""Frames of one native rack in, frozen readings out."""

import numpy as np

from drivers.cell_monitors.native.layout import CELLS_PER_FRAME, CELLS_PER_SENSOR, NativeLayout
from drivers.frames import FrameBatch
from drivers.readings import NEVER_NS, Flags, Floats, MonitorHealth, RackOwnFault, RackReading
from drivers.safety import NOT_HEARD, InsulationState, MonitorAlarm, SafetyInputs
from kernels.canbits import FrameDecoder
from kernels.rackview import CellTaker


class RackDecoder:
    """Newest values of one rack, updated frame by frame; `reading` copies them out."""

    def __init__(self, layout: NativeLayout) -> None:
        self._layout = layout
        self._decoder = FrameDecoder(layout.measured.frames)
        cell = np.arange(layout.cells)
        module, place = np.divmod(cell, layout.cells_per_module)
        self._cells = CellTaker(
            self._decoder.values,
            self._decoder.at_ns,
            voltage=cell,
            voltage_frame=module * layout.frames_per_module + place // CELLS_PER_FRAME,
            temperature=layout.cells + module * layout.sensors_per_module + place // CELLS_PER_SENSOR,
            temperature_frame=layout.voltage_frames + module,
        )
        values, masks_from = self._decoder.values, layout.cells + layout.sensors
        self._masks = values[masks_from : masks_from + layout.modules]
        self._scalars, self._safety = values[layout.scalars], values[layout.safety]
        self._rack_at_ns = self._decoder.at_ns[layout.measured.frame_index["RackCurrent"] :]
        self._safety_at_ns = NEVER_NS, NEVER_NS
        self._safety_inputs = NOT_HEARD
        self._bleed_packed = b""
        self._bleed_flags: Flags = np.zeros(0, np.uint8)

    def feed(self, batch: FrameBatch) -> int:
        """Take a batch; returns how many frames were accepted."""
        return self._decoder.feed(batch.data, batch.at_ns)

    def reading(self) -> RackReading:
        """What is known now; every array is a private, read-only copy."""
        voltage_v, voltage_at_ns, temperature_degc, temperature_at_ns = self._cells.take()
        scalars = self._scalars.tolist()
        current_a, rack_v, link_v, main, precharge, watchdog, command_age_s, own, current_redundant_a = scalars
        current_at_ns, io_at_ns, safety_at_ns, insulation_at_ns = self._rack_at_ns.tolist()
        own_fault = _OWN_FAULTS.get(own, RackOwnFault.REFUSED) if own > 0.0 else _NO_FAULT
        # In the order of the fields: to match as many names costs a third of a reading.
        return RackReading(
            voltage_v, voltage_at_ns, temperature_degc, temperature_at_ns, self._bleeding(), current_a, current_at_ns,
            rack_v, link_v, _flag(main), _flag(precharge), command_age_s, io_at_ns, self.health, _flag(watchdog),
            self._safety_now((safety_at_ns, insulation_at_ns)), current_redundant_a, own_fault,
        )  # fmt: skip

    @property
    def health(self) -> MonitorHealth:
        """Frame counts since start."""
        heard = self._decoder
        rejected = heard.crc_errors, heard.counter_errors, heard.length_errors
        return MonitorHealth(heard.accepted, *rejected, heard.lost, heard.unknown)

    def _safety_now(self, arrived_ns: tuple[int, int]) -> SafetyInputs:
        """The same object until one of its frames arrives, which alone bring its values."""
        if arrived_ns != self._safety_at_ns:
            self._safety_at_ns = arrived_ns
            self._safety_inputs = _safety_inputs(self._safety.tolist(), *arrived_ns)
        return self._safety_inputs

    def _bleeding(self) -> Flags:
        """One flag a cell of what the modules read back; 0 until heard. Seldom changes: unpacked when it does."""
        packed = self._masks.tobytes()
        if packed != self._bleed_packed:
            self._bleed_packed, self._bleed_flags = packed, self._unpacked(self._masks)
        return self._bleed_flags

    def _unpacked(self, masks: Floats) -> Flags:
        flags = self._layout.flags(np.where(masks == masks, masks, 0.0))
        flags.flags.writeable = False
        return flags


def _safety_inputs(values: list[float], at_ns: int, insulation_at_ns: int) -> SafetyInputs:
    """In the order of the fields, which is that of the signals."""
    interlock, released, smoke, gas, panel, door, fuse, running, failed, output = map(_FLAGS.get, values[:10])
    aux_supply_v, coolant_degc, precharge_degc, kohm, state, alarms, redundant_degc = values[10:]
    return SafetyInputs(
        at_ns, interlock, released, smoke, gas, panel, door, fuse, running, failed, output, aux_supply_v, coolant_degc,
        precharge_degc, insulation_at_ns, kohm, _STATES.get(state),
        None if alarms != alarms else MonitorAlarm(int(alarms)), redundant_degc,
    )  # fmt: skip


_NO_FAULT = RackOwnFault.NONE
_OWN_FAULTS = {float(fault): fault for fault in RackOwnFault}
"""A number that is not known here is a refusal too."""
_FLAGS = {0.0: False, 1.0: True}
_STATES: dict[float, InsulationState] = {float(state): state for state in InsulationState}


def _flag(value: float) -> bool | None:
    return None if value != value else value > 0.0
