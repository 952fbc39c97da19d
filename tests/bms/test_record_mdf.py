"""Record files as MDF, read with asammdf itself: every channel as the schema has it."""

import math
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from asammdf import MDF, Signal

from bms.record import RecordError, TickRow
from bms.record.files import read_record
from bms.record.memory import MemoryRecorder
from bms.record.schema import COLUMNS

ROW = TickRow(
    0.0, "running", 250e3, 200e3, None, None, 1.3e6, 199.5e3, math.nan, 0.48, 0.5, 0.53, 0.02, 3.251, 3.302, 22.5,
    27.25, 5e5, 2e5, None, "cell_voltage_v_min", "", "online,online", 81.5, math.nan, 0, 2**40, 3, 12, 1, None, None, 1,
    "main,open", 1,
)  # fmt: skip
ROWS = (
    ROW,
    ROW._replace(time_s=0.02, clipped_by="guard", clip_reason="rack 1: 56 °C < 1 & 2", faults="a,b", frames=7),
    ROW._replace(time_s=0.04, sent_power_w=-1e-3, faults="a,b"),
)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    recorder = MemoryRecorder({"site": "demo & <co>", "started_unix_ns": "1764398107250000000"})
    for row in ROWS:
        recorder.add(row)
    recorder.write(tmp_path / "run.mf4")
    return tmp_path / "run.mf4"


def test_every_column_is_a_channel_with_its_unit_and_meaning_over_one_time(record: Path) -> None:
    with MDF(record) as mdf:
        assert mdf.version == "4.10"
        assert len(mdf.groups) == 1
        channels = mdf.groups[0].channels
        assert [channel.name for channel in channels] == [column.name for column in COLUMNS]
        assert [channel.comment for channel in channels] == [column.meaning for column in COLUMNS]
        assert [channel.unit for channel in channels] == [column.unit for column in COLUMNS]
        assert mdf.masters_db == {0: 0}
        assert mdf.get_master(0).tolist() == [0.0, 0.02, 0.04]


def test_numbers_are_numbers_and_what_is_absent_is_nan(record: Path) -> None:
    with MDF(record) as mdf:
        sent = mdf.get("sent_power_w")
        assert (sent.samples.tolist(), sent.samples.dtype) == ([200e3, 200e3, -1e-3], np.float64)
        assert sent.timestamps.tolist() == [0.0, 0.02, 0.04]
        frames = mdf.get("frames")
        assert (frames.samples.tolist(), frames.samples.dtype) == ([2**40, 7, 2**40], np.int64)
        assert np.isnan(mdf.get("load_power_w").samples).all()


def test_texts_are_texts_and_null_is_an_invalid_sample(record: Path) -> None:
    with MDF(record) as mdf:
        assert mdf.get("faults").samples.tolist() == [b"", b"a,b", b"a,b"]
        reason = mdf.get("clip_reason", ignore_invalidation_bits=True)
        assert reason.samples[1].decode() == "rack 1: 56 °C < 1 & 2"
        assert reason.invalidation_bits.tolist() == [True, False, True]
        assert mdf.get("clip_reason").timestamps.tolist() == [0.02]
        assert mdf.get("faults", ignore_invalidation_bits=True).invalidation_bits.tolist() == [False] * 3


def test_metadata_and_start_are_in_the_header(record: Path) -> None:
    with MDF(record) as mdf:
        assert mdf.header.start_time == datetime(2025, 11, 29, 6, 35, 7, 250000, tzinfo=UTC)
        properties = {e.attrib["name"]: e.text for e in ElementTree.fromstring(mdf.header.comment).iter("e")}
    assert properties == {"schema_version": "1", "site": "demo & <co>", "started_unix_ns": "1764398107250000000"}


def test_without_a_start_there_is_no_wall_time_in_the_file(tmp_path: Path) -> None:
    MemoryRecorder().write(tmp_path / "run.mf4")
    with MDF(tmp_path / "run.mf4") as mdf:
        assert mdf.header.start_time == datetime(1970, 1, 1, tzinfo=UTC)
        assert [history.time_stamp for history in mdf.file_history] == [datetime(1970, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "not an MDF file"), (b"hello" * 20, "not an MDF file"), (b"MDF     4.10    ", "not an MDF file")],
)
def test_what_is_no_mdf_file_is_no_record(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "run.mf4").write_bytes(content)
    with pytest.raises(RecordError, match=rf"run\.mf4: no record file \({said}\)"):
        read_record(tmp_path / "run.mf4")


def test_a_damaged_mdf_file_is_no_record(record: Path, tmp_path: Path) -> None:
    data = record.read_bytes()
    place = data.index(b"##DZ") + 60
    (tmp_path / "run.mf4").write_bytes(data[:place] + b"\xff" * 8 + data[place + 8 :])
    with pytest.raises(RecordError, match=r"run\.mf4: no record file \(an MDF file that cannot be read: "):
        read_record(tmp_path / "run.mf4")


def test_an_mdf_file_of_something_else_is_no_record(tmp_path: Path) -> None:
    with MDF(version="4.10") as mdf:
        mdf.append(Signal(np.arange(3.0), np.arange(3.0), name="speed", unit="km/h"))
        mdf.save(tmp_path / "car.mf4")
    with pytest.raises(RecordError, match=r"car\.mf4: no record file of schema version 1"):
        read_record(tmp_path / "car.mf4")
