"""SunSpec point types on the wire: registers to values and back, with each type's "not implemented" pattern.

Source: SunSpec Device Information Model Specification 1.0, section 4.2 (point types, big-endian register order).
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

UNKNOWN_TYPE = "point type {} is not a SunSpec type"

Value = float | int | str | None
"""What a point holds: a number, a text, or None = the device does not implement it."""


@dataclass(frozen=True, slots=True)
class IntegerType:
    """An integer of one register a shift, from `least` to `most`; `absent` is what means "not implemented"."""

    least: int
    most: int
    absent: int
    shifts: tuple[int, ...]


def _signed(size: int) -> IntegerType:
    top = 1 << (16 * size - 1)
    return IntegerType(-top, top - 1, -top, _shifts(size))


def _unsigned(size: int) -> IntegerType:
    most = (1 << (16 * size)) - 1
    return IntegerType(0, most, most, _shifts(size))


def _accumulator(size: int) -> IntegerType:
    return IntegerType(0, (1 << (16 * size)) - 1, 0, _shifts(size))


def _shifts(size: int) -> tuple[int, ...]:
    return tuple(16 * k for k in reversed(range(size)))


INTEGERS = {
    "int16": _signed(1),
    "int32": _signed(2),
    "int64": _signed(4),
    "sunssf": _signed(1),
    "pad": _signed(1),
    "uint16": _unsigned(1),
    "uint32": _unsigned(2),
    "uint64": _unsigned(4),
    "count": _unsigned(1),
    "enum16": _unsigned(1),
    "enum32": _unsigned(2),
    "bitfield16": _unsigned(1),
    "bitfield32": _unsigned(2),
    "bitfield64": _unsigned(4),
    "raw16": _accumulator(1),
    "acc16": _accumulator(1),
    "acc32": _accumulator(2),
    "acc64": _accumulator(4),
}
OPAQUE = {"ipaddr", "ipv6addr", "eui48"}


def decode_point(type_name: str, registers: Sequence[int]) -> Value:
    """Unscaled value of one point; None where the device says "not implemented". Opaque addresses come as hex text."""
    if (kind := INTEGERS.get(type_name)) is not None:
        return _decode_integer(kind, registers)
    data = struct.pack(f">{len(registers)}H", *registers)
    if type_name == "float32":
        number: float = struct.unpack(">f", data)[0]
        return None if math.isnan(number) else number
    if type_name == "string":
        return data.split(b"\0", 1)[0].decode("utf-8", "replace") or None
    if type_name in OPAQUE:
        return data.hex() if any(data) else None
    raise ValueError(UNKNOWN_TYPE.format(type_name))


def encode_point(type_name: str, size: int, value: Value) -> list[int]:
    """Registers of one unscaled value; None writes "not implemented". ValueError when the value does not fit."""
    if (kind := INTEGERS.get(type_name)) is not None:
        return _encode_integer(type_name, kind, value)
    data = _encode_bytes(type_name, size, value)
    if len(data) > 2 * size:
        raise ValueError(f"{value!r} needs more than {size} registers")
    return list(struct.unpack(f">{size}H", data.ljust(2 * size, b"\0")))


def decode_short(kind: IntegerType, register: int) -> int | None:
    """As `decode_point`, for the most usual: an integer of one register."""
    value = register if register <= kind.most else register - 0x10000
    return None if value == kind.absent else value


def _decode_integer(kind: IntegerType, registers: Sequence[int]) -> int | None:
    value = 0
    for register in registers:
        value = value << 16 | register
    if value > kind.most:
        value -= 1 << 16 * len(registers)
    return None if value == kind.absent else value


def _encode_integer(type_name: str, kind: IntegerType, value: Value) -> list[int]:
    whole = kind.absent if value is None else _checked_integer(type_name, kind, value)
    if len(kind.shifts) == 1:
        return [whole & 0xFFFF]
    return [whole >> shift & 0xFFFF for shift in kind.shifts]


def _checked_integer(type_name: str, kind: IntegerType, value: float | int | str) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is not a whole number, {type_name} holds only those")
    if not kind.least <= value <= kind.most:
        raise ValueError(f"{value} does not fit {type_name}")
    if value == kind.absent != 0:
        raise ValueError(f"{value} in {type_name} would mean 'not implemented'")
    return value


def _encode_bytes(type_name: str, size: int, value: Value) -> bytes:
    if type_name == "float32":
        if isinstance(value, str):
            raise ValueError(f"{value!r} is not a number")
        return struct.pack(">f", math.nan if value is None else value)
    if type_name == "string":
        return str(value or "").encode()
    if type_name in OPAQUE:
        return bytes.fromhex(str(value)) if value is not None else bytes(2 * size)
    raise ValueError(UNKNOWN_TYPE.format(type_name))
