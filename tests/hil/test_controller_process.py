"""The controller as a process in virtual time: killed, paused and with a full disk, while the rig goes on."""

import asyncio

import pytest

from bms.record import TickRow
from bms.record.memory import MemoryRecorder
from bms.state.store import MemoryStore
from hil_rigs.controller_process import NO_SPACE, Disk, DiskRecorder
from hil_rigs.faults.spec import parse_fault
from hil_rigs.rig import find_rig
from hil_rigs.run import Outcome, simulate
from hil_rigs.world import VirtualLoop, run_virtual
from hil_rigs.world.loop import PROCESS

SIGNALS = ("island_formed", "contactors_closed", "power_command_w")


def play(rig: str, *faults: str, duration_s: float) -> Outcome:
    return simulate(
        find_rig(rig), seed=1, duration_s=duration_s, faults=[parse_fault(each) for each in faults], signals=SIGNALS
    )


def test_island_whose_controller_was_dead_for_seconds_is_taken_over_and_stopped_in_order() -> None:
    """Its racks say that their last command is seconds old: nobody's, until the new controller has told them one."""
    outcome = play("island", "controller-killed@5::3", duration_s=10)
    served = outcome.signals["island_formed"][outcome.curves.time_s > 4.0]
    assert (served.min(), outcome.trips, outcome.end.stopped_safely) == (1.0, (), True)
    table = outcome.recorder.table()
    rows = zip(table["time_s"].to_pylist(), table["rack_states"].to_pylist(), strict=True)
    assert [states for time_s, states in rows if 8.15 < time_s < 8.17] == ["online,online"]


def test_record_of_a_killed_controller_goes_on_in_the_run_s_time() -> None:
    outcome = play("demo", "controller-killed@4::1", duration_s=6)
    time_s = outcome.recorder.table()["time_s"].to_pylist()
    assert time_s == sorted(time_s)
    assert [at for at in time_s if 4.0 < at < 5.0] == []
    assert outcome.trips == ()


def test_paused_controller_writes_nothing_and_wakes_up_to_what_happened() -> None:
    outcome = play("discharging", "controller-paused@5::4.5", duration_s=11)
    time_s = outcome.recorder.table()["time_s"].to_pylist()
    assert [at for at in time_s if 5.01 < at < 9.5] == []
    named = {trip.fault_id for trip in outcome.trips}
    assert named == {"tick_overruns", "controller_stalled", "rack_command_lost"}
    closed, at_s = outcome.signals["contactors_closed"], outcome.curves.time_s
    assert closed[(at_s > 5.0) & (at_s < 8.8)].min() == 2.0, "the racks' watchdogs wait 4 s"
    assert closed[(at_s > 9.2) & (at_s < 9.4)].max() == 0.0
    assert abs(outcome.curves.battery_power_w[(at_s > 6.3) & (at_s < 9.4)]).max() < 1.0, "the reversion waits 1 s"


def test_full_disk_keeps_the_state_that_was_saved_last() -> None:
    disk = Disk("demo")
    disk.save({"soc": {}, "starts": 1})
    before = disk.data
    disk.full = True
    disk.save({"soc": {}, "starts": 2})
    disk.log({"event": "started"})
    assert (disk.data, disk.events, disk.fault) == (before, [], NO_SPACE)
    assert isinstance(disk, MemoryStore)


def test_full_disk_takes_no_rows_and_the_judge_keeps_them() -> None:
    disk, kept = Disk("demo"), MemoryRecorder()
    recorder = DiskRecorder(kept, disk, since_s=5.0)
    first = play("discharging", duration_s=0.05).recorder.table().to_pylist()[0]
    row = TickRow(**{name: first[name] for name in TickRow._fields})
    recorder.add(row)
    assert (recorder.dropped, recorder.fault) == (0, None)
    disk.full = True
    recorder.add(row)
    assert (recorder.dropped, recorder.fault) == (1, "record: No space left on device")
    assert kept.table()["time_s"].to_pylist() == [5.0, 5.0]


def test_only_the_paused_process_waits() -> None:
    async def count(every_s: float, seen: list[float]) -> None:
        while True:
            await asyncio.sleep(every_s)
            seen.append(round(asyncio.get_running_loop().time() - 1000.0, 3))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        ours: list[float] = []
        others: list[float] = []
        other = loop.create_task(count(1.0, others))
        PROCESS.set("one")
        own = loop.create_task(count(1.0, ours))
        PROCESS.set("")
        await asyncio.sleep(2.5)
        loop.pause("one")
        await asyncio.sleep(2.25)
        loop.resume()
        await asyncio.sleep(1.5)
        assert (ours, others) == ([1.0, 2.0, 4.75, 5.75], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        own.cancel()
        other.cancel()

    run_virtual(main())


def test_bytes_for_a_paused_process_wait_in_its_socket() -> None:
    class Reader(asyncio.Protocol):
        def __init__(self) -> None:
            self.read: list[tuple[float, bytes]] = []

        def data_received(self, data: bytes) -> None:
            self.read.append((round(asyncio.get_running_loop().time() - 1000.0, 2), data))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        server = Reader()
        listening = await loop.create_server(lambda: server, "10.0.0.5", 502)
        PROCESS.set("one")
        transport, client = await loop.create_connection(Reader, "10.0.0.5", 502)
        PROCESS.set("")
        await asyncio.sleep(0.1)
        loop.pause("one")
        transport.write(b"sent before")
        answers = next(iter(loop.network._paths.values())).links
        next(iter(answers)).server.write(b"answer")
        await asyncio.sleep(2.0)
        assert server.read == [(0.1, b"sent before")]
        assert client.read == []
        loop.resume()
        await asyncio.sleep(0.1)
        assert client.read == [(2.1, b"answer")]
        transport.close()
        listening.close()

    run_virtual(main())


@pytest.mark.parametrize("kind", ["switch-welded", "bus-fed"])
def test_fault_of_a_switch_needs_a_rig_with_one(kind: str) -> None:
    with pytest.raises(ValueError, match=f"fault {kind}: rig demo has no switch, expected one with `microgrid`"):
        play("demo", f"{kind}@1", duration_s=2)
