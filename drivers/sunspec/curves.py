"""Functions that a converter performs of its own, written into the SunSpec models 705 (volt-var), 706 (volt-watt), 712
(watt-var) and 711 (frequency droop), adopted, and read back.

Set 1 of each model is what is in force and cannot be written: settings go into another set, which the device is asked
to adopt (AdptCrvReq, AdptCtlReq), whereupon they are in set 1 (comments of the models' definitions).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose, isnan, nan
from typing import Literal

from drivers.clock import now_ns
from drivers.links.modbus import ModbusLink
from drivers.sunspec.discover import DeviceMap
from drivers.sunspec.model import MappedModel, open_model
from drivers.sunspec.points import Value

CurveKind = Literal["volt-var", "volt-watt", "watt-var"]
FunctionKind = Literal["volt-var", "volt-watt", "watt-var", "frequency-droop"]
ShareOf = Literal["W_MAX_PCT", "VAR_MAX_PCT", "VA_MAX_PCT"]

SHARES: tuple[ShareOf, ...] = ("W_MAX_PCT", "VAR_MAX_PCT", "VA_MAX_PCT")
ADOPTION_S_MAX, ADOPTION_POLL_S = 5.0, 0.1
WRITE_EXPIRY_NS = 5_000_000_000
PERCENT = 100.0


class FunctionRefused(Exception):  # noqa: N818
    """The converter cannot take the settings, did not adopt them, or says something else afterwards; one line."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Points (x, y), x rising: voltage per unit of nominal, or active power per unit of its rating (discharge
    positive), against reactive power (injected positive) or the most active power, as shares of `share_of`.
    `response_time_s` is the open-loop one; NaN = the device's own."""

    kind: CurveKind
    points: tuple[tuple[float, float], ...]
    share_of: ShareOf
    response_time_s: float = nan


@dataclass(frozen=True, slots=True)
class Droop:
    """Beyond the deadbands, `droop_over_frac` of nominal frequency takes the whole rated power away and
    `droop_under_frac` adds it."""

    deadband_over_hz: float
    deadband_under_hz: float
    droop_over_frac: float
    droop_under_frac: float
    response_time_s: float
    kind: Literal["frequency-droop"] = "frequency-droop"


@dataclass(frozen=True, slots=True)
class FunctionModel:
    """Where a function is: its model, the points that count its groups, its sets and their points."""

    model_id: int
    counts: tuple[str, ...]
    sets: str
    request: str
    x: str = ""
    y: str = ""


FUNCTIONS: dict[FunctionKind, FunctionModel] = {
    "volt-var": FunctionModel(705, ("NPt", "NCrv"), "Crv", "AdptCrv", "V", "Var"),
    "volt-watt": FunctionModel(706, ("NPt", "NCrv"), "Crv", "AdptCrv", "V", "W"),
    "watt-var": FunctionModel(712, ("NPt", "NCrv"), "Crv", "AdptCrv", "W", "Var"),
    "frequency-droop": FunctionModel(711, ("NCtl",), "Ctl", "AdptCtl"),
}


async def adopt(link: ModbusLink, found: DeviceMap, function: Curve | Droop, reversion_s: int = 0) -> None:
    """In force and confirmed when it returns; after `reversion_s` the device goes back to what it calls its default
    set, 0 = never. FunctionRefused, SunSpecError without the model; link errors pass."""
    where = FUNCTIONS[function.kind]
    model = await _open(link, found, where)
    number, values = _free_set(model, where), _settings(model, function)
    prefix = f"{where.sets}[{number - 1}]."
    await _write(link, model, {prefix + name: value for name, value in values.items()})
    await _write(link, model, {f"{where.request}Req": number})
    await _wait_for_adoption(link, found, where)
    if model.values["RvrtTms"] is not None:
        await _write(link, model, {"RvrtTms": reversion_s})
    elif reversion_s:
        raise FunctionRefused(f"model {where.model_id} has no reversion time")
    await _write(link, model, {"Ena": model.layout.symbol("Ena", "ENABLED")})
    _confirm(await _open(link, found, where), where, values)


async def release(link: ModbusLink, found: DeviceMap, kind: FunctionKind) -> None:
    """Ends a function. FunctionRefused when the device goes on, SunSpecError without the model; link errors pass."""
    where = FUNCTIONS[kind]
    model = await _open(link, found, where)
    disabled = model.layout.symbol("Ena", "DISABLED")
    await _write(link, model, {"Ena": disabled})
    if (await _open(link, found, where)).values["Ena"] != disabled:
        raise FunctionRefused(f"model {where.model_id} stays enabled")


async def in_force(link: ModbusLink, found: DeviceMap, kind: FunctionKind) -> Curve | Droop | None:
    """What the device says it follows, None = it does not. FunctionRefused where that makes no sense."""
    where = FUNCTIONS[kind]
    model = await _open(link, found, where)
    if model.values["Ena"] != model.layout.symbol("Ena", "ENABLED"):
        return None

    if f"{where.sets}[0].ReadOnly" not in model.values:
        raise FunctionRefused(f"model {where.model_id} has no set that is in force")

    def number(name: str) -> float:
        value = model.values.get(f"{where.sets}[0].{name}")
        return value if isinstance(value, float | int) else nan

    if kind == "frequency-droop":
        droop = Droop(number("DbOf"), number("DbUf"), number("KOf"), number("KUf"), number("RspTms"))
        return _without_gaps(
            where,
            droop,
            (droop.deadband_over_hz, droop.deadband_under_hz, droop.droop_over_frac, droop.droop_under_frac),
        )
    said = model.values.get("Crv[0].DeptRef")
    share_of = next(
        (share for share in SHARES if model.layout.points["Crv[0].DeptRef"].symbols.get(share) == said), None
    )
    count, most = model.values["Crv[0].ActPt"], model.values["NPt"]
    if share_of is None or not isinstance(count, int) or not isinstance(most, int) or not 2 <= count <= most:
        raise FunctionRefused(f"model {where.model_id} follows {count} points of share {said}")
    points = tuple(
        (number(f"Pt[{k}].{where.x}") / PERCENT, number(f"Pt[{k}].{where.y}") / PERCENT) for k in range(count)
    )
    return _without_gaps(where, Curve(kind, points, share_of, number("RspTms")), sum(points, ()))


def _without_gaps(where: FunctionModel, function: Curve | Droop, numbers: Sequence[float]) -> Curve | Droop:
    if any(isnan(number) for number in numbers):
        raise FunctionRefused(f"model {where.model_id} does not say all that it follows")
    return function


async def _open(link: ModbusLink, found: DeviceMap, where: FunctionModel) -> MappedModel:
    return await open_model(link, found.find(where.model_id), where.counts)


def _free_set(model: MappedModel, where: FunctionModel) -> int:
    """Number, from 1, of the first set that may be written."""
    count = model.values[where.counts[-1]]
    for k in range(1, count if isinstance(count, int) else 0):
        name = f"{where.sets}[{k}].ReadOnly"
        if model.values[name] == model.layout.symbol(name, "RW"):
            return k + 1
    raise FunctionRefused(f"model {where.model_id} has no set that may be written")


def _settings(model: MappedModel, function: Curve | Droop) -> dict[str, Value]:
    """Points of a set, by their names in it, in SI units of the model."""
    if isinstance(function, Droop):
        return {
            "DbOf": function.deadband_over_hz,
            "DbUf": function.deadband_under_hz,
            "KOf": function.droop_over_frac,
            "KUf": function.droop_under_frac,
            "RspTms": function.response_time_s,
        }
    where, most = FUNCTIONS[function.kind], model.values["NPt"]
    if not isinstance(most, int) or not 2 <= len(function.points) <= most:
        raise FunctionRefused(f"model {where.model_id} takes 2 to {most} points, got {len(function.points)}")
    share = model.layout.points["Crv[0].DeptRef"].symbols.get(function.share_of)
    if share is None:
        raise FunctionRefused(f"model {where.model_id} knows no shares of {function.share_of}")
    values: dict[str, Value] = {"ActPt": len(function.points), "DeptRef": share}
    fixed: dict[str, Value] = {"Pri": 0, "VRef": PERCENT, "VRefAutoEna": 0}
    values |= {name: value for name, value in fixed.items() if model.values.get(f"Crv[0].{name}") is not None}
    if not isnan(function.response_time_s):
        if model.values.get("Crv[0].RspTms") is None:
            raise FunctionRefused(f"model {where.model_id} has no response time")
        values["RspTms"] = function.response_time_s
    for k, (x, y) in enumerate(function.points):
        values |= {f"Pt[{k}].{where.x}": PERCENT * x, f"Pt[{k}].{where.y}": PERCENT * y}
    return values


async def _write(link: ModbusLink, model: MappedModel, values: Mapping[str, Value]) -> None:
    """In as few messages as the gaps between the points allow."""
    blocks: list[dict[str, Value]] = []
    end = -1
    for name in sorted(values, key=lambda each: model.layout.points[each].offset):
        point = model.layout.points[name]
        if point.offset != end:
            blocks.append({})
        blocks[-1][name] = values[name]
        end = point.offset + point.size
    for block in blocks:
        try:
            address, registers = model.encode(block)
        except ValueError as error:
            raise FunctionRefused(str(error)) from None
        await link.write_registers(address, registers, now_ns() + WRITE_EXPIRY_NS)


async def _wait_for_adoption(link: ModbusLink, found: DeviceMap, where: FunctionModel) -> None:
    name, end_ns = f"{where.request}Rslt", now_ns() + round(ADOPTION_S_MAX * 1e9)
    while now_ns() < end_ns:
        model = await _open(link, found, where)
        result, symbols = model.values[name], model.layout.points[name].symbols
        if result == symbols["COMPLETED"]:
            return
        if result == symbols["FAILED"]:
            raise FunctionRefused(f"model {where.model_id}: the device did not adopt the settings")
        await asyncio.sleep(ADOPTION_POLL_S)
    raise FunctionRefused(f"model {where.model_id}: not adopted within {ADOPTION_S_MAX:g} s")


def _confirm(model: MappedModel, where: FunctionModel, values: Mapping[str, Value]) -> None:
    """Set 1 has what was written, to the resolution of its registers, and is enabled."""
    if model.values["Ena"] != model.layout.symbol("Ena", "ENABLED"):
        raise FunctionRefused(f"model {where.model_id} is not enabled after all")
    for name, value in values.items():
        point, said = model.layout.points[f"{where.sets}[0].{name}"], model.values[f"{where.sets}[0].{name}"]
        exponent = model.scales[point.scale] if isinstance(point.scale, str) else None
        step = 10.0 ** (exponent or 0)
        if not isinstance(said, float | int) or not isinstance(value, float | int):
            raise FunctionRefused(f"model {where.model_id}: {name} is {said}, expected {value}")
        if not isclose(said, value, rel_tol=1e-9, abs_tol=0.5 * step + 1e-9):
            raise FunctionRefused(f"model {where.model_id}: {name} is {said:g}, expected {value:g}")
