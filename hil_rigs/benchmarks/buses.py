"""Eight saturated CAN buses through python-can into the process image: how much of one core a second of it takes."""

import asyncio
import threading
from collections.abc import Iterator
from statistics import median
from time import perf_counter, process_time, sleep, thread_time

import can
import numpy as np

from bms.image import ProcessImage
from bms.summary import summarise
from drivers.cell_monitors.native import NativeRackMonitor
from drivers.cell_monitors.native.layout import native_layout
from drivers.clock import now_ns
from drivers.links.can import CanConfig
from hil_rigs.benchmarks.frames import CAN_FRAME, CELLS_PER_MODULE, MODULES
from hil_rigs.benchmarks.measure import Row
from kernels.canbits import FrameEncoder

BUSES = 8
FRAMES_PER_S = 4000
"""Of one bus of 500 kbit/s."""
BURST_S, TICK_S = 0.01, 0.02
TRAFFIC_S = 1.0
TURNS = 3
ARRIVAL_S_MAX = 20.0


def rows(budget_s: float) -> Iterator[Row]:
    """One row: the CPU time of everything but the sender, beside the second of one core that there is."""
    traffic_s, turns = (TRAFFIC_S, TURNS) if budget_s > 0.0 else (2 * BURST_S, 1)
    burst = round(FRAMES_PER_S * BURST_S)
    messages = _messages(burst * round(traffic_s / BURST_S))
    cpu_ms = 1e3 * median(asyncio.run(_cpu_s(messages, burst)) for _ in range(turns)) / traffic_s
    name = f"{BUSES} saturated CAN buses ({BUSES * FRAMES_PER_S:,} frames/s) to the process image"
    yield Row(name, cpu_ms, "ms/s", "one core", 1e3, 1e3 / cpu_ms)


def _messages(count: int) -> list[can.Message]:
    """A rack's frames, sweep by sweep."""
    encoder = FrameEncoder(native_layout(MODULES, CELLS_PER_MODULE).measured.frames)
    values, order = np.ones(encoder.plan.signal_frame.size), np.arange(encoder.plan.frame_id.size)
    messages: list[can.Message] = []
    while len(messages) < count:
        for can_id, length, data in CAN_FRAME.iter_unpack(encoder.encode(order, values)):
            messages.append(can.Message(arbitration_id=can_id, is_extended_id=False, data=data[:length]))
    return messages[:count]


async def _cpu_s(messages: list[can.Message], burst: int) -> float:
    """From the first frame on the buses to the last one in the image."""
    configs = [CanConfig("virtual", f"bench{index}") for index in range(BUSES)]
    monitors = [NativeRackMonitor(MODULES, CELLS_PER_MODULE, config) for config in configs]
    running = [asyncio.ensure_future(monitor.run()) for monitor in monitors]
    senders = [can.Bus(interface="virtual", channel=config.channel) for config in configs]
    try:
        await asyncio.sleep(0.3)
        return await _received(monitors, senders, messages, burst)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for bus in senders:
            bus.shutdown()


async def _received(
    monitors: list[NativeRackMonitor], senders: list[can.BusABC], messages: list[can.Message], burst: int
) -> float:
    image = ProcessImage([monitor.reading for monitor in monitors])
    sender = _Sender(senders, messages, burst)
    before_s, end_s = process_time(), perf_counter() + ARRIVAL_S_MAX
    sender.start()
    while True:
        await asyncio.sleep(TICK_S)
        frozen = image.freeze(now_ns(), None, None, None)
        summarise(frozen)
        healths = [rack.health for rack in frozen.racks]
        if sum(health.accepted for health in healths) == BUSES * len(messages):
            break
        if perf_counter() > end_s:
            raise RuntimeError(f"frames of the benchmark were lost: {healths}")
    sender.join()
    return process_time() - before_s - sender.cpu_s


class _Sender(threading.Thread):
    """Puts a burst on every bus each 10 ms, in its own thread so that its cost can be left out."""

    def __init__(self, buses: list[can.BusABC], messages: list[can.Message], burst: int) -> None:
        super().__init__(name="bench sender")
        self.cpu_s = 0.0
        self._buses, self._messages, self._burst = buses, messages, burst

    def run(self) -> None:
        start_s = perf_counter()
        for place in range(0, len(self._messages), self._burst):
            for bus in self._buses:
                for message in self._messages[place : place + self._burst]:
                    bus.send(message)
            due_s = start_s + BURST_S * (place // self._burst + 1)
            sleep(max(due_s - perf_counter(), 0.0))
        self.cpu_s = thread_time()
