"""Coils and discrete inputs, byte by byte: our client against frames typed from the manuals, and the server.

Sources: Modbus Application Protocol 1.1b3, sections 6.1, 6.2, 6.5 and 6.11; WAGO-I/O-SYSTEM 750, ETHERNET TCP/IP,
manual, "Description of the MODBUS Functions", FC5 (coil 1 on) and FC15 (16 coils from 0, 0xA5F0).
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from drivers.links.modbus import BadAnswer, ModbusLink
from hil_rigs.devices.modbus_security import may
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.world import run_virtual
from tests.drivers.sunspec_registers import RawDevice
from tests.hil.test_modbus_server import answers, frame

HOST, PORT = "10.0.0.7", 502
COILS_19_FROM_0X13 = [1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1]
INPUTS_22_FROM_0XC4 = [0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 0, 1, 1]
WAGO_16 = [1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1]
"""0xA5 for the outputs 7 to 0, 0xF0 for 15 to 8."""


def asked(answer: str, ask: Callable[[ModbusLink], Awaitable[object]]) -> tuple[bytes, object]:
    """The PDU that the link sends, and what it makes of this answer."""

    heard: list[bytes] = []

    class Peer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            heard.append(data[7:])
            body = bytes.fromhex(answer)
            self.transport.write(data[:4] + (len(body) + 1).to_bytes(2, "big") + data[6:7] + body)

    async def main() -> object:
        server = await asyncio.get_running_loop().create_server(Peer, HOST, PORT)
        link = ModbusLink(HOST, PORT, 1)
        await link.connect()
        try:
            return await ask(link)
        finally:
            link.close()
            server.close()

    result = run_virtual(main())
    return heard[0], result


@pytest.mark.parametrize(
    ("ask", "request_pdu", "answer", "result"),
    [
        (lambda link: link.read_coils(0x13, 19), "01 0013 0013", "01 03 CD 6B 05", COILS_19_FROM_0X13),
        (lambda link: link.read_discrete(0xC4, 22), "02 00C4 0016", "02 03 AC DB 35", INPUTS_22_FROM_0XC4),
    ],
)
def test_bits_are_read_as_the_specification_shows(ask, request_pdu, answer, result) -> None:
    assert asked(answer, ask) == (bytes.fromhex(request_pdu), result)


@pytest.mark.parametrize(
    ("ask", "request_pdu", "answer"),
    [
        (lambda link: link.write_registers(1, [1], function=5), "05 0001 FF00", "05 0001 FF00"),
        (lambda link: link.write_registers(1, [0], function=5), "05 0001 0000", "05 0001 0000"),
        (lambda link: link.write_registers(0, WAGO_16, function=15), "0F 0000 0010 02 A5F0", "0F 0000 0010"),
        (lambda link: link.write_registers(0x13, [1, 0, 1, 1, 0, 0, 1, 1, 1, 0], function=15),
         "0F 0013 000A 02 CD01", "0F 0013 000A"),
    ],
)  # fmt: skip
def test_coils_are_written_as_the_manuals_show(ask, request_pdu, answer) -> None:
    assert asked(answer, ask)[0] == bytes.fromhex(request_pdu)


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda link: link.write_registers(1, [1], function=5), "05 0001 0000"),
        (lambda link: link.write_registers(1, [1], function=5), "05 0002 FF00"),
        (lambda link: link.write_registers(0, [1, 1], function=15), "0F 0000 0003"),
        (lambda link: link.read_coils(0, 9), "01 01 FF"),
        (lambda link: link.read_discrete(0, 8), "02 02 FF00"),
    ],
)
def test_answer_to_something_else_is_no_answer(ask, answer) -> None:
    with pytest.raises(BadAnswer):
        asked(answer, ask)


class Bits(RawDevice):
    """Coils from 0, all writable, and the inputs of the specification's example."""

    def __init__(self) -> None:
        super().__init__([0], base=0)
        self.coils = [*([0] * 0x13), *COILS_19_FROM_0X13, *([0] * 8)]

    def read_coils(self, address: int, count: int) -> list[int]:
        return self.coils[address : address + count]

    def read_discrete(self, address: int, count: int) -> list[int]:
        return ([0] * 0xC4 + INPUTS_22_FROM_0XC4)[address : address + count]

    def write_coils(self, address: int, values: list[int]) -> None:
        self.coils[address : address + len(values)] = values


def with_bits(server: ModbusServer) -> None:
    server.replace(Bits())


@pytest.mark.parametrize(
    ("request_pdu", "answer_pdu"),
    [
        ("01 0013 0013", "01 03 CD 6B 05"),
        ("02 00C4 0016", "02 03 AC DB 35"),
        ("05 0001 FF00", "05 0001 FF00"),
        ("0F 0000 0010 02 A5F0", "0F 0000 0010"),
        ("05 0001 0001", "85 03"),
        ("05 0001 FF", "85 03"),
        ("0F 0000 0010 01 A5", "8F 03"),
        ("0F 0000 0010 02 A5", "8F 03"),
        ("0F 0000", "8F 03"),
        ("01 0000 07D1", "81 03"),
        ("01 0000 0000", "81 03"),
        ("02 FFFF 0002", "82 02"),
    ],
)
def test_server_answers_bits_as_the_specification_says(request_pdu: str, answer_pdu: str) -> None:
    assert answers(frame(request_pdu), setup=with_bits) == frame(answer_pdu)


def test_coils_written_are_read_back() -> None:
    assert answers(frame("0F 0000 0010 02 A5F0"), frame("01 0000 0010"), setup=with_bits) == frame(
        "0F 0000 0010"
    ) + frame("01 02 A5F0")


def test_a_role_that_only_reads_writes_no_coils() -> None:
    assert [may("ReadOnlySunSpec", function) for function in (1, 2, 5, 15)] == [True, True, False, False]
