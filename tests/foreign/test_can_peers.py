"""python-can's own interfaces against our hub and our link, over real TCP and in real time."""

import asyncio
import contextlib
import gc
import resource
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import can
import numpy as np
import pytest

from drivers.frames import FRAME_DTYPE, FrameBatch
from drivers.links.can import CanConfig, CanLink, open_python_can
from hil_rigs.devices.socketcand_hub import SocketcandHub
from hil_rigs.world.canbus import CanBus

BITRATE_BPS = 20_000_000
"""Beyond CAN's, so that the hub and not the bus is what is tried."""


def numbered_frames(first: int, count: int) -> bytes:
    """Frames whose data is their number; every fourth has a 29-bit id."""
    frames = np.zeros(count, FRAME_DTYPE)
    number = np.arange(first, first + count, dtype="<u8")
    frames["id"] = np.where(number % 4 == 3, 0x8000_0000 | (0x1000 + number), 0x100 + number % 0x400)
    frames["length"] = 8
    frames["data"] = number.view(np.uint8).reshape(-1, 8)
    return frames.tobytes()


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Far:
    """The rig's side: a bus with a node on it, served by a hub that can be killed and started again."""

    def __init__(self) -> None:
        self.bus = CanBus(np.random.default_rng(1), BITRATE_BPS, queue_frames_max=100_000)
        self.heard: list[bytes] = []
        self.node = self.bus.attach(lambda batch: self.heard.append(batch.data))
        self.hub = SocketcandHub({"rack0": self.bus, "rack1": CanBus(np.random.default_rng(2))}, port=free_port())

    @property
    def config(self) -> CanConfig:
        return CanConfig("socketcand", "rack0", self.hub.host, self.hub.port)

    async def talk(self, frames: int, batch: int = 50, pause_s: float = 0.01) -> None:
        """Send numbered frames at batch / pause_s a second."""
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for i in range(frames // batch):
            self.node.send(numbered_frames(i * batch, batch))
            await asyncio.sleep(start_s + (i + 1) * pause_s - loop.time())


@pytest.fixture
async def far() -> AsyncIterator[Far]:
    made = Far()
    await made.hub.start()
    yield made
    made.hub.close()
    await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def link_to(far: Far, on_batch: Callable[[FrameBatch], None]) -> AsyncIterator[CanLink]:
    link = CanLink(far.config, on_batch)
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: not any(thread.name.startswith("can socketcand") for thread in threading.enumerate()))


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in other threads
            await asyncio.sleep(0.01)


async def test_python_can_alone_exchanges_frames_with_our_hub(far: Far) -> None:
    def peer() -> tuple[list[can.Message], None]:
        with can.Bus(interface="socketcand", channel="rack0", host=far.hub.host, port=far.hub.port) as bus:
            bus.send(can.Message(arbitration_id=0x12, data=[1, 2, 0xFF], is_extended_id=False))
            bus.send(can.Message(arbitration_id=0x1ABCDEF0, data=[], is_extended_id=True))
            return [message for _ in range(4) if (message := bus.recv(2.0)) is not None], None

    with ThreadPoolExecutor(1) as pool:
        running = asyncio.get_running_loop().run_in_executor(pool, peer)
        await until(lambda: len(far.heard) >= 1)
        await asyncio.sleep(0.2)
        far.node.send(numbered_frames(0, 4))
        messages, _ = await running
    assert b"".join(far.heard) == struct.pack("<IB3x8s", 0x12, 3, b"\x01\x02\xff") + struct.pack(
        "<IB3x8s", 0x9ABC_DEF0, 0, b""
    )
    assert [(message.arbitration_id, message.is_extended_id) for message in messages] == [
        (0x100, False),
        (0x101, False),
        (0x102, False),
        (0x1003, True),
    ]
    assert [bytes(message.data) for message in messages] == [bytes([n, 0, 0, 0, 0, 0, 0, 0]) for n in range(4)]


async def test_no_frame_is_lost_at_5000_a_second(far: Far) -> None:
    batches: list[FrameBatch] = []
    async with link_to(far, batches.append) as link:
        await until(lambda: link.open)
        await asyncio.sleep(0.2)
        await far.talk(10_000)
        await until(lambda: sum(map(len, batches)) >= 10_000)
        assert link.health.connected
    assert b"".join(batch.data for batch in batches) == numbered_frames(0, 10_000)
    assert len(batches) < 2_000
    assert all(later.at_ns >= earlier.at_ns for earlier, later in pairwise(batches))


async def test_no_frame_sent_is_lost_at_5000_a_second(far: Far) -> None:
    async with link_to(far, lambda _: None) as link:
        await until(lambda: link.open)
        chatter = asyncio.create_task(far.talk(30, 1, 0.1))
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for i in range(200):
            link.send(numbered_frames(i * 50, 50))
            await asyncio.sleep(start_s + (i + 1) * 0.01 - loop.time())
        await until(lambda: sum(map(len, far.heard)) >= 160_000)
        chatter.cancel()
        assert link.health.errors == 0
    assert b"".join(far.heard) == numbered_frames(0, 10_000)


async def test_killed_hub_is_reported_at_little_cpu_and_found_again(far: Far) -> None:
    batches: list[FrameBatch] = []
    async with link_to(far, batches.append) as link:
        await until(lambda: link.open)
        await asyncio.sleep(0.2)
        await far.talk(500)
        assert link.health.connected
        before_s = cpu_s()
        far.hub.close()
        await until(lambda: not link.health.connected, 1.0)
        await asyncio.sleep(2.0)
        assert cpu_s() - before_s < 0.4
        assert not link.health.connected
        await far.hub.start()
        chatter = asyncio.create_task(far.talk(1_000, 1, 0.01))
        await until(lambda: link.health.connected, 6.0)
        assert link.health.reconnects == 1
        chatter.cancel()


async def test_silent_hub_is_reopened_at_little_cpu(far: Far) -> None:
    async with link_to(far, lambda _: None) as link:
        await until(lambda: link.open)
        before_s = cpu_s()
        await asyncio.sleep(3.0)
        assert cpu_s() - before_s < 0.3
        assert link.health.timeouts >= 1


@pytest.mark.parametrize("greeting", [b"", b"220 mail ready\r\n"], ids=["says nothing", "says something else"])
async def test_peer_that_is_no_socketcand_is_an_operating_fault(greeting: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(OSError):  # noqa: PT011
        await open_python_can(CanConfig("socketcand", "rack0", "127.0.0.1", port), lambda _: None)
    server.close()
    await asyncio.sleep(0.05)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # python-can leaves it to the collector
async def test_unknown_channel_is_an_operating_fault(far: Far) -> None:
    config = CanConfig("socketcand", "rack9", far.hub.host, far.hub.port)
    with pytest.raises(ConnectionError):
        await open_python_can(config, lambda _: None)
    gc.collect()


async def test_interface_that_python_can_lacks_is_a_wrong_configuration() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        await open_python_can(CanConfig("nonsense", "rack0"), lambda _: None)


async def test_peer_that_does_not_read_never_blocks_the_loop() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"< hi >")
        for request in (b"< open rack0 >", b"< rawmode >"):
            if await reader.read(len(request)) != request:
                break
            writer.write(b"< ok >")
        else:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await release.wait()
        writer.transport.abort()

    release = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    config = CanConfig("socketcand", "rack0", "127.0.0.1", server.sockets[0].getsockname()[1])
    port = await open_python_can(config, lambda _: None)
    loop = asyncio.get_running_loop()
    slowest_s = 0.0
    for i in range(600):
        start_s = loop.time()
        port.send(numbered_frames(i * 500, 500))
        slowest_s = max(slowest_s, loop.time() - start_s)
        await asyncio.sleep(0.002)
    assert port.dropped > 0
    assert slowest_s < 0.1
    port.close()
    release.set()
    server.close()
    await until(lambda: not any(thread.name.startswith("can socketcand") for thread in threading.enumerate()))


async def test_hub_answers_rawmode_alone_before_frames_follow(far: Far) -> None:
    chatter = asyncio.create_task(far.talk(1_000, 1, 0.001))
    reader, writer = await asyncio.open_connection(far.hub.host, far.hub.port)
    assert await reader.readexactly(6) == b"< hi >"
    for request in (b"< open rack0 >", b"< rawmode >"):
        writer.write(request)
        await asyncio.sleep(0.02)
        assert await reader.read(1000) == b"< ok >"
    assert (await reader.read(8)) == b"< frame "
    chatter.cancel()
    writer.close()
    with contextlib.suppress(ConnectionResetError):
        await writer.wait_closed()


@pytest.mark.parametrize("pieces", [1, 7, 1000])
async def test_hub_reads_messages_however_they_are_cut(far: Far, pieces: int) -> None:
    reader, writer = await asyncio.open_connection(far.hub.host, far.hub.port)
    assert await reader.readexactly(6) == b"< hi >"
    for request in (b"< open rack0 >", b"< rawmode >"):
        writer.write(request)
        assert await reader.readexactly(6) == b"< ok >"
    text = b"< send 123 2 a ff >< send 456 0  >\n< send 1ABCDEF0 1 0 >"
    for i in range(0, len(text), pieces):
        writer.write(text[i : i + pieces])
        await asyncio.sleep(0.001)
    await until(lambda: len(b"".join(far.heard)) >= 48)
    expected = [(0x123, 2, b"\x0a\xff"), (0x456, 0, b""), (0x9ABC_DEF0, 1, b"\x00")]
    assert b"".join(far.heard) == b"".join(struct.pack("<IB3x8s", *each) for each in expected)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n",
        b"< send 800 0 >",
        b"< send 123 9 1 2 3 4 5 6 7 8 9 >",
        b"< send 123 2 1 >",
        b"< send 123 1 100 >",
        b"< send +12 1 1 >",
        b"< open rack1 >",
        b"< bcmmode >",
        b"< " + b"A" * 100,
        b"\xff>",
    ],
)
async def test_hub_cuts_off_whoever_does_not_speak_the_protocol(far: Far, garbage: bytes) -> None:
    reader, writer = await asyncio.open_connection(far.hub.host, far.hub.port)
    writer.write(b"< open rack0 >")
    await asyncio.sleep(0.02)
    writer.write(b"< rawmode >")
    await asyncio.sleep(0.02)
    writer.write(garbage)
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 2.0) == b"< hi >< ok >< ok >"
    assert far.hub.bad_dropped == 1
    assert far.heard == []
    writer.close()
    with contextlib.suppress(ConnectionResetError):
        await writer.wait_closed()


async def test_hub_drops_a_client_that_does_not_read(far: Far) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, (far.hub.host, far.hub.port))
        for request in (b"< open rack0 >", b"< rawmode >"):
            await asyncio.sleep(0.02)
            client.send(request)
        await asyncio.sleep(0.1)
        for i in range(400):
            far.node.send(numbered_frames(i * 500, 500))
            await asyncio.sleep(0.002)
        await until(lambda: far.hub.slow_dropped == 1)
        assert len(far.bus.ports) == 1
