"""Faults of a sender's own electronics, applied to frames that are ready to go out."""

import numpy as np

from drivers.frames import FRAME_BYTES
from kernels.canbits import crc8_j1850

_DATA = 8
_COUNTER = _DATA + 6
_CRC = _DATA + 7


def break_crc(frames: bytes, share_frac: float, rng: np.random.Generator) -> bytes:
    """The frames with a wrong CRC byte in a random share of them."""
    damaged = bytearray(frames)
    hit = np.flatnonzero(rng.random(len(frames) // FRAME_BYTES) < share_frac)
    for start in (hit * FRAME_BYTES).tolist():
        damaged[start + _CRC] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def hold_counter(frames: bytes) -> bytes:
    """The frames with a counter (upper half of byte 6) that stays at 0, under a CRC that fits."""
    held = bytearray(frames)
    for start in range(0, len(frames), FRAME_BYTES):
        held[start + _COUNTER] &= 0x0F
        held[start + _CRC] = crc8_j1850(bytes([*held[start : start + 2], *held[start + _DATA : start + _CRC]]))
    return bytes(held)
