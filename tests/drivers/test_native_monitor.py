"""The native monitor's driver on a simulated bus: readings out, commands refreshed until they expire and no longer."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator

import numpy as np
import pytest

from drivers.cell_monitors.native import NativeRackMonitor
from drivers.clock import now_ns
from drivers.commands import BleedCommand, OutputsCommand, RackCommand
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanPort, OnBatch
from drivers.safety import CoolingRequest
from hil_rigs.world import run_virtual
from hil_rigs.world.canbus import CanBus

CONFIG = CanConfig("virtual-bus", "rack0")


def frame(can_id: int, payload_hex: str) -> bytes:
    return struct.pack("<IB3x8s", can_id, 8, bytes.fromhex(payload_hex))


CURRENTS = [
    frame(0x080, "39 30 00 00 00 00 50 37"),  # +123.45 A
    frame(0x080, "74 F5 FF 00 00 00 60 19"),  # -27.00 A
]


class Rig:
    """A driver for 2 x 16 cells on a bus, and a node that notes what it sends: (ms since start, id, payload)."""

    def __init__(self) -> None:
        self.bus = CanBus(np.random.default_rng(1))
        self.sent: list[tuple[int, int, bytes]] = []
        self.node = self.bus.attach(self._note)
        self.monitor = NativeRackMonitor(2, 16, CONFIG, self._open)
        self.start_ns = now_ns()

    async def _open(self, config: CanConfig, on_batch: OnBatch) -> CanPort:
        assert config == CONFIG
        return self.bus.attach(on_batch)

    def _note(self, batch: FrameBatch) -> None:
        at_ms = (batch.at_ns - self.start_ns) // 1_000_000
        self.sent += [(at_ms, can_id, data) for can_id, _, data in struct.iter_unpack("<IB3x8s", batch.data)]

    def at_ms(self, can_id: int) -> list[int]:
        return [at_ms for at_ms, sent_id, _ in self.sent if sent_id == can_id]

    async def keep_alive(self) -> None:
        while True:
            self.node.send(CURRENTS[0])
            await asyncio.sleep(0.3)


@contextlib.asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    tasks = [asyncio.create_task(made.monitor.run()), asyncio.create_task(made.keep_alive())]
    await asyncio.sleep(0.01)
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def after_s(duration_s: float) -> int:
    return now_ns() + round(duration_s * 1e9)


def test_frames_become_readings() -> None:
    async def main() -> None:
        async with rig() as r:
            seen = []
            for data in CURRENTS:
                r.node.send(data)
                await asyncio.sleep(0.005)
                seen.append(r.monitor.reading().current_a)
            assert seen == pytest.approx([123.45, -27.0])

    run_virtual(main())


def crc(data: bytes) -> int:
    value = 0xFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x1D) & 0xFF if value & 0x80 else value << 1
    return value ^ 0xFF


def test_rack_command_is_refreshed_every_100_ms_until_it_expires() -> None:
    async def main() -> None:
        async with rig() as r:
            r.monitor.command(RackCommand(main_closed=True, precharge_closed=True, expires_ns=after_s(0.45)))
            await asyncio.sleep(2.0)
            assert r.at_ms(0x050) == [10, 100, 200, 300, 400]
            first, second = [data for _, can_id, data in r.sent if can_id == 0x050][:2]
            assert first.hex(" ") == "03 00 00 00 00 00 00 fd"
            assert second[6] == 0x10

    run_virtual(main())


def test_changed_rack_command_goes_out_at_once() -> None:
    async def main() -> None:
        async with rig() as r:
            r.monitor.command(RackCommand(main_closed=True, precharge_closed=False, expires_ns=after_s(5)))
            await asyncio.sleep(0.13)
            r.monitor.command(RackCommand(main_closed=False, precharge_closed=False, expires_ns=after_s(5)))
            await asyncio.sleep(0.01)
            assert [(at_ms, data[0]) for at_ms, _, data in r.sent] == [(10, 1), (100, 1), (140, 0)]

    run_virtual(main())


def test_outputs_go_out_at_once_when_they_change_and_every_half_second_until_they_expire() -> None:
    async def main() -> None:
        async with rig() as r:
            r.monitor.outputs(OutputsCommand(False, CoolingRequest.AUTO, insulation_on=True, expires_ns=after_s(9)))
            await asyncio.sleep(0.75)
            r.monitor.outputs(OutputsCommand(True, CoolingRequest.OFF, insulation_on=False, expires_ns=after_s(0.9)))
            await asyncio.sleep(3.0)
            assert [(at_ms, can_id, data[0]) for at_ms, can_id, data in r.sent] == [
                (10, 0x051, 0), (500, 0x051, 0), (760, 0x051, 0x0B), (1300, 0x051, 0x0B),
            ]  # fmt: skip

    run_virtual(main())


def test_expired_command_is_never_sent() -> None:
    async def main() -> None:
        async with rig() as r:
            r.monitor.command(RackCommand(main_closed=True, precharge_closed=True, expires_ns=now_ns()))
            r.monitor.bleed(BleedCommand(np.ones(32, np.uint8), expires_ns=now_ns()))
            await asyncio.sleep(1.0)
            assert r.sent == []

    run_virtual(main())


def test_bleed_goes_to_modules_that_have_or_had_a_mask_until_it_expires() -> None:
    async def main() -> None:
        async with rig() as r:
            cells = np.zeros(32, np.uint8)
            r.monitor.bleed(BleedCommand(cells, expires_ns=after_s(9)))
            await asyncio.sleep(0.55)
            assert r.sent == []
            cells[[16, 31]] = 1
            r.monitor.bleed(BleedCommand(cells, expires_ns=after_s(9)))
            await asyncio.sleep(0.7)
            r.monitor.bleed(BleedCommand(np.zeros(32, np.uint8), expires_ns=after_s(0.8)))
            await asyncio.sleep(5.0)
            masks = [(at_ms, can_id, data[:2].hex()) for at_ms, can_id, data in r.sent]
            assert masks == [(600, 0x401, "0180"), (1100, 0x401, "0180"), (1300, 0x401, "0000"), (1800, 0x401, "0000")]

    run_virtual(main())


def test_bleed_for_another_number_of_cells_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="the rack has 32 cells"):
            Rig().monitor.bleed(BleedCommand(np.zeros(31, np.uint8), expires_ns=0))

    run_virtual(main())


def test_nothing_is_sent_while_the_bus_is_not_open() -> None:
    async def main() -> None:
        r = Rig()
        r.monitor.command(RackCommand(main_closed=True, precharge_closed=False, expires_ns=after_s(5)))
        r.monitor.send_cycle(now_ns())
        await asyncio.sleep(0.1)
        assert r.sent == []
        assert not r.monitor.health.connected

    run_virtual(main())


def test_silent_bus_is_reported_and_reopened() -> None:
    async def main() -> None:
        async with rig() as r:
            await asyncio.sleep(0.5)
            r.bus.open = True
            await asyncio.sleep(1.7)
            assert (r.monitor.health.connected, r.monitor.health.timeouts) == (False, 1)
            r.bus.open = False
            await asyncio.sleep(1.0)
            assert r.monitor.health.connected
            assert r.monitor.health.reconnects == 1

    run_virtual(main())
