"""One scenario in virtual time: the deployed controller against a bench, faults on their minute, then a verdict."""

import asyncio
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from bms.controller import Controller
from bms.protect.protection import ActiveFault
from bms.record import Recorder
from bms.record.memory import MemoryRecorder
from bms.site import Site, site_settings
from bms.state.memory import SiteMemory
from bms.state.store import Told
from drivers.clock import now_ns
from hil_rigs.bench import Bench
from hil_rigs.controller_process import ControllerProcess
from hil_rigs.faults.inject import inject
from hil_rigs.faults.place import locate
from hil_rigs.faults.spec import FaultSpec
from hil_rigs.load_spec import LoadSpec
from hil_rigs.plant.rack import Opening
from hil_rigs.plant.site import Energies
from hil_rigs.rig import RigFile, make_site
from hil_rigs.truth import Floats, TrueCurves
from hil_rigs.world import run_virtual

LAST_S = 2.0
DRAINED_S = 0.2
"""After the last contactor a converter that hears nobody empties the DC link; then it is judged."""
UNHEARD_S = 5.0
"""A converter that was written nothing for so long of an orderly stop, in which all is told 0 W, hears nobody."""


@dataclass(frozen=True, slots=True)
class Trip:
    """A fault that the controller raised, `at_s` after the start."""

    at_s: float
    fault_id: str
    target: str
    detail: str


@dataclass(frozen=True, slots=True)
class EndState:
    """The plant at the end of the scenario, before the orderly stop, and after it."""

    contactors_closed: tuple[bool, ...]
    battery_power_w_max: float
    """Largest magnitude over the last LAST_S, since a battery at work passes through 0 W."""
    rated_power_w: float
    opened: bool
    opened_under_load_a: float
    openings: tuple[Opening, ...]
    """Of main contactors under load."""
    energies: Energies
    """Since the start, up to the end of the orderly stop."""
    stopped_safely: bool
    """After the orderly stop: contactors open that can open and are not a battery's own, converter without power. A
    rack of an island holds its contactors as long as it hears nobody, and a converter that hears nobody either serves
    the island from it. Nor can anybody stop one that hears nobody and keeps its power: it may hold the open link."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a virtual run leaves: trips, truth, record and end state. `curves` end where the orderly stop begins."""

    trips: tuple[Trip, ...]
    curves: TrueCurves
    kept: MemoryRecorder | None
    end: EndState
    signals: Mapping[str, Floats]
    """What was sampled, by name, at the times of `curves`."""
    faults: tuple[FaultSpec, ...]
    """What was injected, in order of time."""

    @property
    def recorder(self) -> MemoryRecorder:
        """The record; LookupError of a run that was to keep nothing."""
        if self.kept is None:
            raise LookupError("this run kept no record: it was started with Keep.NOTHING")
        return self.kept


class Keep(Enum):
    """What a run keeps of its ticks: the judges of a scenario need nothing of them, a replay what rows rest on too."""

    NOTHING = auto()
    ROWS = auto()
    READINGS = auto()


def simulate(
    rig: RigFile,
    *,
    seed: int,
    duration_s: float,
    faults: Sequence[FaultSpec] = (),
    load: LoadSpec | None = None,
    adjust: Callable[[Site], Site] | None = None,
    record: Mapping[str, str] | None = None,
    signals: Collection[str] = (),
    tell: Sequence[tuple[float, Told]] = (),
    keep: Keep = Keep.ROWS,
) -> Outcome:
    """Run rig and controller for `duration_s` of virtual time. The same arguments give the same outcome, byte by byte.

    `adjust` may change the site that the controller gets; `record` is put into the record's metadata; `signals` are
    sampled beside the powers; `tell` is when (s) somebody tells the controller which input; `keep` says what
    the record holds.
    UnknownTargetError for a fault that the rig cannot have."""
    known = {"rig": rig.name, "seed": str(seed), **(record or {})}
    return run_virtual(_simulate(rig, seed, duration_s, faults, load, adjust, known, signals, tell, keep), seed=seed)


async def _simulate(
    rig: RigFile,
    seed: int,
    duration_s: float,
    faults: Sequence[FaultSpec],
    load: LoadSpec | None,
    adjust: Callable[[Site], Site] | None,
    record: Mapping[str, str],
    signals: Collection[str],
    tell: Sequence[tuple[float, Told]],
    keep: Keep,
) -> Outcome:
    bench = Bench(rig, seed, load, signals)
    for fault in faults:
        locate(rig, fault)
    site = make_site(rig, await bench.start())
    site = adjust(site) if adjust else site
    started = {"site_settings": site_settings(site), "started_unix_ns": str(round(bench.wall_clock() * 1e9))}
    kept = None if keep is Keep.NOTHING else MemoryRecorder({**started, **record}, readings=keep is Keep.READINGS)
    start_ns = now_ns()
    trips: list[Trip] = []

    def on_trip(fault: ActiveFault) -> None:
        trips.append(Trip((fault.since_ns - start_ns) / 1e9, fault.kind.id, fault.target, fault.detail))

    def make(memory: SiteMemory, recorder: Recorder | None) -> Controller:
        return Controller(
            site,
            can_opener=bench.open_can,
            recorder=recorder,
            perf_clock=lambda: math.nan,
            on_trip=on_trip,
            memory=memory,
            wall_clock=bench.wall_clock,
        )

    end = await _play(bench, site, make, kept, faults, tell, duration_s)
    return Outcome(
        trips=tuple(trips),
        curves=bench.truth.curves(until_s=duration_s),
        kept=kept,
        end=end,
        signals=bench.truth.signals(until_s=duration_s),
        faults=tuple(sorted(faults, key=lambda fault: fault.at_s)),
    )


async def _play(
    bench: Bench,
    site: Site,
    make: Callable[[SiteMemory, Recorder | None], Controller],
    kept: MemoryRecorder | None,
    faults: Sequence[FaultSpec],
    tell: Sequence[tuple[float, Told]],
    duration_s: float,
) -> EndState:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bench.run(), name="bench")
        bench.process = process = ControllerProcess(bench, site, make, kept, tasks)
        for fault in faults:
            loop.call_later(fault.at_s, inject, bench, fault)
        for at_s, told in tell:
            loop.call_later(at_s, process.tell, told)
        await asyncio.sleep(duration_s)
        closed = tuple(rack.main_closed for rack in bench.plant.racks)
        power_w_max, opened = bench.truth.battery_power_w_max(LAST_S), bench.truth.opened_again
        await process.stop()
        await asyncio.sleep(DRAINED_S)
        running.cancel()
    bench.close()
    racks, converter, now = bench.plant.racks, bench.plant.converter, now_ns()
    # A battery with a management of its own has no node, and opens when it likes.
    nodes = list(zip(racks, bench.nodes, strict=False))
    blocks = list(zip(racks, bench.contactor_blocks, strict=False))
    left = [rack for rack, node in nodes if node.left_closed(now)] + [rack for rack, each in blocks if each.left_closed]
    stuck = [rack for rack, block in blocks if block.faults.main_stuck]
    obeying = [rack for rack, _ in nodes if rack not in left and rack not in stuck]
    alone = converter.island is not None and converter.told_s > UNHEARD_S and bool(left)
    runs_away = converter.runaway_w is not None and converter.told_s > UNHEARD_S
    return EndState(
        contactors_closed=closed,
        battery_power_w_max=power_w_max,
        rated_power_w=converter.rated_power_w,
        opened=opened,
        energies=bench.plant.energies,
        opened_under_load_a=max(rack.opened_under_load_a for rack in racks),
        openings=tuple(opening for rack in racks for opening in rack.main.openings),
        stopped_safely=not any(rack.main_closed and not rack.main.welded for rack in obeying)
        and (alone or runs_away or abs(converter.ac_power_w) < 1.0),
    )
