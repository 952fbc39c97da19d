"""Periodic work keeps its deadlines, and says how many it could not keep."""

import asyncio

import pytest

from drivers.pace import Pace
from hil_rigs.world import run_virtual


@pytest.mark.parametrize(
    ("work_s", "starts_s", "overruns"),
    [
        pytest.param([0.0, 0.0, 0.0], [0.1, 0.2, 0.3], 0, id="no drift"),
        pytest.param([0.05, 0.05, 0.0], [0.1, 0.2, 0.3], 0, id="work inside the period does not shift it"),
        pytest.param([0.15, 0.0, 0.0], [0.15, 0.2, 0.3], 0, id="late by less than a period is kept, late"),
        pytest.param([0.35, 0.0, 0.0], [0.35, 0.4, 0.5], 2, id="what passed altogether is left out and counted"),
    ],
)
def test_starts_of_periodic_work(work_s: list[float], starts_s: list[float], overruns: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        origin_s, pace, seen = loop.time(), Pace(0.1), []
        for busy_s in work_s:
            await asyncio.sleep(busy_s)
            await pace.next()
            seen.append(loop.time() - origin_s)
        assert seen == pytest.approx(starts_s, abs=1e-6)
        assert pace.overruns == overruns

    run_virtual(main())
