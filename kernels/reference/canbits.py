"""The CAN codec in plain Python, bit by bit: what kernels.canbits must equal."""

import math
import struct

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels.frame_plan import (
    EXTENDED_EXTRA_BITS,
    FRAME_BYTES,
    NEVER_NS,
    SILENCE_NS,
    STANDARD_BITS,
    STANDARD_STUFFED_BITS,
    STUFFING_PERIOD_BITS,
    FramePlan,
)

__all__ = ["NEVER_NS", "FrameDecoder", "FrameEncoder", "FramePlan", "crc8_j1850", "frames_bits"]

CAN_FRAME = struct.Struct("<IB3x8s")


class FrameDecoder:
    """See kernels.canbits.FrameDecoder."""

    def __init__(self, plan: FramePlan) -> None:
        self.plan = plan
        self.accepted = self.crc_errors = self.counter_errors = self.length_errors = self.lost = self.unknown = 0
        self._index = {int(plan.frame_id[i]): i for i in range(plan.frame_id.size) if plan.page_of[i] < 0}
        paged = np.flatnonzero(plan.page_of >= 0).tolist()
        self._page = {(int(plan.page_of[i]), int(plan.page[i])): i for i in paged}
        self._values = np.full(plan.signal_frame.size, np.nan)
        self._at_ns = np.full(plan.frame_id.size, NEVER_NS, np.int64)
        self._heard_ns = [NEVER_NS] * plan.frame_id.size
        self._counter = [0] * plan.frame_id.size

    @property
    def values(self) -> NDArray[np.float64]:
        view = self._values.view()
        view.flags.writeable = False
        return view

    @property
    def at_ns(self) -> NDArray[np.int64]:
        view = self._at_ns.view()
        view.flags.writeable = False
        return view

    def feed(self, frames: bytes, at_ns: int) -> int:
        if len(frames) % FRAME_BYTES:
            raise ValueError(f"frames: got {len(frames)} bytes, expected a multiple of {FRAME_BYTES}")
        before = self.accepted
        for frame_id, length, data in CAN_FRAME.iter_unpack(frames):
            self._take(frame_id, length, data, at_ns)
        return self.accepted - before

    def _take(self, frame_id: int, length: int, data: bytes, at_ns: int) -> None:
        index = self._index.get(frame_id)
        if index is None:
            self.unknown += 1
        elif not self.plan.length_min[index] <= length <= self.plan.length[index]:
            self.length_errors += 1
        elif self.plan.crc[index] and _frame_crc(frame_id, data[:length]) != data[length - 1]:
            self.crc_errors += 1
        elif (frames := self._frames(index, data)) is None:
            self.unknown += 1
        elif not self._counter_moved(index, data, at_ns):
            self.counter_errors += 1
        else:
            self.accepted += 1
            for each in frames:
                self._at_ns[each] = at_ns
                for signal in np.flatnonzero(self.plan.signal_frame == each).tolist():
                    there = self.plan.first_bit(signal) + self.plan.bits[signal] <= 8 * length
                    self._values[signal] = _decoded(self.plan, signal, data) if there else math.nan

    def _frames(self, index: int, data: bytes) -> tuple[int, ...] | None:
        """The frame, with its page where it is multiplexed; None for a page that the plan does not have."""
        plan, bits = self.plan, int(self.plan.mux_bits[index])
        if bits == 0:
            return (index,)
        big_endian, first = bool(plan.mux_big_endian[index]), plan.mux_first_bit(index)
        word = int.from_bytes(data, "big" if big_endian else "little")
        value = word >> (64 - first - bits if big_endian else first) & (1 << bits) - 1
        page = self._page.get((index, value))
        return None if page is None else (index, page)

    def _counter_moved(self, index: int, data: bytes, at_ns: int) -> bool:
        start = int(self.plan.counter_start[index])
        if start < 0:
            return True
        known_sender = at_ns - self._heard_ns[index] <= SILENCE_NS
        self._heard_ns[index] = at_ns
        counter = int.from_bytes(data, "little") >> start & 15
        gap = (counter - self._counter[index]) % 16
        if known_sender and gap == 0:
            return False
        self.lost += gap - 1 if known_sender else 0
        self._counter[index] = counter
        return True


class FrameEncoder:
    """See kernels.canbits.FrameEncoder."""

    def __init__(self, plan: FramePlan, bounds: ArrayLike | None = None) -> None:
        self.plan = plan
        self._bounds = np.asarray((-np.inf, np.inf) if bounds is None else bounds, np.float64)
        self._counter = [0] * plan.frame_id.size

    def encode(self, frames: NDArray[np.int64], values: NDArray[np.float64]) -> bytes:
        if values.shape != self.plan.signal_frame.shape:
            raise ValueError(f"values: got {values.size}, expected {self.plan.signal_frame.size}")
        for i, index in enumerate(frames.tolist()):
            if not 0 <= index < self.plan.frame_id.size:
                raise ValueError(f"frames[{i}]: got {index}, expected 0 to {self.plan.frame_id.size - 1}")
            if self.plan.mux_bits[index]:
                raise ValueError(f"frames[{i}]: got {index}, the base of pages, expected one of its pages")
        within = np.minimum(np.maximum(values, self._bounds[0]), self._bounds[1])
        payloads = [(self.plan.base(index), self._paged(index, within)) for index in frames.tolist()]
        return b"".join(self._sealed(index, payload) for index, payload in payloads)

    def _paged(self, index: int, values: NDArray[np.float64]) -> int:
        plan, base, payload = self.plan, self.plan.base(index), self._payload(index, values)
        if base == index:
            return payload
        big_endian, first, bits = bool(plan.mux_big_endian[base]), plan.mux_first_bit(base), int(plan.mux_bits[base])
        word = int(plan.page[index]) << (64 - first - bits if big_endian else first)
        mux = int.from_bytes(word.to_bytes(8, "big"), "little") if big_endian else word
        return payload | self._payload(base, values) | mux

    def _payload(self, index: int, values: NDArray[np.float64]) -> int:
        payload = 0
        for signal in np.flatnonzero(self.plan.signal_frame == index).tolist():
            raw = _raw(self.plan, signal, float(values[signal]))
            if raw is None:
                raise ValueError(f"values[{signal}]: {values[signal]} does not fit signal {signal}")
            payload |= _placed(self.plan, signal, raw)
        return payload

    def _sealed(self, index: int, payload: int) -> bytes:
        frame_id, length = int(self.plan.frame_id[index]), int(self.plan.length[index])
        start = int(self.plan.counter_start[index])
        if start >= 0:
            payload = payload & ~(15 << start) | self._counter[index] << start
            self._counter[index] = (self._counter[index] + 1) % 16
        data = bytearray(payload.to_bytes(8, "little"))
        if self.plan.crc[index]:
            data[length - 1] = _frame_crc(frame_id, bytes(data[:length]))
        return CAN_FRAME.pack(frame_id, length, bytes(data))


def frames_bits(frames: bytes) -> int:
    """See kernels.canbits.frames_bits."""
    count = len(frames) // FRAME_BYTES
    extended = sum(flags >> 7 for flags in frames[3::FRAME_BYTES])
    header_bits = EXTENDED_EXTRA_BITS * extended + 8 * sum(frames[4::FRAME_BYTES])
    stuffed_bits = STANDARD_STUFFED_BITS * count + header_bits
    return STANDARD_BITS * count + header_bits + stuffed_bits // STUFFING_PERIOD_BITS


def crc8_j1850(data: bytes) -> int:
    """See kernels.canbits.crc8_j1850."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x1D) & 0xFF if crc & 0x80 else crc << 1
    return crc ^ 0xFF


def _frame_crc(frame_id: int, data: bytes) -> int:
    return crc8_j1850(bytes([frame_id & 0xFF, frame_id >> 8 & 0xFF]) + data[:-1])


def _shift(plan: FramePlan, signal: int) -> int:
    """The signal's lowest bit in the 8-byte word of its own byte order."""
    first, bits = plan.first_bit(signal), int(plan.bits[signal])
    return 64 - first - bits if plan.big_endian[signal] else first


def _decoded(plan: FramePlan, signal: int, data: bytes) -> float:
    bits = int(plan.bits[signal])
    word = int.from_bytes(data, "big" if plan.big_endian[signal] else "little")
    raw = word >> _shift(plan, signal) & (1 << bits) - 1
    if raw == plan.invalid_raw[signal]:
        return math.nan
    if plan.signed[signal] and raw >> (bits - 1):
        raw -= 1 << bits
    return float(raw) * float(plan.scale[signal]) + float(plan.offset[signal])


def _raw(plan: FramePlan, signal: int, value: float) -> int | None:
    """The bit pattern; None when the value does not fit, or would read as "not available"."""
    bits, invalid = int(plan.bits[signal]), int(plan.invalid_raw[signal])
    if math.isnan(value):
        return invalid if invalid >= 0 else None
    steps = float(np.rint((value - float(plan.offset[signal])) / float(plan.scale[signal])))
    low, high = (-(1 << bits - 1), 1 << bits - 1) if plan.signed[signal] else (0, 1 << bits)
    if not low <= steps < high or int(steps) % (1 << bits) == invalid:
        return None
    return int(steps) % (1 << bits)


def _placed(plan: FramePlan, signal: int, raw: int) -> int:
    """The pattern at its place in the little-endian word of the frame."""
    word = raw << _shift(plan, signal)
    return int.from_bytes(word.to_bytes(8, "big"), "little") if plan.big_endian[signal] else word
