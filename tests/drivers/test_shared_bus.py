"""One open bus for several drivers: opened once, everybody hears everything, and a silent one is opened anew."""

import asyncio

import numpy as np

from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanLink, CanPort, OnBatch
from drivers.links.shared import SharedBus
from hil_rigs.world import run_virtual
from hil_rigs.world.canbus import BusPort, CanBus

CONFIG = CanConfig("virtual", "can0")
FRAME = b"\x23\x01\0\0\x08\0\0\0ABCDEFGH"


class Rig:
    """Two links on one shared bus, and a node that speaks."""

    def __init__(self) -> None:
        self.bus = CanBus(np.random.default_rng(1))
        self.node = self.bus.attach(lambda batch: self.sent.append(batch.data))
        self.sent: list[bytes] = []
        self.opened: list[BusPort] = []
        self.heard: tuple[list[bytes], list[bytes]] = ([], [])
        shared = SharedBus(self._open)
        self.links = [
            CanLink(CONFIG, lambda batch, place=place: self.heard[place].append(batch.data), shared, silence_s)  # type: ignore[misc]
            for place, silence_s in enumerate((1.0, 3.0))
        ]

    async def _open(self, config: CanConfig, on_batch: OnBatch) -> CanPort:
        await asyncio.sleep(0.01)
        self.opened.append(self.bus.attach(on_batch))
        return self.opened[-1]

    async def speak(self, duration_s: float) -> None:
        for _ in range(round(duration_s / 0.1)):
            self.node.send(FRAME)
            await asyncio.sleep(0.1)


async def running(rig: Rig) -> list["asyncio.Task[None]"]:
    tasks = [asyncio.create_task(link.run()) for link in rig.links]
    await asyncio.sleep(0.05)
    return tasks


async def ended(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_it_is_opened_once_and_both_hear_and_send() -> None:
    async def main() -> None:
        rig = Rig()
        tasks = await running(rig)
        await rig.speak(2.0)
        assert len(rig.opened) == 1
        assert rig.heard[0] == rig.heard[1] == [FRAME] * 20
        assert all(link.send(FRAME) for link in rig.links)
        await asyncio.sleep(0.1)
        assert rig.sent == [FRAME, FRAME]
        await ended(tasks)
        assert not rig.opened[0].alive

    run_virtual(main())


def test_a_silent_bus_is_opened_anew_for_both() -> None:
    async def main() -> None:
        rig = Rig()
        tasks = await running(rig)
        await rig.speak(1.0)
        rig.bus.open = True  # a broken wire
        await asyncio.sleep(4.0)
        assert len(rig.opened) > 1
        assert not rig.opened[0].alive
        rig.bus.open = False
        await rig.speak(8.0)
        assert all(link.health.connected for link in rig.links)
        assert rig.heard[0][-1] == rig.heard[1][-1] == FRAME
        assert sum(port.alive for port in rig.opened) == 1
        await ended(tasks)

    run_virtual(main())


def test_who_leaves_a_bus_that_speaks_leaves_it_open_for_the_other() -> None:
    async def main() -> None:
        rig = Rig()
        tasks = await running(rig)
        await rig.speak(0.5)
        await ended(tasks[:1])
        heard = len(rig.heard[1])
        await rig.speak(0.5)
        assert len(rig.heard[1]) == heard + 5
        assert len(rig.opened) == 1
        await ended(tasks[1:])

    run_virtual(main())


def test_a_batch_is_the_same_for_all() -> None:
    batches: list[FrameBatch] = []

    async def main() -> None:
        bus = CanBus(np.random.default_rng(1))

        async def opened(config: CanConfig, on_batch: OnBatch) -> CanPort:
            return bus.attach(on_batch)

        shared = SharedBus(opened)
        ports = [await shared(CONFIG, batches.append) for _ in range(3)]
        bus.attach(lambda batch: None).send(FRAME)
        await asyncio.sleep(0.01)
        assert len(batches) == 3
        assert len({id(batch) for batch in batches}) == 1
        ports[0].close()
        ports[0].close()
        assert [port.alive for port in ports] == [False, True, True]

    run_virtual(main())
