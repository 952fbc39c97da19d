"""A strict SunSpec map to serve: a chain of models from 40000, read-only unless told otherwise."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from drivers.serve.frames import ILLEGAL_ADDRESS, ILLEGAL_VALUE, ModbusFault
from drivers.sunspec.discover import END_ID, MARKER
from drivers.sunspec.layout import ModelLayout, Point
from drivers.sunspec.points import INTEGERS, Value

BASE = 40000
ENUMERATIONS = ("enum16", "enum32")
Values = Mapping[str, Value]


def scale_exponent(largest: float, type_name: str) -> int:
    """Finest exponent with which values up to `largest` (a magnitude) fit the integer type: 500 kW in int16 needs 2,
    that is steps of 100 W. SunSpec allows -10 to 10; finer than -3 is noise in any measurement."""
    top = INTEGERS[type_name].most - 1
    return next(exponent for exponent in range(-3, 11) if largest <= top * 10.0**exponent)


class ServedModel:
    """One model's registers. Points without a value say "not implemented"; only `writable` ones may be written.

    `live` is asked for fresh values before every read that touches the model; a measurement beyond its register
    saturates there, as in a real device.
    """

    def __init__(
        self,
        layout: ModelLayout,
        values: Values,
        writable: Iterable[str] = (),
        live: Callable[[], Values] | None = None,
    ) -> None:
        self.layout, self.writable, self.live = layout, frozenset(writable), live
        assert all(layout.points[name].writable for name in self.writable), "SunSpec defines these as read-only"
        self.scales: Mapping[str, int | None] = {}
        self._ranges: Mapping[str, tuple[float, float]] = {}
        self._measured: Mapping[str, _Measured] = {}
        self._point_at = {point.offset: point for point in layout.points.values()}
        self._encoded: dict[str, tuple[Value, list[int]]] = {}
        blank = {point.name: None for point in layout.points.values()}
        self.registers: list[int] = layout.encode(blank, dict.fromkeys(_scale_names(layout)))[1]
        self.put({"ID": layout.model_id, "L": layout.length})
        self.put({name: value for name, value in values.items() if layout.points[name].type == "sunssf"})
        self.scales = layout.scales(self.registers)
        self._ranges = _ranges(layout, self.scales)
        self._measured = _measured(layout, self.scales, self._ranges)
        self.put({name: value for name, value in values.items() if layout.points[name].type != "sunssf"})

    def put(self, values: Values, start: int = 0, end: int = 0x10000) -> None:
        """Sets points, in SI units; only those that have a register in offsets start..end-1."""
        measured, registers = self._measured, self.registers
        for name, value in values.items():
            place = measured.get(name)
            if place is None or not isinstance(value, float) or value != value:
                self._put_point(self.layout.points[name], value, start, end)
                continue
            offset, after, shifts, least, most, power, multiplies = place
            if offset < end and start < after:
                if not least <= value <= most:
                    value = least if value < least else most
                whole = round(value * power if multiplies else value / power)
                if after == offset + 1:
                    registers[offset] = whole & 0xFFFF
                    continue
                for register, shift in enumerate(shifts, offset):
                    registers[register] = whole >> shift & 0xFFFF

    def _put_point(self, point: Point, value: Value, start: int, end: int) -> None:
        """States and counts are mostly those of the last time."""
        if point.offset < end and start < point.offset + point.size:
            last = self._encoded.get(point.name)
            if last is None or value != last[0] or type(value) is not type(last[0]):
                last = value, self.layout.encode_point(point, self._saturated(point.name, value), self.scales)
                self._encoded[point.name] = last
            self.registers[point.offset : point.offset + point.size] = last[1]

    def get(self, name: str) -> Value:
        """Present value of a point, in SI units; None = not implemented."""
        return self.layout.value(name, self.registers, self.scales)

    def number(self, name: str) -> float:
        """As `get`, for a point that always holds a number."""
        value = self.get(name)
        assert isinstance(value, float | int), name
        return value

    def refresh(self, start: int, count: int) -> None:
        """Live points that a read of `count` registers from offset `start` shows."""
        if self.live is not None:
            self.put(self.live(), start, start + count)

    def whole_points(self, start: int, count: int) -> list[Point]:
        """The points that `count` registers from offset `start` consist of. ModbusFault 3 for half a point."""
        points: list[Point] = []
        end = start + count
        while start < end:
            point = self._point_at.get(start)
            if point is None or start + point.size > end:
                raise ModbusFault(ILLEGAL_VALUE)
            points.append(point)
            start += point.size
        return points

    def _saturated(self, name: str, value: Value) -> Value:
        if not isinstance(value, float) or name not in self._ranges:
            return value
        if value != value:
            return None
        least, most = self._ranges[name]
        return min(max(value, least), most)


class _Measured(NamedTuple):
    """How a scaled number becomes the registers from `offset` to before `after`: within its range, by a power of ten,
    rounded."""

    offset: int
    after: int
    shifts: tuple[int, ...]
    least: float
    most: float
    power: float
    multiplies: bool


@dataclass(frozen=True, slots=True)
class PlacedModel:
    """A model and its registers' place: from `address` up to `end`."""

    address: int
    end: int
    model: ServedModel


class SunSpecMap:
    """Models one after the other behind the SunS marker, served to a ModbusServer.

    `check(model, values)` may refuse a write with ModbusFault before anything is changed; `written(model, names)`
    follows once it is in the registers.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        check: Callable[[ServedModel, Values], None] = lambda model, values: None,
        written: Callable[[ServedModel, Sequence[str]], None] = lambda model, names: None,
    ) -> None:
        self._check, self._written = check, written
        sizes = itertools.accumulate((model.layout.size for model in models), initial=BASE + len(MARKER))
        self._placed = [
            PlacedModel(address, address + model.layout.size, model)
            for address, model in zip(sizes, models, strict=False)
        ]
        self._image = [*MARKER, *itertools.chain(*(model.registers for model in models)), END_ID, 0]

    def read(self, address: int, count: int) -> list[int]:
        """ModbusFault 2 where any register is off the map."""
        end = address + count
        if address < BASE or end > BASE + len(self._image):
            raise ModbusFault(ILLEGAL_ADDRESS)
        for placed in self._placed:
            if placed.address < end and address < placed.end:
                placed.model.refresh(address - placed.address, count)
                if placed.address <= address and end <= placed.end:
                    return placed.model.registers[address - placed.address : end - placed.address]
                self._image[placed.address - BASE : placed.end - BASE] = placed.model.registers
        return self._image[address - BASE : end - BASE]

    def write(self, address: int, values: list[int]) -> None:
        """Whole writable points of one model, all or none. ModbusFault 2 off the map and for read-only points, 3 for
        half a point or a value that the point cannot take."""
        placed = self._find(address, len(values))
        offset = address - placed.address
        points = placed.model.whole_points(offset, len(values))
        names = [point.name for point in points]
        if not placed.model.writable.issuperset(names):
            raise ModbusFault(ILLEGAL_ADDRESS)
        decoded = placed.model.layout.decode(values, names, offset, placed.model.scales)
        for point in points:
            if not _takes(point, decoded[point.name]):
                raise ModbusFault(ILLEGAL_VALUE)
        self._check(placed.model, decoded)
        placed.model.registers[offset : offset + len(values)] = values
        self._written(placed.model, names)

    def _find(self, address: int, count: int) -> PlacedModel:
        for placed in self._placed:
            if placed.address <= address and address + count <= placed.end:
                return placed
        raise ModbusFault(ILLEGAL_ADDRESS)


def _scale_names(layout: ModelLayout) -> list[str]:
    return [point.name for point in layout.points.values() if point.type == "sunssf"]


def _ranges(layout: ModelLayout, scales: Mapping[str, int | None]) -> dict[str, tuple[float, float]]:
    """What each scaled measurement's register can hold, in SI units."""
    ranges = {}
    for point in layout.points.values():
        if isinstance(point.scale, str):
            kind, step = INTEGERS[point.type], 10.0 ** (scales[point.scale] or 0)
            top = (kind.most - 1) * step
            ranges[point.name] = (-top if kind.least < 0 else 0.0, top)
    return ranges


def _measured(
    layout: ModelLayout, scales: Mapping[str, int | None], ranges: Mapping[str, tuple[float, float]]
) -> dict[str, _Measured]:
    """Of each scaled measurement whose scale the device has."""
    found = {}
    for name, (least, most) in ranges.items():
        point = layout.points[name]
        exponent = scales[str(point.scale)]
        if exponent is not None:
            power, shifts = 10.0 ** abs(exponent), INTEGERS[point.type].shifts
            after = point.offset + len(shifts)
            found[name] = _Measured(point.offset, after, shifts, least, most, power, multiplies=exponent <= 0)
    return found


def _takes(point: Point, value: Value) -> bool:
    """A number or text of the point's type; of an enumeration, one that it defines."""
    return value is not None and (point.type not in ENUMERATIONS or value in point.symbols.values())
