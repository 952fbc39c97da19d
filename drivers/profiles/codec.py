"""A described device's values on the wire: registers to SI values and back, and which reads fetch them."""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from drivers.profiles.maps import MANUFACTURER_ALARM
from drivers.profiles.registers import RANGES, Register, WordOrder
from drivers.readings import InverterState

F32_MAX = 3.4028234663852886e38


class OutOfBounds(ValueError):  # noqa: N818
    """A register says what its profile calls impossible; the message is one line."""


@dataclass(frozen=True, slots=True)
class Block:
    """One read: `count` registers from `address` by Modbus function 3 (holding) or 4 (input), bits by 1 (coils) or 2
    (discrete inputs)."""

    function: int
    address: int
    count: int

    @property
    def end(self) -> int:
        return self.address + self.count


Registers = Mapping[tuple[int, int], int]
"""Register values by function and address."""


def read_plan(registers: Iterable[Register], gap_max: int, count_max: int) -> tuple[Block, ...]:
    """The fewest reads, in the order of addresses, that fetch all `registers`: no value is split between two, none is
    longer than `count_max`, and at most `gap_max` registers in a row are read in vain."""
    blocks: list[Block] = []
    for register in sorted(registers, key=lambda each: (each.function, each.address)):
        last = blocks[-1] if blocks else None
        end = register.end if last is None else max(register.end, last.end)
        fits = last is not None and (last.function == register.function) and end - last.address <= count_max
        if last is not None and fits and register.address - last.end <= gap_max:
            blocks[-1] = Block(last.function, last.address, end - last.address)
        else:
            blocks.append(Block(register.function, register.address, register.size))
    return tuple(blocks)


def raw_of(register: Register, registers: Registers, order: WordOrder) -> float | None:
    """Raw value, masked; None where the device says that there is none. The order is that of the profile."""
    words = [registers[register.function, register.address + k] for k in range(register.size)]
    if (register.word_order or order) == "little":
        words.reverse()
    data = struct.pack(f">{len(words)}H", *words)
    if register.type == "f32":
        number: float = struct.unpack(">f", data)[0]
        return None if math.isnan(number) else number
    raw = int.from_bytes(data, "big", signed=register.type[0] == "s")
    if register.mask is not None:
        raw = int.from_bytes(data, "big") & register.mask
    return None if raw == register.absent_raw else raw


def value_of(register: Register, registers: Registers, order: WordOrder) -> float:
    """Value in SI units, in the device's own direction; NaN = there is none. OutOfBounds where the profile says so."""
    raw = raw_of(register, registers, order)
    if raw is None:
        return math.nan
    value, shown = register.si(raw), raw * register.scale
    least = -math.inf if register.at_least is None else register.at_least
    most = math.inf if register.at_most is None else register.at_most
    if not math.isfinite(value) or not least <= shown <= most:
        raise OutOfBounds(f"{register.name} says {shown:g} {register.unit}, expected {least:g} to {most:g}")
    return value


def state_of(register: Register, registers: Registers, order: WordOrder) -> InverterState:
    """State by the profile's table; UNKNOWN for what it does not name."""
    raw = raw_of(register, registers, order)
    states = {} if register.states is None else register.states.table()
    return InverterState.UNKNOWN if raw is None else states.get(int(raw), InverterState.UNKNOWN)


def flag_of(register: Register, registers: Registers, order: WordOrder) -> bool | None:
    """Yes or no; None where the device says that there is none, or something that is neither."""
    raw = raw_of(register, registers, order)
    if raw is None:
        return None
    if raw in register.true_at:
        return True
    if not register.false_at:
        return False
    return False if raw in register.false_at else (None if register.true_at else True)


def flag_raw(register: Register, value: bool) -> int:
    """A raw value that means it: the first that the profile names, or else one that means nothing other: for no mostly
    0, for yes mostly the highest bit of its mask."""
    named, others = (register.true_at, register.false_at) if value else (register.false_at, register.true_at)
    if named:
        return named[0]
    mask = register.mask or 0
    bits = [1 << n for n in reversed(range(32)) if mask >> n & 1] or list(range(1, len(others) + 3))
    free = (raw for raw in ((*bits, 0) if value else (0, *bits)) if raw not in (*others, register.absent_raw))
    return next(free)


def alarms_of(register: Register, registers: Registers, order: WordOrder) -> int:
    """Alarm bits of SunSpec model 701; bits that the profile does not name are its maker's alarm."""
    raw = raw_of(register, registers, order)
    named = {} if register.alarms is None else register.alarms.table()
    bits = 0
    for bit in range(16 * register.size):
        if raw is not None and int(raw) >> bit & 1:
            bits |= 1 << named.get(bit, MANUFACTURER_ALARM)
    return bits


def nearest_raw(register: Register, value: float) -> float:
    """Raw value of `value` (SI, the device's direction), rounded towards zero, within what the type can carry and the
    register's bounds allow, and never the raw value that means absent. An f32 keeps its fraction."""
    least = -math.inf if register.at_least is None else register.at_least
    most = math.inf if register.at_most is None else register.at_most
    shown = min(max(value / (register.factor / register.scale), least), most)
    raw = shown / register.scale
    if register.type == "f32":
        return struct.unpack(">f", struct.pack(">f", min(max(raw, -F32_MAX), F32_MAX)))[0]  # type: ignore[no-any-return]
    lowest, highest = RANGES[register.type]
    # A whole number that the division missed by rounding is still that number.
    whole = round(raw) if math.isclose(raw, round(raw), rel_tol=1e-12) else math.trunc(raw)
    whole = min(max(whole, lowest), highest)
    if whole == register.absent_raw:
        whole -= (whole > 0) - (whole < 0)
    return whole


def encode(register: Register, raw: float, order: WordOrder) -> list[int]:
    """Registers of a raw value. ValueError when it does not fit the type."""
    if register.type == "f32":
        data = struct.pack(">f", raw)
    else:
        lowest, highest = RANGES[register.type]
        if raw != int(raw) or not lowest <= raw <= highest:
            raise ValueError(f"{register.name}: {raw} does not fit {register.type}")
        data = int(raw).to_bytes(2 * register.size, "big", signed=lowest < 0)
    words = list(struct.unpack(f">{register.size}H", data))
    return words if (register.word_order or order) == "big" else words[::-1]


def taken(block: Block, values: Sequence[int]) -> dict[tuple[int, int], int]:
    """The registers of one read, as `Registers`."""
    return {(block.function, block.address + k): value for k, value in enumerate(values)}
