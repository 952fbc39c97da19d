"""Defects that other controllers had, provoked over the wire: this one has none of them.

docs/defects-of-others.md names these tests and those elsewhere."""

import ast
import asyncio
import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bms.controller import Controller
from bms.dispatch.applications.grid_smoothing import GridSmoothing
from bms.site import Site
from hil_rigs.bench import Bench
from hil_rigs.faults.spec import parse_fault
from hil_rigs.load_spec import ConstantPower
from hil_rigs.rig import find_rig, make_site
from hil_rigs.run import Outcome, simulate
from hil_rigs.world import VirtualLoop, run_virtual
from tests.hil.live_rig import Live, live, run_live

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "defects-of-others.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`", PAGE)


def played(faults: str = "", duration_s: float = 12.0, load_w: float | None = None) -> Outcome:
    load = ConstantPower(kind="constant", rated_power_w=load_w) if load_w else None
    return simulate(
        find_rig("demo"),
        seed=3,
        duration_s=duration_s,
        faults=[parse_fault(text) for text in faults.split()],
        load=load,
    )


def test_page_names_a_test_for_every_defect() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| defect", "|---"))]
    assert len(rows) >= 20
    assert all("`tests/" in row for row in rows)


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED)), ids=[name for _, name in sorted(set(NAMED))])
def test_named_test_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert name in {function.name for function in functions}


def test_limit_that_is_crossed_half_of_the_time_trips() -> None:
    """0.1 s beyond, 0.1 s within, at a debounce of 0.2 s: a counter that counts down as it counts up never trips."""

    async def flicker(rig: Live) -> None:
        bias_v = rig.bench.plant.racks[1].voltage_bias_v
        for number in range(20):
            bias_v[9] = 0.5 if number % 2 == 0 else 0.0
            await rig.pass_s(0.1)
        assert "cell_voltage_high" in rig.named

    def slower(site: Site) -> Site:
        return site.model_copy(update={"limits": site.limits.model_copy(update={"voltage_debounce_s": 0.2})})

    run_live(flicker, slower)()


@run_live
async def test_limit_that_is_crossed_once_in_a_second_for_a_frame_trips_nothing(rig: Live) -> None:
    bias_v = rig.bench.plant.racks[1].voltage_bias_v
    for number in range(300):
        bias_v[9] = 0.5 if number % 50 == 0 else 0.0
        await rig.pass_s(0.02)
    assert "cell_voltage_high" not in rig.named


def test_clock_passes_the_49_day_mark_without_a_trace() -> None:
    """2**32 ms: where counters of milliseconds in 32 bits begin anew."""
    seen: list[tuple[bool, list[str]]] = []

    async def test(rig: Live) -> None:
        assert asyncio.get_running_loop().time() < 2**32 / 1e3
        await rig.pass_s(10.0)
        assert asyncio.get_running_loop().time() > 2**32 / 1e3
        seen.append((rig.closed, rig.named))

    async def late() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.stand_still(2**32 / 1e3 - loop.time() - 10.0)
        await live(test, lambda site: site, "demo")

    run_virtual(late(), seed=5)
    assert seen == [(True, [])]


@pytest.mark.parametrize("faults", ["cell-data-lost@0:rack-1/1 cell-data-lost@0:rack-2/26", "inverter-lost@0"])
def test_nothing_closes_and_nothing_flows_before_every_device_has_spoken(faults: str) -> None:
    """No default stands in for a reading."""
    outcome = played(faults)
    assert outcome.end.contactors_closed == (False, False)
    assert not outcome.end.opened
    assert np.abs(outcome.curves.battery_power_w).max() == 0.0


@run_live
async def test_converter_that_says_yes_and_applies_nothing_is_named(rig: Live) -> None:
    rig.bench.plant.converter.runaway_w = 0.0
    await rig.pass_s(12.0)
    assert "inverter_not_following" in rig.named


def test_wishes_that_cannot_all_be_met_get_what_can_be_given() -> None:
    """1.5 MW behind a cap of 600 kW and a converter of 500 kW: it gives what it has instead of 0 W."""
    outcome = simulate(
        find_rig("demo"), seed=3, duration_s=30.0, faults=[],
        load=ConstantPower(kind="constant", rated_power_w=1.5e6),
        adjust=lambda site: site.model_copy(update={"applications": (
            GridSmoothing(kind="grid-smoothing", ramp_w_per_s_max=12_000.0, grid_power_w_max=600e3),
        )}),
    )  # fmt: skip
    assert outcome.trips == ()
    assert outcome.curves.battery_power_w[outcome.curves.time_s > 28.0].min() > 400e3


def test_standing_load_does_not_make_the_battery_change_direction() -> None:
    outcome = played(duration_s=60.0, load_w=1.0e6)
    power_w = outcome.curves.battery_power_w[outcome.curves.time_s > 5.0]
    directions = np.sign(power_w[np.abs(power_w) > 2e3])
    assert np.count_nonzero(np.diff(directions)) == 0


def test_converter_that_fell_silent_under_power_is_not_cut_off_under_load() -> None:
    """It may still be running: the contactors wait for a current that is proven low."""
    outcome = played("inverter-lost@8", 20.0, load_w=1.4e6)
    assert outcome.end.contactors_closed == (False, False)
    assert outcome.end.opened_under_load_a < 50.0


def test_island_starts_black_with_a_dead_meter() -> None:
    """No grid, so no meter: racks join, the converter forms, the load is served."""
    outcome = simulate(find_rig("island"), seed=5, duration_s=10.0, faults=[parse_fault("meter-lost@0")])
    assert outcome.end.contactors_closed == (True, True)
    assert outcome.curves.load_power_w[outcome.curves.time_s > 6.0].min() > 149e3


def test_island_starts_black_with_a_converter_that_lives_on_the_link() -> None:
    """It is silent until a rack has joined: its silence keeps nobody from joining."""
    outcome = simulate(find_rig("black-start"), seed=5, duration_s=12.0, faults=[])
    assert outcome.trips == ()
    assert outcome.curves.load_power_w[outcome.curves.time_s > 8.0].min() > 149e3


def test_converter_on_the_link_that_never_boots_is_named_and_tried_again() -> None:
    outcome = simulate(
        find_rig("black-start"), seed=5, duration_s=45.0, faults=[parse_fault("inverter-lost@0")],
        adjust=lambda site: site.model_copy(
            update={"inverter": site.inverter.model_copy(update={"boot_s_max": 12.0})}
        ),
    )  # fmt: skip
    assert [trip.fault_id for trip in outcome.trips][:1] == ["inverter_lost"]
    assert outcome.end.opened
    modes = outcome.recorder.table().column("rack_states").to_pylist()
    assert sum(now.startswith("precharge") > before.startswith("precharge") for before, now in pairwise(modes)) >= 2


def test_converter_that_answers_late_is_used_without_anybody() -> None:
    """Silent for the first 15 s, and named for it."""

    async def main() -> tuple[list[str], bool, float]:
        bench = Bench(find_rig("demo"), 5)
        bench.inverter_server.faults.silent = True
        named: list[str] = []
        controller = Controller(
            make_site(bench.rig, await bench.start()), can_opener=bench.open_can, recorder=None,
            perf_clock=lambda: math.nan, on_trip=lambda fault: named.append(fault.kind.id),
        )  # fmt: skip
        tasks = [asyncio.create_task(bench.run()), asyncio.create_task(controller.run())]
        await asyncio.sleep(15.0)
        assert not bench.truth.opened_again
        bench.inverter_server.faults.silent = False
        await asyncio.sleep(40.0)
        outcome = named, all(rack.main_closed for rack in bench.plant.racks), bench.plant.converter.ac_power_w
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        bench.close()
        return outcome

    named, closed, power_w = run_virtual(main(), seed=5)
    assert (named, closed) == (["inverter_lost"], True)
    assert abs(power_w) > 10e3
