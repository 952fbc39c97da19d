"""One model of one device: its layout at its address, with the device's own counts and scale factors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from drivers.sunspec.discover import ModelAddress, RegisterReader
from drivers.sunspec.layout import HEADER_REGISTERS, ModelLayout, Scales, SunSpecError, load_layout
from drivers.sunspec.points import Value

READ_MAX = 125
"""Registers that one Modbus read may cover (Modbus Application Protocol 1.1b3, 6.3)."""


@dataclass(frozen=True, slots=True)
class MappedModel:
    """A model as found on a device. `values` is its whole content when it was opened."""

    layout: ModelLayout
    address: int
    scales: Scales
    values: Mapping[str, Value]

    def span(self, first: str, last: str) -> tuple[int, int]:
        """Register address and count that cover both points and all between."""
        offset, count = self.layout.span(first, last)
        return self.address + offset, count

    def decode(self, registers: Sequence[int], address: int, names: Iterable[str]) -> dict[str, Value]:
        """Named points out of a block that was read at `address`."""
        return self.layout.decode(registers, names, address - self.address, self.scales)

    def encode(self, values: Mapping[str, Value]) -> tuple[int, list[int]]:
        """Address and registers for one write of points that follow one another."""
        offset, registers = self.layout.encode(values, self.scales)
        return self.address + offset, registers


async def open_model(link: RegisterReader, where: ModelAddress, count_points: Sequence[str] = ()) -> MappedModel:
    """Reads a whole model. `count_points` name the points that tell how often its groups repeat.

    SunSpecError when the model is shorter than its definition or a scale factor is impossible.
    """
    registers = await read_model(link, where)
    layout = _layout(where.model_id, registers, count_points)
    if len(registers) < layout.size:
        raise SunSpecError(f"model {where.model_id} has length {where.length}, its definition {layout.length}")
    scales = layout.scales(registers)
    return MappedModel(layout, where.address, scales, layout.decode(registers, layout.points, scales=scales))


async def read_model(link: RegisterReader, where: ModelAddress) -> list[int]:
    """All registers of a model, from its id register on. A long one takes several reads: what changes between them is
    for values that may."""
    return await _read(link, where.address, where.length + HEADER_REGISTERS)


def _layout(model_id: int, registers: Sequence[int], count_points: Sequence[str]) -> ModelLayout:
    """SunSpecError for counts that the model has no room for: nothing larger is ever laid out. Without groups where it
    is too short even for its counts."""
    without_groups = load_layout(model_id)
    if not count_points or len(registers) < without_groups.size:
        return without_groups
    said = without_groups.decode(registers, count_points)
    counts = {name: count if isinstance(count, int) else 0 for name, count in said.items()}
    if prod(max(count, 1) for count in counts.values()) > len(registers):
        raise SunSpecError(f"model {model_id} has no room for {counts}")
    return load_layout(model_id, **counts)


async def _read(link: RegisterReader, address: int, count: int) -> list[int]:
    registers: list[int] = []
    while len(registers) < count:
        part = min(READ_MAX, count - len(registers))
        registers += await link.read_holding(address + len(registers), part)
    return registers
