"""A frame decode plan checked once: the tables that the compiled CAN codec and its twin both work from."""

from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEVER_NS = -(2**62)
"""`at_ns` of a frame that was never received."""

SILENCE_NS = 1_000_000_000
"""After a longer silence the sender may have restarted: its counter says nothing about what was lost."""

EXTENDED_ID_FLAG = 0x8000_0000
STANDARD_ID_MAX = 0x7FF
EXTENDED_ID_MAX = 0x1FFF_FFFF
FRAME_BYTES = 16


class FramePlan:
    """The frames and signals of one bus as columns: f frames, s signals; all arrays are read-only copies.

    `frame_id[f]` as on the wire (bit 31 set = 29-bit id), `length[f]` 0..8 bytes, `counter_start[f]` first bit of the
    4-bit counter in little-endian numbering (-1 none), `crc[f]` 1 when byte length-1 holds the CRC-8/SAE-J1850.
    `signal_frame[s]` index of the signal's frame, `start[s]` DBC start bit, `bits[s]` 1..64, `big_endian[s]` and
    `signed[s]` 0/1, value = raw * `scale[s]` + `offset[s]`, `invalid_raw[s]` the unsigned bit pattern that means "not
    available" (-1 none). Raises ValueError naming the entry that is wrong.
    """

    def __init__(
        self,
        frame_id: ArrayLike,
        length: ArrayLike,
        counter_start: ArrayLike,
        crc: ArrayLike,
        signal_frame: ArrayLike,
        start: ArrayLike,
        bits: ArrayLike,
        big_endian: ArrayLike,
        signed: ArrayLike,
        scale: ArrayLike,
        offset: ArrayLike,
        invalid_raw: ArrayLike,
    ) -> None:
        self.frame_id = _column("frame_id", frame_id, np.int64)
        self.length = _column("length", length, np.int64, like=self.frame_id)
        self.counter_start = _column("counter_start", counter_start, np.int64, like=self.frame_id)
        self.crc = _column("crc", crc, np.int64, like=self.frame_id)
        self.signal_frame = _column("signal_frame", signal_frame, np.int64)
        self.start = _column("start", start, np.int64, like=self.signal_frame)
        self.bits = _column("bits", bits, np.int64, like=self.signal_frame)
        self.big_endian = _column("big_endian", big_endian, np.int64, like=self.signal_frame)
        self.signed = _column("signed", signed, np.int64, like=self.signal_frame)
        self.scale = _column("scale", scale, np.float64, like=self.signal_frame)
        self.offset = _column("offset", offset, np.float64, like=self.signal_frame)
        self.invalid_raw = _column("invalid_raw", invalid_raw, np.int64, like=self.signal_frame)
        for frame in range(self.frame_id.size):
            self._check_frame(frame)
        self._check_ids_unique()
        for signal in range(self.signal_frame.size):
            self._check_signal(signal)

    def first_bit(self, signal: int) -> int:
        """The signal's first bit: its least significant one (little-endian), its most significant one counted from
        the top of byte 0 (big-endian)."""
        start = int(self.start[signal])
        return start // 8 * 8 + 7 - start % 8 if self.big_endian[signal] else start

    def _check_frame(self, frame: int) -> None:
        frame_id, length = int(self.frame_id[frame]), int(self.length[frame])
        id_max = EXTENDED_ID_MAX | EXTENDED_ID_FLAG if frame_id & EXTENDED_ID_FLAG else STANDARD_ID_MAX
        if not 0 <= frame_id <= id_max:
            _refuse("frame_id", frame, hex(frame_id), "an 11-bit id, or a 29-bit id with bit 31 set")
        if not 0 <= length <= 8:
            _refuse("length", frame, length, "0 to 8 bytes")
        if self.crc[frame] not in (0, 1) or self.crc[frame] > length:
            _refuse("crc", frame, self.crc[frame], "0, or 1 in a frame of at least one byte")
        bits_free = 8 * (length - int(self.crc[frame]))
        if not -1 <= self.counter_start[frame] <= bits_free - 4 and self.counter_start[frame] != -1:
            _refuse("counter_start", frame, self.counter_start[frame], f"-1, or 4 bits within the first {bits_free}")

    def _check_ids_unique(self) -> None:
        _, first = np.unique(self.frame_id, return_index=True)
        for frame in sorted(set(range(self.frame_id.size)) - set(first.tolist())):
            _refuse("frame_id", frame, hex(int(self.frame_id[frame])), "an id that no other frame has")

    def _check_signal(self, signal: int) -> None:
        frame, bits = int(self.signal_frame[signal]), int(self.bits[signal])
        if not 0 <= frame < self.frame_id.size:
            _refuse("signal_frame", signal, frame, f"0 to {self.frame_id.size - 1}")
        if not 1 <= bits <= 64:
            _refuse("bits", signal, bits, "1 to 64")
        if self.big_endian[signal] not in (0, 1):
            _refuse("big_endian", signal, self.big_endian[signal], "0 or 1")
        if self.signed[signal] not in (0, 1):
            _refuse("signed", signal, self.signed[signal], "0 or 1")
        if self.start[signal] < 0 or self.first_bit(signal) + bits > 8 * self.length[frame]:
            _refuse("start", signal, self.start[signal], f"{bits} bits within the frame's {self.length[frame]} bytes")
        if not np.isfinite(self.scale[signal]) or self.scale[signal] == 0:
            _refuse("scale", signal, self.scale[signal], "a finite number other than 0")
        if not np.isfinite(self.offset[signal]):
            _refuse("offset", signal, self.offset[signal], "a finite number")
        if not -1 <= self.invalid_raw[signal] < 2**bits:
            _refuse("invalid_raw", signal, self.invalid_raw[signal], f"-1, or a pattern of {bits} bits")


def _column(name: str, values: ArrayLike, dtype: type[Any], like: NDArray[Any] | None = None) -> NDArray[Any]:
    column = np.array(values, dtype=dtype)
    if column.ndim != 1 or (like is not None and column.shape != like.shape):
        expected = "one dimension" if like is None else f"shape {like.shape}"
        raise ValueError(f"{name}: got shape {column.shape}, expected {expected}")
    column.flags.writeable = False
    return column


def _refuse(name: str, entry: int, got: object, expected: str) -> NoReturn:
    raise ValueError(f"{name}[{entry}]: got {got}, expected {expected}")
