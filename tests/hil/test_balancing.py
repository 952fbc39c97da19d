"""Balancing against the plant's truth: the highest cells bleed, nothing bleeds on a guess, nothing without a master."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from bms.balance import Balancer
from bms.controller import Controller
from bms.estimate.soc import RackSoc
from bms.site import Balancing
from bms.summary import summarise_rack
from drivers.readings import Flags, Floats, MonitorHealth, RackReading
from hil_rigs.bench import Bench
from hil_rigs.rig import find_rig, make_site
from hil_rigs.world import run_virtual
from kernels.parameters import load_tables


@asynccontextmanager
async def controlled(rig: str) -> AsyncIterator[tuple[Bench, asyncio.Task[None]]]:
    """A bench and the task of its controller; both are ended at the end."""
    bench = Bench(find_rig(rig), 1)
    site = make_site(bench.rig, await bench.start())
    controller = Controller(
        site, can_opener=bench.open_can, recorder=None, perf_clock=lambda: math.nan, on_trip=lambda _: None
    )
    tasks = [asyncio.create_task(bench.run()), asyncio.create_task(controller.run())]
    try:
        yield bench, tasks[1]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        bench.close()


def test_highest_cells_bleed_and_no_more_than_allowed() -> None:
    async def main() -> None:
        async with controlled("near-full") as (bench, _):
            await asyncio.sleep(30.0)
            for rack in bench.plant.racks:
                bled = rack.bleed > 0
                assert 10 <= bled.sum() <= 64
                assert bled.reshape(26, 16).sum(axis=1).max() <= 8
                assert rack.cells.soc_frac[bled].min() > rack.cells.soc_frac.mean()

    run_virtual(main())


def test_nothing_bleeds_on_the_plateau_where_the_soc_is_a_guess() -> None:
    async def main() -> None:
        async with controlled("demo") as (bench, _):
            await asyncio.sleep(30.0)
            assert not any(rack.bleed.any() for rack in bench.plant.racks)

    run_virtual(main())


@pytest.mark.parametrize(("after_s", "bleeds"), [(1.0, True), (2.0, False)])
def test_bleeding_ends_by_itself_when_the_controller_is_dead(after_s: float, bleeds: bool) -> None:
    """Within 2 s of its last command."""

    async def main() -> None:
        async with controlled("near-full") as (bench, controller):
            await asyncio.sleep(30.0)
            controller.cancel()
            await asyncio.sleep(after_s)
            assert bench.plant.racks[0].bleed.any() == bleeds

    run_virtual(main())


@pytest.mark.parametrize(("pauses", "off_v"), [(True, 0.0), (False, 0.05)])
def test_readings_are_taken_with_bleeding_off(pauses: bool, off_v: float) -> None:
    """A module pauses to measure. One that did not would show a cell that bleeds alone 0.1 A x 2 x 0.25 Ohm too low."""

    async def main() -> None:
        async with controlled("near-full") as (bench, _):
            await asyncio.sleep(20.0)
            rack = bench.plant.racks[0]
            rack.bleed_pauses = pauses
            await asyncio.sleep(0.5)
            bleeds = np.concatenate([[0], rack.bleed, [0]])
            alone = (bleeds[1:-1] > 0) & (bleeds[:-2] == 0) & (bleeds[2:] == 0)
            beside = (bleeds[1:-1] == 0) & (bleeds[:-2] + bleeds[2:] == 1)
            shown_v = bench.nodes[0].shown_voltage_v()
            low_v = rack.cells.voltage_v - shown_v
            assert alone.any()
            assert low_v[alone] == pytest.approx(off_v, abs=0.004)
            assert low_v[beside] == pytest.approx(-off_v / 2, abs=0.004)

    run_virtual(main())


def bled_by_voltage(voltage_v: Floats, seconds: int) -> Iterator[Flags]:
    """What bleeds, second by second, of cells that stand still at these voltages, 16 a module."""
    n, now = len(voltage_v), np.zeros(len(voltage_v), np.int64)
    balancer, soc = Balancer(Balancing(), 280.0, n, 16), RackSoc(load_tables("lfp-280ah"), n, 1.0)
    bled, degc, health = np.zeros(n, np.uint8), np.full(n, 25.0), MonitorHealth(0, 0, 0, 0, 0, 0)
    for second in range(seconds):
        reading = RackReading(voltage_v, now, degc, now, bled, 0.0, 0, 50.0, 50.0, True, False, 0.0, 0, health)
        summary = summarise_rack(reading, 0)
        soc.step(reading, summary, min(second, 1.0))
        bled = balancer.choose(reading, summary, soc, False, min(second, 1.0))
        yield bled


def test_cell_that_bled_for_minutes_rests() -> None:
    """One is on for 90 % of ten minutes at most."""
    voltage_v = np.full(16, 3.33)
    voltage_v[3] = 3.37
    on = [bool(bled[3]) for bled in bled_by_voltage(voltage_v, 3000)]
    changes = (np.flatnonzero(np.diff(on)) + 1).tolist()
    assert changes[:5] == pytest.approx([1, 1381, 1445, 1832, 1895], abs=5), "ln 10 x 600 s, then 10 % less and more"


def test_board_carries_eight_of_its_sixteen_resistors() -> None:
    voltage_v = np.full(32, 3.33)
    voltage_v[16:28] = 3.37
    *_, bled = bled_by_voltage(voltage_v, 10)
    assert bled.nonzero()[0].tolist() == [16, 17, 18, 19, 20, 21, 22, 23]
