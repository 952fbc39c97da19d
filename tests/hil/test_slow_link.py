"""Smoothing over a slow link to the converter: what the battery does itself must never come back as load."""

import asyncio
import math
from pathlib import Path

import numpy as np
import pytest

from bms.controller import Controller
from bms.protect.protection import ActiveFault
from bms.record.memory import MemoryRecorder
from hil_rigs.bench import Bench
from hil_rigs.load_spec import LoadFile
from hil_rigs.plant.load import load_profile
from hil_rigs.rig import find_rig, make_site
from hil_rigs.world import current_network, run_virtual

STILL_S = 0.25
"""A load that has not moved for so long was read by the meter as it is now."""


@pytest.mark.parametrize("latency_s", [0.005, 0.010])
def test_battery_power_on_the_way_is_not_taken_for_load(tmp_path: Path, latency_s: float) -> None:
    """The load moves by 200 kW every 2 s, and the battery follows; while the load stands still, it is known well."""
    path = tmp_path / "steps.csv"
    path.write_text("time_s,power_w\n0,1.0e6\n2,1.0e6\n2.4,1.2e6\n4,1.2e6\n4.4,1.0e6\n")
    recorder, trips = MemoryRecorder(), list[ActiveFault]()

    async def main() -> None:
        bench = Bench(find_rig("demo"), 1, LoadFile(kind="file", path=str(path)))
        site = make_site(bench.rig, await bench.start())
        current_network().set_latency(site.inverter.host, site.inverter.port, latency_s, latency_s)
        controller = Controller(
            site, can_opener=bench.open_can, recorder=recorder, perf_clock=lambda: math.nan, on_trip=trips.append
        )
        tasks = [asyncio.create_task(bench.run()), asyncio.create_task(controller.run())]
        await asyncio.sleep(60.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        bench.close()

    run_virtual(main(), seed=1)
    assert trips == []
    table = recorder.table()
    time_s, seen_w, battery_w = (table[name].to_numpy() for name in ("time_s", "load_power_w", "battery_power_w"))
    load = load_profile(path)
    load_w = np.array([load.power_w(at_s) for at_s in time_s])
    before_w = np.array([load.power_w(max(at_s - STILL_S, 0.0)) for at_s in time_s])
    still = (time_s > 20.0) & (load_w == before_w)
    assert np.ptp(battery_w[time_s > 20.0]) > 150e3
    assert np.abs(seen_w - load_w)[still].max() < 5e3
