"""A rig behind a static switch: each fault on the way caused in the plant and named, and what the switch does alone."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from bms.controller import Controller
from bms.protect.island_faults import ISLAND_FAULTS
from bms.site import Site
from hil_rigs.bench import Bench
from hil_rigs.faults.inject import inject
from hil_rigs.faults.spec import parse_fault
from hil_rigs.plant.converter import ConverterPlant, ConverterState, parameters_for_link
from hil_rigs.plant.grid import Grid
from hil_rigs.plant.microgrid import Microgrid
from hil_rigs.rig import find_rig, make_site
from hil_rigs.world import run_virtual

LONG_S = 1e3


class Rig:
    """A rig with a controller that can be killed and started again."""

    def __init__(self, name: str, contactors: str | None = None, **island: object) -> None:
        """`contactors`: profile of blocks on which the racks' contactors hang."""
        rig = find_rig(name)
        plant = rig.plant.model_copy(update={"contactor_profile": contactors})
        self.bench, self.island = Bench(rig.model_copy(update={"plant": plant}), 5), island
        self.named: list[str] = []
        self.site: Site | None = None
        self.controlled: asyncio.Task[None] | None = None

    @property
    def microgrid(self) -> Microgrid:
        assert self.bench.microgrid is not None
        return self.bench.microgrid

    async def start(self) -> None:
        if self.site is None:
            site = make_site(self.bench.rig, await self.bench.start())
            assert site.island is not None
            self.site = site.model_copy(update={"island": site.island.model_copy(update=self.island)})
        controller = Controller(
            self.site, can_opener=self.bench.open_can, recorder=None, perf_clock=lambda: math.nan,
            on_trip=lambda fault: self.named.append(fault.kind.id),
        )  # fmt: skip
        self.controlled = asyncio.create_task(controller.run())

    async def kill(self) -> None:
        assert self.controlled is not None
        self.controlled.cancel()
        await asyncio.gather(self.controlled, return_exceptions=True)


def with_rig(test: Callable[[Rig], Awaitable[None]], rig: Rig) -> None:
    async def main() -> None:
        await rig.start()
        running = asyncio.create_task(rig.bench.run())
        await test(rig)
        running.cancel()
        await rig.kill()
        await asyncio.gather(running, return_exceptions=True)
        rig.bench.close()

    run_virtual(main(), seed=5)


def outage(rig: Rig, seconds: float = LONG_S) -> None:
    rig.bench.plant.grid.dip(0.0, seconds)


def short_outage_with(name: str) -> Callable[[Rig], None]:
    """What happens on the way back from it."""

    def cause(rig: Rig) -> None:
        setattr(rig.microgrid.faults, name, True)
        outage(rig, 1.0)

    return cause


def lost(rig: Rig) -> None:
    assert rig.bench.switchgear_server is not None
    rig.bench.switchgear_server.faults.silent = True


def stuck_closed(rig: Rig) -> None:
    rig.microgrid.faults.stuck_closed = True
    outage(rig)


def stuck_block(rig: Rig) -> None:
    """The last one, which is shed first."""
    rig.microgrid.faults.stuck_blocks = 0b100
    outage(rig)


def fed(rig: Rig) -> None:
    rig.microgrid.faults.fed_from_elsewhere = True


def gas(rig: Rig) -> None:
    inject(rig.bench, parse_fault("gas@0:rack-1"))


@dataclass(frozen=True)
class Cause:
    """At `at_s` something happens to the rig; the fault is named between `from_s` and `to_s` after the start."""

    rig: str
    at_s: float
    happens: Callable[[Rig], None]
    from_s: float
    to_s: float
    island: dict[str, object] = field(default_factory=dict)


QUICK = {"settle_s": 1.0}
CAUSES = {
    "intertie_lost": Cause("microgrid", 3.0, lost, 3.4, 4.2),
    "intertie_stuck_closed": Cause("microgrid", 4.0, stuck_closed, 5.4, 6.0),
    "island_not_formed": Cause("microgrid", 0.5, outage, 0.5, 0.8),
    "island_overload": Cause("microgrid", 5.0, outage, 6.4, 7.6, {"shed_s_max": 1.4}),
    "block_not_following": Cause("microgrid", 5.0, stuck_block, 5.9, 6.6),
    "sync_timeout": Cause(
        "microgrid",
        5.0,
        short_outage_with("no_synchroniser"),
        11.0,
        15.0,
        {**QUICK, "sync_s_max": 4.0, "shed_s_max": 1.0},
    ),
    "intertie_not_closing": Cause(
        "microgrid", 5.0, short_outage_with("stuck_open"), 8.0, 20.0, {**QUICK, "shed_s_max": 1.0}
    ),
    "dead_bus_not_dead": Cause("microgrid-dark", 0.0, fed, 4.5, 5.5, {"dead_bus_s_max": 3.0}),
    "black_start_no_battery": Cause("microgrid-dark", 0.0, gas, 4.9, 5.5, {"racks_s_max": 5.0}),
    "black_start_failed": Cause("microgrid-dark", 0.0, fed, 4.5, 5.5, {"dead_bus_s_max": 3.0, "tries_max": 1}),
}


@pytest.mark.parametrize("fault", [kind.id for kind in ISLAND_FAULTS])
def test_cause_is_named_in_its_time(fault: str) -> None:
    cause = CAUSES[fault]

    async def test(rig: Rig) -> None:
        await asyncio.sleep(cause.at_s)
        cause.happens(rig)
        await asyncio.sleep(cause.from_s - cause.at_s)
        assert fault not in rig.named
        await asyncio.sleep(cause.to_s - cause.from_s)
        assert fault in rig.named
        assert rig.microgrid.wrong_closings == 0

    with_rig(test, Rig(cause.rig, **cause.island))


def test_site_that_loses_its_grid_before_its_battery_is_up_starts_black() -> None:
    async def test(rig: Rig) -> None:
        await asyncio.sleep(0.5)
        outage(rig)
        await asyncio.sleep(22.0)
        assert (rig.microgrid.critical_voltage_pu, rig.microgrid.closed) == (1.0, False)

    with_rig(test, Rig("microgrid"))


def test_island_outlives_the_gateway_and_is_taken_over_and_brought_back_in_step() -> None:
    async def test(rig: Rig) -> None:
        longest_s = []

        async def served_for(seconds: float) -> None:
            for _ in range(round(seconds / 0.01)):
                await asyncio.sleep(0.01)
                longest_s.append(rig.microgrid.low_s)

        await served_for(5.0)
        outage(rig, 8.0)
        await served_for(1.0)
        await rig.kill()
        await served_for(6.0)
        assert rig.microgrid.closed is False
        await rig.start()
        await served_for(15.0)
        assert (rig.microgrid.closed, rig.microgrid.sync_closings, rig.microgrid.wrong_closings) == (True, 1, 0)
        assert max(longest_s) == pytest.approx(0.008)

    with_rig(test, Rig("microgrid", **QUICK))


def test_contactors_on_a_block_stay_closed_on_the_island_of_a_dead_gateway() -> None:
    async def test(rig: Rig) -> None:
        def closed() -> list[bool]:
            return [rack.main_closed for rack in rig.bench.plant.racks]

        await asyncio.sleep(4.0)
        outage(rig)
        await asyncio.sleep(0.5)
        await rig.kill()
        await asyncio.sleep(5.0)
        assert (closed(), rig.microgrid.closed, rig.microgrid.low_s) == ([True, True], False, 0.0)
        await rig.start()
        await asyncio.sleep(3.0)
        assert (closed(), rig.microgrid.low_s, "rack_watchdog_tripped" in rig.named) == ([True, True], 0.0, False)

    with_rig(test, Rig("microgrid", "contactor-block", **QUICK))


def plant(dark: bool = False) -> tuple[Microgrid, Grid, ConverterPlant]:
    """The switch with a converter that runs, without a controller; 300 kW and 100 kW on 500 kW."""
    converter, grid = ConverterPlant(parameters_for_link(1350.0, 500e3)), Grid()
    converter.settle(1350.0, 0.0)
    converter.state = ConverterState.OFF if dark else ConverterState.RUNNING
    return Microgrid(grid, converter, [100e3], np.random.default_rng(3), dark=dark), grid, converter


def passes(microgrid: Microgrid, grid: Grid, seconds: float, critical_w: float = 300e3) -> None:
    for _ in range(round(seconds / 0.01)):
        grid.step(0.01, 0.0)
        microgrid.step(0.01, critical_w)


def test_switch_that_opened_by_itself_closes_only_after_it_was_told_to_open() -> None:
    microgrid, grid, _ = plant()
    grid.dip(0.5, 0.2)
    passes(microgrid, grid, 0.01)
    assert (microgrid.closed, microgrid.low_s) == (False, pytest.approx(0.008))
    microgrid.command_synchroniser(True)
    microgrid.command_intertie(True)
    passes(microgrid, grid, 30.0)
    assert microgrid.closed is False
    microgrid.command_intertie(False)
    microgrid.command_intertie(True)
    passes(microgrid, grid, 1.0)
    assert (microgrid.closed, microgrid.sync_closings, microgrid.wrong_closings) == (True, 1, 0)


def test_switch_does_not_close_out_of_step_whatever_it_is_told() -> None:
    microgrid, grid, _ = plant()
    microgrid.command_intertie(False)
    passes(microgrid, grid, 0.1)
    grid.jump_phase(90.0)
    passes(microgrid, grid, 0.1)
    microgrid.command_intertie(True)
    passes(microgrid, grid, 20.0)
    assert (microgrid.closed, round(microgrid.phase_deg)) == (False, -90)


def test_dark_site_is_fed_by_the_grid_only_while_the_converter_stands() -> None:
    microgrid, grid, _ = plant(dark=True)
    microgrid.command_intertie(True)
    passes(microgrid, grid, 0.1)
    assert (microgrid.closed, microgrid.dead_closings) == (True, 1)


def test_overload_is_carried_for_ten_seconds_and_then_the_voltage_sags() -> None:
    microgrid, grid, converter = plant()
    microgrid.command_intertie(False)
    passes(microgrid, grid, 9.9, critical_w=480e3)
    assert microgrid.site_voltage_pu == 1.0
    passes(microgrid, grid, 0.3, critical_w=480e3)
    assert microgrid.site_voltage_pu == pytest.approx(0.9 * math.sqrt(500 / 580), rel=0.002)
    passes(microgrid, grid, 3.0, critical_w=1200e3)
    assert converter.state is ConverterState.FAULT
