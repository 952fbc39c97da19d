"""The native monitor's wire format: frames typed by hand (CRC bytes from the PyPI tool crccheck 1.3.1, Crc8SaeJ1850),
and cantools as a decoder and encoder that shares no code with ours."""

import struct
from typing import Any

import numpy as np
import pytest
from cantools.database.can import Database

from drivers.cell_monitors.native.layout import DBC_PATH, native_layout
from drivers.cell_monitors.native.snapshot import RackDecoder
from drivers.dbc import build_plan, load_dbc
from drivers.frames import FrameBatch
from drivers.readings import NEVER_NS, RackOwnFault, RackReading
from drivers.safety import NOT_HEARD, InsulationState, MonitorAlarm
from kernels.canbits import FrameDecoder, FrameEncoder


def frame(can_id: int, payload_hex: str) -> bytes:
    return struct.pack("<IB3x8s", can_id, 8, bytes.fromhex(payload_hex))


CURRENT_DISCHARGE = frame(0x080, "39 30 00 00 00 00 50 37")  # 12345 x 0.01 A, counter 5
CURRENT_CHARGE = frame(0x080, "74 F5 FF 00 00 00 60 19")  # -2700 x 0.01 A, counter 6
RACK_STATE = frame(0x090, "14 34 08 34 21 00 70 CB")  # 13332, 13320 x 0.1 V, main closed, 2 x 0.05 s
MODULE_1_VOLTAGE_2 = frame(0x206, "E4 AC 9C FD 7F E2 14 48")  # 3300 mV, 3301 mV, not available, 2500 mV
MODULE_1_STATUS = frame(0x301, "64 0A FE 07 10 00 28 A0")  # 100, 261 x 0.25 - 40 degC, n/a, 0; bleeding 0 and 15
RACK_SAFETY = frame(0x0A0, "C5 50 00 1E BE 20 90 10")  # gas not available; 480 x 0.05 V, 22 degC, 25 degC
RACK_SAFETY_ABSENT = frame(0x0A0, "FF FF FF FF FF FF A0 EB")  # everything not available
RACK_INSULATION = frame(0x0A1, "D2 04 52 00 08 00 30 4F")  # 1234 kOhm, active; alarm bits 0, 2 and 15
RACK_INSULATION_ABSENT = frame(0x0A1, "FF FF 07 00 00 00 40 31")
OUTPUTS_FIRE = frame(0x051, "0D 00 00 00 00 00 00 99")  # fire alarm, cooling on, insulation monitor off
OUTPUTS_COOLING_OFF = frame(0x051, "02 00 00 00 00 00 10 08")
COMMAND_BOTH = frame(0x050, "03 00 00 00 00 00 00 FD")  # counter 0
COMMAND_MAIN = frame(0x050, "01 00 00 00 00 00 10 8A")  # counter 1
BLEED_MODULE_1 = frame(0x401, "01 80 00 00 00 00 00 85")  # cells 0 and 15


SAFETY = [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 23.95, -12.25, 149.0, 1234.0, 2, 0x8005, 41.25]
"""Values of RackSafety and RackInsulation."""


def reading_of(*frames: bytes, modules: int = 2, cells_per_module: int = 16, at_ns: int = 7) -> RackReading:
    decoder = RackDecoder(native_layout(modules, cells_per_module))
    decoder.feed(FrameBatch(b"".join(frames), at_ns))
    return decoder.reading()


@pytest.fixture(scope="module")
def database() -> Database:
    loaded = Database()
    loaded.add_dbc_file(DBC_PATH)
    return loaded


@pytest.mark.parametrize(
    ("wire", "current_a"), [(CURRENT_DISCHARGE, 123.45), (CURRENT_CHARGE, -27.0)], ids=["discharge", "charge"]
)
def test_golden_current_is_positive_in_discharge(wire: bytes, current_a: float) -> None:
    reading = reading_of(wire)
    assert reading.current_a == pytest.approx(current_a, abs=1e-9)
    assert reading.current_at_ns == 7


def test_golden_cell_voltages_with_one_not_available() -> None:
    reading = reading_of(MODULE_1_VOLTAGE_2)
    assert reading.voltage_v[24:28] == pytest.approx([3.3, 3.301, np.nan, 2.5], abs=1e-9, nan_ok=True)
    assert np.isnan(np.delete(reading.voltage_v, [24, 25, 27])).all()
    assert reading.voltage_at_ns[24:28].tolist() == [7, 7, NEVER_NS, 7]


def test_golden_module_status_spreads_each_sensor_over_four_cells() -> None:
    reading = reading_of(MODULE_1_STATUS)
    expected_degc = [-15.0] * 4 + [25.25] * 4 + [np.nan] * 4 + [-40.0] * 4
    assert reading.temperature_degc[16:] == pytest.approx(expected_degc, nan_ok=True)
    assert reading.temperature_at_ns[16:].tolist() == [7] * 8 + [NEVER_NS] * 4 + [7] * 4
    assert reading.bleeding.nonzero()[0].tolist() == [16, 31]


def test_golden_rack_state() -> None:
    reading = reading_of(RACK_STATE)
    assert (reading.rack_voltage_v, reading.link_voltage_v) == pytest.approx((1333.2, 1332.0))
    assert (reading.main_closed, reading.precharge_closed, reading.io_at_ns) == (True, False, 7)
    assert reading.command_age_s == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("byte", "own"), [("00", RackOwnFault.NONE), ("50", RackOwnFault.MAIN_WELDED), ("F0", RackOwnFault.REFUSED)]
)
def test_own_fault_of_a_rack_and_one_that_is_not_known(byte: str, own: RackOwnFault) -> None:
    body = bytes.fromhex(f"14 34 08 34 21 {byte} 70")
    data = body + bytes([crc8_bitwise(bytes([0x90, 0]) + body)])
    reading = reading_of(struct.pack("<IB3x8s", 0x090, 8, data))
    assert (reading.own_fault, reading.main_closed) == (own, True)


@pytest.mark.parametrize(("raw_hex", "current_a"), [("00 00 00", np.nan), ("00 00 80", 0.0), ("39 30 80", 123.45)])
def test_second_current_sensor_and_its_absence(raw_hex: str, current_a: float) -> None:
    body = bytes.fromhex(f"39 30 00 {raw_hex} 50")
    data = body + bytes([crc8_bitwise(bytes([0x80, 0]) + body)])
    reading = reading_of(struct.pack("<IB3x8s", 0x080, 8, data))
    assert reading.current_a == pytest.approx(123.45)
    assert reading.current_redundant_a == pytest.approx(current_a, nan_ok=True, abs=1e-6)


def test_second_temperature_chain_and_its_absence() -> None:
    """Bits 36 to 44: 260 x 0.25 - 40 degC."""
    assert np.isnan(reading_of(RACK_INSULATION).safety.temperature_redundant_degc)
    body = bytes.fromhex("D2 04 52 00 48 10 30")
    data = body + bytes([crc8_bitwise(bytes([0xA1, 0]) + body)])
    safety = reading_of(struct.pack("<IB3x8s", 0x0A1, 8, data)).safety
    assert (safety.temperature_redundant_degc, safety.insulation_kohm) == (25.0, 1234.0)


def test_golden_rack_safety() -> None:
    safety = reading_of(RACK_SAFETY).safety
    assert (safety.interlock_closed, safety.emergency_stop_released, safety.fuse_intact) == (True, True, True)
    assert (safety.smoke_detected, safety.gas_detected, safety.fire_panel_alarm) == (False, None, False)
    assert (safety.door_closed, safety.cooling_running, safety.cooling_failed) == (False, True, False)
    assert (safety.fire_output_on, safety.at_ns) == (False, 7)
    analogue = (safety.aux_supply_v, safety.coolant_temperature_degc, safety.precharge_temperature_degc)
    assert analogue == pytest.approx((24.0, 22.0, 25.0), abs=1e-9)


def test_golden_rack_insulation() -> None:
    safety = reading_of(RACK_INSULATION).safety
    assert (safety.insulation_kohm, safety.insulation_state, safety.insulation_at_ns) == (
        1234.0,
        InsulationState.ACTIVE,
        7,
    )
    assert safety.alarms == MonitorAlarm.INTERNAL_FAULT | MonitorAlarm.BOARD_HOT | MonitorAlarm.HARDWARE_LIMIT


def test_inputs_that_are_not_available_or_not_heard_are_absent() -> None:
    heard = reading_of(RACK_SAFETY_ABSENT, RACK_INSULATION_ABSENT).safety
    flags = [value for value in NOT_HEARD if value is None]
    assert [value for value in heard if value is None] == flags[:-1]
    assert heard.alarms == MonitorAlarm(0)
    assert np.isnan([heard.aux_supply_v, heard.coolant_temperature_degc, heard.insulation_kohm]).all()
    assert reading_of().safety == NOT_HEARD
    assert reading_of(RACK_STATE).watchdog_tripped is False


def test_flag_of_two_bits_is_absent_unless_it_is_0_or_1() -> None:
    """Raw 2 stands for nothing: it must not read as closed."""
    body = bytes.fromhex("C6 50 00 1E BE 20 90")
    data = body + bytes([crc8_bitwise(bytes([0xA0, 0]) + body)])
    assert reading_of(struct.pack("<IB3x8s", 0x0A0, 8, data)).safety.interlock_closed is None


def test_golden_outputs() -> None:
    encoder = FrameEncoder(native_layout(2, 16).outputs.frames)
    first = encoder.encode(np.array([0]), np.array([1.0, 2.0, 1.0]))
    second = encoder.encode(np.array([0]), np.array([0.0, 1.0, 0.0]))
    assert (first + second).hex(" ") == (OUTPUTS_FIRE + OUTPUTS_COOLING_OFF).hex(" ")


def test_golden_commands() -> None:
    encoder = FrameEncoder(native_layout(2, 16).commands.frames)
    values = np.array([0.0, 0x8001, 1.0, 1.0, 0.0])  # masks of two modules, main, precharge, hold
    assert encoder.encode(np.array([2]), values).hex(" ") == COMMAND_BOTH.hex(" ")
    values[3] = 0.0
    assert encoder.encode(np.array([2, 1]), values).hex(" ") == (COMMAND_MAIN + BLEED_MODULE_1).hex(" ")


def test_hold_is_the_third_bit_of_a_command() -> None:
    encoder = FrameEncoder(native_layout(2, 16).commands.frames)
    body = bytes.fromhex("05 00 00 00 00 00 00")
    data = body + bytes([crc8_bitwise(bytes([0x50, 0]) + body)])
    values = np.array([0.0, 0.0, 1.0, 0.0, 1.0])
    assert encoder.encode(np.array([2]), values) == struct.pack("<IB3x8s", 0x050, 8, data)


@pytest.mark.parametrize("bit", range(64))
def test_any_flipped_bit_rejects_the_whole_frame(bit: int) -> None:
    damaged = bytearray(MODULE_1_VOLTAGE_2)
    damaged[8 + bit // 8] ^= 1 << bit % 8
    reading = reading_of(bytes(damaged))
    assert np.isnan(reading.voltage_v).all()
    assert reading.health.crc_errors == 1


@pytest.mark.parametrize(
    ("wire", "count"),
    [
        (frame(0x280, "00 00 00 00 00 00 00 00"), "unknown"),
        (frame(0x206, "E4 AC 9C FD 7F E2 14 49"), "crc_errors"),
        (CURRENT_CHARGE + CURRENT_CHARGE, "counter_errors"),
        (struct.pack("<IB3x8s", 0x080, 7, bytes(8)), "length_errors"),
    ],
)
def test_refused_frames_are_counted_by_cause(wire: bytes, count: str) -> None:
    assert getattr(reading_of(wire).health, count) == 1


def test_module_that_does_not_exist_is_unknown() -> None:
    reading = reading_of(MODULE_1_VOLTAGE_2, modules=1)
    assert (reading.health.accepted, reading.health.unknown) == (0, 1)


def test_nothing_heard_is_absent_not_plausible() -> None:
    reading = reading_of()
    assert np.isnan(reading.voltage_v).all()
    assert np.isnan(reading.temperature_degc).all()
    assert np.isnan([reading.current_a, reading.rack_voltage_v, reading.link_voltage_v]).all()
    assert (reading.main_closed, reading.precharge_closed) == (None, None)
    assert {*reading.voltage_at_ns.tolist(), reading.current_at_ns, reading.io_at_ns} == {NEVER_NS}


def test_reading_is_private_and_read_only() -> None:
    decoder = RackDecoder(native_layout(2, 16))
    before = decoder.reading()
    decoder.feed(FrameBatch(MODULE_1_VOLTAGE_2, 7))
    assert np.isnan(before.voltage_v[24])
    for array in (before.voltage_v, before.voltage_at_ns, before.temperature_degc, before.bleeding):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("cells_per_module", [1, 5, 14, 16])
def test_cells_are_contiguous_whatever_the_module_size(cells_per_module: int) -> None:
    layout = native_layout(3, cells_per_module)
    encoder = FrameEncoder(layout.measured.frames)
    values = np.full(len(layout.measured.signal_index), np.nan)
    values[: layout.cells] = 3.0 + 0.001 * np.arange(layout.cells)
    values[layout.cells + layout.sensors : layout.cells + layout.sensors + 9] = [1, 0, 1, 0, 1, 1, 1, 0, 0]
    values[[layout.scalars.stop - 2, layout.safety.stop - 2]] = 0
    wire = encoder.encode(np.arange(len(layout.measured.frame_index)), values)
    reading = reading_of(wire, modules=3, cells_per_module=cells_per_module)
    assert reading.voltage_v == pytest.approx(3.0 + 0.001 * np.arange(3 * cells_per_module), abs=1e-9)
    assert reading.bleeding.nonzero()[0].tolist() == [0, 2 * cells_per_module]
    assert reading.health.rejected == 0


@pytest.mark.parametrize(("last", "frames", "sensors"), [(1, 1, 1), (11, 3, 3), (13, 4, 4)])
def test_last_module_may_have_fewer_cells_and_then_fewer_frames(last: int, frames: int, sensors: int) -> None:
    layout = native_layout(3, 16, last)
    assert (layout.cells, layout.voltage_frames, layout.sensors) == (32 + last, 8 + frames, 8 + sensors)
    assert f"Module02Voltage{frames}" not in layout.measured.frame_index
    values = np.full(len(layout.measured.signal_index), np.nan)
    values[: layout.cells] = 3.0 + 0.001 * np.arange(layout.cells)
    values[layout.cells : layout.cells + layout.sensors] = np.arange(layout.sensors)
    flags = np.zeros(layout.cells, np.uint8)
    flags[[0, 17, 31 + last]] = 1
    bleed = layout.cells + layout.sensors
    values[bleed : bleed + 9] = [*layout.masks(flags), 0, 1, 1, 1, 0, 0]
    values[[layout.scalars.stop - 2, layout.safety.stop - 2]] = 0
    decoder = RackDecoder(layout)
    wire = FrameEncoder(layout.measured.frames).encode(np.arange(len(layout.measured.frame_index)), values)
    decoder.feed(FrameBatch(wire, 7))
    reading = decoder.reading()
    assert reading.voltage_v == pytest.approx(3.0 + 0.001 * np.arange(32 + last), abs=1e-9)
    assert reading.temperature_degc[[0, 31, 32, 31 + last]].tolist() == [0.0, 7.0, 8.0, 7.0 + sensors]
    assert reading.bleeding.nonzero()[0].tolist() == [0, 17, 31 + last]
    assert reading.health.rejected == 0


@pytest.mark.parametrize("last", [0, 17])
def test_last_module_of_none_or_more_cells_is_refused(last: int) -> None:
    with pytest.raises(ValueError, match=r"last_module_cells is \d+, must be 1\.\.16"):
        native_layout(3, 16, last)


def test_cantools_reads_what_we_encode(database: Database) -> None:
    layout = native_layout(2, 16)
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.integers(0, 8191, 32) / 1000, rng.integers(0, 511, 8) / 4 - 40])
    values = np.concatenate([values, [0x0F0F, 0xA001, -123.45, 1333.2, 0.0, 1, 0, 1, 0.35, 3, -124.4], SAFETY])
    wire = FrameEncoder(layout.measured.frames).encode(np.arange(len(layout.measured.frame_index)), values)
    decoded: dict[str, Any] = {}
    for can_id, length, data in struct.iter_unpack("<IB3x8s", wire):
        message = database.get_message_by_frame_id(can_id)
        decoded[message.name] = message.decode(data[:length], decode_choices=False)
    for (message_name, signal), index in layout.measured.signal_index.items():
        assert decoded[message_name][signal] == pytest.approx(values[index], abs=1e-9), (message_name, signal)


def test_we_read_what_cantools_encodes(database: Database) -> None:
    rng = np.random.default_rng(4)
    names = [message.name for message in database.messages]
    plan = build_plan(load_dbc(DBC_PATH), names)
    expected: dict[str, Any] = {}
    wire = b""
    for message in database.messages:
        raw = {signal.name: int(rng.integers(0, 2)) for signal in message.signals}
        raw |= {name: int(rng.integers(0, 500)) for name in raw if name.startswith(("Cell", "Temp", "RackV", "Mask"))}
        raw |= {name: 12_345 % 512 for name in raw if name.endswith("Redundant")}  # raw 0 is absent
        data = message.encode(raw, scaling=False)
        data = data[:7] + bytes([crc8_bitwise(bytes([message.frame_id & 0xFF, message.frame_id >> 8]) + data[:7])])
        wire += struct.pack("<IB3x8s", message.frame_id, 8, data)
        expected[message.name] = message.decode(data, decode_choices=False)
    decoder = FrameDecoder(plan.frames)
    assert decoder.feed(wire, 1) == 198
    for (message_name, signal), index in plan.signal_index.items():
        assert decoder.values[index] == pytest.approx(expected[message_name][signal], abs=1e-9)


def crc8_bitwise(data: bytes) -> int:
    """SAE J1850 by long division, to be independent of the kernel's table."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x1D) & 0xFF if crc & 0x80 else crc << 1
    return crc ^ 0xFF


@pytest.mark.parametrize(
    ("modules", "cells_per_module", "reason"),
    [(0, 16, "modules is 0"), (33, 16, "modules is 33"), (2, 0, "cells_per_module is 0"), (2, 17, "is 17")],
)
def test_impossible_rack_is_refused(modules: int, cells_per_module: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        native_layout(modules, cells_per_module)


def test_missing_names_are_refused() -> None:
    with pytest.raises(ValueError, match="no message Nonsense"):
        build_plan(load_dbc(DBC_PATH), ["Nonsense"])
    with pytest.raises(ValueError, match=r"no value signal RackCurrent\.Voltage"):
        build_plan(load_dbc(DBC_PATH), ["RackCurrent"], [("RackCurrent", "Voltage")])
