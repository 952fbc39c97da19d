"""What systemd hears of the controller, on a socket of its kind."""

import asyncio
import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bms.controller import Controller
from bms.record.memory import MemoryRecorder
from bms.service_manager import ServiceManager
from hil_rigs.bench import Bench
from hil_rigs.rig import find_rig, make_site
from hil_rigs.run import simulate
from hil_rigs.world import run_virtual


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The end where systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def heard(manager: socket.socket) -> list[list[str]]:
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode().split("\n"))
        except BlockingIOError:
            return messages


def environment(manager: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.getsockname(), **more}


def test_first_tick_is_ready_and_later_ones_are_told_four_times_within_the_watchdogs_time(
    manager: socket.socket,
) -> None:
    clock = Clock()
    with ServiceManager(environment(manager, WATCHDOG_USEC="2000000", WATCHDOG_PID=str(os.getpid())), clock) as systemd:
        systemd.says = lambda: "running\nbattery 5 kW"
        assert heard(manager) == []
        systemd.beat()
        assert heard(manager) == [["READY=1", "WATCHDOG=1", "STATUS=running battery 5 kW"]]
        clock.now_s += 0.48
        systemd.beat()
        assert heard(manager) == []
        clock.now_s += 0.02
        systemd.beat()
        assert heard(manager) == [["WATCHDOG=1", "STATUS=running battery 5 kW"]]
        systemd.ending()
        assert heard(manager) == [["STOPPING=1"]]


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "40000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}])
def test_state_is_told_once_a_second_where_no_watchdog_asks(manager: socket.socket, watchdog: dict[str, str]) -> None:
    clock = Clock()
    with ServiceManager(environment(manager, **watchdog), clock) as systemd:
        systemd.beat()
        heard(manager)
        clock.now_s += 0.9
        systemd.beat()
        assert heard(manager) == []
        clock.now_s += 0.1
        systemd.beat()
        assert len(heard(manager)) == 1


def test_name_in_the_kernels_own_space_is_heard() -> None:
    name = f"cellward-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.setblocking(False)
        with ServiceManager({"NOTIFY_SOCKET": f"@{name}"}, Clock()) as systemd:
            systemd.beat()
        assert heard(listening)[0][0] == "READY=1"


def test_manager_that_does_not_read_or_is_gone_delays_nothing(manager: socket.socket) -> None:
    clock = Clock()
    with ServiceManager(environment(manager), clock) as systemd:
        for _ in range(2000):
            clock.now_s += 1.0
            systemd.beat()
        assert 0 < len(heard(manager)) < 2000
        Path(manager.getsockname()).unlink()
        clock.now_s += 1.0
        systemd.beat()


@pytest.mark.parametrize("name", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_nothing_is_told_where_no_service_manager_asks(name: dict[str, str]) -> None:
    with ServiceManager(name, Clock()) as systemd:
        systemd.beat()
        systemd.ending()


async def count_beats(recorder: MemoryRecorder) -> int:
    beats = []
    bench = Bench(find_rig("home-battery"), 1)
    controller = Controller(
        make_site(bench.rig, await bench.start()),
        can_opener=bench.open_can,
        recorder=recorder,
        perf_clock=lambda: math.nan,
        on_trip=lambda _: None,
        beat=lambda: beats.append(len(recorder)),
    )
    tasks = [asyncio.create_task(bench.run()), asyncio.create_task(controller.run())]
    await asyncio.sleep(1.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    bench.close()
    assert beats == list(range(1, len(beats) + 1))
    return len(beats)


def test_each_tick_is_one_beat_and_nothing_else_is() -> None:
    recorder = MemoryRecorder({})
    assert run_virtual(count_beats(recorder), seed=1) == len(recorder) > 40


def test_run_in_virtual_time_tells_nothing(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    simulate(find_rig("home-battery"), seed=1, duration_s=1.0)
    assert heard(manager) == []
