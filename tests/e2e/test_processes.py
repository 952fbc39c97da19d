"""The deployed controller and a rig as real processes on real sockets: joined, killed, cut and stopped."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from bms.record.files import read_record
from tests.e2e.processes import BMS, HIL, Process, Rig, wait_for_power, wait_until


@pytest.fixture
def rig(tmp_path: Path, started: list[Process]) -> Rig:
    made = Rig(tmp_path / "site.yaml")
    started.append(made)
    return made


@pytest.fixture
def controller(tmp_path: Path, rig: Rig, started: list[Process]) -> Process:
    """`bms run` on the rig, with power flowing."""
    made = Process(*BMS, "run", str(tmp_path / "site.yaml"), "--plain", "--record", str(tmp_path / "run.parquet"))
    started.append(made)
    made.until(r"  running ")
    wait_for_power(rig)
    return made


def test_interrupt_ends_in_order(controller: Process, rig: Rig, tmp_path: Path) -> None:
    assert controller.end(signal.SIGINT) == 0
    assert "stopped: converter off at 0 W; rack-1 open, rack-2 open" in controller.lines
    assert rig.battery_w() == 0.0
    rows = read_record(tmp_path / "run.parquet")
    assert {"connecting", "running"} <= set(rows["mode"].to_pylist())
    assert rows["frames_lost"][-1].as_py() == 0
    assert rows["transactions_lost"][-1].as_py() == 0
    assert rig.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([signal.SIGINT, signal.SIGINT], id="Ctrl-C twice"),
        pytest.param([signal.SIGHUP, signal.SIGHUP, signal.SIGTERM], id="terminal closed"),
    ],
)
def test_impatience_does_not_cut_the_orderly_stop_short(controller: Process, rig: Rig, numbers: list[int]) -> None:
    for number in numbers[:-1]:
        controller.child.send_signal(number)
        time.sleep(0.03)
    assert controller.end(numbers[-1]) == 0
    assert "stopped: converter off at 0 W; rack-1 open, rack-2 open" in controller.lines
    assert rig.battery_w() == 0.0


def test_kill_of_the_controller_is_zero_power_within_three_seconds(controller: Process, rig: Rig) -> None:
    controller.kill()
    killed_s = time.monotonic()
    while rig.battery_w() != 0.0:
        assert time.monotonic() - killed_s < 3.0, f"still {rig.battery_w()} W"
        time.sleep(0.02)
    assert time.monotonic() - killed_s > 0.3, "the reversion timer did it, not the death of the socket"


def test_kill_of_the_rig_is_named_and_survived(controller: Process, rig: Rig) -> None:
    rig.kill()
    tripped = {controller.until("^TRIP ").split()[1] for _ in range(4)}
    assert {"current_stale", "cell_data_stale"} <= tripped
    assert tripped <= {"current_stale", "cell_data_stale", "rack_io_stale", "meter_lost", "inverter_lost"}
    assert controller.end(signal.SIGINT) == 1


def test_stopped_rig_that_goes_on_is_joined_again(controller: Process, rig: Rig) -> None:
    """SIGSTOP for a second: every device is silent at once, then all are back. 2 s after the first fault the contactors
    are told to open whatever flows, and the converter that is still at work behind them trips and stays."""
    rig.child.send_signal(signal.SIGSTOP)
    assert controller.until("^TRIP inverter_lost ")
    rig.child.send_signal(signal.SIGCONT)
    controller.until(r"  (fault|stopping|off|standby) ")
    controller.until(r"  running ", within_s=60.0)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("inverter-lost@1", "inverter_lost"),
        ("meter-lost@1", "meter_lost"),
        ("cell-data-lost@1:rack-2/5", "cell_data_stale"),
        ("current-lost@1", "current_stale"),
    ],
)
def test_lost_communication_ends_at_zero_power_with_its_reason(
    tmp_path: Path, started: list[Process], fault: str, reason: str
) -> None:
    kind, _, rest = fault.partition("@1")
    rig = Rig(tmp_path / "site.yaml", "--fault", f"{kind}@9{rest}")
    started.append(rig)
    controller = Process(*BMS, "run", str(tmp_path / "site.yaml"), "--plain")
    started.append(controller)
    controller.until(r"  running ")
    controller.until(f"^TRIP {reason} ")
    if reason == "inverter_lost":
        time.sleep(3.0)
    else:
        wait_for_zero(rig)
    assert controller.end(signal.SIGINT) == 1


def wait_for_zero(rig: Rig) -> None:
    end_s = time.monotonic() + 3.0
    while rig.battery_w() != 0.0:
        assert time.monotonic() < end_s, f"still {rig.battery_w()} W"
        time.sleep(0.05)


def test_demo_runs_and_sums_up(tmp_path: Path, started: list[Process]) -> None:
    demo = Process(*HIL, "demo", "--plain", "--duration", "30", "--record", str(tmp_path / "demo.mf4"))
    started.append(demo)
    assert demo.status(within_s=90.0) == 0, "\n".join(demo.lines)
    text = "\n".join(demo.lines)
    assert "stopped: converter off at 0 W; rack-1 open, rack-2 open" in text
    assert "stays latched" not in text
    for words in ("without battery", "with battery", "range in any 5 s", "overruns", "lost"):
        assert words in text
    assert read_record(tmp_path / "demo.mf4").num_rows > 1000


def test_interrupted_demo_leaves_no_process(tmp_path: Path, started: list[Process]) -> None:
    demo = Process(*HIL, "demo", "--plain", "--record", str(tmp_path / "demo.parquet"))
    started.append(demo)
    demo.until(r"  running ")
    assert demo.end(signal.SIGINT) == 0
    assert "stopped: converter off at 0 W; rack-1 open, rack-2 open" in demo.lines
    assert processes_mentioning(str(tmp_path)) == []
    hasty = Process(*HIL, "demo", "--plain", "--record", str(tmp_path / "demo.parquet"))
    started.append(hasty)
    wait_until(lambda: any("bms.cli run" in each for each in processes_mentioning(str(tmp_path))))
    assert hasty.end(signal.SIGINT) == 1
    assert hasty.lines[4:] == ["interrupted before it began"]  # after the line of each device
    assert processes_mentioning(str(tmp_path)) == []


def test_killed_demo_takes_its_processes_along(tmp_path: Path, started: list[Process]) -> None:
    demo = Process(*HIL, "demo", "--plain", "--record", str(tmp_path / "demo.parquet"))
    started.append(demo)
    demo.until(r"  running ")
    demo.child.kill()
    end_s = time.monotonic() + 20.0
    while processes_mentioning(str(tmp_path)):
        assert time.monotonic() < end_s
        time.sleep(0.2)


def processes_mentioning(word: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if word.encode() in command and int(entry.name) != os.getpid():
            found.append(command.replace(b"\0", b" ").decode())
    return found


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([*BMS, "run", "nowhere.yaml"], "nowhere.yaml"),
        ([*BMS, "check", "nowhere.yaml"], "nowhere.yaml"),
        ([*HIL, "run", "ai-smothing"], "did you mean ai-smoothing?"),
        ([*HIL, "run", "ai-smoothing", "--fault", "cell-overvoltge@3"], "did you mean cell-overvoltage?"),
        ([*HIL, "serve", "dmo"], "did you mean demo?"),
        ([*HIL, "demo", "--load", "nowhere.csv"], "nowhere.csv"),
        ([*HIL, "demo", "--record", "demo.csv"], "ends in .parquet or .mf4"),
        ([*HIL, "tune", "ai"], "no study named"),
        ([*HIL, "run", "overcurrent", "--seed", "-1"], "expected a whole number from 0, got '-1'"),
        ([*HIL, "run", "ai-smoothing", "--duration", "12"], "--duration 12: ai-smoothing is judged from 60 s on"),
        ([*HIL, "serve", "demo", "--write-site", "/nowhere/site.yaml"], "/nowhere/site.yaml.part: No such file"),
        ([*HIL, "demo", "--run", "3"], "give --load as well"),
        ([*HIL, "demo", "--load", "/dev"], "/dev: not a regular file"),
    ],
)
def test_bad_input_is_status_2_and_one_clear_line(command: list[str], said: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", [[*HIL, "run", "ai-smoothing", "--duration", "1e6"], [*HIL, "demo"]])
@pytest.mark.parametrize(
    ("record", "why"),
    [
        ("run", "a record file ends in .parquet or .mf4 (got 'no ending')"),
        ("/nowhere/run.parquet", "cannot be written: No such file or directory"),
        ("/dev/null/run.parquet", "cannot be written: Not a directory"),
        ("/proc/run.parquet", "cannot be written: "),
    ],
)
def test_record_that_cannot_be_written_is_refused_before_anything_runs(
    command: list[str], record: str, why: str
) -> None:
    done = subprocess.run([*command, "--record", record], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"{record}: {why}")


@pytest.mark.parametrize("command", [[*BMS, "faults"], [*HIL, "faults"]])
def test_output_that_nobody_reads_to_its_end_is_no_error_to_talk_about(command: list[str]) -> None:
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.close()
    assert (child.communicate(timeout=60)[1], child.returncode) == (b"", 0)


@pytest.mark.parametrize("what", ["rigs", "scenarios", "faults"])
def test_lists_are_names_and_what_they_say(what: str) -> None:
    done = subprocess.run([*HIL, what, "--json"], capture_output=True, text=True, timeout=60, check=True)
    rows = json.loads(done.stdout)
    assert rows
    assert all(set(row) == {"name", "says"} and row["says"] for row in rows)


def test_fault_list_says_what_to_do() -> None:
    done = subprocess.run([*BMS, "faults", "--json"], capture_output=True, text=True, timeout=60, check=True)
    rows = json.loads(done.stdout)
    assert {"cell_voltage_high", "inverter_lost", "meter_lost"} <= {row["id"] for row in rows}
    assert all(row["meaning"] and row["advice"] and row["action"] and row["action_forming"] for row in rows)
