"""pymodbus's own client and server, unmodified, in virtual time."""

import asyncio
import contextlib
import logging

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.links.modbus import ModbusLink
from drivers.session import Sessions
from hil_rigs.world import Network, current_network, run_virtual

HOST, PORT = "10.0.0.5", 502


@pytest.fixture(autouse=True)
def _quiet_pymodbus():
    logger = logging.getLogger("pymodbus")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


async def answer_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The least of a Modbus TCP server: register n of a read of holding registers holds n."""
    while header := await reader.read(12):
        header += await reader.readexactly(12 - len(header))
        start, count = int.from_bytes(header[8:10]), int.from_bytes(header[10:12])
        data = b"".join(register.to_bytes(2) for register in range(start, start + count))
        body = bytes([header[6], header[7], len(data)]) + data
        writer.write(header[:4] + len(body).to_bytes(2) + body)
    writer.close()


def client() -> AsyncModbusTcpClient:
    return AsyncModbusTcpClient(HOST, port=PORT, timeout=0.5, retries=0, reconnect_delay=0)


def run_with_client(exchange, seed: int = 0):
    """Runs exchange(client, network) against the tiny server."""

    async def main():
        async with await asyncio.start_server(answer_reads, HOST, PORT):
            modbus = client()
            assert await modbus.connect()
            result = await exchange(modbus, current_network())
            modbus.close()
            await asyncio.sleep(0.1)
        return result

    return run_virtual(main(), seed=seed)


async def poll_an_hour(modbus: AsyncModbusTcpClient, network: Network) -> int:
    network.segment(HOST, PORT, 0.2)
    loop = asyncio.get_running_loop()
    start = loop.time()
    polls = 0
    while loop.time() < start + 3600.0:
        answer = await modbus.read_holding_registers(100, count=10, device_id=1)
        assert answer.registers == list(range(100, 110))
        polls += 1
        await asyncio.sleep(start + 0.5 * polls - loop.time())
    return polls


def test_an_hour_of_polling_at_2_hz():
    assert run_with_client(poll_an_hour) == 7200


async def lose_and_find_again(modbus: AsyncModbusTcpClient, network: Network) -> None:
    network.cut(HOST, PORT)
    with pytest.raises(ModbusException, match="No response"):
        await modbus.read_holding_registers(0, count=1, device_id=1)
    network.restore(HOST, PORT)
    assert not modbus.connected or modbus.close() is None
    assert await modbus.connect()
    assert (await modbus.read_holding_registers(7, count=1, device_id=1)).registers == [7]


def test_cut_shows_as_no_response_and_a_new_connect_works_after_restore():
    run_with_client(lose_and_find_again)


async def be_reset(modbus: AsyncModbusTcpClient, network: Network) -> None:
    network.reset(HOST, PORT)
    await asyncio.sleep(0.01)
    assert not modbus.connected


def test_reset_disconnects_the_client():
    run_with_client(be_reset)


async def be_refused(modbus: AsyncModbusTcpClient, network: Network) -> None:
    network.refuse(HOST, PORT)
    modbus.close()
    assert not await modbus.connect()


def test_refused_connect_returns_false():
    run_with_client(be_refused)


def test_pymodbus_server_serves_its_own_client():
    async def main() -> list[int]:
        registers = SimData(0, count=10, values=0, datatype=DataType.REGISTERS)
        server = ModbusTcpServer(SimDevice(1, simdata=[registers]), address=(HOST, PORT))
        await server.serve_forever(background=True)
        modbus = client()
        assert await modbus.connect()
        await modbus.write_registers(3, [258, 772], device_id=1)
        answer = await modbus.read_holding_registers(2, count=4, device_id=1)
        modbus.close()
        await server.shutdown()
        return answer.registers

    assert run_virtual(main()) == [0, 258, 772, 0]


def test_why_a_device_cannot_be_reached_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> str | None:
        async def session() -> None:
            raise AssertionError("nobody is there")

        sessions = Sessions("meter", ModbusLink(HOST, PORT, 1), session)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20.0):
                await sessions.run()
        return sessions.fault

    fault = run_virtual(main())
    assert fault is not None
    assert fault.startswith("10.0.0.5:502: ")
    assert caplog.messages == [f"meter: {fault}"]
