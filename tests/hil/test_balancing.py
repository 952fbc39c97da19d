"""Balancing against the plant's truth: the highest cells bleed, nothing bleeds on a guess, nothing without a master."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bms.controller import Controller
from hil_rigs.bench import Bench
from hil_rigs.rig import find_rig, make_site
from hil_rigs.world import run_virtual


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
                assert rack.cells.soc_frac[bled].min() > rack.cells.soc_frac.mean()

    run_virtual(main())


def test_nothing_bleeds_on_the_plateau_where_the_soc_is_a_guess() -> None:
    async def main() -> None:
        async with controlled("demo") as (bench, _):
            await asyncio.sleep(30.0)
            assert not any(rack.bleed.any() for rack in bench.plant.racks)

    run_virtual(main())


@pytest.mark.parametrize(("after_s", "bleeds"), [(1.0, True), (4.2, False)])
def test_bleeding_ends_by_itself_when_the_controller_is_dead(after_s: float, bleeds: bool) -> None:
    """The last command is repeated for 1.5 s at most, a module drops it 2 s after that."""

    async def main() -> None:
        async with controlled("near-full") as (bench, controller):
            await asyncio.sleep(30.0)
            controller.cancel()
            await asyncio.sleep(after_s)
            assert bench.plant.racks[0].bleed.any() == bleeds

    run_virtual(main())
