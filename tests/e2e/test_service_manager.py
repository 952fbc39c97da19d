"""The deployed controller under a service manager: ready, watched, stopped in order; and as `bms status` shows it."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.processes import BMS, Process

SITE = """
name: test
racks:
- {name: rack-1, modules: 1, cells_per_module: 4, cell: lfp-280ah, contactor_break_current_a: 20,
   can: {interface: socketcand, channel: can0, host: 127.0.0.1, port: 1}}
inverter: {host: 127.0.0.1, port: 1}
grid_meter: {host: 127.0.0.1, port: 1, unit: 2}
"""
"""A site where nobody answers: the controller is as much alive there as anywhere."""


@contextmanager
def of_class(scheduling: int) -> Iterator[None]:
    """What is started meanwhile is of this scheduling class."""
    os.sched_setscheduler(0, scheduling, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def beside(controller: Process) -> dict[str, int]:
    """The scheduling class of each process that the controller has started, by its module."""
    pid = controller.child.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    words = {child: Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0") for child in children}
    return {said[said.index("-m") + 1]: os.sched_getscheduler(int(child)) for child, said in words.items()}


def kill_recorder(controller: Process) -> None:
    children = Path(f"/proc/{controller.child.pid}/task/{controller.child.pid}/children").read_text().split()
    (recorder,) = [pid for pid in children if b"bms.record.writer" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(int(recorder), signal.SIGKILL)


def hear_many(manager: socket.socket) -> None:
    """More signs of life than can be under way: the kernel keeps `net.unix.max_dgram_qlen` of them."""
    for _ in range(2000):
        manager.recv(4096)


def status(tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    command = [*BMS, "status", str(tmp_path / "site.yaml"), "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_service_is_ready_watched_asked_and_told_of_its_end(
    tmp_path: Path, started: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("a-folder-whose-name-is-longer-than-a-socket-address-may-be" * 2)
    folder.mkdir()
    (folder / "site.yaml").write_text(SITE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        with of_class(os.SCHED_BATCH):  # any but the usual one that needs no rights
            record = ("--record", str(tmp_path / "run.parquet"))
            controller = Process(*BMS, "run", str(folder / "site.yaml"), "--quiet", *record)
        started.append(controller)
        manager.settimeout(20.0)
        assert manager.recv(4096).startswith(b"READY=1\nWATCHDOG=1\nSTATUS=off; faults: none")
        for _ in range(5):
            assert manager.recv(4096).startswith(b"WATCHDOG=1\n")
        assert os.sched_getscheduler(controller.child.pid) == os.SCHED_BATCH
        assert beside(controller) == {"bms.state.writer": os.SCHED_OTHER, "bms.record.writer": os.SCHED_OTHER}
        said = json.loads(status(folder).stdout)
        assert (said["running"], said["status"]["site"]) == (True, "test")
        controller.child.send_signal(signal.SIGSTOP)
        hung = status(folder)
        assert hung.returncode == 1
        assert json.loads(hung.stdout)["error"].endswith("test.status.sock: the controller does not answer")
        asked = subprocess.run([*BMS, "reset", str(folder / "site.yaml"), "all"], capture_output=True, text=True,
                               timeout=60, check=False)  # fmt: skip
        assert (asked.returncode, asked.stdout, asked.stderr) == (1, "", "the running controller does not answer\n")
        manager.settimeout(0.5)
        with pytest.raises(TimeoutError):
            hear_many(manager)
        manager.settimeout(20.0)
        controller.child.send_signal(signal.SIGCONT)
        assert manager.recv(4096).startswith(b"WATCHDOG=1\n")
        kill_recorder(controller)
        said = json.loads(status(folder).stdout)["status"]
        assert said["record_fault"].endswith("run.parquet: the recording process ended early")
        controller.child.send_signal(signal.SIGTERM)
        while manager.recv(4096) != b"STOPPING=1":
            pass
    assert controller.status() in (0, 1)
    assert "stopped: converter never heard; rack-1 unknown" in controller.lines
    assert not any(" SoC " in line for line in controller.lines)
