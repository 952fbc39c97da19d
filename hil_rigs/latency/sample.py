"""One sample of `hil latency`: a rig at power, a cause at a random instant, and when the devices heard of it."""

import asyncio
import math
from dataclasses import dataclass

import numpy as np

from bms.battery import OPEN_WAIT_S
from bms.controller import Controller
from bms.site import Site
from drivers.clock import now_ns
from hil_rigs.bench import HOST, Bench
from hil_rigs.latency.causes import CAUSES, Cause
from hil_rigs.latency.wire import WireWatch
from hil_rigs.plant.converter import ConverterState
from hil_rigs.rig import find_rig, make_site
from hil_rigs.tune.trial import adjuster
from hil_rigs.world import current_network, run_virtual

RIG = "latency"
POWER_WAIT_S = 20.0
STOP_WAIT_S = 15.0
"""Longer than the longest bounded wait for opening."""
SOC_FRAC_BELOW, SOC_FRAC_ABOVE = 0.25, 0.85
LOOK_S = 0.01
PHASE_S = 0.1
"""Longest period of the controller, of its polls and of the racks' sweep: instants are drawn over it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured stop. `stop_ms`: from the cause to 0 W and STOP in the converter's registers. `contactor_ms`: from
    the later of that and the racks' true current below break current (or from the end of the bounded wait) to the
    opening command on the wire of the last rack that is to open; `opening_ms`: from the cause to that command; both NaN
    where none can hear one. `error` says what did not come; all figures are NaN then."""

    seed: int
    number: int
    cause: str
    stop_ms: float = math.nan
    contactor_ms: float = math.nan
    opening_ms: float = math.nan
    error: str = ""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What is wrong beside the cause: the share of CAN frames that are lost from the cause on, and the network's delay
    each way to the converter, all the time."""

    can_loss_frac: float = 0.0
    delay_s: float = 0.0


CALM = Disturbance()


@dataclass(frozen=True, slots=True)
class Draw:
    """What a sample varies beside the cause's own draws. Times are phases against the rig's 10 ms slots."""

    seed: int
    number: int
    cause: Cause
    rack: int
    discharges: bool
    current_a: float
    """Magnitude in every rack from which the rig is at power."""
    controller_at_s: float
    reconnect_at_s: float
    """When the converter's connection is made anew: its polls stand at any phase of the controller's tick then."""
    cause_after_s: float


def take_samples(fault_class: str, seed: int, count: int, disturbance: Disturbance = CALM) -> list[Sample]:
    """`count` samples of a class, its causes in turn. The same arguments give the same samples."""
    return [_take(fault_class, seed, number, disturbance) for number in range(count)]


def _take(fault_class: str, seed: int, number: int, disturbance: Disturbance) -> Sample:
    rng = np.random.default_rng([seed, list(CAUSES).index(fault_class), number])
    causes = CAUSES[fault_class]
    draw = _draw(seed, number, causes[(seed + number) % len(causes)], rng)
    world_seed = int(rng.integers(2**31))
    return run_virtual(_measure(draw, disturbance, world_seed, rng), seed=world_seed)


def _draw(seed: int, number: int, cause: Cause, rng: np.random.Generator) -> Draw:
    plant = find_rig(RIG).plant
    return Draw(
        seed=seed,
        number=number,
        cause=cause,
        rack=int(rng.integers(plant.racks)),
        discharges=bool(rng.integers(2)),
        current_a=float(rng.uniform(1.2, 2.0)) * plant.contactor_break_current_a,
        controller_at_s=float(rng.uniform(0.0, PHASE_S)),
        reconnect_at_s=float(rng.uniform(0.3, 0.3 + PHASE_S)),
        cause_after_s=float(rng.uniform(0.0, 2 * PHASE_S)),
    )


async def _measure(draw: Draw, disturbance: Disturbance, world_seed: int, rng: np.random.Generator) -> Sample:
    bench = Bench(find_rig(RIG), world_seed)
    site = _site(draw, make_site(bench.rig, await bench.start()))
    bench.plant.bus.voltage_v = bench.plant.racks[0].voltage_v  # charged already: nothing to precharge
    if disturbance.delay_s > 0.0:
        current_network().set_latency(HOST, bench.inverter_server.port, disturbance.delay_s, disturbance.delay_s)
    watch = WireWatch(bench)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(bench.run()), tasks.create_task(watch.see_currents())]
        await asyncio.sleep(draw.controller_at_s)
        controller = Controller(
            site, can_opener=bench.open_can, recorder=None, perf_clock=lambda: math.nan, on_trip=lambda _: None
        )
        running.append(tasks.create_task(controller.run()))
        sample = await _strike(draw, bench, site, watch, disturbance, rng)
        for task in running:
            task.cancel()
    bench.close()
    return sample


def _site(draw: Draw, site: Site) -> Site:
    """Steady power: the application brings the SoC to a target that lies far below or far above it."""
    target_frac = SOC_FRAC_BELOW if draw.discharges else SOC_FRAC_ABOVE
    return adjuster("grid-smoothing", {"soc_frac_target": target_frac})(site)


async def _strike(
    draw: Draw, bench: Bench, site: Site, watch: WireWatch, disturbance: Disturbance, rng: np.random.Generator
) -> Sample:
    await asyncio.sleep(draw.reconnect_at_s)
    current_network().reset(HOST, bench.inverter_server.port)
    if not await _at_power(bench, draw.current_a):
        return _failed(draw, f"the rig was not at power within {POWER_WAIT_S:g} s")
    await asyncio.sleep(draw.cause_after_s)
    cause_ns = now_ns()
    draw.cause.strike(bench, draw.rack, rng)
    for bus in bench.buses.values():
        bus.loss_frac = disturbance.can_loss_frac
    watch.arm(racks=_opening_racks(draw, bench), needs_stop=not draw.cause.converter_deaf)
    try:
        async with asyncio.timeout(STOP_WAIT_S):
            await watch.complete.wait()
    except TimeoutError:
        missing = "stop" if watch.stop_ns is None else "opening of the contactors"
        return _failed(draw, f"no {missing} within {STOP_WAIT_S:g} s")
    return _measured(draw, site, watch, cause_ns)


def _opening_racks(draw: Draw, bench: Bench) -> set[int]:
    if draw.cause.rack_deaf:
        return set()
    return set(range(len(bench.plant.racks))) if draw.cause.opens_all else {draw.rack}


async def _at_power(bench: Bench, current_a: float) -> bool:
    for _ in range(round(POWER_WAIT_S / LOOK_S)):
        runs = bench.plant.converter.state is ConverterState.RUNNING
        if runs and all(abs(rack.current_a) > current_a for rack in bench.plant.racks):
            return True
        await asyncio.sleep(LOOK_S)
    return False


def _failed(draw: Draw, error: str) -> Sample:
    return Sample(draw.seed, draw.number, draw.cause.name, error=error)


def _measured(draw: Draw, site: Site, watch: WireWatch, cause_ns: int) -> Sample:
    """The current fell after the last step of the plant that shows it high: at the stop, if that came before the next
    step, else counted from that step."""
    stop_ns = watch.stop_ns
    assert stop_ns is not None, "the watch is complete"
    opening_ns = watch.opening_ns if watch.opening_ns is not None else math.nan
    since_ns = max(stop_ns, watch.high_ns)
    if draw.cause.current_stays:
        since_ns = stop_ns + round(max(OPEN_WAIT_S, site.inverter.reversion_s + 1.0) * 1e9)
    return Sample(
        draw.seed,
        draw.number,
        draw.cause.name,
        stop_ms=(stop_ns - cause_ns) / 1e6,
        contactor_ms=np.maximum(opening_ns - since_ns, 0.0).item() / 1e6,
        opening_ms=(opening_ns - cause_ns) / 1e6,
    )
