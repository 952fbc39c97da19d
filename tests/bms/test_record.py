"""Record files: what is in them, that equal runs give equal bytes, and what is said when one cannot be had."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bms.record import ProcessRecorder, RecordError, TickRow
from bms.record.files import read_record, write_record
from bms.record.memory import MemoryRecorder
from bms.record.reading_columns import MEANINGS
from bms.record.readings import BATTERY, INVERTER, METER, RACK, ReadingLines, Readings, reading_lines
from bms.record.schema import COLUMNS

NAN = math.nan

ROW = TickRow(
    time_s=0.1,
    mode="grid_following",
    requested_power_w=250_000.0,
    sent_power_w=200_000.0,
    clipped_by="limits",
    clip_reason="cell_voltage_v_min",
    grid_power_w=1_300_000.0,
    battery_power_w=199_500.0,
    load_power_w=1_499_500.0,
    soc_min_frac=0.48,
    soc_mean_frac=0.5,
    soc_max_frac=0.53,
    soc_sigma_max_frac=0.02,
    cell_voltage_v_min=3.251,
    cell_voltage_v_max=3.302,
    cell_temperature_degc_min=22.5,
    cell_temperature_degc_max=27.25,
    charge_power_w_limit=500_000.0,
    discharge_power_w_limit=200_000.0,
    limit_reason_charge=None,
    limit_reason_discharge="cell_voltage_v_min",
    faults="cell_undervoltage_warning,meter_stale",
    rack_states="online,online",
    rack_current_a_max_abs=81.5,
    tick_ms=math.nan,
    overruns=0,
    frames=2**40,
    frames_lost=3,
    transactions=12,
    transactions_lost=1,
    asked_by="grid-smoothing",
    unmet=None,
    converter_run=1,
    contactors="main,open",
    wanted=1,
    smoothing_way="fast-lane",
    lane_age_ms=1.5,
    lane_jitter_ms=0.25,
    load_range_w_5s=980e3,
    grid_range_w_5s=90e3,
    strip="rack-2 strips",
    told="power_w=50000:modbus",
)


def rows(count: int) -> list[TickRow]:
    return [ROW._replace(time_s=i / 10, mode="standby" if i % 3 else "grid_following", frames=i) for i in range(count)]


NUMBERS_OF_A_RACK = (
    12, 40, 9, 18, 49, NAN, 3.30125, 3.29, 3.31, 7, 2, 24.5, 26.25, 0, 3, -81.25, 1373.4, 1373.1, 1, 0, 0.02,
    4000, 1, 2, 3, 4, 5, 0, -81.0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, NAN, 24.1, NAN, 25.5, 800.5, 2, 0, NAN, 1, 0.75,
)  # fmt: skip
READINGS = Readings(
    inverter=(90_000_000, 3, 199.5e3, 203e3, 1373.0, 147.9, 50.01, 1, 1, 0, 0, 5e5, 5e5, 80_000_000, 2e5),
    meter=(85_000_000, 1.3e6, 50.01, 231.0),
    pv=(NAN,) * 4,
    racks=(NUMBERS_OF_A_RACK, NUMBERS_OF_A_RACK),
    cells=(("KgsAgA==", "xAkACg==", "QA=="), None),
    switchgear=(88_000_000, 0, 1, 399.5, 59.98, 401.0, 60.02, NAN, 5),
)
"""Two cells of the first rack: 3.2858 V and none, 25.00 and 25.60 degC, the second one bleeding."""


def recorded(count: int, metadata: dict[str, str] | None = None) -> MemoryRecorder:
    recorder = MemoryRecorder(metadata)
    for row in rows(count):
        recorder.add(row)
    return recorder


def test_columns_and_row_type_say_the_same_in_the_same_order():
    types = {float: "float64", str: "string", str | None: "string", int: "int64"}
    fields = [(name, types[kind]) for name, kind in TickRow.__annotations__.items()]
    assert [(column.name, column.type) for column in COLUMNS] == fields
    assert all(column.meaning for column in COLUMNS)


def test_a_row_comes_back_from_the_file_as_it_went_in(tmp_path):
    recorder = MemoryRecorder({"site": "demo", "scenario": "step", "seed": "7"})
    recorder.add(ROW)
    recorder.write(tmp_path / "run.parquet")
    table = read_record(tmp_path / "run.parquet")
    (row,) = table.select([column.name for column in COLUMNS]).to_pylist()
    assert math.isnan(row.pop("tick_ms"))
    assert row == {name: value for name, value in ROW._asdict().items() if name != "tick_ms"}
    assert list(table.schema.metadata.items()) == [
        (b"schema_version", b"1"),
        (b"scenario", b"step"),
        (b"seed", b"7"),
        (b"site", b"demo"),
    ]
    assert table.schema.field("time_s").metadata[b"unit"] == b"s"
    assert b"discharge positive" in table.schema.field("sent_power_w").metadata[b"meaning"]


def test_readings_come_back_as_what_devices_said(tmp_path):
    recorder = MemoryRecorder()
    recorder.add(ROW, READINGS)
    recorder.add(ROW)
    recorder.write(tmp_path / "run.parquet")
    said, nothing = read_record(tmp_path / "run.parquet").to_pylist()
    assert [nothing[name] for name in ("inverter", "meter", "pv", "racks", "cells")] == [None] * 5
    switchgear = said["switchgear"]
    assert math.isnan(switchgear.pop("phase_deg"))
    assert switchgear == {
        "at_ns": 88_000_000, "intertie_closed": False, "sync_ok": True, "grid_voltage_v": 399.5,
        "grid_frequency_hz": 59.98, "site_voltage_v": 401.0, "site_frequency_hz": 60.02, "blocks_closed": 5,
    }  # fmt: skip
    inverter, first = said["inverter"], said["racks"][0]
    assert (inverter["at_ns"], inverter["state"], inverter["grid_forming"]) == (90_000_000, "running", False)
    assert (inverter["sent_at_ns"], inverter["sent_power_w"]) == (80_000_000, 200_000.0)
    assert said["meter"] == {"at_ns": 85_000_000, "power_w": 1.3e6, "frequency_hz": 50.01, "voltage_v": 231.0}
    assert said["pv"]["at_ns"] is None
    assert math.isnan(said["pv"]["power_w"])
    assert (first["voltage_age_ms"], first["insulation_age_ms"], first["frames_accepted"]) == (12, None, 4000)
    assert (first["main_closed"], first["precharge_closed"], first["fire_output_on"]) == (True, False, None)
    assert (first["aux_on_battery"], first["aux_charge_frac"]) == (True, 0.75)
    assert (first["current_a"], first["insulation_state"], first["alarms"]) == (-81.25, 2, 0)
    cells, not_kept = said["cells"]
    assert not_kept is None
    assert cells["cell_voltage_v"][0] == pytest.approx(3.2858, abs=1e-6)
    assert math.isnan(cells["cell_voltage_v"][1])
    assert cells["cell_temperature_degc"] == pytest.approx([25.0, 25.6], abs=1e-5)
    assert cells["cell_bleeding"] == [False, True]


def test_a_record_without_readings_keeps_the_rows_alone(tmp_path: Path) -> None:
    recorder = MemoryRecorder(readings=False)
    for _ in range(2):
        recorder.add(ROW, READINGS)
    recorder.write(tmp_path / "run.parquet")
    table = read_record(tmp_path / "run.parquet")
    assert table["sent_power_w"].to_pylist() == [ROW.sent_power_w] * 2
    assert [table[name].null_count for name in ("inverter", "meter", "pv", "racks", "cells")] == [2] * 5


def test_every_field_of_a_rack_has_a_number_in_a_reading():
    assert len(NUMBERS_OF_A_RACK) == len(RACK)
    assert [field.name for field in RACK][29:31] == ["own_fault", "interlock_closed"]


def test_what_a_battery_says_follows_its_rack_and_is_null_for_all_others(tmp_path: Path) -> None:
    says = (800, 53.2, 480.0, 480.0, 45.0, 810, 0.88, 0.94, *(NAN,) * 18)
    recorder = MemoryRecorder()
    recorder.add(ROW, READINGS._replace(racks=((*NUMBERS_OF_A_RACK, *says), NUMBERS_OF_A_RACK)))
    recorder.write(tmp_path / "run.parquet")
    battery, cells = read_record(tmp_path / "run.parquet").to_pylist()[0]["racks"]
    assert (battery["battery_limits_age_ms"], battery["battery_charge_voltage_v_max"]) == (800, 53.2)
    assert (battery["battery_soc_age_ms"], battery["battery_soh_frac"]) == (810, 0.94)
    assert (battery["battery_alarms"], battery["aux_charge_frac"]) == (None, 0.75)
    assert (cells["battery_limits_age_ms"], cells["aux_charge_frac"]) == (None, 0.75)
    assert len(says) == len(BATTERY)


def test_readings_of_a_tick_that_lost_a_piece_are_left_out():
    pieces = ReadingLines()
    first, *others = reading_lines(READINGS)
    for line in (first, *others[1:]):
        pieces.take(line)
    assert pieces.end() is None
    for line in (first, *others):
        pieces.take(line)
    whole = pieces.end()
    assert whole is not None
    assert whole.cells == READINGS.cells
    np.testing.assert_array_equal(whole.racks, READINGS.racks)
    np.testing.assert_array_equal(whole.inverter, READINGS.inverter)
    np.testing.assert_array_equal((whole.meter, whole.pv), (READINGS.meter, READINGS.pv))


def test_the_file_is_zstd_parquet_that_any_reader_opens(tmp_path):
    recorded(3).write(tmp_path / "run.parquet")
    group = pq.ParquetFile(tmp_path / "run.parquet").metadata.row_group(0)
    assert {group.column(i).compression for i in range(group.num_columns)} == {"ZSTD"}


@pytest.mark.parametrize("ending", [".parquet", ".mf4"])
def test_equal_runs_give_equal_bytes(tmp_path, ending):
    for name in ("a", "b"):
        recorded(5000, {"seed": "1", "site": "demo"}).write(tmp_path / (name + ending))
    recorded(5000, {"site": "demo", "seed": "1"}).write(tmp_path / ("c" + ending))
    recorded(5000, {"site": "demo", "seed": "2"}).write(tmp_path / ("d" + ending))
    first = (tmp_path / ("a" + ending)).read_bytes()
    assert (tmp_path / ("b" + ending)).read_bytes() == first
    assert (tmp_path / ("c" + ending)).read_bytes() == first
    assert (tmp_path / ("d" + ending)).read_bytes() != first


@pytest.mark.parametrize("ending", [".parquet", ".mf4"])
def test_bytes_do_not_depend_on_how_rows_came_in_batches(tmp_path, ending):
    table = recorded(70_000).table().combine_chunks()
    for size in (999, 4096, 70_000):
        batches = table.to_batches(max_chunksize=size)
        write_record(lambda batches=batches: batches, tmp_path / f"{size}{ending}", table.schema)
    first = (tmp_path / f"999{ending}").read_bytes()
    assert (tmp_path / f"4096{ending}").read_bytes() == first
    assert (tmp_path / f"70000{ending}").read_bytes() == first


def test_row_groups_of_parquet_have_a_fixed_length(tmp_path):
    recorded(70_000).write(tmp_path / "run.parquet")
    metadata = pq.ParquetFile(tmp_path / "run.parquet").metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [65_536, 4_464]


def test_rows_stay_in_order_across_batches():
    table = recorded(2500).table()
    assert table.column("frames").to_pylist() == list(range(2500))


@pytest.mark.parametrize("name", ["run.parquet", "run.mf4"])
def test_an_empty_record_has_its_columns(tmp_path, name):
    MemoryRecorder().write(tmp_path / name)
    flat = read_record(tmp_path / name).column_names[: len(COLUMNS)]
    assert flat == [column.name for column in COLUMNS]


def test_a_full_recorder_drops_counts_and_says_so():
    recorder = MemoryRecorder(rows_max=2)
    recorder.add(ROW)
    recorder.add(ROW)
    assert (len(recorder), recorder.dropped, recorder.fault) == (2, 0, None)
    recorder.add(ROW)
    assert (len(recorder), recorder.dropped, recorder.fault) == (2, 1, "the record is full at 2 rows")


def test_a_failed_write_leaves_the_earlier_file(tmp_path):
    recorded(3).write(tmp_path / "run.parquet")
    (tmp_path / "run.parquet.tmp").mkdir()
    with pytest.raises(RecordError, match=r"run\.parquet: cannot write the record: Is a directory"):
        recorded(5).write(tmp_path / "run.parquet")
    assert read_record(tmp_path / "run.parquet").num_rows == 3


@pytest.mark.parametrize(("name", "got"), [("run.mdf", "'.mdf'"), ("run.csv", "'.csv'"), ("run", "no ending")])
def test_unknown_endings_are_refused_and_the_known_ones_are_named(tmp_path, name, got):
    for use in (ProcessRecorder, read_record, MemoryRecorder().write):
        with pytest.raises(RecordError, match=r"a record file ends in \.parquet or \.mf4") as error:
            use(tmp_path / name)
        assert got in str(error.value)
        assert "\n" not in str(error.value)


def test_a_missing_record_and_a_foreign_file_are_named(tmp_path):
    with pytest.raises(RecordError, match=r"none\.parquet: there is no such record file"):
        read_record(tmp_path / "none.parquet")
    for name in ("text.parquet", "text.mf4"):
        (tmp_path / name).write_text("not at all")
        with pytest.raises(RecordError, match=rf"{name}: no record file") as error:
            read_record(tmp_path / name)
        assert "\n" not in str(error.value)


def test_parquet_of_other_columns_is_no_record(tmp_path):
    pq.write_table(pa.table({"time_s": [1.0]}), tmp_path / "other.parquet")
    with pytest.raises(RecordError, match=r"other\.parquet: no record file of schema version 1"):
        read_record(tmp_path / "other.parquet")


@pytest.mark.parametrize("name", ["run.parquet", "run.mf4"])
def test_a_leftover_part_is_read_up_to_where_the_kill_cut_it(tmp_path, name):
    path = tmp_path / name
    part_path = tmp_path / (name + ".part")
    schema = MemoryRecorder({"site": "demo"}).table().schema
    with pa.OSFile(str(path) + ".part", "wb") as part, pa.ipc.new_stream(part, schema) as stream:
        for batch in recorded(5000).table().to_batches():
            stream.write_batch(batch.replace_schema_metadata(schema.metadata))
    whole = part_path.read_bytes()
    assert read_record(path).num_rows == 5000
    for kept in (0.9, 0.5, 0.01):
        part_path.write_bytes(whole[: int(len(whole) * kept)])
        count = read_record(path).num_rows
        assert count == 1024 * (count // 1024)
        assert kept * 5000 - 1100 < count < kept * 5000
    part_path.write_bytes(b"")
    assert read_record(path).num_rows == 0


def test_the_controllers_side_needs_no_pyarrow():
    code = "import sys, bms.record; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_writer_says_what_is_wrong_in_one_line(tmp_path):
    for name, expected in (("run.csv", "ends in .parquet or .mf4"), ("none/run.parquet", "No such file or directory")):
        done = subprocess.run(
            [sys.executable, "-m", "bms.record.writer", str(tmp_path / name)],
            input=b"", capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stdout == b""
        assert done.stderr.count(b"\n") == 1
        assert expected in done.stderr.decode()


@pytest.mark.parametrize("name", ["run.parquet", "run.mf4"])
def test_the_writer_drops_an_unfinished_last_line(tmp_path, name):
    values = [getattr(ROW, column.name) for column in COLUMNS]
    lines = "\n".join(["{}", json.dumps(values), json.dumps(values)[:40]])
    command = [sys.executable, "-m", "bms.record.writer", str(tmp_path / name)]
    subprocess.run(command, input=lines.encode(), check=True, stdout=subprocess.DEVNULL)
    assert read_record(tmp_path / name).num_rows == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_manual_lists_every_column_as_the_schema_has_it() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "record.md").read_text(encoding="utf-8")
    for column in COLUMNS:
        assert f"| `{column.name}` | {column.type} | {column.unit} | {column.meaning} |" in manual


def test_manual_lists_every_field_of_the_readings() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "record.md").read_text(encoding="utf-8")
    for fields in (INVERTER, METER, RACK, BATTERY):
        for field in fields:
            assert f"`{field.name}`" in manual
    for name, meaning in MEANINGS.items():
        assert f"| `{name}` | {meaning} |" in manual
