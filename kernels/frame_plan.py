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
MUX_BITS_MAX = 32

STANDARD_BITS = 47
"""Start of frame to the end of the inter-frame space of an 11-bit frame without data, unstuffed (ISO 11898-1)."""
STANDARD_STUFFED_BITS = 34
"""Those of them that take part in bit stuffing: start of frame to CRC."""
EXTENDED_EXTRA_BITS = 20
STUFFING_PERIOD_BITS = 10
"""One stuff bit in this many: between random data (about 31) and the worst case (4); 9 bits on a frame of 8 bytes."""


class FramePlan:
    """The frames and signals of one bus as columns: f frames, s signals; all arrays are read-only copies.

    `frame_id[f]` as on the wire (bit 31 set = 29-bit id), `length[f]` 0..8 bytes, `counter_start[f]` first bit of the
    4-bit counter in little-endian numbering (-1 none), `crc[f]` 1 when byte length-1 holds the CRC-8/SAE-J1850.
    `signal_frame[s]` index of the signal's frame, `start[s]` DBC start bit, `bits[s]` 1..64, `big_endian[s]` and
    `signed[s]` 0/1, value = raw * `scale[s]` + `offset[s]`, `invalid_raw[s]` the unsigned bit pattern that means "not
    available" (-1 none).

    `length_min[f]`: a shorter frame down to this many bytes is taken as well; what it does not reach reads NaN.

    A multiplexed message is several frames of one id. Its base has `mux_bits[f]` > 0 (the multiplexer's place:
    `mux_start[f]`, `mux_big_endian[f]`) and the signals that every page carries; each page is a frame with
    `page_of[f]` the index of its base (-1 otherwise), `page[f]` the multiplexer's value and its own signals. What comes
    with a value that has no page is an unknown frame. Raises ValueError naming the entry that is wrong.
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
        length_min: ArrayLike | None = None,
        mux_start: ArrayLike | None = None,
        mux_bits: ArrayLike | None = None,
        mux_big_endian: ArrayLike | None = None,
        page_of: ArrayLike | None = None,
        page: ArrayLike | None = None,
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
        none, zero = np.full(self.frame_id.size, -1), np.zeros(self.frame_id.size, np.int64)
        self.length_min = self._of_frames("length_min", length_min, self.length)
        self.mux_start = self._of_frames("mux_start", mux_start, zero)
        self.mux_bits = self._of_frames("mux_bits", mux_bits, zero)
        self.mux_big_endian = self._of_frames("mux_big_endian", mux_big_endian, zero)
        self.page_of = self._of_frames("page_of", page_of, none)
        self.page = self._of_frames("page", page, zero)
        for frame in range(self.frame_id.size):
            self._check_frame(frame)
        self._check_ids_unique()
        for signal in range(self.signal_frame.size):
            self._check_signal(signal)

    def first_bit(self, signal: int) -> int:
        """The signal's first bit: its least significant one (little-endian), its most significant one counted from
        the top of byte 0 (big-endian)."""
        return _first_bit(int(self.start[signal]), bool(self.big_endian[signal]))

    def mux_first_bit(self, frame: int) -> int:
        """Likewise of the frame's multiplexer."""
        return _first_bit(int(self.mux_start[frame]), bool(self.mux_big_endian[frame]))

    def base(self, frame: int) -> int:
        """The frame itself, or that of which it is a page."""
        return frame if self.page_of[frame] < 0 else int(self.page_of[frame])

    def _of_frames(self, name: str, values: ArrayLike | None, usual: NDArray[Any]) -> NDArray[Any]:
        return _column(name, usual if values is None else values, np.int64, like=self.frame_id)

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
        checked = self.crc[frame] or self.counter_start[frame] >= 0
        if not (length if checked else 0) <= self.length_min[frame] <= length:
            expected = f"{length}: it has a counter or a CRC" if checked else f"0 to {length}"
            _refuse("length_min", frame, self.length_min[frame], expected)
        self._check_mux(frame)
        if self.page_of[frame] != -1:
            self._check_page(frame)

    def _check_mux(self, frame: int) -> None:
        bits = int(self.mux_bits[frame])
        if not 0 <= bits <= MUX_BITS_MAX:
            _refuse("mux_bits", frame, bits, f"0 to {MUX_BITS_MAX}")
        if self.mux_big_endian[frame] not in (0, 1):
            _refuse("mux_big_endian", frame, self.mux_big_endian[frame], "0 or 1")
        if self.mux_start[frame] < 0 or (bits and self.mux_first_bit(frame) + bits > 8 * self.length_min[frame]):
            _refuse(
                "mux_start",
                frame,
                self.mux_start[frame],
                f"{bits} bits within the first {self.length_min[frame]} bytes",
            )

    def _check_page(self, frame: int) -> None:
        base = int(self.page_of[frame])
        if not 0 <= base < self.frame_id.size or self.mux_bits[base] == 0:
            _refuse("page_of", frame, base, "-1, or a frame with a multiplexer")
        if self.mux_bits[frame] != 0:
            _refuse("mux_bits", frame, self.mux_bits[frame], "0 in a page")
        if not 0 <= self.page[frame] < 2 ** int(self.mux_bits[base]):
            _refuse("page", frame, self.page[frame], f"a value of {self.mux_bits[base]} bits")
        for name in ("frame_id", "length", "length_min", "counter_start", "crc"):
            column = getattr(self, name)
            if column[frame] != column[base]:
                _refuse(name, frame, column[frame], f"{column[base]} as in frame {base}, of which it is a page")

    def _check_ids_unique(self) -> None:
        seen: set[tuple[int, int]] = set()
        for frame, frame_id in enumerate(self.frame_id.tolist()):
            key = (frame_id, -1 if self.page_of[frame] < 0 else int(self.page[frame]))
            if key in seen:
                expected = "an id that no other frame has" if key[1] < 0 else "a page that no other frame is"
                _refuse("frame_id" if key[1] < 0 else "page", frame, hex(frame_id) if key[1] < 0 else key[1], expected)
            seen.add(key)

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


def _first_bit(start: int, big_endian: bool) -> int:
    return start // 8 * 8 + 7 - start % 8 if big_endian else start


def _column(name: str, values: ArrayLike, dtype: type[Any], like: NDArray[Any] | None = None) -> NDArray[Any]:
    column = np.array(values, dtype=dtype)
    if column.ndim != 1 or (like is not None and column.shape != like.shape):
        expected = "one dimension" if like is None else f"shape {like.shape}"
        raise ValueError(f"{name}: got shape {column.shape}, expected {expected}")
    column.flags.writeable = False
    return column


def _refuse(name: str, entry: int, got: object, expected: str) -> NoReturn:
    raise ValueError(f"{name}[{entry}]: got {got}, expected {expected}")
