"""Points at their places and in their units, against registers typed by hand from the SunSpec definitions."""

import pytest

from drivers.sunspec import SunSpecError, load_layout
from drivers.sunspec.points import decode_point, encode_point
from tests.drivers import sunspec_registers as raw


@pytest.mark.parametrize(
    ("type_name", "registers", "value"),
    [
        ("int16", [0xFB2E], -1234),
        ("int16", [0x7FFF], 32767),
        ("int16", [0x8001], -32767),
        ("uint16", [0xFFFE], 65534),
        ("int32", [0xFFFE, 0x1DC0], -123456),
        ("uint32", [0x0001, 0xE240], 123456),
        ("uint64", [0, 0x1C, 0xBE99, 0x1A14], 123456789012),
        ("float32", [0x42F6, 0xE979], 123.45600128173828),
        ("string", [0x4143, 0x4D45, 0], "ACME"),
        ("ipaddr", [0xC0A8, 0x0001], "c0a80001"),
    ],
)
def test_point_types_read_and_write_the_same_registers(type_name, registers, value):
    assert decode_point(type_name, registers) == value
    assert encode_point(type_name, len(registers), value) == registers


@pytest.mark.parametrize(
    ("type_name", "registers"),
    [
        ("int16", [0x8000]),
        ("uint16", [0xFFFF]),
        ("enum16", [0xFFFF]),
        ("acc32", [0, 0]),
        ("int32", [0x8000, 0]),
        ("uint32", [0xFFFF, 0xFFFF]),
        ("bitfield32", [0xFFFF, 0xFFFF]),
        ("int64", [0x8000, 0, 0, 0]),
        ("sunssf", [0x8000]),
        ("float32", [0x7FC0, 0]),
        ("string", [0, 0]),
    ],
)
def test_not_implemented_is_absent_in_both_directions(type_name, registers):
    assert decode_point(type_name, registers) is None
    assert encode_point(type_name, len(registers), None) == registers


@pytest.mark.parametrize(
    ("type_name", "size", "value"),
    [
        ("int16", 1, 32768),
        ("int16", 1, -32768),
        ("uint16", 1, 65535),
        ("uint16", 1, -1),
        ("int32", 2, 2**31),
        ("int32", 2, -(2**31)),
        ("int16", 1, 1.5),
        ("string", 2, "ACMES"),
    ],
)
def test_value_that_does_not_fit_is_an_error_and_never_wraps(type_name, size, value):
    with pytest.raises(ValueError, match=r"fit|implemented|whole|registers"):
        encode_point(type_name, size, value)


def test_measurements_are_scaled_by_the_models_own_factors():
    registers = raw.model(701, 153, raw.AC_CHARGING)
    values = load_layout(701).decode(registers, ["InvSt", "ConnSt", "Alrm", "W", "VA", "Hz"])
    assert values == {"InvSt": 3, "ConnSt": 1, "Alrm": 2, "W": -123400.0, "VA": None, "Hz": 59.98}


def test_value_without_its_scale_factor_is_absent():
    registers = raw.model(701, 153, raw.AC_CHARGING | {116: [0x8000]})
    assert load_layout(701).decode(registers, ["W"]) == {"W": None}


def test_impossible_scale_factor_is_an_error():
    registers = raw.model(701, 153, raw.AC_CHARGING | {116: [11]})
    with pytest.raises(SunSpecError, match="W_SF is 11"):
        load_layout(701).decode(registers, ["W"])


def test_repeated_group_has_its_points_behind_the_fixed_ones():
    layout = load_layout(714, NPrt=2)
    assert (layout.size, layout.length) == (70, 68)
    assert layout.span("Prt[1].DCA", "Prt[1].DCW") == (55, 3)
    assert load_layout(714).size == 20


def test_set_point_block_of_704_is_eleven_registers_from_offset_22():
    layout = load_layout(704)
    assert layout.span("WSetEna", "WSetRvrtTms") == (22, 11)
    values = {"WSetEna": 1, "WSetMod": 1, "WSet": -123456.0, "WSetRvrt": 0.0}
    assert layout.encode(values, {"WSet_SF": 0}) == (22, [1, 1, 0xFFFE, 0x1DC0, 0, 0])


def test_gap_in_a_write_is_an_error():
    with pytest.raises(ValueError, match="gap before WSet"):
        load_layout(704).encode({"WSetEna": 1, "WSet": 0.0}, {"WSet_SF": 0})


def test_model_that_sunspec_does_not_define_is_an_error():
    with pytest.raises(SunSpecError, match="no model 799"):
        load_layout(799)
