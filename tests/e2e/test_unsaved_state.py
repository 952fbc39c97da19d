"""The state that a running controller keeps, on disks that fill up, vanish or hang, and by a writer that dies."""

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bms.state.files import StateFiles
from bms.state.saved import find_state
from tests.e2e.processes import Process, Rig, saved, wait_until

SEED = 20260701


def writer_of(controller: Process) -> int:
    children = Path(f"/proc/{controller.child.pid}/task/{controller.child.pid}/children").read_text().split()
    return next(int(pid) for pid in children if b"bms.state.writer" in Path(f"/proc/{pid}/cmdline").read_bytes())


def test_full_disk_is_said_and_the_controller_goes_on(
    rig: Callable[..., Rig], run: Callable[..., Process], files: StateFiles
) -> None:
    rig()
    controller = run()
    controller.until(r"  running ")
    resource.prlimit(writer_of(controller), resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    controller.until(r"^state: .*demo\.state\.json: cannot be saved: File too large$")
    assert "File too large" in controller.until(r"  running ")
    assert saved(files).starts == 1
    resource.prlimit(writer_of(controller), resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    wait_until(lambda: "File too large" not in controller.until(r"  running "))
    assert controller.end(signal.SIGINT) == 0
    assert sum(line.startswith("state: ") and "File too large" in line for line in controller.lines) == 1


def test_folder_where_nothing_can_be_written_is_said_and_the_controller_goes_on(
    rig: Callable[..., Rig], run: Callable[..., Process]
) -> None:
    """/proc takes no files, whoever asks."""
    rig()
    controller = run("--state", "/proc/cellward")
    controller.until(r"^state: /proc/cellward/demo\.state\.json: cannot be saved: No such file")
    assert "cannot be saved" in controller.until(r"  running ")
    assert controller.end(signal.SIGINT) == 0


def test_killed_writer_is_said_and_replaced(
    rig: Callable[..., Rig], run: Callable[..., Process], files: StateFiles
) -> None:
    rig()
    controller = run()
    controller.until(r"  running ")
    os.kill(writer_of(controller), signal.SIGKILL)
    controller.until("^state: .* the process that saves it ended; another is started$")
    before = saved(files).saved_at
    wait_until(lambda: saved(files).saved_at > before)
    assert controller.end(signal.SIGINT) == 0


def test_disk_that_does_not_answer_is_said_and_delays_no_tick(
    rig: Callable[..., Rig], run: Callable[..., Process]
) -> None:
    """The writer stopped, as in the middle of a write to a dead disk; its pipe fills up."""
    rig()
    controller = run()
    overruns = r"overruns (\d+)"
    before = re.search(overruns, controller.until(r"  running "))
    writer_pid = writer_of(controller)
    os.kill(writer_pid, signal.SIGSTOP)
    try:
        controller.until(r"^state: .*demo\.state\.json: cannot be saved: the disk does not answer$")
        time.sleep(8.0)
        after = re.search(overruns, controller.until(r"  running .* state "))
    finally:
        os.kill(writer_pid, signal.SIGCONT)
    assert before is not None
    assert after is not None
    assert int(after[1]) - int(before[1]) < 25, "of more than 900 ticks"
    wait_until(lambda: " state " not in controller.until(r"  running "))
    assert controller.end(signal.SIGINT) == 0


WRITES = """
import json, os, sys
state = json.loads(sys.argv[1])
for starts in range(100_000):
    print(json.dumps({"state": {**state, "starts": starts, "latched": [state["latched"], []][starts % 2]}}), flush=True)
"""


def test_writer_killed_while_it_writes_leaves_files_that_can_be_read(tmp_path: Path, files: StateFiles) -> None:
    """60 kB each, both copies written every time, killed at random moments."""
    fault = {"id": "guard_stop", "target": "guard", "detail": "", "since": "2026-07-01T12:00:00.000Z"}
    state: dict[str, Any] = {
        "saved_at": "2026-07-01T12:00:03.000Z", "starts": 0, "trips": {}, "latched": [fault],
        "soc": {"rack-1": {"soc_frac": "A" * 60_000}}, "racks": {},
    }  # fmt: skip
    newest, chance = -1, random.Random(SEED)
    for _ in range(12):
        command = [sys.executable, "-m", "bms.state.writer", str(tmp_path), "demo"]
        source = subprocess.Popen([sys.executable, "-c", WRITES, json.dumps(state)], stdout=subprocess.PIPE)
        writer = subprocess.Popen(command, stdin=source.stdout, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert json.loads(writer.stdout.readline()) == {"ready": True}
        mark = files.current.stat().st_mtime_ns if files.current.exists() else 0
        wait_until(lambda mark=mark: files.current.exists() and files.current.stat().st_mtime_ns > mark)
        time.sleep(chance.uniform(0.0, 0.05))
        writer.kill()
        source.kill()
        for child in (writer, source):
            child.wait()
            assert child.stdout is not None
            child.stdout.close()
        newest = saved(files).starts
        files.current.unlink()
        assert find_state(files).document is not None, "the previous copy is whole too"
        shutil.copy(files.previous, files.current)
    assert newest >= 0
