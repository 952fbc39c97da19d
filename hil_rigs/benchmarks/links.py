"""What the links cost: a Modbus transaction beside pymodbus's own, the others beside a slow device, a dead CAN peer."""

import asyncio
import contextlib
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator
from multiprocessing.connection import Connection
from statistics import median
from time import perf_counter, process_time

import numpy as np
from pymodbus.client import AsyncModbusTcpClient

from drivers.links.can import CanConfig, CanLink
from drivers.links.modbus import LinkError, ModbusLink
from drivers.serve.modbus import ModbusServer as PlainServer
from hil_rigs.benchmarks.measure import Row
from hil_rigs.devices.modbus_server import ModbusServer
from hil_rigs.devices.socketcand_hub import SocketcandHub
from hil_rigs.world.canbus import CanBus

HOST = "127.0.0.1"
REGISTERS = 60
TRANSACTIONS, TURNS_MIN = 100, 5
DEVICES, POLL_S, SLOW_S = 4, 0.02, 2.0
DEAD_S_MIN = 1.0
"""The link looks for a peer that is gone within this long, once at least."""


class Counting:
    """A device of registers that hold their address."""

    def read(self, address: int, count: int) -> list[int]:
        return list(range(address, address + count))

    def write(self, address: int, values: list[int]) -> None:
        """Takes everything, keeps nothing."""


def rows(budget_s: float) -> Iterator[Row]:
    yield _transaction(budget_s)
    yield asyncio.run(_slow_device(budget_s))
    yield asyncio.run(_dead_peer(budget_s))


def _transaction(budget_s: float) -> Row:
    """CPU time of the client alone: the server is another process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    try:
        ours_us, peer_us, ratio = asyncio.run(_compared(ours.recv(), budget_s))
    finally:
        server.terminate()
        server.join()
    return Row(f"Modbus: read {REGISTERS} registers", ours_us, "us", "pymodbus's client alone", peer_us, ratio)


def _serve(said: Connection) -> None:
    async def main() -> None:
        server = PlainServer(Counting())
        await server.listen(HOST, 0)
        said.send(server.port)
        await asyncio.Event().wait()

    asyncio.run(main())


async def _compared(port: int, budget_s: float) -> tuple[float, float, float]:
    """CPU time by transaction (us) of our link and of the bare client, and the median of the turns' ratios."""
    client = AsyncModbusTcpClient(HOST, port=port, timeout=0.4, retries=0, reconnect_delay=0)
    await client.connect()
    link = ModbusLink(HOST, port, 1)
    await link.connect()
    reads = lambda: link.read_holding(0, REGISTERS), lambda: client.read_holding_registers(0, count=REGISTERS)
    turns: list[tuple[float, float]] = []
    end_s = perf_counter() + budget_s
    while len(turns) < TURNS_MIN or perf_counter() < end_s:
        turns.append((await _cpu_us(reads[0]), await _cpu_us(reads[1])))
    link.close()
    client.close()
    ours_us, peer_us = (median(turn[k] for turn in turns) for k in range(2))
    return ours_us, peer_us, peer_us / ours_us


async def _cpu_us(read: Callable[[], Awaitable[object]]) -> float:
    start_s = process_time()
    for _ in range(TRANSACTIONS):
        await read()
    return (process_time() - start_s) * 1e6 / TRANSACTIONS


async def _slow_device(budget_s: float) -> Row:
    beside_ms, alone_ms = await _p99_ms(SLOW_S, budget_s), await _p99_ms(0.0, budget_s)
    name = f"Modbus: p99 of {DEVICES - 1} devices beside one that answers after {SLOW_S:g} s"
    return Row(name, beside_ms, "ms", "all answer at once", alone_ms, alone_ms / beside_ms)


async def _p99_ms(slow_s: float, budget_s: float) -> float:
    servers = [ModbusServer(Counting()) for _ in range(DEVICES)]
    for server in servers:
        await server.start(HOST, 0)
    servers[0].faults.delay_s = slow_s
    links = [ModbusLink(HOST, server.port, 1) for server in servers]
    took_ms: list[list[float]] = [[] for _ in links]
    running = [asyncio.create_task(_poll(link, took)) for link, took in zip(links, took_ms, strict=True)]
    await asyncio.sleep(max(budget_s, 10 * POLL_S))
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for server in servers:
        server.close()
    return float(np.percentile(np.concatenate([np.array(took) for took in took_ms[1:]]), 99.0))


async def _poll(link: ModbusLink, took_ms: list[float]) -> None:
    try:
        while True:
            await link.connect()
            start_s = perf_counter()
            with contextlib.suppress(LinkError):
                await link.read_holding(0, REGISTERS)
                took_ms.append((perf_counter() - start_s) * 1e3)
            await asyncio.sleep(POLL_S)
    finally:
        link.close()


async def _dead_peer(budget_s: float) -> Row:
    """The hub behind a bus is gone: what looking for it costs of one core."""
    hub = SocketcandHub({"rack0": CanBus(np.random.default_rng(1))}, HOST)
    await hub.start()
    link = CanLink(CanConfig("socketcand", "rack0", HOST, hub.port), lambda _: None)
    running = asyncio.create_task(link.run())
    await asyncio.sleep(0.2)
    hub.close()
    before_s, start_s = process_time(), perf_counter()
    await asyncio.sleep(max(budget_s, DEAD_S_MIN))
    cpu_ms = 1e3 * (process_time() - before_s) / (perf_counter() - start_s)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return Row("CAN: a bus whose peer is dead", cpu_ms, "ms/s", "one core", 1e3, 1e3 / cpu_ms)
