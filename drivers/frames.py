"""CAN frames as they cross every boundary: batches of Linux `struct can_frame`, never one object a frame."""

from dataclasses import dataclass

import numpy as np

FRAME_BYTES = 16
EXTENDED_ID_FLAG = 0x8000_0000

FRAME_DTYPE = np.dtype(
    {
        "names": ["id", "length", "data"],
        "formats": ["<u4", "u1", ("u1", 8)],
        "offsets": [0, 4, 8],
        "itemsize": FRAME_BYTES,
    }
)


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """`data` holds n frames of 16 bytes (id u32 little-endian with bit 31 = extended, length u8, 3 pad bytes,
    8 data bytes), all received at `at_ns`."""

    data: bytes
    at_ns: int

    def __len__(self) -> int:
        return len(self.data) // FRAME_BYTES
