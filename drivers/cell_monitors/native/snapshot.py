"""Frames of one native rack in, frozen readings out."""

import math

import numpy as np

from drivers.cell_monitors.native.layout import CELLS_PER_FRAME, CELLS_PER_SENSOR, NativeLayout
from drivers.frames import FrameBatch
from drivers.readings import NEVER_NS, Flags, Floats, MonitorHealth, RackReading, Times
from kernels.canbits import FrameDecoder

_BITS_PER_MASK = 16


class RackDecoder:
    """Newest values of one rack, updated frame by frame; `reading` copies them out."""

    def __init__(self, layout: NativeLayout) -> None:
        self._layout = layout
        self._decoder = FrameDecoder(layout.measured.frames)
        cell = np.arange(layout.cells)
        module, place = np.divmod(cell, layout.cells_per_module)
        self._voltage_frame = module * layout.frames_per_module + place // CELLS_PER_FRAME
        self._status_frame = layout.voltage_frames + module
        self._sensor = layout.cells + module * layout.sensors_per_module + place // CELLS_PER_SENSOR
        self._voltage = slice(layout.cells)
        self._bleed = slice(layout.cells + layout.sensors, layout.cells + layout.sensors + layout.modules)
        self._scalars = slice(self._bleed.stop, self._bleed.stop + 7)
        self._io_frame = layout.measured.frame_index["RackState"]
        self._bleed_packed = b""
        self._bleed_flags: Flags = np.zeros(0, np.uint8)
        self._current_frame = layout.measured.frame_index["RackCurrent"]

    def feed(self, batch: FrameBatch) -> int:
        """Take a batch; returns how many frames were accepted."""
        return self._decoder.feed(batch.data, batch.at_ns)

    def reading(self) -> RackReading:
        """What is known now; every array is a private, read-only copy."""
        values, at_ns = self._decoder.values, self._decoder.at_ns
        voltage_v = values[self._voltage].copy()
        temperature_degc = values.take(self._sensor)
        current_a, rack_v, link_v, main, precharge, _, command_age_s = values[self._scalars].tolist()
        return RackReading(
            voltage_v=_sealed(voltage_v),
            voltage_at_ns=_times(at_ns.take(self._voltage_frame), voltage_v),
            temperature_degc=_sealed(temperature_degc),
            temperature_at_ns=_times(at_ns.take(self._status_frame), temperature_degc),
            bleeding=self._bleeding(values[self._bleed]),
            current_a=current_a,
            current_at_ns=at_ns.item(self._current_frame),
            rack_voltage_v=rack_v,
            link_voltage_v=link_v,
            main_closed=_flag(main),
            precharge_closed=_flag(precharge),
            command_age_s=command_age_s,
            io_at_ns=at_ns.item(self._io_frame),
            health=self.health,
        )

    @property
    def health(self) -> MonitorHealth:
        """Frame counts since start."""
        decoder = self._decoder
        return MonitorHealth(
            accepted=decoder.accepted,
            crc_errors=decoder.crc_errors,
            counter_errors=decoder.counter_errors,
            length_errors=decoder.length_errors,
            lost=decoder.lost,
            unknown=decoder.unknown,
        )

    def _bleeding(self, masks: Floats) -> Flags:
        """One flag a cell of what the modules read back; 0 until heard. Seldom changes: unpacked when it does."""
        packed = masks.tobytes()
        if packed != self._bleed_packed:
            self._bleed_packed, self._bleed_flags = packed, self._unpacked(masks)
        return self._bleed_flags

    def _unpacked(self, masks: Floats) -> Flags:
        raw = np.where(masks == masks, masks, 0.0).astype("<u2").view(np.uint8)
        bits = np.unpackbits(raw, bitorder="little").reshape(-1, _BITS_PER_MASK)
        flags = bits[:, : self._layout.cells_per_module].ravel()
        flags.flags.writeable = False
        return flags


def _sealed(values: Floats) -> Floats:
    values.flags.writeable = False
    return values


def _times(at_ns: Times, values: Floats) -> Times:
    """The times, NEVER_NS where the value is marked invalid."""
    if math.isnan(values.item(values.argmin())):  # argmin ends at the first NaN
        at_ns[np.isnan(values)] = NEVER_NS
    at_ns.flags.writeable = False
    return at_ns


def _flag(value: float) -> bool | None:
    return None if value != value else value > 0.0
