"""Killed and started again in virtual time, while the plant goes on: what the controller knew is what it knows."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from bms.controller import Controller
from bms.dispatch.applications.demand_cap import DemandCap
from bms.dispatch.settings import ApplicationSettings
from bms.protect.protection import ActiveFault
from bms.state.memory import SiteMemory
from bms.state.store import MemoryStore, Reset
from bms.state.wall_time import WallClock
from hil_rigs.bench import Bench
from hil_rigs.faults.inject import inject
from hil_rigs.faults.spec import parse_fault
from hil_rigs.rig import find_rig, make_site
from hil_rigs.world import run_virtual

NOON_S = 1_782_907_200.0


class Restarts:
    """A rig, a store, and one controller after the other on both."""

    def __init__(self, *applications: ApplicationSettings) -> None:
        """`applications` instead of the rig's, under a wall clock."""
        self.applications = applications
        self.bench = Bench(find_rig("demo"), 1)
        self.store = MemoryStore("demo")
        self.trips: list[str] = []
        self.ends: list[str] = []
        self.said: list[str] = []
        self.clock_error_s = 0.0

    async def play(self, script: Callable[["Restarts"], Awaitable[None]]) -> None:
        self.site = make_site(self.bench.rig, await self.bench.start())
        if self.applications:
            self.site = self.site.model_copy(update={"applications": self.applications})
        running = asyncio.create_task(self.bench.run())
        await script(self)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        self.bench.close()

    async def run(self, seconds: float, *, meanwhile: Callable[[], None] = lambda: None) -> Controller:
        """A controller from its start to its death after `seconds`; `meanwhile` happens at half time."""
        loop = asyncio.get_running_loop()
        clock: WallClock = lambda: NOON_S + loop.time() + self.clock_error_s  # noqa: E731
        memory = SiteMemory(self.site, self.store, self.store.found(), clock, self.ended)
        self.said = memory.said
        self.controller = Controller(
            self.site,
            can_opener=self.bench.open_can,
            recorder=None,
            perf_clock=lambda: math.nan,
            on_trip=lambda fault: self.trips.append(fault.kind.id),
            memory=memory,
            wall_clock=clock if self.applications else None,
        )
        controlled = asyncio.create_task(self.controller.run())
        await asyncio.sleep(seconds / 2)
        meanwhile()
        await asyncio.sleep(seconds / 2)
        controlled.cancel()
        await asyncio.gather(controlled, return_exceptions=True)
        return self.controller

    def ended(self, how: str, fault: ActiveFault) -> None:
        self.ends.append(f"{how} {fault.kind.id} ({fault.target})")

    def faults(self) -> list[str]:
        status = self.controller.report.status()
        assert status is not None
        return sorted(text.split()[0] for text in status.faults)

    def closed(self) -> list[bool]:
        return [rack.main_closed for rack in self.bench.plant.racks]

    def saved(self) -> Any:
        document = self.store.found().document
        assert document is not None
        return document

    def events(self) -> list[tuple[str, str]]:
        return [(event["event"], event.get("fault", "")) for event in self.store.events]


def soc(controller: Controller) -> Any:
    """SoC of every cell, as the controller holds it."""
    return np.concatenate([rack.soc_frac for rack in controller._soc])


def play(script: Callable[[Restarts], Awaitable[None]], *applications: ApplicationSettings) -> Restarts:
    restarts = Restarts(*applications)
    run_virtual(restarts.play(script), seed=1)
    return restarts


@pytest.mark.parametrize("seconds", [25.0, 41.3])
def test_soc_of_every_cell_moves_at_most_half_a_percent_over_a_kill(seconds: float) -> None:
    async def script(restarts: Restarts) -> None:
        before = soc(await restarts.run(seconds))
        after = soc(await restarts.run(0.5))
        assert abs(after - before).max() <= 0.005
        later = soc(await restarts.run(5.0))
        assert abs(later - before).max() <= 0.005, "power flows again, and it learns on"

    play(script)


def test_sigma_of_a_state_from_a_clock_that_went_back_is_wide() -> None:
    async def script(restarts: Restarts) -> None:
        await restarts.run(10.0)
        restarts.clock_error_s = -3600.0
        controller = await restarts.run(0.2)
        assert min(rack.sigma_frac.min() for rack in controller._soc) > 0.2, "nearly as if it had never known"
        assert restarts.said == ["start 2, saved nobody knows when: the clock went back or was not set"]

    play(script)


def latch_and_die(restarts: Restarts) -> Awaitable[Controller]:
    """20 s; the over-voltage comes at 10 s. The sensor is well again afterwards."""
    return restarts.run(20.0, meanwhile=lambda: inject(restarts.bench, parse_fault("cell-overvoltage@0:rack-1/3:3.8")))


def heal(restarts: Restarts) -> None:
    for rack in restarts.bench.plant.racks:
        rack.voltage_bias_v[:] = 0.0


def test_latched_fault_keeps_its_rack_open_over_restarts_until_it_is_reset() -> None:
    async def script(restarts: Restarts) -> None:
        await latch_and_die(restarts)
        heal(restarts)
        for _ in range(2):
            await restarts.run(15.0)
            assert (restarts.faults(), restarts.closed()) == (["cell_voltage_high"], [False, True])
            assert restarts.said[1].startswith("latched until `bms reset`: cell_voltage_high (rack-1: cell 3 3.")
        restarts.store.asked.append(Reset("cell_voltage_high", "rack-1"))
        await restarts.run(15.0)
        assert (restarts.faults(), restarts.closed()) == ([], [True, True])
        await restarts.run(15.0)
        assert (restarts.faults(), restarts.closed()) == ([], [True, True])

    restarts = play(script)
    assert restarts.trips.count("cell_voltage_high") == 1
    assert restarts.saved().trips["cell_voltage_high"] == 1
    assert [event for event in restarts.events() if event[1] in ("", "cell_voltage_high")] == [
        ("started", ""),
        ("tripped", "cell_voltage_high"),
        *[("started", "")] * 3,
        ("reset", "cell_voltage_high"),
        ("started", ""),
    ]


def test_reset_while_the_cause_is_still_there_trips_again_and_closes_nothing() -> None:
    async def script(restarts: Restarts) -> None:
        await latch_and_die(restarts)
        await restarts.run(10.0, meanwhile=lambda: restarts.store.asked.append(Reset("cell_voltage_high", "rack-1")))
        assert restarts.closed() == [False, True]

    restarts = play(script)
    assert restarts.trips.count("cell_voltage_high") == 2
    assert [event for event in restarts.events() if event[1] == "cell_voltage_high"] == [
        ("tripped", "cell_voltage_high"),
        ("reset", "cell_voltage_high"),
        ("tripped", "cell_voltage_high"),
    ]
    assert [fault.id for fault in restarts.saved().latched] == ["cell_voltage_high"]


def test_fault_that_latched_in_the_tick_before_the_kill_is_saved() -> None:
    async def script(restarts: Restarts) -> None:
        def report() -> None:
            restarts.controller._protection.report("guard_stop", "guard", "hot", 0)

        asyncio.get_running_loop().call_later(9.99, report)
        await restarts.run(10.015)
        assert [fault.id for fault in restarts.saved().latched] == ["guard_stop"]

    play(script)


def test_lost_state_starts_latched_until_it_is_reset_and_says_so_in_the_log() -> None:
    async def script(restarts: Restarts) -> None:
        await restarts.run(10.0)
        assert restarts.store.data is not None
        restarts.store.data = restarts.store.data[:-40]
        for _ in range(2):
            await restarts.run(10.0)
            assert (restarts.faults(), restarts.closed()) == (["state_lost"], [False, False])
        restarts.store.asked.append(Reset("state_lost", "state"))
        await restarts.run(15.0)
        assert (restarts.faults(), restarts.closed()) == ([], [True, True])

    restarts = play(script)
    assert restarts.trips == ["state_lost"]
    assert restarts.ends == ["reset state_lost (state)"]
    assert ("tripped", "state_lost") in restarts.events()


def test_counters_go_on_where_they_were() -> None:
    async def script(restarts: Restarts) -> None:
        seen: list[list[float]] = []
        for _ in range(4):
            await restarts.run(22.0)
            saved = restarts.saved()
            rack = saved.racks["rack-2"]
            seen.append([saved.starts, rack.charged_ah + rack.discharged_ah, rack.contactor_closings])
            assert 0.9 < rack.charged_wh / (rack.charged_ah * 416 * 3.3) < 1.1
        starts, throughput_ah, closings = zip(*seen, strict=True)
        assert starts == (1, 2, 3, 4)
        assert closings == (1, 2, 3, 4)
        assert all(np.diff(throughput_ah) > 0.01)

    play(script)


def test_running_demand_window_goes_on_where_it_was() -> None:
    """Some 2 MW are imported; what nobody saw would count with the contract's 5 MW."""

    async def script(restarts: Restarts) -> None:
        windows = []
        for _ in range(2):
            await restarts.run(22.0)
            windows.append(restarts.saved().applications["demand-cap"]["windows"])
        ((first_left_s, first_j),), ((left_s, used_j),) = windows
        assert 20.0 < first_left_s - left_s < 24.0
        assert 1e6 < (used_j - first_j) / 22.0 < 3e6

    play(script, DemandCap(kind="demand-cap", contract_power_w=5e6, margin_frac=0.0))


def test_rack_in_maintenance_stays_away_over_restarts_and_the_other_works() -> None:
    async def script(restarts: Restarts) -> None:
        restarts.store.asked_out.append("rack-2")
        for _ in range(2):
            await restarts.run(15.0)
            status = restarts.controller.report.status()
            assert status is not None
            assert (restarts.faults(), restarts.closed()) == (["rack_maintenance"], [True, False])
            assert status.rack_modes == {"rack-1": "online", "rack-2": "maintenance"}
            assert status.mode == "running"
        restarts.store.asked.append(Reset("rack_maintenance", "rack-2"))
        await restarts.run(12.0)
        assert (restarts.faults(), restarts.closed()) == ([], [True, True])

    play(script)
