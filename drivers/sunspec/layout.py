"""A SunSpec model as a table: each point's offset, type, scale and access, expanded from the official definitions.

The definitions are the SunSpec Alliance's own JSON files (github.com/sunspec/models), read as data from the installed
package `sunspec2`; nothing of that package runs here.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from drivers.session import UnusableDevice
from drivers.sunspec.points import INTEGERS, IntegerType, Value, decode_point, decode_short, encode_point

HEADER_REGISTERS = 2
"""Model id and length, in front of every model and not counted in its length."""
SCALE_EXPONENT_MAX = 10
"""SunSpec allows scale factors of -10 to 10."""
SCALE_FACTOR = INTEGERS["sunssf"]

Scales = Mapping[str, int | None]
"""Exponents by the name of their scale-factor point; None = the device does not implement it."""


class SunSpecError(UnusableDevice):
    """The device is not, or not enough, what SunSpec says: no map, a broken chain, a model or scale missing."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a model. `offset` counts registers from the model's id register; `scale` is the name of the
    scale-factor point, a fixed exponent, or None. `short` is its type if that is an integer of one register."""

    name: str
    offset: int
    size: int
    type: str
    scale: str | int | None
    writable: bool
    symbols: Mapping[str, int]
    short: IntegerType | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "short", INTEGERS.get(self.type) if self.size == 1 else None)


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """All points of one model, repeated groups expanded: the third port's power in model 714 is `Prt[2].DCW`."""

    model_id: int
    points: Mapping[str, Point]
    size: int

    @property
    def length(self) -> int:
        """What the model's L register says."""
        return self.size - HEADER_REGISTERS

    def span(self, first: str, last: str) -> tuple[int, int]:
        """Offset and register count that cover both points and all between."""
        start, end = self.points[first], self.points[last]
        return start.offset, end.offset + end.size - start.offset

    def symbol(self, point: str, name: str) -> int:
        """Value of an enumeration's symbol, or number of a bit field's bit."""
        return self.points[point].symbols[name]

    def scales(self, registers: Sequence[int], at: int = 0) -> dict[str, int | None]:
        """All scale factors inside `registers`, of which the first is at offset `at`. SunSpecError out of range."""
        inside = (p for p in self.points.values() if p.type == "sunssf" and _inside(p, at, registers))
        return {point.name: _exponent(point, registers, at) for point in inside}

    def decode(
        self, registers: Sequence[int], names: Iterable[str], at: int = 0, scales: Scales | None = None
    ) -> dict[str, Value]:
        """Values of the named points in SI units. None = not implemented, or its scale factor is not.

        `registers[0]` is the register at offset `at`. Scale factors come from `scales`, or else must be inside
        `registers`. KeyError for a name that is not in the model, ValueError for one outside `registers`.
        """
        known, points = scales or {}, self.points
        return {name: self._decode(points[name], registers, at, known) for name in names}

    def value(self, name: str, registers: Sequence[int], scales: Scales) -> Value:
        """One value of a whole model's `registers`, as `decode` makes it."""
        return self._decode(self.points[name], registers, 0, scales)

    def encode(self, values: Mapping[str, Value], scales: Scales) -> tuple[int, list[int]]:
        """Offset and registers of points that follow one another without a gap, in their order.

        Values are in SI units and rounded to the register's resolution; None writes "not implemented". ValueError
        where a value does not fit its register (nothing is ever wrapped), a scale is missing or there is a gap.
        """
        points = [self.points[name] for name in values]
        registers: list[int] = []
        for point, value in zip(points, values.values(), strict=True):
            if point.offset != points[0].offset + len(registers):
                raise ValueError(f"model {self.model_id}: a gap before {point.name}")
            registers += self.encode_point(point, value, scales)
        return points[0].offset, registers

    def encode_point(self, point: Point, value: Value, scales: Scales) -> list[int]:
        """Registers of one point, as `encode` makes them."""
        if point.scale is None or value is None or isinstance(value, str):
            return encode_point(point.type, point.size, value)
        exponent = scales[point.scale] if isinstance(point.scale, str) else point.scale
        if exponent is None or not math.isfinite(value):
            raise ValueError(f"model {self.model_id}: {point.name} = {value} with scale factor {exponent}")
        return encode_point(point.type, point.size, round(scaled(value, -exponent)))

    def _decode(self, point: Point, registers: Sequence[int], at: int, scales: Scales) -> Value:
        start, scale = point.offset - at, point.scale
        if start < 0 or start + point.size > len(registers):
            raise ValueError(f"model {self.model_id}: {point.name} is outside the registers given")
        value: Value
        if point.short is not None:
            value = decode_short(point.short, registers[start])
        else:
            value = decode_point(point.type, registers[start : start + point.size])
        if scale is None or value is None or isinstance(value, str):
            return value
        if isinstance(scale, int):
            return scaled(value, scale)
        exponent = scales[scale] if scale in scales else _exponent(self.points[scale], registers, at)
        return None if exponent is None else scaled(value, exponent)


def scaled(value: float, exponent: int) -> float:
    """value * 10**exponent, correctly rounded: 6001 with -2 is 60.01."""
    return float(value * 10**exponent) if exponent >= 0 else value / 10**-exponent


def _inside(point: Point, at: int, registers: Sequence[int]) -> bool:
    return at <= point.offset and point.offset + point.size <= at + len(registers)


def _exponent(point: Point, registers: Sequence[int], at: int) -> int | None:
    start = point.offset - at
    if not 0 <= start < len(registers):
        raise ValueError(f"scale factor {point.name} is neither given nor among the registers")
    exponent = decode_short(SCALE_FACTOR, registers[start])
    if exponent is None:
        return None
    if abs(exponent) > SCALE_EXPONENT_MAX:
        raise SunSpecError(f"scale factor {point.name} is {exponent}, not within -10..10")
    return exponent


@cache
def load_layout(model_id: int, **counts: int) -> ModelLayout:
    """Layout of a standard model. `counts` gives repeated groups by their count point (`NPrt=2`); 0 when left out.

    SunSpecError when SunSpec defines no such model.
    """
    points: list[Point] = []
    _expand(_definition(model_id)["group"], "", counts, points)
    size = points[-1].offset + points[-1].size
    return ModelLayout(model_id, {p.name: p for p in points}, size)


def _definition(model_id: int) -> Any:
    file = resources.files("sunspec2") / "models" / "json" / f"model_{model_id}.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SunSpecError(f"SunSpec defines no model {model_id}") from None


def _expand(group: Any, prefix: str, counts: Mapping[str, int], points: list[Point]) -> None:
    for definition in group["points"]:
        offset = points[-1].offset + points[-1].size if points else 0
        points.append(_point(definition, prefix, offset))
    for inner in group.get("groups", []):
        if "count" not in inner:
            _expand(inner, f"{prefix}{inner['name']}.", counts, points)
            continue
        for k in range(counts.get(inner["count"], 0)):
            _expand(inner, f"{prefix}{inner['name']}[{k}].", counts, points)


def _point(definition: Any, prefix: str, offset: int) -> Point:
    return Point(
        name=prefix + definition["name"],
        offset=offset,
        size=definition["size"],
        type=definition["type"],
        scale=definition.get("sf"),
        writable=definition.get("access") == "RW",
        symbols={symbol["name"]: symbol["value"] for symbol in definition.get("symbols", [])},
    )
