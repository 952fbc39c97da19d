"""A CAN link reopens a bus that is silent, dead or refuses, with growing pauses, and says so."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanLink, CanPort, OnBatch
from hil_rigs.world import run_virtual
from hil_rigs.world.canbus import BusPort, CanBus

FRAME = struct.pack("<IB3x8s", 0x080, 8, bytes(8))
CONFIG = CanConfig("virtual-bus", "rack0")


class Bench:
    """A bus whose opening can be refused, a talking peer, and the times (s) of each attempt to open."""

    def __init__(self) -> None:
        self.bus = CanBus(np.random.default_rng(1))
        self.peer_heard: list[bytes] = []
        self.peer = self.bus.attach(lambda batch: self.peer_heard.append(batch.data))
        self.heard: list[FrameBatch] = []
        self.ports: list[BusPort] = []
        self.attempts_s: list[float] = []
        self.refuses: Exception | None = None
        self.link = CanLink(CONFIG, self.heard.append, self._open)
        self.start_s = asyncio.get_running_loop().time()

    async def _open(self, _: CanConfig, on_batch: OnBatch) -> CanPort:
        self.attempts_s.append(round(asyncio.get_running_loop().time() - self.start_s, 3))
        if self.refuses is not None:
            raise self.refuses
        self.ports.append(self.bus.attach(on_batch))
        return self.ports[-1]

    async def talk(self, duration_s: float) -> None:
        for _ in range(round(duration_s / 0.1)):
            self.peer.send(FRAME)
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def running(prepare: Callable[[Bench], None] = lambda _: None) -> AsyncIterator[Bench]:
    bench = Bench()
    prepare(bench)
    task = asyncio.create_task(bench.link.run())
    await asyncio.sleep(0.0)
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_frames_pass_both_ways() -> None:
    async def main() -> None:
        async with running() as b:
            assert b.link.send(FRAME * 2)
            await b.talk(0.3)
            assert [batch.data for batch in b.heard] == [FRAME] * 3
            assert b.peer_heard == [FRAME * 2]
            assert b.link.health.connected
            assert b.link.health.transactions == 3

    run_virtual(main())


def test_open_bus_counts_as_connected_only_once_it_was_heard() -> None:
    async def main() -> None:
        async with running() as b:
            await asyncio.sleep(0.5)
            assert (b.link.open, b.link.health.connected) == (True, False)

    run_virtual(main())


def test_silence_of_a_second_reopens_the_bus() -> None:
    async def main() -> None:
        async with running() as b:
            await b.talk(0.5)
            await asyncio.sleep(0.85)
            assert b.link.health.connected
            await asyncio.sleep(0.15)
            assert (b.link.health.connected, b.link.health.timeouts, b.link.open) == (False, 1, False)
            assert not b.ports[0].alive
            await asyncio.sleep(0.2)
            await b.talk(0.2)
            assert (b.link.health.connected, b.link.health.reconnects) == (True, 1)

    run_virtual(main())


def test_pauses_double_up_to_5_s_and_start_anew_once_frames_came() -> None:
    def refuse(bench: Bench) -> None:
        bench.refuses = ConnectionRefusedError("nobody there")

    async def main() -> None:
        async with running(refuse) as b:
            await asyncio.sleep(17.0)
            assert b.attempts_s == [0.0, 0.2, 0.6, 1.4, 3.0, 6.2, 11.2, 16.2]
            assert b.link.health.errors == 8
            assert not b.link.send(FRAME)
            b.refuses = None
            await asyncio.sleep(4.5)
            await b.talk(0.5)
            b.refuses = ConnectionRefusedError("gone again")
            b.attempts_s.clear()
            b.ports[-1].close()
            await asyncio.sleep(1.0)
            assert np.diff(b.attempts_s).round(3).tolist() == [0.4]

    run_virtual(main())


def test_why_a_bus_cannot_be_opened_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with running(lambda b: setattr(b, "refuses", ConnectionError("hub.example:1: refused"))) as b:
            await asyncio.sleep(10.0)
            b.refuses = ConnectionError("hub.example:1: no such channel")
            await asyncio.sleep(10.0)

    run_virtual(main())
    assert caplog.messages == ["CAN rack0: hub.example:1: refused", "CAN rack0: hub.example:1: no such channel"]


def test_dead_port_is_noticed_before_the_silence_limit() -> None:
    async def main() -> None:
        async with running() as b:
            await b.talk(0.5)
            b.ports[0].close()
            await asyncio.sleep(0.3)
            assert (b.link.health.connected, b.link.health.timeouts) == (False, 0)

    run_virtual(main())


def test_frames_that_the_bus_dropped_count_as_errors_for_good() -> None:
    async def main() -> None:
        async with running() as b:
            for _ in range(3):
                b.link.send(FRAME * 800)
            assert b.link.health.errors == 800
            await asyncio.sleep(2.0)
            assert b.link.health.errors == 800

    run_virtual(main())


def test_cancelled_link_lets_go_of_the_bus() -> None:
    async def main() -> None:
        async with running() as b:
            await b.talk(0.2)
        assert not b.ports[0].alive
        assert not b.link.open
        b.peer.send(FRAME)
        await asyncio.sleep(0.1)
        assert len(b.heard) == 2

    run_virtual(main())


def test_impossible_configuration_ends_the_link() -> None:
    async def main() -> None:
        bench = Bench()
        bench.refuses = ValueError("no such interface")
        with pytest.raises(ValueError, match="no such interface"):
            await bench.link.run()

    run_virtual(main())
