"""The in-memory network as a client and a server see it: TCP's order and endings, and every fault it can be given."""

import asyncio
import socket

import pytest

from drivers.clock import now_ns
from hil_rigs.world import Network, current_network, run_virtual

HOST, PORT = "10.0.0.5", 502


class Recorder(asyncio.Protocol):
    """Notes what happens to it, in order."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.arrived = asyncio.Event()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.events.append(data)
        self.arrived.set()

    def eof_received(self) -> None:
        self.events.append("eof")

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.events.append(type(error))
        self.lost.set_result(None)

    @property
    def data(self) -> bytes:
        return b"".join(event for event in self.events if isinstance(event, bytes))


async def joined(host: str = HOST, port: int = PORT) -> tuple[Recorder, Recorder]:
    """A connected client and its server end; the server stops listening, which leaves the connection alone."""
    loop = asyncio.get_running_loop()
    ends: list[Recorder] = []

    def accept() -> Recorder:
        ends.append(Recorder())
        return ends[-1]

    server = await loop.create_server(accept, host, port)
    _, client = await loop.create_connection(Recorder, host, port)
    server.close()
    return client, ends[0]


def run(main, seed: int = 0):
    """Runs main(network)."""

    async def start():
        return await main(current_network())

    return run_virtual(start(), seed=seed)


async def closed(*ends: Recorder) -> None:
    for end in ends:
        end.transport.close()
    await asyncio.gather(*(end.lost for end in ends))


def test_streams_echo_unmodified():
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main(_: Network) -> list[bytes]:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection("localhost", port)
            assert writer.get_extra_info("peername") == ("127.0.0.1", port)
            writer.writelines([b"one\n", b"two\n"])
            writer.write_eof()
            answers = [await reader.readline(), await reader.readline(), await reader.readline()]
            writer.close()
            await writer.wait_closed()
        return [host, *answers]

    assert run(main) == ["127.0.0.1", b"ONE\n", b"TWO\n", b""]


def test_bytes_arrive_in_order_and_0_2_to_0_5_ms_late():
    async def main(_: Network) -> None:
        client, server = await joined()
        delays = []
        for i in range(200):
            server.arrived.clear()
            sent_ns = now_ns()
            client.transport.write(bytes([i]))
            await server.arrived.wait()
            delays.append(now_ns() - sent_ns)
        assert min(delays) >= 200_000
        assert max(delays) <= 500_000
        assert max(delays) - min(delays) > 200_000
        for i in range(200):
            client.transport.write(bytes([i]))
        await asyncio.sleep(0.01)
        assert server.data == bytes(range(200)) * 2
        await closed(client, server)

    run(main)


def test_closing_ends_see_data_then_end_then_loss():
    async def main(_: Network) -> None:
        client, server = await joined()
        client.transport.write(b"last words")
        client.transport.close()
        client.transport.write(b"too late")
        await asyncio.gather(client.lost, server.lost)
        assert client.events == ["made", type(None)]
        assert server.events == ["made", b"last words", "eof", type(None)]
        assert server.transport.is_closing()

    run(main)


def test_names_of_both_ends_match():
    async def main(_: Network) -> None:
        client, server = await joined("::1", 1502)
        assert client.transport.get_extra_info("peername") == ("::1", 1502, 0, 0)
        assert client.transport.get_extra_info("socket") is None
        assert server.transport.get_extra_info("peername") == client.transport.get_extra_info("sockname")
        await closed(client, server)

    run(main)


def test_write_to_an_end_that_is_gone_is_answered_with_a_reset():
    seen: list[str] = []

    async def speak_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        writer.write(b"anyone there?")
        await asyncio.sleep(0.01)
        try:
            await writer.drain()
        except ConnectionResetError as error:
            seen.append(str(error))
        writer.close()

    async def main(_: Network) -> None:
        async with await asyncio.start_server(speak_late, HOST, PORT):
            _, writer = await asyncio.open_connection(HOST, PORT)
            writer.close()
            await asyncio.sleep(0.1)

    run(main)
    assert seen == ["[Errno 104] Connection reset by peer"]


def test_address_in_use_is_an_error():
    async def main(_: Network) -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(Recorder, HOST, PORT):
            with pytest.raises(OSError, match="address already in use"):
                await loop.create_server(Recorder, HOST, PORT)
            async with await loop.create_server(Recorder, "10.0.0.6", PORT):
                pass
        async with await loop.create_server(Recorder, HOST, PORT):
            pass

    run(main)


def test_server_on_any_address_is_reached_by_all():
    async def main(_: Network) -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(Recorder, "0.0.0.0", 0) as server:
            port = server.sockets[0].getsockname()[1]
            for host in ("127.0.0.1", "10.9.8.7"):
                transport, client = await loop.create_connection(Recorder, host, port)
                assert transport.get_extra_info("peername") == (host, port)
                await closed(client)

    run(main)


def test_nobody_listening_refuses():
    async def main(_: Network) -> None:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, PORT)

    run(main)


def test_refused_address_refuses_until_restored_and_leaves_open_connections():
    async def main(network: Network) -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(Recorder, HOST, PORT):
            _, early = await loop.create_connection(Recorder, HOST, PORT)
            network.refuse(HOST, PORT)
            with pytest.raises(ConnectionRefusedError):
                await loop.create_connection(Recorder, HOST, PORT)
            network.restore(HOST, PORT)
            _, late = await loop.create_connection(Recorder, HOST, PORT)
            assert early.events == late.events == ["made"]
            await closed(early, late)

    run(main)


def test_cut_swallows_silently_and_restore_delivers_in_order():
    async def main(network: Network) -> None:
        client, server = await joined()
        client.transport.write(b"under way ")
        network.cut(HOST, PORT)
        client.transport.write(b"and held ")
        server.transport.write(b"answer")
        await asyncio.sleep(60.0)
        assert server.events == client.events == ["made"]
        network.restore(HOST, PORT)
        client.transport.write(b"and new")
        await asyncio.sleep(0.002)
        assert (server.data, client.data) == (b"under way and held and new", b"answer")
        await closed(client, server)

    run(main)


def test_connect_over_a_cut_path_hangs_until_restored():
    async def main(network: Network) -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(Recorder, HOST, PORT):
            network.cut(HOST, PORT)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5.0):
                    await loop.create_connection(Recorder, HOST, PORT)
            loop.call_later(7.0, network.restore, HOST, PORT)
            start_ns = now_ns()
            _, client = await loop.create_connection(Recorder, HOST, PORT)
            assert 7_000_000_000 < now_ns() - start_ns < 7_002_000_000
            await closed(client)

    run(main)


def test_connect_over_a_cut_path_gives_up_after_127_s():
    async def main(network: Network) -> int:
        start_ns = now_ns()
        network.cut(HOST, PORT)
        with pytest.raises(TimeoutError, match="Connect call failed"):
            await asyncio.get_running_loop().create_connection(Recorder, HOST, PORT)
        return now_ns() - start_ns

    assert run(main) == 127_000_000_000


def test_sender_on_a_cut_path_gives_up_after_a_quarter_of_an_hour():
    async def main(network: Network) -> None:
        client, server = await joined()
        network.cut(HOST, PORT)
        client.transport.write(b"hello?")
        await asyncio.sleep(920.0)
        assert client.events == ["made"]
        await client.lost
        assert client.events == ["made", TimeoutError]
        assert server.events == ["made"]
        network.reset(HOST, PORT)
        await server.lost

    run(main)


def test_cut_in_the_middle_of_an_answer_leaves_half_of_it():
    async def main(network: Network) -> None:
        client, server = await joined()
        network.cut(HOST, PORT, after_answer_bytes=5)
        server.transport.write(b"123")
        server.transport.write(b"456789")
        await asyncio.sleep(1.0)
        assert client.data == b"12345"
        client.transport.write(b"request")
        await asyncio.sleep(1.0)
        assert server.data == b""
        network.restore(HOST, PORT)
        await asyncio.sleep(0.01)
        assert (client.data, server.data) == (b"123456789", b"request")
        await closed(client, server)

    run(main)


def test_reset_loses_the_connection_on_both_sides():
    async def main(network: Network) -> None:
        client, server = await joined()
        client.transport.write(b"never arrives")
        assert network.reset(HOST, PORT) == 1
        await asyncio.gather(client.lost, server.lost)
        assert client.events == server.events == ["made", ConnectionResetError]
        assert network.reset(HOST, PORT) == 0

    run(main)


def test_stall_holds_everything_for_its_duration():
    async def main(network: Network) -> None:
        client, server = await joined()
        client.transport.write(b"a")
        network.stall(HOST, PORT, 2.0)
        client.transport.write(b"b")
        await asyncio.sleep(1.999)
        assert server.data == b""
        await asyncio.sleep(0.003)
        assert server.data == b"ab"
        await closed(client, server)

    run(main)


def test_connect_waits_for_the_end_of_a_stall():
    async def main(network: Network) -> None:
        start_ns = now_ns()
        network.stall(HOST, PORT, 2.0)
        client, server = await joined()
        assert 2_000_000_000 < now_ns() - start_ns < 2_002_000_000
        await closed(client, server)

    run(main)


def test_segmented_writes_arrive_in_pieces_but_whole():
    async def main(network: Network) -> list[object]:
        client, server = await joined()
        network.segment(HOST, PORT, 1.0)
        for _ in range(20):
            client.transport.write(b"0123456789")
        await asyncio.sleep(0.1)
        assert server.data == b"0123456789" * 20
        await closed(client, server)
        return server.events

    pieces = [event for event in run(main) if isinstance(event, bytes)]
    assert 40 <= len(pieces) <= 80
    assert len({len(piece) for piece in pieces}) > 3


def test_latency_can_be_set():
    async def main(network: Network) -> None:
        client, server = await joined()
        network.set_latency(HOST, PORT, 0.5, 0.5)
        client.transport.write(b"slow")
        await asyncio.sleep(0.499)
        assert server.data == b""
        await asyncio.sleep(0.002)
        assert server.data == b"slow"
        await closed(client, server)

    run(main)


def test_paused_reader_makes_the_writer_pause():
    async def main(_: Network) -> None:
        client, server = await joined()
        server.transport.pause_reading()
        client.transport.write(bytes(40_000))
        client.transport.write(bytes(40_000))
        await asyncio.sleep(1.0)
        assert client.events == ["made", "pause"]
        assert server.data == b""
        server.transport.resume_reading()
        await asyncio.sleep(0.1)
        assert client.events == ["made", "pause", "resume"]
        assert len(server.data) == 80_000
        assert client.transport.get_write_buffer_size() == 0
        await closed(client, server)

    run(main)


def test_protocol_that_raises_is_reported_and_loses_its_connection():
    class Broken(Recorder):
        def data_received(self, data: bytes) -> None:
            raise ZeroDivisionError(data)

    async def main(_: Network) -> None:
        loop = asyncio.get_running_loop()
        reported: list[object] = []
        loop.set_exception_handler(lambda _, context: reported.append(type(context["exception"])))
        ends: list[Broken] = []
        async with await loop.create_server(lambda: ends.append(Broken()) or ends[-1], HOST, PORT):
            transport, client = await loop.create_connection(Recorder, HOST, PORT)
            transport.write(b"x")
            await client.lost
        assert reported == [ZeroDivisionError]
        assert ends[0].events == ["made", ZeroDivisionError]
        assert client.events == ["made", "eof", type(None)]

    run(main)


def test_buffered_protocols_are_fed_through_their_buffer():
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer, self.data = bytearray(4), b""

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.data += self.buffer[:nbytes]

    async def main(_: Network) -> bytes:
        loop = asyncio.get_running_loop()
        ends: list[Buffered] = []
        async with await loop.create_server(lambda: ends.append(Buffered()) or ends[-1], HOST, PORT):
            transport, client = await loop.create_connection(Recorder, HOST, PORT)
            transport.write(b"0123456789")
            await asyncio.sleep(0.01)
            await closed(client)
        return ends[0].data

    assert run(main) == b"0123456789"


def test_cancelled_connect_leaves_nothing_open():
    async def main(network: Network) -> None:
        loop = asyncio.get_running_loop()
        network.set_latency(HOST, PORT, 1.0, 1.0)
        ends: list[Recorder] = []
        async with await loop.create_server(lambda: ends.append(Recorder()) or ends[-1], HOST, PORT):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await loop.create_connection(Recorder, HOST, PORT)
            await ends[0].lost
        assert ends[0].events == ["made", "eof", type(None)]

    run(main)


async def traffic(network: Network) -> list[tuple[int, object]]:
    trace: list[tuple[int, object]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            trace.append((now_ns(), data))
            writer.write(data * 3)
        writer.close()

    async def ask(name: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, PORT)
        for i in range(20):
            writer.write(bytes([name, i] * 8))
            trace.append((now_ns(), await reader.readexactly(48)))
            await asyncio.sleep(0.01)
        writer.close()

    network.segment(HOST, PORT, 0.5)
    async with await asyncio.start_server(answer, HOST, PORT), asyncio.TaskGroup() as group:
        for name in range(5):
            group.create_task(ask(name))
    await asyncio.sleep(0.1)
    return trace


def test_same_seed_gives_the_same_trace_and_another_seed_another():
    first = run(traffic, seed=7)
    assert len(first) > 200
    assert run(traffic, seed=7) == first
    assert run(traffic, seed=8) != first


def test_real_sockets_are_never_opened(monkeypatch):
    def opened(*_args, **_kwargs):
        raise AssertionError("a real socket was opened")

    monkeypatch.setattr(socket.socket, "__init__", opened)
    assert len(run(traffic)) > 200
