"""Periodic work keeps its deadlines, and says how many it could not keep."""

import asyncio

import pytest

from drivers.clock import now_ns, sleep_until
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


@pytest.mark.parametrize(("after_ns", "slept_ns"), [(250_000_001, 250_000_001), (0, 0), (-1_000_000, 0)])
def test_sleep_ends_at_its_time_and_lets_others_run_when_that_has_passed(after_ns: int, slept_ns: int) -> None:
    async def main() -> None:
        loop, ran = asyncio.get_running_loop(), []
        begun_ns = now_ns()
        loop.call_soon(ran.append, True)
        await sleep_until(loop, begun_ns + after_ns)
        assert now_ns() - begun_ns == slept_ns
        assert ran

    run_virtual(main())


def test_sleep_that_is_cancelled_as_its_time_comes_ends_once() -> None:
    async def main() -> None:
        loop, reported = asyncio.get_running_loop(), []
        loop.set_exception_handler(lambda _, context: reported.append(context))
        sleeper = asyncio.create_task(sleep_until(loop, now_ns() + 1_000_000))
        loop.call_later(0.001, sleeper.cancel)
        with pytest.raises(asyncio.CancelledError):
            await sleeper
        await asyncio.sleep(0.01)
        assert not reported

    run_virtual(main())
