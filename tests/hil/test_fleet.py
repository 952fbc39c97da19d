"""A fleet on the simulated wire: one power over many units; units that fall silent, go on, ignore or come back."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from bms.dispatch.applications.grid_smoothing import GridSmoothing
from bms.dispatch.applications.remote_power import RemotePower
from bms.fleet.controller import FleetController, UnitFault
from bms.site.applications import Application
from drivers.clock import now_ns
from hil_rigs.fleet_bench import FleetBench, FleetSpec
from hil_rigs.plant.load import ConstantLoad, Load, LoadProfile
from hil_rigs.world import run_virtual

REMOTE = RemotePower(
    kind="remote-power", charge_power_w_max=50e6, discharge_power_w_max=50e6, soc_frac_min=0.0, soc_frac_max=1.0
)
SMOOTHING = GridSmoothing(
    kind="grid-smoothing", ramp_w_per_s_max=20e3, grid_power_w_max=20e6, smoothing_time_s=20.0,
    soc_return_power_w_max=0.0,
)  # fmt: skip
LOAD_W = 6e6
HOUR_NS = 3_600_000_000_000


@dataclass
class Ran:
    """What a run left: plant truth, faults with their times (s), and the controller."""

    bench: FleetBench
    faults: list[tuple[float, str, str]]
    controller: FleetController

    def power_w(self, at_s: float) -> float:
        return float(np.interp(at_s, self.bench.time_s, self.bench.battery_w))


def run(
    duration_s: float,
    events: dict[float, Callable[[FleetBench], None]] | None = None,
    *,
    asked_w: float | None = 2e6,
    soc_frac: Sequence[float] = (0.5, 0.5, 0.5, 0.5),
    applications: Sequence[Application] = (REMOTE,),
    load: Load | None = None,
) -> Ran:
    async def main() -> Ran:
        bench = FleetBench(FleetSpec(1e6, 2e6, soc_frac), load or ConstantLoad(LOAD_W))
        fleet = await bench.start("fleet", applications)
        faults: list[tuple[float, str, str]] = []
        start_ns = now_ns()

        def on_trip(fault: UnitFault) -> None:
            faults.append(((fault.since_ns - start_ns) / 1e9, fault.fault_id, fault.unit))

        controller = FleetController(fleet, recorder=None, perf_clock=lambda: 0.0, on_trip=on_trip)
        if asked_w is not None:
            controller.inputs.put("power_w", asked_w, now_ns() + HOUR_NS, "test")
        loop = asyncio.get_running_loop()
        for at_s, event in (events or {}).items():
            loop.call_later(at_s, event, bench)
        async with asyncio.TaskGroup() as tasks:
            plant = tasks.create_task(bench.run())
            running = tasks.create_task(controller.run())
            await asyncio.sleep(duration_s)
            controller.stop()
            await running
            plant.cancel()
        bench.close()
        return Ran(bench, faults, controller)

    return run_virtual(main())


def silence(number: int) -> Callable[[FleetBench], None]:
    def event(bench: FleetBench) -> None:
        bench.servers[number].faults.silent = True

    return event


def test_units_share_what_was_asked_and_stop_in_order() -> None:
    ran = run(20.0, soc_frac=(0.8, 0.4, 0.4, 0.4))
    assert ran.power_w(19.0) == pytest.approx(2e6, rel=0.005)
    assert ran.faults == []
    assert ran.bench.battery_w[-1] == pytest.approx(0.0, abs=1.0)
    assert ran.controller.end_state() == "unit-1 off, unit-2 off, unit-3 off, unit-4 off"


def test_fuller_unit_carries_more() -> None:
    shares: list[float] = []

    def note(bench: FleetBench) -> None:
        shares.extend(unit.converter.ac_power_w for unit in bench.units)

    run(10.0, {9.5: note}, soc_frac=(0.8, 0.4, 0.4, 0.4), asked_w=1e6)
    assert shares == pytest.approx([400e3, 200e3, 200e3, 200e3], rel=0.02)


def test_lost_unit_that_discharges_costs_2_percent_for_2_seconds_and_nothing_is_issued_twice() -> None:
    """It goes on with its last power until its own timer ends it, and only then the others take over."""
    ran = run(30.0, {15.0: silence(0)})
    time_s, battery_w = ran.bench.time_s, ran.bench.battery_w
    from_2_s = (time_s >= 17.0) & (time_s <= 29.0)
    assert np.abs(battery_w[from_2_s] - 2e6).max() <= 0.02 * 2e6
    assert battery_w[(time_s >= 14.0) & (time_s <= 29.0)].max() <= 1.005 * 2e6
    assert [(fault_id, unit) for _, fault_id, unit in ran.faults] == [("unit_lost", "unit-1")]


def test_lost_unit_that_goes_on_is_seen_at_the_meter_and_stays_counted() -> None:
    def event(bench: FleetBench) -> None:
        bench.units[0].converter.runaway_w = 500e3
        bench.servers[0].faults.silent = True

    ran = run(30.0, {15.0: event})
    time_s, battery_w = ran.bench.time_s, ran.bench.battery_w
    after = (time_s >= 14.0) & (time_s <= 29.0)
    assert np.abs(battery_w[after] - 2e6).max() <= 0.02 * 2e6
    assert [fault_id for _, fault_id, _ in ran.faults] == ["unit_lost", "unit_keeps_on"]


def test_unit_that_ignores_its_set_points_is_named_within_2_seconds_and_the_others_make_up_for_it() -> None:
    def event(bench: FleetBench) -> None:
        bench.units[2].converter.runaway_w = 0.0

    ran = run(30.0, {15.0: event})
    ((at_s, fault_id, unit),) = ran.faults
    assert (fault_id, unit) == ("unit_ignores", "unit-3")
    assert at_s - 15.0 <= 2.0
    time_s, battery_w = ran.bench.time_s, ran.bench.battery_w
    assert np.abs(battery_w[(time_s >= 18.0) & (time_s <= 29.0)] - 2e6).max() <= 0.02 * 2e6


def test_unit_that_comes_back_takes_its_share_again() -> None:
    def back(bench: FleetBench) -> None:
        bench.servers[0].faults.silent = False

    ran = run(40.0, {10.0: silence(0), 15.0: back})
    time_s, battery_w = ran.bench.time_s, ran.bench.battery_w
    settled = (time_s >= 13.0) & (time_s <= 39.0)
    assert np.abs(battery_w[settled] - 2e6).max() <= 0.02 * 2e6
    assert ran.controller.faults == {}


def test_smoothing_over_many_units_does_not_swing() -> None:
    """A step of the load goes to the units and reaches the grid at the ramp limit only."""
    steps = LoadProfile(np.array([0.0, 20.0, 20.01, 60.0]), np.array([6e6, 6e6, 8e6, 8e6]))
    ran = run(50.0, asked_w=None, applications=(SMOOTHING,), load=steps)
    time_s, grid_w = ran.bench.time_s, ran.bench.grid_w
    before, after = (time_s > 12.0) & (time_s < 19.9), (time_s > 21.0) & (time_s < 49.0)
    assert np.ptp(grid_w[before]) < 20e3
    rise_w = grid_w[after] - 6e6
    assert rise_w.max() == pytest.approx(20e3 * 28.0, rel=0.15)
    assert np.diff(grid_w[after][::100]).min() > -30e3


def test_request_that_expired_ends_and_the_units_rest() -> None:
    async def main() -> float:
        bench = FleetBench(FleetSpec(1e6, 2e6, (0.5, 0.5)), ConstantLoad(LOAD_W))
        fleet = await bench.start("fleet", (REMOTE,))
        controller = FleetController(fleet, recorder=None, perf_clock=lambda: 0.0, on_trip=lambda _: None)
        controller.inputs.put("power_w", 1e6, now_ns() + 10_000_000_000, "test")
        async with asyncio.TaskGroup() as tasks:
            plant, running = tasks.create_task(bench.run()), tasks.create_task(controller.run())
            await asyncio.sleep(12.0)
            power_w = bench.battery_w[-1]
            controller.stop()
            await running
            plant.cancel()
        bench.close()
        return float(power_w)

    assert run_virtual(main()) == pytest.approx(0.0, abs=1.0)
