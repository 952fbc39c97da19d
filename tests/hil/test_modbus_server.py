"""The strict Modbus server, byte by byte: frames, exceptions, faults."""

import asyncio
import struct

import pytest

from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.world import run_virtual
from tests.drivers.sunspec_registers import RawDevice

HOST, PORT = "10.0.0.6", 502


def frame(pdu: str, transaction: int = 1, unit: int = 1) -> bytes:
    """A Modbus TCP frame around a PDU in hex."""
    body = bytes.fromhex(pdu)
    return struct.pack(">HHHB", transaction, 0, len(body) + 1, unit) + body


async def exchange(segments: list[bytes], setup=lambda server: None, gap_s: float = 0.01, wait_s: float = 2.0):
    """All bytes that come back for these segments, whether the server closed, and the server."""
    server = ModbusServer(RawDevice([0x1111, 0x2222, 0x3333, 0x4444], base=100))
    setup(server)
    await server.start(HOST, PORT)
    reader, writer = await asyncio.open_connection(HOST, PORT)
    for segment in segments:
        writer.write(segment)
        await asyncio.sleep(gap_s)
    await asyncio.sleep(wait_s)
    closed = reader.at_eof()
    server.close()
    data = b"".join([part async for part in _parts(reader)])
    writer.close()
    return data, closed, server


async def _parts(reader):
    try:
        while part := await reader.read(4096):
            yield part
    except ConnectionError:
        return


def answers(*segments: bytes, **settings) -> bytes:
    return run_virtual(exchange(list(segments), **settings))[0]


@pytest.mark.parametrize(
    ("request_pdu", "answer_pdu"),
    [
        ("03 0065 0002", "03 04 2222 3333"),
        ("04 0064 0001", "04 02 1111"),
        ("06 0064 ABCD", "06 0064 ABCD"),
        ("10 0065 0002 04 0001 0002", "10 0065 0002"),
        ("01 0064 0001", "81 01"),
        ("2B 0E 01 00", "AB 01"),
        ("03 0067 0002", "83 02"),
        ("03 0063 0001", "83 02"),
        ("03 FFFF 0002", "83 02"),
        ("03 0064 0000", "83 03"),
        ("03 0064 007E", "83 03"),
        ("03 0064", "83 03"),
        ("03 0064 0001 00", "83 03"),
        ("10 0064 0000 00", "90 03"),
        ("10 0064 0002 02 0001", "90 03"),
        ("10 0064 0001 04 0001 0002", "90 03"),
        ("10 0064", "90 03"),
        ("10 0064 0002 04 0001", "90 03"),
    ],
)
def test_request_gets_exactly_this_answer(request_pdu, answer_pdu):
    assert answers(frame(request_pdu, 0xBEEF)) == frame(answer_pdu, 0xBEEF)


def test_request_that_comes_byte_by_byte_is_answered_once():
    request = frame("03 0064 0001")
    assert answers(*(request[k : k + 1] for k in range(len(request)))) == frame("03 02 1111")


def test_pipelined_requests_are_all_answered_in_order():
    requests = b"".join(frame("03 0064 0001", k) for k in range(5))
    assert answers(requests + frame("03 0065 0001", 5)[:7], frame("03 0065 0001", 5)[7:]) == b"".join(
        [frame("03 02 1111", k) for k in range(5)] + [frame("03 02 2222", 5)]
    )


def test_unknown_unit_is_answered_as_by_a_gateway():
    assert answers(frame("03 0064 0001", unit=9)) == frame("83 0B", unit=9)


@pytest.mark.parametrize("header", ["0001 0001 0006 01", "0001 0000 0001 01", "0001 0000 00FF 01", "47455420 2F20 48"])
def test_what_cannot_be_modbus_ends_the_connection(header):
    data, closed, _ = run_virtual(exchange([bytes.fromhex(header) + bytes(300)]))
    assert (data, closed) == (b"", True)


def test_silent_device_takes_requests_and_neither_answers_nor_obeys():
    def silence(server):
        server.faults.silent = True

    data, closed, server = run_virtual(exchange([frame("06 0064 0007")], silence))
    assert (data, closed) == (b"", False)
    assert server.device.writes == []
    assert server.transactions.unanswered == 1


def test_delayed_answers_come_late_and_in_order():
    def slow(server):
        server.faults.delay_s = 0.5
        asyncio.get_running_loop().call_later(0.1, setattr, server.faults, "delay_s", 0.0)

    requests = [frame("03 0064 0001", 1), frame("03 0065 0001", 2)]
    assert answers(*requests, setup=slow, gap_s=0.2, wait_s=0.05) == b""
    assert answers(*requests, setup=slow, gap_s=0.2) == frame("03 02 1111", 1) + frame("03 02 2222", 2)


def test_exception_fault_refuses_everything_with_its_code():
    def refuse(server):
        server.faults.exception = 6

    data, _, server = run_virtual(exchange([frame("03 0064 0001"), frame("06 0064 0001")], refuse))
    assert data == frame("83 06") + frame("86 06")
    assert server.device.writes == []
    assert (server.transactions.answered, server.transactions.refused) == (2, 2)


DAMAGED = [
    ({"unit": 9}, "07 91 00 00 00 05 09 03 02 11 11"),
    ({"repeats": True}, "07 91 00 00 00 05 01 03 02 11 11 07 91 00 00 00 05 01 03 02 11 11"),
    ({"splits": True}, "07 91 00 00 00 05 01 03 02 11 11"),
    ({"cut_every": 1}, "07 91 00 00 00"),
    ({"cut_every": 2}, "07 91 00 00 00 05 01 03 02 11 11"),
    ({"boots": True}, ""),
]


@pytest.mark.parametrize(("faults", "answer"), DAMAGED, ids=[str(faults) for faults, _ in DAMAGED])
def test_answer_goes_out_with_this_damage(faults, answer):
    def damage(server):
        for name, value in faults.items():
            setattr(server.faults, name, value)

    data, _, __ = run_virtual(exchange([frame("03 0064 0001", 0x0791)], damage))
    assert data.hex(" ") == answer.lower()


def test_dropped_clients_may_come_back():
    async def main():
        server = ModbusServer(RawDevice([1]))
        await server.start(HOST, PORT)
        reader, writer = await asyncio.open_connection(HOST, PORT)
        await asyncio.sleep(0.1)
        server.drop_connections()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()
        reader, writer = await asyncio.open_connection(HOST, PORT)
        writer.write(frame("03 9C40 0001"))
        assert await reader.readexactly(11) == frame("03 02 0001")
        writer.close()
        server.close()

    run_virtual(main())


def test_seventeenth_client_is_refused():
    async def main():
        server = ModbusServer(RawDevice([1]))
        await server.start(HOST, PORT)
        clients = [await asyncio.open_connection(HOST, PORT) for _ in range(17)]
        await asyncio.sleep(0.1)
        assert [reader.at_eof() for reader, _ in clients] == [False] * 16 + [True]
        for _, writer in clients:
            writer.close()
        server.close()

    run_virtual(main())


def test_client_with_too_many_requests_under_way_is_cut_off():
    read = frame("03 0064 0001")
    assert answers(read * 16) == frame("03 02 1111") * 16
    data, closed, server = run_virtual(exchange([read * 17]))
    assert (data, closed, server.transactions.answered) == (b"", True, 0)
