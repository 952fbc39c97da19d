"""Reads what socketcand clients send, in whatever pieces TCP delivers it, and refuses everything else."""

import struct

from drivers.frames import EXTENDED_ID_FLAG

MESSAGE_BYTES_MAX = 64
"""Longer than any message of the protocol's raw mode (8 data bytes with a 29-bit id: 43)."""

_FRAME = struct.Struct("<IB3x8s")
_HEX = frozenset(b"0123456789abcdefABCDEF")


class BadMessageError(Exception):
    """The peer does not speak the protocol."""


def split_messages(data: bytes) -> tuple[list[bytes], bytes]:
    """Messages without their `< ` and ` >`, and the unfinished rest (at most MESSAGE_BYTES_MAX bytes)."""
    *whole, rest = data.split(b">")
    if len(rest) > MESSAGE_BYTES_MAX or rest.strip()[:1] not in (b"", b"<"):
        raise BadMessageError
    return [_inside(message) for message in whole], rest


def _inside(message: bytes) -> bytes:
    text = message.strip()
    if len(text) > MESSAGE_BYTES_MAX or not text.startswith(b"<"):
        raise BadMessageError
    return text[1:].strip()


def parse_send(message: bytes) -> bytes:
    """`send ID LEN B0 B1 ...` (hex; up to 3 digits = standard id, 8 = extended) as one frame of 16 bytes."""
    _, *words = message.split()
    if len(words) < 2 or not all(_HEX.issuperset(word) for word in words):
        raise BadMessageError
    can_id, length, data = int(words[0], 16), int(words[1], 16), [int(word, 16) for word in words[2:]]
    extended = len(words[0]) > 3
    id_max = 0x1FFF_FFFF if extended else 0x7FF
    if can_id > id_max or length > 8 or len(data) != length or max(data, default=0) > 0xFF:
        raise BadMessageError
    return _FRAME.pack(can_id | (EXTENDED_ID_FLAG if extended else 0), length, bytes(data))
