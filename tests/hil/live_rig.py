"""A rig and its controller running in virtual time, for tests that break things, look, and mend them again."""

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields

from bms.controller import Controller
from bms.protect.protection import ActiveFault
from bms.site import Site
from hil_rigs.bench import Bench
from hil_rigs.devices.rack_safety import RackSafetyFaults
from hil_rigs.devices.sunspec_inverter_models import ReportingFaults
from hil_rigs.faults.inject import inject
from hil_rigs.faults.spec import FaultSpec
from hil_rigs.plant.enclosure import Enclosure
from hil_rigs.rig import find_rig, make_site
from hil_rigs.world import run_virtual

RUNNING_S = 6.0


class Live:
    """A rig, running. `active` are the ids of the faults now, `named` all that ever tripped."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.named: list[str] = []
        self.controller: Controller | None = None

    @property
    def active(self) -> list[str]:
        status = self.controller.report.status() if self.controller is not None else None
        return sorted(fault.split(" ")[0] for fault in status.faults) if status is not None else []

    @property
    def closed(self) -> bool:
        return all(rack.main_closed for rack in self.bench.plant.racks)

    @property
    def opened(self) -> bool:
        return self.bench.truth.opened_again

    def hear(self, fault: ActiveFault) -> None:
        self.named.append(fault.kind.id)

    def strike(self, faults: Sequence[FaultSpec]) -> None:
        for fault in faults:
            inject(self.bench, fault)

    def heal(self) -> None:
        """Take away every cause around the cells."""
        fresh = Enclosure()
        for enclosure, node in zip(self.bench.enclosures, self.bench.nodes, strict=True):
            for field in fields(Enclosure):
                setattr(enclosure, field.name, getattr(fresh, field.name))
            node.safety.faults = RackSafetyFaults()
            node.faults.silent_safety = False
        for field in fields(ReportingFaults):
            setattr(self.bench.inverter.faults, field.name, field.default)
        self.bench.inverter.local_control, self.bench.plant.converter.runaway_w = False, None
        for rack in self.bench.plant.racks:
            rack.temperature_bias_degc[:] = 0.0
        self.bench.meter.shown_frequency_hz = self.bench.meter.shown_phase_v = None

    async def pass_s(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)


async def live(test: Callable[[Live], Awaitable[None]], adjust: Callable[[Site], Site], name: str) -> None:
    bench = Bench(find_rig(name), 5)
    rig = Live(bench)
    site = adjust(make_site(bench.rig, await bench.start()))
    rig.controller = Controller(
        site, can_opener=bench.open_can, recorder=None, perf_clock=lambda: math.nan, on_trip=rig.hear
    )
    tasks = [asyncio.create_task(bench.run()), asyncio.create_task(rig.controller.run())]
    try:
        await asyncio.sleep(RUNNING_S)
        assert rig.closed
        await test(rig)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        bench.close()


def run_live(
    test: Callable[[Live], Awaitable[None]], adjust: Callable[[Site], Site] = lambda site: site, rig: str = "demo"
) -> Callable[[], None]:
    """Decorator: the test gets a running rig, in virtual time; `adjust` may change its controller's site."""

    @functools.wraps(test)
    def run() -> None:
        run_virtual(live(test, adjust, rig), seed=5)

    del run.__wrapped__  # type: ignore[attr-defined]  # pytest would take its argument for a fixture
    return run
