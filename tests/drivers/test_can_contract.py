"""What every CAN driver keeps: absent until heard, ages that tell, nothing of what is refused, and arbitrary bytes
raise nothing but the one error for torn batches."""

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.battery import BatterySays
from drivers.cell_monitors.dbc import DbcMapping, DbcMonitor
from drivers.cell_monitors.dbc.mapping import Command, Feedback, Values
from drivers.cell_monitors.foxbms import FoxBmsMonitor
from drivers.cell_monitors.foxbms.layout import DBC_PATH as FOXBMS_DBC
from drivers.cell_monitors.low_voltage import LowVoltageBattery
from drivers.cell_monitors.native import NativeRackMonitor
from drivers.cell_monitors.native.layout import DBC_PATH as NATIVE_DBC
from drivers.current_sensors.ivt_s import IvtSensor
from drivers.frames import FrameBatch
from drivers.insulation.iso165c import Iso165c
from drivers.links.can import CanConfig
from drivers.low_voltage import PROFILES
from drivers.readings import NEVER_NS

CONFIG = CanConfig("virtual", "can0")
AT_NS, LATER_NS = 5_000_000_000, 9_000_000_000


class CanDriver(Protocol):
    def on_batch(self, batch: FrameBatch) -> None: ...

    def reading(self) -> Any: ...


@dataclass(frozen=True)
class Case:
    """A driver, frames that mean something to it (each a different message), and values that it then has: from the
    reading to a number, with the number."""

    make: Callable[[], CanDriver]
    frames: tuple[bytes, ...]
    expected: tuple[tuple[Callable[[Any], float], float], ...]


def wire(can_id: int, payload_hex: str) -> bytes:
    payload = bytes.fromhex(payload_hex)
    return struct.pack("<IB3x8s", can_id, len(payload), payload)


def mapping() -> DbcMapping:
    """The frames of a foxBMS 2 front end again, as if it were any DBC file."""
    cells = tuple(("CellVoltages", f"Voltage{cell:03d}") for cell in range(8))
    return DbcMapping(
        path=Path(FOXBMS_DBC),
        voltages=Values(cells, invalid_raw=0x1FFF),
        temperatures=Values((("CellTemperatures", "Temperature000"),)),
        current=Values((("PackValues", "Current"),), factor=-1.0),
        rack_voltage=Values((("PackValues", "BatteryVoltage"),)),
        link_voltage=Values((("PackValues", "BusVoltage"),)),
        main_closed=Feedback(("State", "ConnectedStrings")),
        precharge_closed=None,
        command=Command("StateRequest", "ActivateBalancing"),
    )


FOX_FRAMES = (
    wire(0x270, "01 B6 72 33 97 FF E9 C4"),
    wire(0x280, "00 3B 19 F6 00 64 7F 80"),
    wire(0x233, "3E 70 7C C4 00 01 F5 74"),
    wire(0x220, "17 20 00 00 00 00 00 19"),
)
LOW_FRAMES = (
    wire(0x351, "14 02 C0 12 C0 12 C2 01"),
    wire(0x355, "58 00 5E 00"),
    wire(0x356, "7A 13 F2 FE 6B 01"),
    wire(0x35E, "50 59 4C 4F 4E 20 20 20"),
)


def battery(reading: Any) -> BatterySays:
    says = reading.battery
    assert isinstance(says, BatterySays)
    return says


def low_voltage(name: str) -> Case:
    return Case(
        lambda: LowVoltageBattery(16, PROFILES[name], CONFIG),
        LOW_FRAMES,
        (
            (lambda r: r.current_a, 27.0),  # -27.0 A on a wire that is positive in charge
            (lambda r: r.rack_voltage_v, 49.86),
            (lambda r: battery(r).soc_frac, 0.88),
            (lambda r: battery(r).charge_current_a_max, 480.0),
        ),
    )


CASES: dict[str, Case] = {
    "native": Case(
        lambda: NativeRackMonitor(2, 16, CONFIG),
        (
            wire(0x080, "74 F5 FF 00 00 00 60 19"),
            wire(0x090, "14 34 08 34 21 00 70 CB"),
            wire(0x206, "E4 AC 9C FD 7F E2 14 48"),
            wire(0x301, "64 0A FE 07 10 00 28 A0"),
        ),
        ((lambda r: r.current_a, -27.0), (lambda r: r.voltage_v[24], 3.3), (lambda r: r.rack_voltage_v, 1333.2)),
    ),
    "foxbms": Case(
        lambda: FoxBmsMonitor(1, 8, CONFIG, sensors_per_module=6, source="front-end"),
        FOX_FRAMES,
        ((lambda r: r.current_a, -27.0), (lambda r: r.voltage_v[4], 3.3), (lambda r: r.temperature_degc[2], -10.0)),
    ),
    "dbc": Case(
        lambda: DbcMonitor(mapping(), CONFIG),
        FOX_FRAMES,
        ((lambda r: r.current_a, 27.0), (lambda r: r.voltage_v[4], 3.3), (lambda r: r.main_closed, 1.0)),
    ),
    **{f"low-voltage {name}": low_voltage(name) for name in PROFILES},
    "ivt-s": Case(
        lambda: IvtSensor(CONFIG, positive="discharge"),
        (wire(0x521, "00 05 FF FF F6 FB"), wire(0x522, "01 01 00 0C 32 18")),
        ((lambda r: r.current_a, -2.309), (lambda r: r.voltages_v[0], 799.256)),
    ),
    "iso165c": Case(
        lambda: Iso165c(CONFIG, warning_kohm=300, error_kohm=100),
        (wire(0x37, "11 27 00 00 00 00"), wire(0x23, "37 00 00 00 00")),
        ((lambda r: r.insulation_kohm, 10_001.0), (lambda r: r.state, 2.0)),
    ),
}
EVERY = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def fed(case: Case, *frames: bytes, at_ns: int = AT_NS) -> CanDriver:
    driver = case.make()
    driver.on_batch(FrameBatch(b"".join(frames), at_ns))
    return driver


def leaves(value: Any) -> Iterator[Any]:
    """Every number, flag and text of a reading; health counts left out."""
    if isinstance(value, np.ndarray):
        yield from value.tolist()
    elif isinstance(value, tuple):
        names = getattr(value, "_fields", [""] * len(value))
        for name, part in zip(names, value, strict=True):
            if name != "health":
                yield from leaves(part)
    else:
        yield value


def same(one: Any, other: Any) -> bool:
    return one == other or (one != one and other != other)


def equal(one: Any, other: Any) -> bool:
    pairs = zip(leaves(one), leaves(other), strict=True)
    return all(same(left, right) for left, right in pairs)


def sane(reading: Any) -> None:
    """No infinity, no time but that of a batch, no limit or share that cannot be."""
    for value in leaves(reading):
        assert not (isinstance(value, float) and math.isinf(value))
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1_000_000:
            assert value in (NEVER_NS, AT_NS, LATER_NS)
    says = getattr(reading, "battery", None)
    if says is not None:
        for limit in (says.charge_current_a_max, says.discharge_current_a_max, says.charge_voltage_v_max):
            assert math.isnan(limit) or limit >= 0.0
        for share in (says.soc_frac, says.soh_frac):
            assert math.isnan(share) or 0.0 <= share <= 1.0


@EVERY
def test_good_frames_become_these_values_with_their_time(case: Case) -> None:
    reading = fed(case, *case.frames).reading()
    for value, expected in case.expected:
        assert float(value(reading)) == pytest.approx(expected, abs=1e-9)
    assert AT_NS in set(leaves(reading))
    sane(reading)


@EVERY
def test_nothing_heard_is_absent(case: Case) -> None:
    before = case.make().reading()
    for value, _ in case.expected:
        assert value(before) is None or math.isnan(value(before))
    assert AT_NS not in set(leaves(before))


@EVERY
def test_old_values_keep_their_time(case: Case) -> None:
    driver = fed(case, *case.frames)
    before = driver.reading()
    driver.on_batch(FrameBatch(wire(0x7F0, "00"), LATER_NS))
    assert equal(before, driver.reading())


@EVERY
def test_the_order_of_different_messages_does_not_matter(case: Case) -> None:
    assert equal(fed(case, *case.frames).reading(), fed(case, *reversed(case.frames)).reading())


@EVERY
def test_one_batch_is_the_same_as_many(case: Case) -> None:
    driver = case.make()
    for frame in case.frames:
        driver.on_batch(FrameBatch(frame, AT_NS))
    assert equal(driver.reading(), fed(case, *case.frames).reading())


@EVERY
def test_frames_that_are_too_short_are_no_reading(case: Case) -> None:
    empty = case.make().reading()
    cut = b"".join(frame[:4] + b"\0" + frame[5:] for frame in case.frames)
    assert equal(fed(case, cut).reading(), empty)


@EVERY
@pytest.mark.parametrize("byte", [0x00, 0xFF, 0x7F, 0x80])
def test_extreme_contents_raise_nothing_and_stay_sane(case: Case, byte: int) -> None:
    extreme = b"".join(frame[:8] + bytes([byte] * 8) for frame in case.frames)
    sane(fed(case, extreme).reading())


@EVERY
@pytest.mark.parametrize("size", [1, 15, 17])
def test_a_torn_batch_is_the_one_error(case: Case, size: int) -> None:
    with pytest.raises(ValueError, match="expected a multiple of 16"):
        fed(case, bytes(size))


@EVERY
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_arbitrary_bytes_raise_nothing_and_stay_sane(case: Case, data: st.DataObject) -> None:
    known = st.sampled_from([frame[:4] for frame in case.frames])
    frame = st.tuples(st.one_of(known, st.binary(min_size=4, max_size=4)), st.binary(min_size=12, max_size=12))
    batch = b"".join(a + b for a, b in data.draw(st.lists(frame, max_size=12)))
    driver = fed(case, *case.frames)
    driver.on_batch(FrameBatch(batch, LATER_NS))
    sane(driver.reading())


@EVERY
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_frames_with_other_ids_never_become_a_reading(case: Case, data: st.DataObject) -> None:
    others = st.integers(0x600, 0x7FF).map(lambda can_id: struct.pack("<I", can_id))
    extended = st.integers(0x9000_0000, 0x9FFF_FFFF).map(lambda can_id: struct.pack("<I", can_id))
    frame = st.tuples(st.one_of(others, extended), st.binary(min_size=12, max_size=12))
    batch = b"".join(a + b for a, b in data.draw(st.lists(frame, max_size=12)))
    assert equal(fed(case, batch).reading(), case.make().reading())


def test_the_suite_knows_every_folder_of_cell_monitors() -> None:
    folders = {path.name for path in Path(NATIVE_DBC).parents[1].iterdir() if (path / "monitor.py").exists()}
    assert folders == {name.split(" ")[0].replace("-", "_") for name in CASES} & folders
