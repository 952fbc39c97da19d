"""The fast lane on the wire: who writes the set-point, what a tick takes back at once, what makes it give up."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bms.act import Actuators
from bms.decision import Decision
from bms.devices import open_inverter
from bms.dispatch.dispatch import Holding
from bms.dispatch.view import HeldGridPower
from bms.estimate.site_power import BatteryPower
from bms.fast_lane import FastLane
from bms.lane_law import LaneOrder
from bms.site import FastLane as FastLaneSettings
from bms.site import Site
from drivers.clock import now_ns
from drivers.readings import InverterReading
from hil_rigs.bench import Bench
from hil_rigs.load_spec import AiTraining, ConstantPower
from hil_rigs.rig import find_rig, make_site
from hil_rigs.run import simulate
from hil_rigs.world import run_virtual
from tests.hil.live_rig import Live, run_live

SETTINGS = FastLaneSettings(period_s=0.01)
LOAD_W = 800e3
TICK_S = 0.02


async def until(true: Callable[[], bool]) -> None:
    """At most a second, in steps of 0.1 ms."""
    for _ in range(10_000):
        if true():
            return
        await asyncio.sleep(0.0001)
    raise AssertionError("never came")


class Lane:
    """A lane beside the driver on one converter that runs, and a meter that shows 800 kW plus what the battery takes.
    `told` are the set-points that reached the converter, by whomever."""

    def __init__(self, bench: Bench, site: Site) -> None:
        self.bench = bench
        self.told: list[tuple[float, float]] = []
        self.battery = BatteryPower(site.inverter.response_time_s)
        self.driver = open_inverter(site.inverter, self._read)
        self.actuators = Actuators(self.driver, ())
        self.lane = FastLane(site, SETTINGS, self.battery, self.actuators.repeat)
        bench.inverter.on_control = self._note

    def _read(self, reading: InverterReading) -> None:
        self.battery.see(reading, None)

    def _note(self) -> None:
        self.told.append((asyncio.get_running_loop().time(), self.bench.inverter.set_power_w))

    async def plant_runs(self) -> None:
        """The plant without its racks' nodes: nobody opens contactors here."""
        while True:
            self.bench.plant.step(0.01)
            await asyncio.sleep(0.01)

    def tick(self, grid_w: float | None, power_w: float = 0.0, most_w: float = 500e3, run: bool = True) -> bool:
        """One tick: the lane shall hold `grid_w`, None = the tick keeps the set-point at `power_w`. Whether the lane
        has it."""
        order = None
        if grid_w is not None:
            holding = Holding(HeldGridPower(grid_w), -500e3, 500e3, 0.0)
            order = LaneOrder(holding, -most_w, most_w, now_ns() + round(2 * TICK_S * 1e9))
        by_lane = self.lane.allow(order)
        decision = Decision(power_w, run, (), (), "", "", by_lane=by_lane)
        self.actuators.apply(decision, now_ns(), refresh=True, heard=True)
        return by_lane

    async def ticks(self, grid_w: float | None, count: int, **how: float) -> None:
        for _ in range(count):
            self.tick(grid_w, **how)
            await asyncio.sleep(TICK_S)

    def since(self, at_s: float) -> list[float]:
        return [power_w for time_s, power_w in self.told if time_s >= at_s]


def on_lane(test: Callable[[Lane], Awaitable[None]]) -> Callable[[], None]:
    """Decorator: the test gets a converter that the driver has at 100 kW, and a lane that is fit."""

    async def main() -> None:
        bench = Bench(find_rig("demo"), 5, ConstantPower(kind="constant", rated_power_w=LOAD_W))
        site = make_site(bench.rig, await bench.start())
        it = Lane(bench, site)
        bench.plant.bus.voltage_v = bench.plant.racks[0].voltage_v
        for rack in bench.plant.racks:
            rack.command(main=True, precharge=False)
        running = [asyncio.create_task(each) for each in (it.plant_runs(), it.driver.run(), it.lane.run())]
        try:
            await it.ticks(None, 80, power_w=100e3)
            assert bench.plant.converter.state == "running"
            assert it.driver.set_point_free
            await test(it)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            bench.close()

    def run() -> None:
        run_virtual(main(), seed=5)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_lane
async def test_lane_writes_each_10_ms_and_holds_the_grids_power(it: Lane) -> None:
    at_s = asyncio.get_running_loop().time()
    await it.ticks(600e3, 50)
    assert 95 <= len(it.since(at_s)) <= 101
    assert it.bench.plant.grid_power_w == pytest.approx(600e3, abs=500)


@on_lane
async def test_drivers_heartbeat_goes_on_without_set_points_of_its_own(it: Lane) -> None:
    """The lane cannot write here, so that nobody but the driver would."""
    at_s = asyncio.get_running_loop().time()
    before = it.bench.inverter_server.transactions.answered
    decision = Decision(0.0, True, (), (), "", "", by_lane=True)
    for _ in range(40):
        it.actuators.apply(decision, now_ns(), refresh=True, heard=True)
        await asyncio.sleep(TICK_S)
    assert it.since(at_s) == []
    assert it.bench.inverter_server.transactions.answered - before >= 8 * 2


@on_lane
async def test_tick_first_then_a_reading_writes_nothing_of_the_lane(it: Lane) -> None:
    await it.ticks(600e3, 10)
    at_s = asyncio.get_running_loop().time()
    await it.ticks(None, 10, power_w=0.0, run=False)
    assert set(it.since(at_s + 0.005)) == {0.0}


@on_lane
async def test_reading_first_then_a_tick_withdraws_what_was_not_sent_yet(it: Lane) -> None:
    """Both in one moment: the lane has put its set-point, its writer has not woken yet."""
    await it.ticks(600e3, 10)
    await until(lambda: not it.lane._set_points.busy)
    it.lane._set_points.put(333e3, now_ns() + 10_000_000)
    at_s = asyncio.get_running_loop().time()
    it.tick(None, power_w=0.0, run=False)
    await asyncio.sleep(0.1)
    assert 333e3 not in it.since(at_s)
    assert it.told[-1][1] == 0.0


@on_lane
async def test_write_that_was_under_way_is_followed_by_the_drivers(it: Lane) -> None:
    """The lane's request is on the wire when the tick decides 0 W: whichever the converter takes first, 0 W is last."""
    await it.ticks(600e3, 10)
    it.tick(600e3)
    await until(lambda: it.lane._set_points.busy)
    it.tick(None, power_w=0.0)
    assert it.lane._set_points.busy
    at_s = asyncio.get_running_loop().time()
    await asyncio.sleep(0.01)
    assert it.since(at_s)[-1] == 0.0
    assert it.since(at_s).count(0.0) == 2


@on_lane
async def test_lane_waits_for_a_set_point_of_the_driver_that_is_under_way(it: Lane) -> None:
    it.bench.inverter_server.faults.delay_s = 0.01
    it.tick(None, power_w=50e3)
    await asyncio.sleep(0.002)
    assert not it.driver.set_point_free
    await asyncio.sleep(0.05)
    assert it.driver.set_point_free


@on_lane
async def test_order_ends_by_itself_and_the_converter_goes_to_0_w(it: Lane) -> None:
    """No tick comes any more: 40 ms later nothing is written, and the reversion of 1 s acts."""
    await it.ticks(600e3, 10)
    at_s = asyncio.get_running_loop().time()
    await asyncio.sleep(0.5)
    assert max(time_s for time_s, _ in it.told) < at_s + 0.04
    await asyncio.sleep(0.8)
    assert it.bench.inverter.set_power_w == 0.0


@on_lane
async def test_limit_that_falls_holds_before_the_next_reading(it: Lane) -> None:
    """200 kW, then at most 50 kW: the meter is silent, and still it is written at once."""
    await it.ticks(600e3, 10)
    it.bench.meter_server.faults.silent = True
    at_s = asyncio.get_running_loop().time()
    it.tick(600e3, most_w=50e3)
    await asyncio.sleep(0.005)
    assert it.since(at_s)[-1] == 50e3


@on_lane
async def test_silent_meter_gives_the_set_point_back_within_50_ms_and_a_tick(it: Lane) -> None:
    await it.ticks(600e3, 10)
    it.bench.meter_server.faults.silent = True
    at_s = asyncio.get_running_loop().time()
    for _ in range(10):
        if not it.tick(600e3, power_w=123e3):
            break
        await asyncio.sleep(TICK_S)
    await asyncio.sleep(0.005)
    assert asyncio.get_running_loop().time() - at_s < 0.1
    assert it.told[-1][1] == 123e3


@pytest.mark.parametrize(("delay_s", "says"), [(0.04, "age"), (0.0, "")])
def test_lane_that_is_too_late_rests_and_says_why(delay_s: float, says: str) -> None:
    async def test(it: Lane) -> None:
        await it.ticks(600e3, 30)
        it.bench.inverter_server.faults.delay_s = delay_s
        await it.ticks(600e3, 60)
        assert it.lane.has_set_point == (not says)
        it.lane._started_ns = 0
        found = it.lane.conditions(now_ns())
        assert [condition.fault_id for condition in found] == (["fast_lane_lost"] if says else [])
        assert all(condition.where.startswith(says) for condition in found)

    on_lane(test)()


def with_lane(site: Site) -> Site:
    return site.model_copy(update={"fast_lane": SETTINGS})


def test_emergency_stop_wins_in_the_same_tick() -> None:
    """From the tick of the fault on the converter hears 0 W and nothing else."""

    async def test(rig: Live) -> None:
        told: list[float] = []
        await rig.pass_s(1.0)
        assert rig.controller is not None
        status = rig.controller.report.status()
        assert status is not None
        assert status.smoothing_way == "fast-lane"
        assert 0.0 < status.lane_age_ms < 5.0
        rig.bench.enclosures[0].emergency_stop_released = False
        await until(lambda: "emergency_stop" in rig.named)
        await asyncio.sleep(0.002)
        rig.bench.inverter.on_control = lambda: told.append(rig.bench.inverter.set_power_w)
        await rig.pass_s(3.0)
        assert told
        assert set(told) == {0.0}
        assert not rig.closed

    run_live(test, with_lane)()


def test_lane_that_is_unfit_leaves_smoothing_to_the_ticks() -> None:
    """The meter is too slow for the lane, not for the ticks: a warning that says so, and smoothing goes on."""

    async def test(rig: Live) -> None:
        await rig.pass_s(4.5)
        rig.bench.meter_server.faults.delay_s = 0.04
        await rig.pass_s(4.0)
        assert rig.active == ["fast_lane_lost"]
        assert rig.controller is not None
        status = rig.controller.report.status()
        assert status is not None
        assert status.smoothing_way == "ticks"
        rig.bench.meter_server.faults.delay_s = 0.0
        await rig.pass_s(8.0)
        assert rig.active == []

    run_live(test, lambda site: site.model_copy(update={"fast_lane": SETTINGS.model_copy(update={"rest_s": 1.0})}))()


def test_ticks_that_make_the_grid_worse_are_refused_and_say_so() -> None:
    """Ticks of 1 s on raw steps of AI training: after 20 s of measuring the battery rests, and the fault says why."""
    raw = AiTraining(kind="ai-training", rated_power_w=500e3)

    def slow(site: Site) -> Site:
        return site.model_copy(update={"controller": site.controller.model_copy(update={"control_period_s": 1.0})})

    outcome = simulate(find_rig("demo"), seed=5, duration_s=45.0, load=raw, adjust=slow)
    (trip,) = outcome.trips
    assert trip.fault_id == "smoothing_refused"
    assert trip.detail.startswith("a battery 555 ms late would leave ")
    assert outcome.recorder.table()["smoothing_way"].to_pylist()[-200] == "refused"
    assert outcome.end.battery_power_w_max < 5e3
