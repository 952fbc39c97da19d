"""A rack with an IVT-S and an iso165C on its bus, in virtual time: one open bus, their word in the reading."""

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import ValidationError

from bms.controller import Controller
from bms.site import Site
from drivers.links.can import CanConfig, CanPort, OnBatch
from drivers.readings import RackReading
from drivers.safety import InsulationState
from hil_rigs.bench import Bench
from hil_rigs.devices.rack_sensors import Iso165cNode, IvtNode
from hil_rigs.rig import find_rig, make_site
from hil_rigs.world import run_virtual

SENSORS = {
    "current_sensor": {"kind": "ivt-s", "positive": "discharge"},
    "insulation_monitor": {"kind": "iso165c", "warning_kohm": 400, "error_kohm": 80},
}


def with_sensors(site: Site, input_age_s_max: float = 2.5) -> Site:
    values: dict[str, Any] = site.model_dump()
    racks = [values["racks"][0] | SENSORS, *values["racks"][1:]]
    return Site.model_validate(
        values | {"racks": racks, "safety": values["safety"] | {"input_age_s_max": input_age_s_max}}
    )


class Rig:
    """The demo rig, the first rack with the two sensors."""

    def __init__(self, bench: Bench, site: Site) -> None:
        self.bench = bench
        self.kohm = 20_000.0
        rack, bus = bench.plant.racks[0], bench.buses["can0"]
        self.ivt = IvtNode(bus, rack.measured_current_a, lambda: rack.voltage_v)
        self.imd = Iso165cNode(bus, lambda: self.kohm)
        self.opened = 0
        self.named: list[str] = []
        self.readings: list[RackReading] = []
        self.controller = Controller(
            with_sensors(site), can_opener=self._open, recorder=None, perf_clock=lambda: math.nan,
            on_trip=lambda fault: self.named.append(fault.kind.id),
        )  # fmt: skip

    async def _open(self, config: CanConfig, on_batch: OnBatch) -> CanPort:
        self.opened += config.channel == "can0"
        return await self.bench.open_can(config, on_batch)

    def rack(self) -> RackReading:
        return self.controller._racks[0].reading()


def on_a_rig(
    test: Callable[[Rig], Awaitable[None]], prepare: Callable[[Rig], None] = lambda rig: None
) -> Callable[[], None]:
    async def main() -> None:
        bench = Bench(find_rig("demo"), 5)
        rig = Rig(bench, make_site(bench.rig, await bench.start()))
        prepare(rig)
        runs = (bench.run(), rig.ivt.run(), rig.imd.run(), rig.controller.run())
        tasks = [asyncio.create_task(each) for each in runs]
        try:
            await asyncio.sleep(15.0)
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


@on_a_rig
async def test_their_word_is_in_the_reading_and_the_bus_is_open_once(rig: Rig) -> None:
    status = rig.controller.report.status()
    assert status is not None
    assert status.mode == "running"
    reading = rig.rack()
    assert reading.current_redundant_a == pytest.approx(reading.current_a, abs=3.0)
    assert (reading.safety.insulation_kohm, reading.safety.insulation_state) == (20_000.0, InsulationState.ACTIVE)
    assert reading.safety.interlock_closed  # still the monitor's
    assert rig.imd.levels_kohm == {"WarningLevel": 400.0, "ErrorLevel": 80.0}
    assert (rig.opened, rig.named) == (1, [])


@on_a_rig
async def test_a_second_current_that_stops_is_absent_and_the_first_goes_on(rig: Rig) -> None:
    rig.ivt.silent = True
    await asyncio.sleep(0.5)
    assert math.isnan(rig.rack().current_redundant_a)
    assert not math.isnan(rig.rack().current_a)


def hardware_failure(rig: Rig) -> None:
    rig.imd.test_result = 1 << 1


async def self_test_failed(rig: Rig) -> None:
    """Started by the controller as soon as it hears the monitor; a warning, and nobody watches the DC bus."""
    assert (rig.imd.tests, rig.named) == (1, ["insulation_self_test_failed"])
    assert rig.rack().main_closed


test_monitor_that_finds_itself_wrong_is_a_fault = on_a_rig(self_test_failed, hardware_failure)


@on_a_rig
async def test_low_insulation_by_the_monitor_of_its_own_opens(rig: Rig) -> None:
    rig.kohm = 50.0  # of a rack of 1,370 V: below 100 Ohm/V
    await asyncio.sleep(8.0)
    assert "insulation_low" in rig.named


def test_an_insulation_monitor_that_speaks_too_seldom_for_the_limit_is_refused() -> None:
    async def main() -> None:
        bench = Bench(find_rig("demo"), 5)
        site = make_site(bench.rig, await bench.start())
        bench.close()
        with pytest.raises(ValidationError, match=r"the insulation monitor of racks\.0 speaks every 1 s"):
            with_sensors(site, 0.5)

    run_virtual(main())
