"""The readings as columns of a record file: nested Arrow values, one struct a device."""

from base64 import b64decode
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from bms.record.readings import (
    ABSENT,
    BATTERY,
    CELLS,
    CELLS_PERIOD_S,
    INVERTER,
    METER,
    RACK,
    STATES,
    SWITCHGEAR,
    TEMPERATURE_STEP_K,
    VOLTAGE_OFFSET_V,
    VOLTAGE_STEP_V,
    Field,
    Numbers,
    Readings,
)

WHOLE_RACK = (*RACK, *BATTERY)
CELL_TYPES = (pa.list_(pa.float32()), pa.list_(pa.float32()), pa.list_(pa.bool_()))
CELL_STRUCT = pa.struct(list(zip(CELLS, CELL_TYPES, strict=True)))
MEANINGS = {
    "inverter": "newest reading of the converter, its nameplate and what it acknowledged",
    "meter": "newest reading of the grid meter",
    "pv": "newest reading of the meter of the site's PV",
    "racks": "newest reading of each rack, in the order of the site file",
    "cells": f"each rack's cells, once in {CELLS_PERIOD_S:g} s and when one gets its first value or loses it",
    "switchgear": "newest reading of the switchgear between site and grid",
}
"""Columns of the readings; null where a record was made without."""


def reading_fields() -> list[Any]:
    """pyarrow.Fields of the readings, which follow the flat columns."""
    devices = _struct(INVERTER), _struct(METER), _struct(METER)
    types = *devices, pa.list_(_struct(WHOLE_RACK)), pa.list_(CELL_STRUCT), _struct(SWITCHGEAR)
    return [
        pa.field(name, kind, metadata={"unit": "", "meaning": meaning})
        for (name, meaning), kind in zip(MEANINGS.items(), types, strict=True)
    ]


def reading_columns(rows: Sequence[Readings | None]) -> list[Any]:
    """pyarrow.Arrays of these columns."""
    if not any(rows):
        return [pa.nulls(len(rows), field.type) for field in reading_fields()]
    none = np.array([row is None for row in rows], np.bool_)
    racks = [rack for row in rows if row is not None for rack in row.racks]
    ends = np.cumsum([0, *(0 if row is None else len(row.racks) for row in rows)])
    offsets = pa.array(ends.astype(np.int32), mask=np.append(none, False))
    cells = [None if row is None else [each and _unpacked(*each) for each in row.cells] for row in rows]
    return [
        _structs([None if row is None else row.inverter for row in rows], INVERTER),
        _structs([None if row is None else row.meter for row in rows], METER),
        _structs([None if row is None else row.pv for row in rows], METER),
        pa.ListArray.from_arrays(offsets, _structs(racks, WHOLE_RACK), type=pa.list_(_struct(WHOLE_RACK))),
        pa.array(cells, pa.list_(CELL_STRUCT)),
        _structs([None if row is None else row.switchgear for row in rows], SWITCHGEAR),
    ]


def _structs(rows: Sequence[Numbers | None], fields: Sequence[Field]) -> Any:
    nothing = (np.nan,) * len(fields)
    whole = [nothing if row is None else (*row, *nothing[len(row) :]) for row in rows]
    table = np.array(whole, np.float64).reshape(-1, len(fields))
    arrays = [_array(column, field.type) for column, field in zip(table.T, fields, strict=True)]
    mask = pa.array([row is None for row in rows], pa.bool_())
    return pa.StructArray.from_arrays(arrays, fields=list(_struct(fields)), mask=mask)


def _array(numbers: Any, kind: str) -> Any:
    """The numbers of one field in its own type."""
    if kind.startswith("float"):
        return pa.array(numbers.astype(kind))
    absent = np.isnan(numbers)
    whole = np.where(absent, 0.0, np.rint(numbers)).astype(np.int64)
    if kind == "string":
        states = [None if none else STATES[place].value for none, place in zip(absent, whole, strict=True)]
        return pa.array(states, pa.string())
    return pa.array(whole, mask=absent).cast(_arrow(kind))


def _struct(fields: Iterable[Field]) -> Any:
    return pa.struct([pa.field(field.name, _arrow(field.type), metadata={"unit": field.unit}) for field in fields])


def _arrow(kind: str) -> Any:
    return pa.type_for_alias(kind)


def _unpacked(voltage: str, temperature: str, bleeding: str) -> tuple[Any, Any, Any]:
    voltage_v = _values(voltage, VOLTAGE_STEP_V) + np.float32(VOLTAGE_OFFSET_V)
    bits = np.unpackbits(np.frombuffer(b64decode(bleeding), np.uint8), count=len(voltage_v))
    return voltage_v, _values(temperature, TEMPERATURE_STEP_K), bits.astype(np.bool_)


def _values(packed: str, step: float) -> Any:
    steps = np.frombuffer(b64decode(packed), "<i2")
    return np.where(steps == ABSENT, np.nan, steps * step).astype(np.float32)
