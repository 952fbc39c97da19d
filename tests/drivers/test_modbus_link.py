"""The Modbus link: errors as types, back-off, one transaction at a time, writes first."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from drivers.clock import now_ns
from drivers.links.modbus import DeviceException, LinkDown, LinkTimeout, ModbusLink, TooLate
from drivers.links.turns import Turns
from drivers.readings import LinkHealth
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.world import current_network, run_virtual
from tests.drivers.sunspec_registers import RawDevice

HOST, PORT = "10.0.0.7", 502


@asynccontextmanager
async def link_and_server():
    server = ModbusServer(RawDevice(list(range(100)), base=0), unit=3)
    await server.start(HOST, PORT)
    link = ModbusLink(HOST, PORT, 3)
    await link.connect()
    yield link, server
    link.close()
    server.close()


def in_virtual_time(test):
    """Runs an async test that takes link and server on a virtual loop."""

    async def main():
        async with link_and_server() as (link, server):
            await test(link, server)

    def run():
        run_virtual(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@in_virtual_time
async def test_reads_and_writes_registers_at_their_wire_addresses(link, server):
    assert await link.read_holding(10, 3) == [10, 11, 12]
    await link.write_registers(11, [0xFFFF, 7])
    assert server.device.registers[10:14] == [10, 0xFFFF, 7, 13]
    assert link.health == LinkHealth(connected=True, transactions=2, timeouts=0, errors=0, reconnects=0)


@in_virtual_time
async def test_refusal_of_the_device_is_raised_with_its_code(link, server):
    with pytest.raises(DeviceException, match="exception 2") as refusal:
        await link.read_holding(99, 2)
    assert refusal.value.code == 2
    assert link.health == LinkHealth(connected=True, transactions=1, timeouts=0, errors=1, reconnects=0)


@in_virtual_time
async def test_long_answer_that_comes_twice_is_taken_once(link, server):
    server.faults.repeats = True
    for _ in range(3):
        assert await link.read_holding(0, 100) == list(range(100))
    assert link.health == LinkHealth(connected=True, transactions=3, timeouts=0, errors=0, reconnects=0)


@in_virtual_time
async def test_silent_device_times_out_and_is_given_up_after_three_times(link, server):
    loop = asyncio.get_running_loop()
    server.faults.silent = True
    for _ in range(3):
        start_s = loop.time()
        with pytest.raises(LinkTimeout):
            await link.read_holding(0, 1)
        assert loop.time() - start_s == pytest.approx(0.4, abs=0.01)
    with pytest.raises(LinkDown):
        await link.read_holding(0, 1)
    assert link.health.timeouts == 3
    assert not link.health.connected


@in_virtual_time
async def test_late_answer_is_not_taken_for_the_next_one(link, server):
    server.faults.delay_s = 0.5
    with pytest.raises(LinkTimeout):
        await link.read_holding(10, 1)
    server.faults.delay_s = 0.0
    assert await link.read_holding(20, 1) == [20]


@in_virtual_time
async def test_lost_connection_ends_a_waiting_request_at_once(link, server):
    loop = asyncio.get_running_loop()
    server.faults.silent = True
    loop.call_later(0.05, current_network().reset, HOST, PORT)
    start_s = loop.time()
    with pytest.raises(LinkDown):
        await link.read_holding(0, 1)
    assert loop.time() - start_s < 0.1


@in_virtual_time
async def test_connection_comes_back_after_a_reset(link, server):
    await link.read_holding(0, 1)
    current_network().reset(HOST, PORT)
    await asyncio.sleep(0.01)
    await link.connect()
    assert await link.read_holding(5, 1) == [5]
    assert link.health.reconnects == 1


@in_virtual_time
async def test_write_goes_before_reads_that_wait(link, server):
    order = []

    async def note(name, transaction):
        await transaction
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        for k in range(3):
            tasks.create_task(note(f"read {k}", link.read_holding(k, 1)))
        await asyncio.sleep(0)
        tasks.create_task(note("write", link.write_registers(0, [1])))
    assert order == ["read 0", "write", "read 1", "read 2"]


@in_virtual_time
async def test_write_that_expired_while_it_waited_is_not_sent(link, server):
    server.faults.delay_s = 0.2
    reading = asyncio.create_task(link.read_holding(0, 1))
    await asyncio.sleep(0)
    with pytest.raises(TooLate):
        await link.write_registers(0, [7], expires_ns=now_ns() + 100_000_000)
    await reading
    assert server.device.writes == []


@in_virtual_time
async def test_cancelled_request_gives_its_turn_to_the_next(link, server):
    server.faults.delay_s = 0.1
    tasks = [asyncio.create_task(link.read_holding(k, 1)) for k in range(4)]
    await asyncio.sleep(0.01)
    tasks[0].cancel()
    tasks[2].cancel()
    await asyncio.wait(tasks)
    assert [task.cancelled() for task in tasks] == [True, False, True, False]
    assert (tasks[1].result(), tasks[3].result()) == ([1], [3])


async def test_turn_that_comes_in_the_moment_of_a_cancellation_is_passed_on():
    turns, order = Turns(), []

    async def hold(name, until):
        if not turns.free():
            await turns.wait(urgent=False)
        try:
            order.append(name)
            await until.wait()
        finally:
            turns.pass_on()

    first, never = asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(hold("first", first))]
    tasks += [asyncio.create_task(hold(name, never)) for name in ("second", "third")]
    await asyncio.sleep(0)
    first.set()
    await asyncio.sleep(0)  # the first lets go: the second has the turn and has not run yet
    tasks[1].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["first", "third"]
    tasks[2].cancel()
    await asyncio.wait(tasks)


def test_connect_backs_off_from_0_2_to_5_s():
    async def main():
        loop = asyncio.get_running_loop()
        current_network().refuse(HOST, PORT)
        link = ModbusLink(HOST, PORT, 3)
        connecting = asyncio.create_task(link.connect())
        await asyncio.sleep(30.0)
        server = ModbusServer(RawDevice([0], base=0), unit=3)
        await server.start(HOST, PORT)
        current_network().restore(HOST, PORT)
        since_s = loop.time()
        await connecting
        assert 0.0 < loop.time() - since_s <= 5.1
        assert link.health.connected
        link.close()
        server.close()

    run_virtual(main())


def test_same_world_gives_the_same_times():
    async def main():
        async with link_and_server() as (link, _server):
            for _ in range(20):
                await link.read_holding(0, 10)
            return now_ns()

    assert run_virtual(main(), seed=4) == run_virtual(main(), seed=4)


def test_cancellation_in_the_moment_of_the_answer_is_not_swallowed() -> None:
    """Python 3.11's asyncio.wait_for returns a result that came in the same round and forgets the cancellation: a
    driver would run on and its owner wait for ever. The answer takes exactly 1 ms, and so does the cancellation."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        current_network().set_latency(HOST, PORT, 0.001, 0.001)
        async with link_and_server() as (link, server):

            async def read_for_ever() -> None:
                while True:
                    await link.read_holding(0, 1)

            reader = asyncio.create_task(read_for_ever())
            answer = server.device.read

            def answered(address: int, count: int) -> list[int]:
                loop.call_later(0.001, reader.cancel)
                server.device.read = answer
                return answer(address, count)

            server.device.read = answered
            await asyncio.wait([reader], timeout=1.0)
            assert reader.cancelled()

    run_virtual(main())
