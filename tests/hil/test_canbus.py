"""A simulated bus takes the time of its bit rate, lets the urgent go first, and fails as told."""

import asyncio
import struct

import numpy as np
import pytest

from drivers.frames import FrameBatch
from hil_rigs.world import run_virtual
from hil_rigs.world.canbus import BusPort, CanBus, frames_bits


def frame(can_id: int, data: bytes) -> bytes:
    return struct.pack("<IB3x8s", can_id, len(data), data)


class Node:
    """A bus node that notes what it hears and when, in ms since its start."""

    def __init__(self, bus: CanBus) -> None:
        self.start_s = asyncio.get_running_loop().time()
        self.heard: list[tuple[float, bytes]] = []
        self.port: BusPort = bus.attach(self._hear)

    def _hear(self, batch: FrameBatch) -> None:
        self.heard.append((round(batch.at_ns / 1e6 - self.start_s * 1e3, 3), batch.data))

    @property
    def ids(self) -> list[int]:
        return [struct.unpack_from("<I", data)[0] for _, data in self.heard]

    @property
    def at_ms(self) -> list[float]:
        return [at_ms for at_ms, _ in self.heard]


FULL = bytes(range(8))


@pytest.mark.parametrize(
    ("frames", "bits"),
    [
        (frame(0x123, FULL), 47 + 64 + 9),
        (frame(0x123, b""), 47 + 3),
        (frame(0x123, FULL) * 30, 30 * (47 + 64) + 294),
        (frame(0x8000_0123, FULL), 67 + 64 + 11),
    ],
    ids=["standard", "empty", "batch", "extended"],
)
def test_frames_take_their_bits(frames: bytes, bits: int) -> None:
    assert frames_bits(frames) == bits


def test_batch_arrives_at_all_others_at_the_end_of_its_last_frame() -> None:
    async def main() -> None:
        bus = CanBus(np.random.default_rng(1))
        sender, first, second = Node(bus), Node(bus), Node(bus)
        sender.port.send(frame(0x80, FULL) * 25)
        await asyncio.sleep(0.1)
        assert sender.heard == []
        assert first.heard == second.heard == [(6.04, frame(0x80, FULL) * 25)]  # 25 x 111 bits + 245 stuff bits

    run_virtual(main())


def test_of_the_senders_that_wait_the_lowest_id_goes_first() -> None:
    async def main() -> None:
        bus = CanBus(np.random.default_rng(1))
        listener = Node(bus)
        for can_id in (0x300, 0x200, 0x8000_0001, 0x201, 0x050):
            Node(bus).port.send(frame(can_id, FULL))
        await asyncio.sleep(0.1)
        assert listener.ids == [0x300, 0x8000_0001, 0x050, 0x200, 0x201]
        assert listener.at_ms == [0.24, 0.524, 0.764, 1.004, 1.244]

    run_virtual(main())


def test_one_sender_keeps_its_own_order() -> None:
    async def main() -> None:
        bus = CanBus(np.random.default_rng(1))
        sender, listener = Node(bus), Node(bus)
        for can_id in (0x300, 0x200, 0x050, 0x201):
            sender.port.send(frame(can_id, FULL))
        await asyncio.sleep(0.1)
        assert listener.ids == [0x300, 0x200, 0x050, 0x201]

    run_virtual(main())


def test_full_queue_drops_and_counts() -> None:
    async def main() -> None:
        bus = CanBus(np.random.default_rng(1), queue_frames_max=10)
        sender, listener = Node(bus), Node(bus)
        for _ in range(5):
            sender.port.send(frame(0x80, FULL) * 4)
        await asyncio.sleep(0.1)
        assert len(listener.heard) == 3
        assert sender.port.dropped == 8

    run_virtual(main())


def test_open_wire_delivers_nothing_until_it_is_mended() -> None:
    async def main() -> None:
        bus = CanBus(np.random.default_rng(1))
        sender, listener = Node(bus), Node(bus)
        bus.open = True
        sender.port.send(frame(0x80, FULL) * 4)
        await asyncio.sleep(0.1)
        assert (listener.heard, bus.lost) == ([], 4)
        bus.open = False
        sender.port.send(frame(0x81, FULL))
        await asyncio.sleep(0.1)
        assert listener.ids == [0x81]

    run_virtual(main())


def test_corruption_flips_one_payload_bit_of_a_share_of_the_frames() -> None:
    async def main() -> int:
        bus = CanBus(np.random.default_rng(7))
        sender, listener = Node(bus), Node(bus)
        bus.corrupt_frac = 0.25
        for _ in range(100):
            sender.port.send(frame(0x80, FULL) * 10)
            await asyncio.sleep(0.01)
        heard = np.frombuffer(b"".join(data for _, data in listener.heard), np.uint8).reshape(-1, 16)
        flipped = np.unpackbits(heard[:, 8:] ^ np.frombuffer(FULL, np.uint8), axis=1).sum(axis=1)
        assert (heard[:, :8] == np.frombuffer(frame(0x80, FULL), np.uint8)[:8]).all()
        assert set(flipped.tolist()) == {0, 1}
        return int(flipped.sum())

    assert 200 < run_virtual(main()) < 300


def test_a_share_of_the_frames_is_lost_and_counted() -> None:
    async def main() -> tuple[int, int, int]:
        bus = CanBus(np.random.default_rng(7))
        sender, listener = Node(bus), Node(bus)
        bus.loss_frac = 0.25
        for _ in range(100):
            sender.port.send(frame(0x80, FULL) * 10)
            await asyncio.sleep(0.01)
        return sum(len(data) for _, data in listener.heard) // 16, bus.delivered, bus.lost

    heard, delivered, lost = run_virtual(main())
    assert 700 < heard < 800
    assert (delivered, lost) == (heard, 1000 - heard)


def test_delay_comes_on_top_of_the_bit_time() -> None:
    async def main() -> None:
        bus = CanBus(np.random.default_rng(1))
        sender, listener = Node(bus), Node(bus)
        bus.delay_s = 0.05
        sender.port.send(frame(0x80, FULL))
        await asyncio.sleep(0.1)
        assert listener.at_ms == [50.24]

    run_virtual(main())


def test_closed_port_neither_hears_nor_speaks() -> None:
    async def main() -> None:
        bus = CanBus(np.random.default_rng(1))
        sender, listener = Node(bus), Node(bus)
        sender.port.send(frame(0x80, FULL))
        listener.port.close()
        listener.port.close()
        listener.port.send(frame(0x81, FULL))
        await asyncio.sleep(0.1)
        assert (sender.heard, listener.heard, listener.port.alive) == ([], [], False)

    run_virtual(main())


def test_a_piece_of_a_frame_is_refused() -> None:
    async def main() -> None:
        port = CanBus(np.random.default_rng(1)).attach(lambda _: None)
        with pytest.raises(ValueError, match="17 bytes are not whole frames"):
            port.send(bytes(17))

    run_virtual(main())


def test_a_share_of_the_batches_comes_twice_or_behind_later_ones() -> None:
    async def main() -> None:
        bus = CanBus(np.random.default_rng(1))
        sender, listener = Node(bus), Node(bus)
        bus.repeat_frac = 1.0
        sender.port.send(frame(0x80, FULL))
        await asyncio.sleep(0.1)
        assert listener.ids == [0x80, 0x80]
        bus.repeat_frac, bus.late_frac = 0.0, 1.0
        sender.port.send(frame(0x81, FULL))
        await asyncio.sleep(0.01)
        bus.late_frac = 0.0
        sender.port.send(frame(0x82, FULL))
        await asyncio.sleep(0.1)
        assert listener.ids[2:] == [0x82, 0x81]

    run_virtual(main())


def test_what_comes_to_a_paused_node_waits_up_to_its_socket_buffer() -> None:
    async def main() -> None:
        bus = CanBus(np.random.default_rng(1))
        sender, listener = Node(bus), Node(bus)
        listener.port.hold()
        for number in range(300):
            sender.port.send(frame(number, b""))
        await asyncio.sleep(1.0)
        assert listener.heard == []
        listener.port.release()
        assert listener.ids == list(range(277))
        assert set(listener.at_ms) == {1000.0}
        sender.port.send(frame(0x123, FULL))
        await asyncio.sleep(0.1)
        assert listener.ids[277:] == [0x123]

    run_virtual(main())
