"""The deployed controller killed at any moment and started again: SoC, latched faults and counters are still there."""

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

import pytest

from bms.state.files import StateFiles
from bms.state.saved import SavedState, find_state
from tests.e2e.processes import BMS, Process, Rig, wait_for_power

SEED = 20260701


@pytest.fixture
def rig(tmp_path: Path, started: list[Process]) -> Callable[..., Rig]:
    def start(*options: str) -> Rig:
        made = Rig(tmp_path / "site.yaml", *options)
        started.append(made)
        return made

    return start


@pytest.fixture
def files(tmp_path: Path) -> StateFiles:
    return StateFiles(tmp_path, "demo")


@pytest.fixture
def run(tmp_path: Path, started: list[Process]) -> Callable[..., Process]:
    def start(*options: str) -> Process:
        made = Process(*BMS, "run", str(tmp_path / "site.yaml"), "--plain", *options)
        started.append(made)
        return made

    return start


def saved(files: StateFiles) -> SavedState:
    """What the files say, which they do at every moment."""
    found = find_state(files)
    assert found.refusals == ()
    assert found.document is not None
    return found.document


def wait_until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.02)


def test_input_that_is_told_moves_the_battery_until_it_ends(
    rig: Callable[..., Rig], run: Callable[..., Process], files: StateFiles, tmp_path: Path
) -> None:
    served = rig()
    site = tmp_path / "site.yaml"
    told = "applications: [{kind: remote-power, charge_power_w_max: 100e+3, discharge_power_w_max: 100e+3}]"
    site.write_text(re.sub(r"applications:\n(?:[ -].*\n)+", told + "\n", site.read_text()))
    controller = run()
    controller.until("running")
    subprocess.run([*BMS, "set", "inputs.power_w=-80e3", "--for", "4", "--site", str(site)], check=True)
    wait_until(lambda: served.battery_w() < -79e3)
    wait_until(lambda: abs(served.battery_w()) < 1e3)
    assert controller.end(signal.SIGINT) == 0
    events = [json.loads(line) for line in files.events.read_bytes().splitlines()]
    assert [(each["input"], each["value"], each["for_s"]) for each in events if each["event"] == "set"] == [
        ("power_w", -80e3, 4.0)
    ]


def soc_pct(line: str) -> list[float]:
    found = re.search(r"SoC ([\d.]+)/([\d.]+)/([\d.]+) %", line)
    assert found is not None, line
    return [float(number) for number in found.groups()]


def reset(tmp_path: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [*BMS, "reset", str(tmp_path / "site.yaml"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_kills_at_random_moments_lose_nothing(rig: Callable[..., Rig], run: Callable[..., Process],
                                              files: StateFiles) -> None:  # fmt: skip
    chance, plant = random.Random(SEED), rig()
    before, throughput_ah, closings = None, 0.0, 0
    for number in range(1, 5):
        controller = run()
        now = soc_pct(controller.until(r" SoC \d"))  # the first word: later ones are what it has learnt since
        if number in (1, 4):
            controller.until(r"  running ")
        assert before is None or max(abs(a - b) for a, b in zip(now, before, strict=True)) <= 0.5, f"seed {SEED}"
        if number == 1:
            wait_for_power(plant)
        time.sleep(chance.uniform(0.0, 4.0))
        controller.kill()
        before = soc_pct([line for line in controller.lines if " SoC " in line][-1])
        state = saved(files)
        rack = state.racks["rack-1"]
        assert state.starts == number
        assert rack.charged_ah + rack.discharged_ah >= throughput_ah > -1.0
        assert rack.contactor_closings >= closings
        throughput_ah, closings = rack.charged_ah + rack.discharged_ah, rack.contactor_closings
    assert closings >= 2
    assert throughput_ah > 0.0


def test_latched_fault_survives_kills_until_reset(
    rig: Callable[..., Rig], run: Callable[..., Process], files: StateFiles, tmp_path: Path
) -> None:
    plant = rig("--fault", "cell-overvoltage@12:rack-1/17:3.8")
    controller = run()
    controller.until("^TRIP cell_voltage_high ")
    controller.kill()
    wait_until(lambda: [fault.id for fault in saved(files).latched] == ["cell_voltage_high"])
    controller = run()
    controller.until("^state: latched until `bms reset`: cell_voltage_high ")
    controller.until(r"  running .* cell_voltage_high \(rack-1: ")

    assert reset(tmp_path, "cell_voltage_low").returncode == 2
    again = reset(tmp_path, "all", "--json")
    assert again.returncode == 1, again.stderr
    document = json.loads(again.stdout)
    assert [document[key][0]["id"] for key in ("reset", "again")] == ["cell_voltage_high"] * 2
    controller.kill()
    plant.kill()

    rig()
    offline = reset(tmp_path, "cell_voltage_high", "--target", "rack-1")
    assert (offline.returncode, offline.stderr) == (0, "")
    assert "its next start finds it so" in offline.stdout
    assert saved(files).trips["cell_voltage_high"] == 2
    controller = run()
    controller.until(r"  running ")
    events = [json.loads(line) for line in files.events.read_bytes().splitlines()]
    assert [event["event"] for event in events if event.get("fault") == "cell_voltage_high"] == [
        "tripped",
        "reset",
        "tripped",
        "reset",
    ]
    assert [event["starts"] for event in events if event["event"] == "started"] == [1, 2, 3]


def test_reset_of_a_running_controller_lets_it_join(
    rig: Callable[..., Rig], run: Callable[..., Process], files: StateFiles, tmp_path: Path
) -> None:
    rig()
    files.current.write_bytes(b'{"version": 1, "site": "demo", "latched": [], "sha')
    controller = run()
    controller.until(r"^state: .*demo\.state\.json: refused: no JSON, or cut short")
    controller.until("^TRIP state_lost ")
    for _ in range(3):
        assert " fault " in controller.until(r" SoC \d")
    done = reset(tmp_path, "state_lost")
    assert (done.returncode, done.stderr) == (0, "")
    controller.until(r"  running ")
    assert controller.end(signal.SIGINT) == 1
    assert saved(files).latched == ()


def test_second_controller_of_a_site_is_refused(rig: Callable[..., Rig], run: Callable[..., Process]) -> None:
    rig()
    run().until(r" SoC \d")
    second = run()
    assert second.status() == 2
    assert second.lines[-1].endswith("another controller keeps the state of this site there")


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
