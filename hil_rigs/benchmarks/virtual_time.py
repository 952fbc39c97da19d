"""Rigs in virtual time: how much of one core a simulated second takes, alone and with the controller."""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass
from time import process_time

from bms.controller import Controller
from bms.record.memory import MemoryRecorder
from hil_rigs.bench import Bench
from hil_rigs.benchmarks.measure import Row
from hil_rigs.plant.build import build_plant
from hil_rigs.plant.day import DAY_S, HOUR_S
from hil_rigs.rig import RigFile, find_rig, make_site
from hil_rigs.rig_plant import plant_config
from hil_rigs.world import run_virtual

SPAN_S = 0.5
"""Simulated between two looks at the processor's time. The quickest counts: what disturbs the machine adds, and spans
of a rig that works are alike."""
JOINED_S = 12.0
"""Racks have joined and the converter works."""


@dataclass(frozen=True, slots=True)
class Case:
    """A rig, with so many racks unless None, alone or with the controller."""

    says: str
    rig: str
    controlled: bool = False
    racks: int | None = None


CASES = (
    Case("one rack of 416 cells with its wire", "demo", racks=1),
    Case("rig container with its wire", "container"),
    Case("rig demo and its controller", "demo", controlled=True),
)


def rows(budget_s: float) -> Iterator[Row]:
    """One row a case: CPU time of a simulated second, beside that second; and a home's day in steps of 1 s."""
    spans = max(2, round(20 * budget_s))
    for case in CASES:
        cpu_ms = 1e3 * run_virtual(_cpu_s(case, spans), seed=1)
        yield Row(f"virtual time: {case.says}", cpu_ms, "ms/s", "real time", 1e3, 1e3 / cpu_ms)
    day_s = _day_cpu_s()
    yield Row(f"virtual time: {DAY_SAYS}", day_s, "s/day", "real time", DAY_S, DAY_S / day_s)


DAY_SAYS = "rig residential, its plant alone in steps of 1 s"
DAY_STEP_S, DAY_POWER_W = 1.0, 1000.0


def _day_cpu_s() -> float:
    """Of a day in which the battery is charged in one hour and discharged in the next."""
    plant = build_plant(plant_config(find_rig("residential"), seed=1))
    (rack,) = plant.racks
    rack.command(main=False, precharge=True)
    for _ in range(500):
        plant.step(0.01)
    rack.command(main=True, precharge=False)
    plant.converter.start()
    begun_s = process_time()
    for hour in range(24):
        plant.converter.set_power(DAY_POWER_W if hour % 2 else -DAY_POWER_W)
        for _ in range(round(HOUR_S / DAY_STEP_S)):
            plant.step(DAY_STEP_S)
    return process_time() - begun_s


async def _cpu_s(case: Case, spans: int) -> float:
    """Of a simulated second, the quickest of so many spans."""
    rig = _rig(case)
    bench = Bench(rig, 1)
    endpoints = await bench.start()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bench.run())
        controller: Controller | None = None
        if case.controlled:
            controller = Controller(
                make_site(rig, endpoints), can_opener=bench.open_can, recorder=MemoryRecorder(),
                perf_clock=lambda: math.nan, on_trip=lambda fault: None, wall_clock=bench.wall_clock,
            )  # fmt: skip
            controlled = tasks.create_task(controller.run())
            await asyncio.sleep(JOINED_S)
        quickest_s = min([await _span_cpu_s() for _ in range(spans)])
        if controller is not None:
            controller.stop()
            await controlled
        running.cancel()
    bench.close()
    return quickest_s


async def _span_cpu_s() -> float:
    begun_s = process_time()
    await asyncio.sleep(SPAN_S)
    return (process_time() - begun_s) / SPAN_S


def _rig(case: Case) -> RigFile:
    rig = find_rig(case.rig)
    if case.racks is None:
        return rig
    return rig.model_copy(update={"plant": rig.plant.model_copy(update={"racks": case.racks})})
