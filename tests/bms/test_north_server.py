"""The deployed Modbus server: who may connect, who goes when all places are taken, and how much one client may ask."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bms.north.modbus_server import NorthServer
from hil_rigs.world import run_virtual
from tests.drivers.sunspec_registers import RawDevice

HOST, PORT = "10.0.0.6", 502
READ = bytes.fromhex("0001 0000 0006 01 03 0064 0001")
ANSWER = bytes.fromhex("0001 0000 0005 01 03 02 1111")


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def ask(self) -> bytes:
        """The answer; empty when the server closed."""
        try:
            self.writer.write(READ)
            return await asyncio.wait_for(self._reader.read(64), 5.0)
        except ConnectionError:
            return b""


class Scene:
    """A server and its clients, all closed at the end."""

    def __init__(self, *allowed: str) -> None:
        self._server = NorthServer(RawDevice([0x1111], base=100), 1, allowed)
        self._clients: list[Client] = []

    async def connect(self, address: str = "10.0.0.9") -> Client:
        client = Client(*await asyncio.open_connection(HOST, PORT, local_addr=(address, 0)))
        self._clients.append(client)
        return client

    async def play(self, script: Callable[["Scene"], Awaitable[None]]) -> None:
        await self._server.listen(HOST, PORT)
        await script(self)
        self._server.close()
        for client in self._clients:
            client.writer.close()
        await asyncio.sleep(0.1)


@pytest.mark.parametrize(("address", "answer"), [("10.1.2.3", ANSWER), ("10.2.0.1", b""), ("192.168.0.7", ANSWER)])
def test_only_those_that_may_connect_are_answered(address: str, answer: bytes) -> None:
    async def script(scene: Scene) -> None:
        assert await (await scene.connect(address)).ask() == answer

    run_virtual(Scene("10.1.0.0/16", "192.168.0.7").play(script))


def test_the_client_that_was_silent_longest_gives_its_place_to_a_new_one() -> None:
    async def script(scene: Scene) -> None:
        clients = [await scene.connect() for _ in range(16)]
        assert await (await scene.connect()).ask() == b"", "nobody was silent for long"
        await asyncio.sleep(11.0)
        for client in clients[1:]:
            assert await client.ask() == ANSWER
        assert await (await scene.connect()).ask() == ANSWER
        assert [await clients[0].ask(), await clients[1].ask()] == [b"", ANSWER]

    run_virtual(Scene().play(script))


def test_client_that_asks_without_a_pause_is_held_to_a_hundred_a_second() -> None:
    async def script(scene: Scene) -> None:
        client, loop = await scene.connect(), asyncio.get_running_loop()
        began_s = loop.time()
        for _ in range(250):
            assert await client.ask() == ANSWER
        assert loop.time() - began_s == pytest.approx(2.0, abs=0.1)

    run_virtual(Scene().play(script))
