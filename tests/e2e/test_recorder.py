"""The recording process as a user meets it: nothing that was handed over is lost, whoever is killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bms.record import ProcessRecorder, RecordError, TickRow
from bms.record.files import read_record
from bms.record.memory import MemoryRecorder
from bms.record.readings import Readings
from bms.record.schema import COLUMNS

CONTROLLER = """
import asyncio, os, resource, sys
from bms.record import ProcessRecorder
from record_row import ROW

async def main(path, count, ending, size_max):
    if size_max:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_max, size_max))
    async with ProcessRecorder(path, {"site": "demo"}) as recorder:
        for i in range(count):
            recorder.add(ROW._replace(frames=i))
        print(recorder.writer_pid, flush=True)
        if ending == "kill":
            os.kill(os.getpid(), 9)
        if ending == "fault":
            while recorder.fault is None:
                await asyncio.sleep(0.05)
            recorder.add(ROW)
            print(recorder.fault, recorder.dropped, sep="|")
        if ending == "wait":
            await asyncio.sleep(60)

asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
"""

ROW = TickRow(
    0.1, "grid_following", 1.0, 1.0, "", "", 1.5e6, 1.0, 1.5e6, 0.5, 0.5, 0.5, 0.1, 3.3, 3.3, 25.0, 25.0, 5e5, 5e5,
    "", "", "", "online,online", 1.0, 0.4, 0, 0, 0, 0, 0, None, None, 1, "main,main", 1,
    "ticks", 1.0, 0.5, 9e5, 9e4,
)  # fmt: skip
READINGS = Readings(
    inverter=tuple(range(15)),
    meter=(1, 2.5, 50.0, 231.0),
    pv=(float("nan"),) * 4,
    racks=(tuple(range(49)), tuple(range(1, 50))),
    cells=(None, ("KgsAgA==", "xAkACg==", "QA==")),
)


@pytest.fixture
def controller(tmp_path):
    """Starts a process that records `count` rows and ends as told; returns it and its writer's pid."""
    (tmp_path / "record_row.py").write_text(f"from bms.record import TickRow\nROW = {ROW!r}\n")
    (tmp_path / "controller.py").write_text(CONTROLLER)
    root = str(Path(__file__).resolve().parents[2])
    started: list[subprocess.Popen[str]] = []

    def start(
        count: int, ending: str, size_max: int = 0, name: str = "run.parquet"
    ) -> tuple[subprocess.Popen[str], int]:
        process = subprocess.Popen(
            [sys.executable, str(tmp_path / "controller.py"), str(tmp_path / name), str(count), ending,
             str(size_max)],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root},
        )  # fmt: skip
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def until(condition, within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def frames(path: Path) -> list[int]:
    return read_record(path).column("frames").to_pylist()


def rows_in_part(path: Path) -> int:
    """On the disk so far; 0 while not even the head is whole."""
    try:
        return read_record(path).num_rows
    except RecordError:
        return 0


@pytest.mark.parametrize("name", ["run.parquet", "run.mf4"])
def test_killing_the_controller_keeps_every_row_that_was_handed_over(controller, tmp_path, name):
    process, _ = controller(1000, "kill", name=name)
    assert process.wait() == -signal.SIGKILL
    until((tmp_path / name).exists)
    until(lambda: not (tmp_path / f"{name}.part").exists())
    assert frames(tmp_path / name) == list(range(1000))
    assert read_record(tmp_path / name).schema.metadata[b"site"] == b"demo"


@pytest.mark.parametrize("name", ["run.parquet", "run.mf4"])
def test_killing_both_leaves_a_part_that_can_be_read(controller, tmp_path, name):
    process, writer_pid = controller(300, "wait", name=name)
    until(lambda: rows_in_part(tmp_path / name) == 300)
    os.kill(writer_pid, signal.SIGSTOP)
    process.kill()
    os.kill(writer_pid, signal.SIGKILL)
    assert frames(tmp_path / name) == list(range(300))
    assert not (tmp_path / name).exists()


def test_a_row_that_comes_in_two_pieces_is_one_row(tmp_path):
    row = json.dumps([getattr(ROW, column.name) for column in COLUMNS]).encode() + b"\n"
    command = [sys.executable, "-m", "bms.record.writer", str(tmp_path / "run.parquet")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as writer:
        for piece in (b"{}\n" + row + row[:50], row[50:] + row):
            writer.stdin.write(piece)
            writer.stdin.flush()
            time.sleep(1.2)
    assert writer.returncode == 0
    assert read_record(tmp_path / "run.parquet").num_rows == 3


def test_ctrl_c_and_terminate_leave_the_writer_to_finish(controller, tmp_path):
    process, writer_pid = controller(50, "wait")
    os.kill(writer_pid, signal.SIGINT)
    os.kill(writer_pid, signal.SIGTERM)
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    process.wait()
    assert frames(tmp_path / "run.parquet") == list(range(50))


def test_an_earlier_record_is_kept_under_another_name(controller, tmp_path):
    for count in (10, 20, 30):
        process, _ = controller(count, "end")
        assert process.wait() == 0
    assert len(frames(tmp_path / "run.parquet")) == 30
    assert len(frames(tmp_path / "run.1.parquet")) == 10
    assert len(frames(tmp_path / "run.2.parquet")) == 20


def test_a_leftover_part_is_kept_too(controller, tmp_path):
    process, writer_pid = controller(300, "wait")
    until(lambda: rows_in_part(tmp_path / "run.parquet") == 300)
    os.kill(writer_pid, signal.SIGKILL)
    process.kill()
    process.wait()
    process, _ = controller(5, "end")
    assert process.wait() == 0
    assert len(frames(tmp_path / "run.parquet")) == 5
    assert len(frames(tmp_path / "run.1.parquet")) == 300


def test_a_full_disk_is_a_fault_and_what_was_saved_stays(controller, tmp_path):
    process, _ = controller(1900, "fault", 100_000)
    fault, dropped = process.stdout.readline().strip().split("|")
    assert "recording ended: " in fault
    assert "File too large" in fault
    assert int(dropped) >= 1
    assert process.wait() == 0
    assert not (tmp_path / "run.parquet").exists()
    assert (tmp_path / "run.parquet.part").exists()
    assert not (tmp_path / "run.parquet.tmp").exists()


async def test_two_recorders_of_one_file_are_refused(tmp_path):
    async with ProcessRecorder(tmp_path / "run.parquet") as first:
        first.add(ROW)
        with pytest.raises(RecordError, match=r"run\.parquet: another process is recording to it"):
            await ProcessRecorder(tmp_path / "run.parquet").__aenter__()
    assert first.fault is None
    assert read_record(tmp_path / "run.parquet").num_rows == 1


async def test_a_folder_that_is_missing_is_an_error_at_start(tmp_path):
    with pytest.raises(RecordError, match=r"none/run\.parquet: cannot write the record: No such file or directory"):
        await ProcessRecorder(tmp_path / "none" / "run.parquet").__aenter__()


async def test_a_writer_that_hangs_costs_rows_but_never_time(tmp_path):
    async with ProcessRecorder(tmp_path / "run.parquet") as recorder:
        os.kill(recorder.writer_pid, signal.SIGSTOP)
        start = time.monotonic()
        for i in range(10_000):
            recorder.add(ROW._replace(frames=i))
        took_s = time.monotonic() - start
        os.kill(recorder.writer_pid, signal.SIGCONT)
    kept = frames(tmp_path / "run.parquet")
    assert 1000 < len(kept) < 10_000
    assert kept == list(range(len(kept)))
    assert recorder.dropped == 10_000 - len(kept)
    assert "rows are lost" in recorder.fault
    assert took_s < 5.0


async def test_a_killed_writer_is_a_fault(tmp_path):
    async with ProcessRecorder(tmp_path / "run.parquet") as recorder:
        recorder.add(ROW)
        os.kill(recorder.writer_pid, signal.SIGKILL)
        await asyncio.sleep(0.5)
        assert "ended early" in recorder.fault
        recorder.add(ROW)
        assert recorder.dropped == 1


async def test_both_recorders_write_the_same_bytes(tmp_path):
    memory = MemoryRecorder({"site": "demo"})
    async with ProcessRecorder(tmp_path / "process.parquet", {"site": "demo"}) as process:
        for i in range(1100):
            for recorder in (memory, process):
                recorder.add(ROW._replace(time_s=i / 7, frames=i), READINGS if i % 10 == 0 else None)
    memory.write(tmp_path / "memory.parquet")
    assert (tmp_path / "process.parquet").read_bytes() == (tmp_path / "memory.parquet").read_bytes()
