"""What a device says of its battery in the SunSpec models 802 (any battery), 803 (bank of strings), 804 (string)
and 805 (module).

Current and power of these models have no agreed sign and are left out: the converter's own models have them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import NamedTuple

from drivers.sunspec.discover import DeviceMap, RegisterReader
from drivers.sunspec.layout import SunSpecError, scaled
from drivers.sunspec.model import MappedModel, open_model, read_model
from drivers.sunspec.points import Value, decode_point

CELL_REGISTERS = 4
"""Of one cell in model 805: CellV, CellTmp, CellSt (two registers)."""


class StringReading(NamedTuple):
    """One string by model 804; NaN and None = the device does not say. `number` is the device's own (Idx)."""

    number: int | None
    modules: int | None
    soc_frac: float
    soh_frac: float
    voltage_v: float
    cell_voltage_v_min: float
    cell_voltage_v_max: float
    module_temperature_degc_min: float
    module_temperature_degc_max: float


@dataclass(frozen=True, slots=True)
class BatteryReading:
    """NaN = the device does not say. `cell_voltage_v` are the cells of all its modules in their order, if it says
    them one by one; `each_string` those strings that have a model of their own."""

    soc_frac: float
    soh_frac: float
    voltage_v: float
    cell_voltage_v_min: float
    cell_voltage_v_max: float
    module_temperature_degc_min: float
    module_temperature_degc_max: float
    strings: int | None
    cell_voltage_v: tuple[float, ...]
    each_string: tuple[StringReading, ...] = ()


async def read_battery(link: RegisterReader, found: DeviceMap) -> BatteryReading | None:
    """One reading, None without model 802. SunSpecError for a model that is not what SunSpec says; link errors pass."""
    if 802 not in found:
        return None
    battery = await open_model(link, found.find(802))
    bank = await open_model(link, found.find(803)) if 803 in found else None
    cells: list[float] = []
    strings: list[StringReading] = []
    for where in found.models:
        if where.model_id == 804:
            strings.append(_string(await open_model(link, where)))
        if where.model_id == 805:
            cells += _cells(await open_model(link, where), await read_model(link, where))
    return BatteryReading(
        soc_frac=_number(battery, "SoC") / 100.0,
        soh_frac=_number(battery, "SoH") / 100.0,
        voltage_v=_number(battery, "V"),
        cell_voltage_v_min=_number(battery, "CellVMin"),
        cell_voltage_v_max=_number(battery, "CellVMax"),
        module_temperature_degc_min=nan if bank is None else _number(bank, "ModTmpMin"),
        module_temperature_degc_max=nan if bank is None else _number(bank, "ModTmpMax"),
        strings=None if bank is None else _count(bank.values["NStr"]),
        cell_voltage_v=tuple(cells),
        each_string=tuple(strings),
    )


def _string(model: MappedModel) -> StringReading:
    return StringReading(
        number=_count(model.values["Idx"]),
        modules=_count(model.values["NMod"]),
        soc_frac=_number(model, "SoC") / 100.0,
        soh_frac=_number(model, "SoH") / 100.0,
        voltage_v=_number(model, "V"),
        cell_voltage_v_min=_number(model, "CellVMin"),
        cell_voltage_v_max=_number(model, "CellVMax"),
        module_temperature_degc_min=_number(model, "ModTmpMin"),
        module_temperature_degc_max=_number(model, "ModTmpMax"),
    )


def _cells(module: MappedModel, registers: Sequence[int]) -> list[float]:
    """The definition of model 805 leaves the number of its cells to the device's NCell."""
    count, exponent = _count(module.values["NCell"]) or 0, module.scales["CellV_SF"]
    start = module.layout.size
    if start + count * CELL_REGISTERS > len(registers):
        raise SunSpecError(f"model 805 at {module.address} has {count} cells and no room for them")
    raws = [decode_point("uint16", registers[start + k * CELL_REGISTERS :][:1]) for k in range(count)]
    return [scaled(raw, exponent) if isinstance(raw, int) and exponent is not None else nan for raw in raws]


def _number(model: MappedModel, name: str) -> float:
    value = model.values[name]
    return value if isinstance(value, float | int) else nan


def _count(value: Value) -> int | None:
    return value if isinstance(value, int) else None
