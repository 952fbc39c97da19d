"""A strict SunSpec map for simulated devices: a chain of models from 40000, read-only unless told otherwise."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from drivers.sunspec.discover import END_ID, MARKER
from drivers.sunspec.layout import ModelLayout, Point
from drivers.sunspec.points import INTEGERS, Value, decode_point
from hil_rigs.devices.modbus_frames import ILLEGAL_ADDRESS, ILLEGAL_VALUE, ModbusFault

BASE = 40000
Values = Mapping[str, Value]


def scale_exponent(largest: float, type_name: str) -> int:
    """Finest exponent with which values up to `largest` (a magnitude) fit the integer type: 500 kW in int16 needs 2,
    that is steps of 100 W. SunSpec allows -10 to 10; finer than -3 is noise in any measurement."""
    kind = INTEGERS[type_name]
    top = (1 << (16 * kind.size - kind.signed)) - 2
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
        blank = {point.name: None for point in layout.points.values()}
        self.registers: list[int] = layout.encode(blank, dict.fromkeys(_scale_names(layout)))[1]
        self.put({"ID": layout.model_id, "L": layout.length})
        self.put({name: value for name, value in values.items() if layout.points[name].type == "sunssf"})
        self.scales = layout.scales(self.registers)
        self.put({name: value for name, value in values.items() if layout.points[name].type != "sunssf"})

    def put(self, values: Values, start: int = 0, end: int = 0x10000) -> None:
        """Sets points, in SI units; only those that have a register in offsets start..end-1."""
        for name, value in values.items():
            point = self.layout.points[name]
            if point.offset < end and start < point.offset + point.size:
                registers = self.layout.encode_point(point, self._saturated(point, value), self.scales)
                self.registers[point.offset : point.offset + point.size] = registers

    def get(self, name: str) -> Value:
        """Present value of a point, in SI units; None = not implemented."""
        return self.layout.decode(self.registers, [name], scales=self.scales)[name]

    def number(self, name: str) -> float:
        """As `get`, for a point that always holds a number."""
        value = self.get(name)
        assert isinstance(value, float | int), name
        return value

    def refresh(self, start: int, count: int) -> None:
        """Live points that a read of `count` registers from offset `start` shows."""
        if self.live is not None:
            self.put(self.live(), start, start + count)

    def _saturated(self, point: Point, value: Value) -> Value:
        if not isinstance(value, float) or not isinstance(point.scale, str):
            return value
        if value != value:
            return None
        kind, step = INTEGERS[point.type], 10.0 ** (self.scales[point.scale] or 0)
        top = (1 << (16 * kind.size - kind.signed)) - 2
        return min(max(value, -top * step * kind.signed), top * step)


@dataclass(frozen=True, slots=True)
class PlacedModel:
    address: int
    model: ServedModel

    def touches(self, address: int, count: int) -> bool:
        return address < self.address + self.model.layout.size and self.address < address + count


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
        self._placed = [PlacedModel(address, model) for address, model in zip(sizes, models, strict=False)]
        self._end = BASE + len(MARKER) + sum(model.layout.size for model in models) + 2

    def read(self, address: int, count: int) -> list[int]:
        """ModbusFault 2 where any register is off the map."""
        if address < BASE or address + count > self._end:
            raise ModbusFault(ILLEGAL_ADDRESS)
        for placed in self._placed:
            if placed.touches(address, count):
                placed.model.refresh(address - placed.address, count)
        image = [*MARKER, *itertools.chain(*(placed.model.registers for placed in self._placed)), END_ID, 0]
        return image[address - BASE : address - BASE + count]

    def write(self, address: int, values: list[int]) -> None:
        """Whole writable points of one model, all or none. ModbusFault 2 off the map and for read-only points, 3 for
        half a point or a value that the point cannot take."""
        placed = self._find(address, len(values))
        points = _whole_points(placed, address, len(values))
        if not all(point.name in placed.model.writable for point in points):
            raise ModbusFault(ILLEGAL_ADDRESS)
        offset = address - placed.address
        _check_values(points, values, offset)
        names = [point.name for point in points]
        self._check(placed.model, placed.model.layout.decode(values, names, offset, placed.model.scales))
        placed.model.registers[offset : offset + len(values)] = values
        self._written(placed.model, names)

    def _find(self, address: int, count: int) -> PlacedModel:
        for placed in self._placed:
            if placed.address <= address and address + count <= placed.address + placed.model.layout.size:
                return placed
        raise ModbusFault(ILLEGAL_ADDRESS)


def _scale_names(layout: ModelLayout) -> list[str]:
    return [point.name for point in layout.points.values() if point.type == "sunssf"]


def _whole_points(placed: PlacedModel, address: int, count: int) -> list[Point]:
    first = address - placed.address
    inside = [
        p for p in placed.model.layout.points.values() if first <= p.offset and p.offset + p.size <= first + count
    ]
    if sum(point.size for point in inside) != count:
        raise ModbusFault(ILLEGAL_VALUE)
    return inside


def _check_values(points: Sequence[Point], values: Sequence[int], offset: int) -> None:
    for point in points:
        start = point.offset - offset
        value = decode_point(point.type, values[start : start + point.size])
        known = not point.type.startswith("enum") or value in point.symbols.values()
        if value is None or not known:
            raise ModbusFault(ILLEGAL_VALUE)
