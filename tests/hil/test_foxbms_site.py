"""A site whose rack is a foxBMS 2, in virtual time: it joins, carries power, and what it does not say opens."""

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable
from typing import Any

from bms.controller import Controller
from bms.site import Site
from hil_rigs.bench import Bench
from hil_rigs.devices.foxbms_node import FoxBmsNode
from hil_rigs.rig import find_rig, make_site
from hil_rigs.world import run_virtual

RELAXED = {"cell_data_age_s_max": 1.0, "temperature_age_s_max": 1.0, "current_age_s_max": 0.3}
WIRED = ("insulation", "interlock", "fuse", "monitor-alarms")


class Rig:
    """One rack of 16 cells behind a foxBMS 2 and a converter of 5 kW, and the controller."""

    def __init__(self, bench: Bench, site: Site) -> None:
        self.bench = bench
        self.node = FoxBmsNode(bench.plant.racks[0], bench.buses["can0"], 1, 16, 8, "master")
        bench.nodes[0] = self.node  # type: ignore[call-overload]  # the bench asks its nodes for `step` only
        self.named: list[str] = []
        self.controller = Controller(
            foxbms_site(site), can_opener=bench.open_can, recorder=None, perf_clock=lambda: math.nan,
            on_trip=lambda fault: self.named.append(fault.kind.id),
        )  # fmt: skip


def foxbms_site(site: Site) -> Site:
    values: dict[str, Any] = site.model_dump()
    racks = [rack | {"monitor": "foxbms", "safety_inputs": WIRED} for rack in values["racks"]]
    return Site.model_validate(values | {"racks": racks, "limits": values["limits"] | RELAXED, "applications": ()})


def on_a_rig(test: Callable[[Rig], Awaitable[None]]) -> Callable[[], None]:
    async def main() -> None:
        rig = find_rig("demo")
        plant = rig.plant.model_copy(
            update={"racks": 1, "modules_per_rack": 1, "cells_per_module": 16, "inverter_power_w": 5000.0}
        )
        bench = Bench(rig.model_copy(update={"plant": plant}), 5)
        made = Rig(bench, make_site(bench.rig, await bench.start()))
        tasks = [asyncio.create_task(each) for each in (bench.run(), made.controller.run())]
        try:
            await asyncio.sleep(12.0)
            await test(made)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            bench.close()

    @functools.wraps(test)
    def run() -> None:
        run_virtual(main(), seed=5)

    del run.__wrapped__  # type: ignore[attr-defined]
    return run


@on_a_rig
async def test_it_joins_by_its_own_precharge_and_the_converter_runs(rig: Rig) -> None:
    status = rig.controller.report.status()
    assert status is not None
    assert (status.mode, status.rack_modes, rig.named) == ("running", {"rack-1": "online"}, [])
    assert rig.bench.plant.racks[0].main_closed
    assert 3.2 < status.cell_voltage_v_min < 3.4
    rig.controller.stop()
    await asyncio.sleep(4.0)
    assert not rig.bench.plant.racks[0].main_closed


@on_a_rig
async def test_a_cell_that_is_not_valid_any_more_is_absent_and_opens(rig: Rig) -> None:
    rig.node.invalid.add(6)
    await asyncio.sleep(4.0)
    assert "cell_data_stale" in rig.named
    assert not rig.bench.plant.racks[0].main_closed


@on_a_rig
async def test_its_silence_opens_like_that_of_any_monitor(rig: Rig) -> None:
    rig.node.silent = True
    await asyncio.sleep(4.0)
    assert {"cell_data_stale", "current_stale", "rack_io_stale"} <= set(rig.named)
