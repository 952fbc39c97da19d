"""The site as the battery of a third-party inverter: its limits, measurements and alarms on a CAN bus, keep-alive."""

import asyncio
import functools
import itertools
import math
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from pydantic import ValidationError

from bms.controller import Controller
from bms.north.battery_bus import BatteryBusSender
from bms.site import BatteryBus, CanBus, Site
from drivers.battery import BatteryAlarm, BatterySays
from drivers.clock import now_ns
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanPort, OnBatch
from hil_rigs.bench import Bench
from hil_rigs.devices.low_voltage import LowVoltageInverterNode
from hil_rigs.rig import CanEndpoint, Endpoints, ModbusEndpoint, RigFile, find_rig, make_site
from hil_rigs.world import canbus, run_virtual

CELLS = 16
ENDPOINTS = Endpoints(ModbusEndpoint("h", 1, 1), ModbusEndpoint("h", 2, 1), (CanEndpoint("virtual", "can0"),))


def small_rig() -> RigFile:
    """One rack of 16 cells behind a converter of 5 kW, beside a load of 2 kW."""
    rig = find_rig("demo")
    plant = rig.plant.model_copy(
        update={"racks": 1, "modules_per_rack": 1, "cells_per_module": CELLS, "inverter_power_w": 5000.0}
    )
    return rig.model_copy(update={"plant": plant})


class Rig:
    """A running site of 50 V with the inverter of another maker on a bus of its own."""

    def __init__(self, bench: Bench, site: Site, variant: str) -> None:
        self.bench = bench
        self.bus = canbus.CanBus(np.random.default_rng(3))
        battery_bus = BatteryBus(variant=variant, can=CanBus(interface="virtual", channel="inverter"))  # type: ignore[arg-type]
        self.site = site.model_copy(update={"battery_bus": battery_bus, "applications": ()})
        self.inverter = LowVoltageInverterNode(self.bus, battery_bus.profile)
        self.controller = Controller(
            self.site, can_opener=self._open, recorder=None, perf_clock=lambda: math.nan, on_trip=lambda _: None
        )
        self.batches: list[FrameBatch] = []
        self.bus.attach(self.batches.append)

    async def _open(self, config: CanConfig, on_batch: OnBatch) -> CanPort:
        return (
            self.bus.attach(on_batch) if config.channel == "inverter" else await self.bench.open_can(config, on_batch)
        )

    @property
    def faults(self) -> set[str]:
        status = self.controller.report.status()
        return {fault.split(" ")[0] for fault in status.faults} if status is not None else set()

    def sent_at_s(self, can_id: int) -> list[float]:
        """When a message with this id was on the bus."""
        ids = [(batch.at_ns / 1e9, np.frombuffer(batch.data, "<u4")[::4].tolist()) for batch in self.batches]
        return [at_s for at_s, of_batch in ids if can_id in of_batch]


def on_a_bus(variant: str) -> Callable[[Callable[[Rig], Awaitable[None]]], Callable[[], None]]:
    """Decorator: the test gets the rig, whose racks are online."""

    def decorate(test: Callable[[Rig], Awaitable[None]]) -> Callable[[], None]:
        async def main() -> None:
            bench = Bench(small_rig(), 5)
            rig = Rig(bench, make_site(bench.rig, await bench.start()), variant)
            tasks = [asyncio.create_task(each) for each in (bench.run(), rig.controller.run(), rig.inverter.run())]
            try:
                await asyncio.sleep(10.0)
                await test(rig)
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

    return decorate


@on_a_bus("victron")
async def test_limits_charge_and_measurements_reach_the_inverter(rig: Rig) -> None:
    await asyncio.sleep(20.0)  # limits rise by 5 % of the converter's rating a second
    says, rack = rig.inverter.hears, rig.bench.plant.racks[0]
    assert says.charge_voltage_v_max == pytest.approx(CELLS * 3.5, abs=1e-9)
    assert says.discharge_voltage_v_min == pytest.approx(CELLS * 2.8, abs=1e-9)
    status = rig.controller.report.status()
    assert status is not None
    assert (status.charge_power_w_limit, status.discharge_power_w_limit) == (5000.0, 5000.0)
    assert says.charge_current_a_max == pytest.approx(5000.0 / says.voltage_v, abs=0.3)
    assert says.discharge_current_a_max == pytest.approx(5000.0 / says.voltage_v, abs=0.3)
    assert says.voltage_v == pytest.approx(rack.voltage_v, abs=0.2)
    assert says.soc_frac == pytest.approx(status.soc_frac_mean, abs=0.1)
    assert (says.charge_allowed, says.name, says.alarms) == (None, "CELLWARD", BatteryAlarm(0))
    assert says.capacity_ah == 280.0
    assert says.cell_voltage_v_min <= says.cell_voltage_v_max


@on_a_bus("pylontech")
async def test_the_word_goes_out_once_a_second_at_least_and_its_keep_alive_is_heard(rig: Rig) -> None:
    await asyncio.sleep(10.0)
    at_s = rig.sent_at_s(0x356)
    assert max(later - earlier for earlier, later in itertools.pairwise(at_s)) < 1.11
    assert says_requests(rig) == (True, True)
    assert "battery_bus_silent" not in rig.faults
    assert rig.inverter.allowed_a()[0] > 0.0


def says_requests(rig: Rig) -> tuple[bool | None, bool | None]:
    return rig.inverter.hears.charge_allowed, rig.inverter.hears.discharge_allowed


@on_a_bus("pylontech")
async def test_three_seconds_without_keep_alive_are_an_alarm_that_clears_by_itself(rig: Rig) -> None:
    rig.inverter.silent = True
    await asyncio.sleep(1.9)  # the last one was up to a second ago
    assert "battery_bus_silent" not in rig.faults
    await asyncio.sleep(2.4)
    assert "battery_bus_silent" in rig.faults
    await asyncio.sleep(1.1)
    assert rig.inverter.hears.warnings == BatteryAlarm.INTERNAL
    rig.inverter.silent = False
    await asyncio.sleep(7.5)
    assert "battery_bus_silent" not in rig.faults


@on_a_bus("victron")
async def test_a_cell_that_is_too_full_stops_the_inverter_at_once_and_says_why(rig: Rig) -> None:
    struck_ns = now_ns()
    rig.bench.nodes[0].faults.held[3] = 3.70
    await asyncio.sleep(0.4)
    assert rig.inverter.hears.limits_at_ns - struck_ns < 400_000_000
    assert rig.inverter.allowed_a() == (0.0, 0.0)
    await asyncio.sleep(1.5)
    alarms = rig.inverter.hears.alarms
    assert alarms is not None
    assert alarms & BatteryAlarm.HIGH_VOLTAGE
    assert alarms & BatteryAlarm.GENERAL


@on_a_bus("victron")
async def test_an_orderly_stop_allows_nothing_before_the_end(rig: Rig) -> None:
    assert rig.inverter.allowed_a()[0] > 0.0
    rig.controller.stop()
    await asyncio.sleep(0.5)
    assert rig.inverter.allowed_a() == (0.0, 0.0)


def test_a_word_that_is_not_renewed_is_not_sent_again_so_that_the_inverter_stops() -> None:
    async def main() -> None:
        site = make_site(small_rig(), ENDPOINTS)
        bus = canbus.CanBus(np.random.default_rng(3))
        settings = BatteryBus(variant="pylontech", can=CanBus(interface="virtual", channel="inverter"))
        inverter = LowVoltageInverterNode(bus, settings.profile)

        async def opened(config: CanConfig, on_batch: OnBatch) -> CanPort:
            return bus.attach(on_batch)

        sender = BatteryBusSender(site, settings, 280.0, opened)
        tasks = [asyncio.create_task(each) for each in (sender.run(), inverter.run())]
        await asyncio.sleep(0.2)
        sender.say(BatterySays(charge_current_a_max=50.0, discharge_current_a_max=60.0, charge_voltage_v_max=56.0))
        await asyncio.sleep(0.5)
        assert inverter.allowed_a() == (50.0, 60.0)
        await asyncio.sleep(5.0)
        assert inverter.allowed_a() == (0.0, 0.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtual(main())


def test_the_bus_of_a_rack_cannot_be_the_inverters() -> None:
    bench_bus = CanBus(interface="virtual", channel="can0")
    site = make_site(small_rig(), ENDPOINTS).model_dump()
    with pytest.raises(ValidationError, match=r"same bus as racks\.0"):
        Site.model_validate(site | {"battery_bus": {"variant": "sma", "can": bench_bus.model_dump()}})
