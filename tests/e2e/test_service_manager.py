"""The deployed controller under a service manager: ready, watched, stopped in order; and as `bms status` shows it."""

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.processes import BMS, Process, wait_until

SITE = """
name: test
racks:
- {name: rack-1, modules: 1, cells_per_module: 4, cell: lfp-280ah, contactor_break_current_a: 20,
   can: {interface: socketcand, channel: can0, host: 127.0.0.1, port: 1}}
inverter: {host: 127.0.0.1, port: 1}
grid_meter: {host: 127.0.0.1, port: 1, unit: 2}
"""
"""A site where nobody answers: the controller is as much alive there as anywhere."""


def hear_ten(manager: socket.socket) -> None:
    """More signs of life than can have been under way."""
    for _ in range(10):
        manager.recv(4096)


def test_service_is_ready_watched_and_told_of_its_end(
    tmp_path: Path, started: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site.yaml").write_text(SITE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        controller = Process(*BMS, "run", str(tmp_path / "site.yaml"), "--plain")
        started.append(controller)
        manager.settimeout(20.0)
        assert manager.recv(4096).startswith(b"READY=1\nWATCHDOG=1\nSTATUS=off; faults: none")
        for _ in range(5):
            assert manager.recv(4096).startswith(b"WATCHDOG=1\n")
        controller.child.send_signal(signal.SIGSTOP)
        manager.settimeout(1.0)
        with pytest.raises(TimeoutError):
            hear_ten(manager)
        manager.settimeout(20.0)
        controller.child.send_signal(signal.SIGCONT)
        assert manager.recv(4096).startswith(b"WATCHDOG=1\n")
        controller.child.send_signal(signal.SIGTERM)
        while manager.recv(4096) != b"STOPPING=1":
            pass
    assert controller.status() in (0, 1)
    assert "stopped: converter never heard; rack-1 unknown" in controller.lines


def status(tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    command = [*BMS, "status", str(tmp_path / "site.yaml"), "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_status_tells_who_runs_from_who_hangs_and_who_is_gone(tmp_path: Path, started: list[Process]) -> None:
    folder = tmp_path / ("a-folder-whose-name-is-longer-than-a-socket-address-may-be" * 2)
    folder.mkdir()
    (folder / "site.yaml").write_text(SITE)
    controller = Process(*BMS, "run", str(folder / "site.yaml"), "--plain")
    started.append(controller)
    controller.until(r" SoC ")
    said = json.loads(status(folder).stdout)
    assert (said["running"], said["status"]["site"]) == (True, "test")
    controller.child.send_signal(signal.SIGSTOP)
    hung = status(folder)
    assert hung.returncode == 1
    assert json.loads(hung.stdout)["error"].endswith("test.status.sock: the controller does not answer")
    controller.child.kill()
    wait_until(lambda: status(folder).returncode == 3)
