"""A described register on the wire: golden words by type, order, scale and sign; merged reads; absence; bounds."""

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.profiles.codec import (
    Block,
    OutOfBounds,
    alarms_of,
    encode,
    flag_of,
    nearest_raw,
    read_plan,
    state_of,
    taken,
    value_of,
)
from drivers.profiles.registers import Register
from drivers.readings import InverterState


def register(**fields: object) -> Register:
    """A register with role ac-power, unless told otherwise."""
    power = {"role": "ac-power", "unit": "W", "positive": "discharge"} if "role" not in fields else {}
    return Register.model_validate({"name": "it", "address": 0, **power, **fields})


def words(*values: int) -> dict[tuple[int, int], int]:
    return taken(Block(3, 0, len(values)), values)


GOLDEN = [
    ("u16", "big", 0.1, [0x1388], 500.0),
    ("s16", "big", 10, [0xFF9C], -1000.0),
    ("u32", "big", 1, [0x0001, 0x86A0], 100_000.0),
    ("u32", "little", 1, [0x86A0, 0x0001], 100_000.0),
    ("s32", "big", 10, [0xFFFE, 0x1DC0], -1_234_560.0),
    ("s32", "little", 10, [0x1DC0, 0xFFFE], -1_234_560.0),
    ("f32", "big", 1, [0xC2F6, 0xE979], -123.456),
    ("f32", "little", 1, [0xE979, 0xC2F6], -123.456),
]


@pytest.mark.parametrize(("kind", "order", "scale", "raw", "value"), GOLDEN)
def test_value_of_golden_words(kind: str, order: str, scale: float, raw: list[int], value: float) -> None:
    found = value_of(register(type=kind, scale=scale), words(*raw), order)
    assert found == pytest.approx(value, rel=1e-7)


@pytest.mark.parametrize(("kind", "order", "scale", "raw", "value"), GOLDEN)
def test_golden_words_of_a_value(kind: str, order: str, scale: float, raw: list[int], value: float) -> None:
    it = register(type=kind, scale=scale)
    assert encode(it, nearest_raw(it, value), order) == raw


def test_voltage_of_the_meters_manual() -> None:
    """Eastron SDM630-Modbus user manual, example of a reply to a request for volts 1: 43 66 33 34 = 230.2 V."""
    it = register(role="voltage", unit="V", type="f32")
    assert value_of(it, words(0x4366, 0x3334), "big") == pytest.approx(230.2, abs=1e-4)


def test_units_become_si() -> None:
    assert value_of(register(type="s16", unit="MW", scale=0.01), words(150), "big") == 1_500_000.0
    assert value_of(register(role="dc-current", unit="mA", positive="charge"), words(1500), "big") == 1.5


@pytest.mark.parametrize(
    ("fields", "raw"),
    [
        ({"type": "s16", "absent": 0x8000}, [0x8000]),
        ({"type": "s16", "absent": -0x8000}, [0x8000]),
        ({"type": "u32", "absent": 0xFFFFFFFF}, [0xFFFF, 0xFFFF]),
        ({"type": "f32"}, [0x7FC0, 0]),
    ],
)
def test_absent_value_is_nan(fields: dict[str, object], raw: list[int]) -> None:
    assert math.isnan(value_of(register(**fields), words(*raw), "big"))


def test_value_beyond_its_bounds_or_infinite_is_refused() -> None:
    bounded = register(type="s16", unit="kW", at_least=-500, at_most=500)
    assert value_of(bounded, words(500), "big") == 500_000.0
    with pytest.raises(OutOfBounds, match="it says 501 kW, expected -500 to 500"):
        value_of(bounded, words(501), "big")
    with pytest.raises(OutOfBounds, match="it says -inf W, expected -inf to inf"):
        value_of(register(type="f32"), words(0xFF80, 0), "big")


def test_state_counts_masked_bits_and_is_unknown_where_the_profile_is_silent() -> None:
    states = {"off": [0], "running": [3, 4]}
    it = register(role="state", mask=0x0F, states=states)
    assert [state_of(it, words(raw), "big") for raw in (0xA0, 0x53, 0x04, 0x05)] == [
        InverterState.OFF,
        InverterState.RUNNING,
        InverterState.RUNNING,
        InverterState.UNKNOWN,
    ]


def test_flag_is_true_only_at_its_values() -> None:
    it = register(role="remote-control", true_at=[2, 3])
    assert [flag_of(it, words(raw), "big") for raw in (0, 1, 2, 3)] == [False, False, True, True]


def test_alarm_bits_become_those_of_model_701_and_unnamed_ones_the_makers() -> None:
    it = register(role="alarms", type="u32", alarms={"ground_fault": [20], "fuse_blown": [0]})
    assert alarms_of(it, words(0x0010, 0x0001), "big") == 1 << 0 | 1 << 12
    assert alarms_of(it, words(0, 0x0002), "big") == 1 << 16


@pytest.mark.parametrize(("watts", "raw"), [(1999.0, 19), (-1999.0, -19), (2000.0, 20), (4e9, 0x7FFF), (-4e9, -0x7FFF)])
def test_set_point_rounds_towards_zero_and_stops_at_the_register(watts: float, raw: int) -> None:
    it = register(role="set-point", write=6, type="s16", scale=0.1, unit="kW", positive="discharge", absent=0x8000)
    assert nearest_raw(it, watts) == raw


def test_neighbours_are_read_at_once_and_gaps_only_where_allowed() -> None:
    registers = [register(name=f"r{at}", address=at, type="u32") for at in (10, 0, 2, 6)]
    assert read_plan(registers, 0, 125) == (Block(3, 0, 4), Block(3, 6, 2), Block(3, 10, 2))
    assert read_plan(registers, 2, 125) == (Block(3, 0, 12),)
    assert read_plan(registers, 2, 8) == (Block(3, 0, 8), Block(3, 10, 2))


def test_no_value_is_split_between_two_reads() -> None:
    registers = [register(name=f"r{at}", address=at, type="u32") for at in (0, 2, 4)]
    assert read_plan(registers, 0, 5) == (Block(3, 0, 4), Block(3, 4, 2))


def test_input_and_holding_registers_are_read_apart() -> None:
    registers = [register(address=0), register(name="other", address=1, function=4)]
    assert read_plan(registers, 9, 125) == (Block(3, 0, 1), Block(4, 1, 1))


KINDS = st.sampled_from(["u16", "s16", "u32", "s32", "f32"])
WORD = st.integers(0, 0xFFFF)


@settings(deadline=None)
@given(KINDS, st.sampled_from(["big", "little"]), WORD, WORD)
def test_arbitrary_words_are_a_finite_number_absent_or_refused(kind: str, order: str, high: int, low: int) -> None:
    it = register(type=kind, at_least=-1e6, at_most=1e6)
    try:
        value = value_of(it, words(high, low), order)
    except OutOfBounds:
        return
    assert math.isnan(value) or abs(value) <= 1e6


@settings(deadline=None)
@given(KINDS, st.sampled_from(["big", "little"]), WORD, WORD)
def test_words_that_hold_a_number_come_back_from_it(kind: str, order: str, high: int, low: int) -> None:
    it = register(type=kind)
    raw = [high, low][: it.size]
    try:
        value = value_of(it, words(*raw), order)
    except OutOfBounds:
        return
    if not math.isnan(value):
        back = encode(it, nearest_raw(it, value), order)
        assert struct.pack(f">{it.size}H", *back) == struct.pack(f">{it.size}H", *raw) or value == 0.0
