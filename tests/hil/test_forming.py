"""A converter that makes an island's grid: what only alarms, what ends it in which order, and a gateway that dies."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from bms.controller import Controller
from hil_rigs.bench import Bench
from hil_rigs.faults.inject import inject
from hil_rigs.faults.spec import parse_fault
from hil_rigs.rig import find_rig, make_site
from hil_rigs.run import Outcome, simulate
from hil_rigs.world import run_virtual

LOAD_W = 150e3


def island(faults: str, duration_s: float = 14.0) -> Outcome:
    return simulate(
        find_rig("island"), seed=5, duration_s=duration_s, faults=[parse_fault(text) for text in faults.split()]
    )


def dark_s(outcome: Outcome, after_s: float) -> float:
    """How long the load got less than half of what it wants."""
    curves = outcome.curves
    after = curves.time_s > after_s
    return float(np.count_nonzero(curves.load_power_w[after] < 0.5 * LOAD_W)) * 0.01


def test_island_is_served_without_a_fault() -> None:
    outcome = island("")
    assert (outcome.trips, outcome.end.opened, dark_s(outcome, 4.0)) == ((), False, 0.0)
    assert outcome.end.contactors_closed == (True, True)


KEEPS = [
    ("cell-data-lost@8:rack-2/13", "cell_data_stale"),
    ("current-lost@8:rack-2", "current_stale"),
    ("meter-lost@8", "meter_lost"),
    ("inverter-lost@8", "inverter_lost"),
    ("inverter-local@8", "inverter_local_control"),
    ("commands-lost@8:rack-2", "rack_command_lost"),
    ("monitor-crc@8:rack-2", "monitor_crc_errors"),
    ("safety-inputs-lost@8:rack-2", "safety_inputs_stale"),
    ("insulation-low@8:rack-2", "insulation_low"),
    ("interlock-open@8:rack-2", "interlock_open"),
    ("rack-voltage-wrong@8:rack-2:60", "rack_voltage_mismatch"),
    ("coolant-temperature@8:rack-2", "coolant_temperature_high"),
    ("contactor-chatter@8:rack-2", "contactor_chatter"),
    ("cell-overvoltage@8:rack-2/9:3.6", "cell_voltage_high_recommended"),
    ("inverter-alarm@8", "inverter_ground_fault"),
]


@pytest.mark.parametrize(("fault", "fault_id"), KEEPS, ids=[fault_id for _, fault_id in KEEPS])
def test_fault_alarms_and_the_island_lives(fault: str, fault_id: str) -> None:
    outcome = island(fault, 20.0)
    assert fault_id in {trip.fault_id for trip in outcome.trips}
    assert "guard_stop" not in {trip.fault_id for trip in outcome.trips}
    assert (outcome.end.contactors_closed, outcome.end.opened) == ((True, True), False)
    assert dark_s(outcome, 4.0) == 0.0


ENDS = [
    ("gas@8:rack-2", "gas_detected", (False, False)),
    ("smoke@8:rack-2", "smoke_detected", (False, False)),
    ("fire-panel@8:rack-2", "fire_panel_alarm", (False, False)),
    ("emergency-stop@8:rack-2", "emergency_stop", (False, False)),
    ("cell-heating@8:rack-2/9", "thermal_event", (False, False)),
    ("overcurrent@8:rack-2:700", "pack_discharge_current_high", (False, False)),
    ("cell-overvoltage@8:rack-2/9", "cell_voltage_high", (True, False)),
    ("cell-undervoltage@8:rack-2/9", "cell_voltage_low", (True, False)),
    ("cell-overtemperature@8:rack-2/9", "discharge_temperature_high", (True, False)),
]


@pytest.mark.parametrize(("fault", "fault_id", "closed"), ENDS, ids=[fault_id for _, fault_id, _ in ENDS])
def test_danger_ends_the_island_in_order(fault: str, fault_id: str, closed: tuple[bool, bool]) -> None:
    """What concerns one rack takes that away; the other one serves the island again after its pause."""
    outcome = island(fault, 20.0)
    at_s = next(trip.at_s for trip in outcome.trips if trip.fault_id == fault_id)
    assert dark_s(outcome, 4.0) > 4.0
    stopped_s = outcome.curves.time_s - at_s
    assert outcome.curves.load_power_w[(stopped_s > 0.3) & (stopped_s < 4.0)].max() < 1000.0
    assert outcome.end.contactors_closed == closed
    assert outcome.end.opened_under_load_a < 50.0
    served_w = outcome.curves.load_power_w[outcome.curves.time_s > 18.0].min()
    assert (served_w > 0.99 * LOAD_W) == any(closed)


class Gateway:
    """A rig with a controller that can be killed and started again."""

    def __init__(self, rig: str) -> None:
        self.bench = Bench(find_rig(rig), 5)
        self.named: list[str] = []
        self.writes: list[tuple[int, list[int]]] = []
        self.controlled: asyncio.Task[None] | None = None
        write = self.bench.inverter.write

        def logged(address: int, values: list[int]) -> None:
            self.writes.append((address, values))
            write(address, values)

        self.bench.inverter.write = logged  # type: ignore[method-assign]
        self.site = None

    async def start(self) -> None:
        if self.site is None:
            self.site = make_site(self.bench.rig, await self.bench.start())
        controller = Controller(
            self.site, can_opener=self.bench.open_can, recorder=None, perf_clock=lambda: math.nan,
            on_trip=lambda fault: self.named.append(fault.kind.id),
        )  # fmt: skip
        self.controlled = asyncio.create_task(controller.run())

    async def kill(self) -> None:
        assert self.controlled is not None
        self.controlled.cancel()
        await asyncio.gather(self.controlled, return_exceptions=True)

    @property
    def served(self) -> bool:
        return self.bench.plant.load_power_w > 0.99 * LOAD_W

    @property
    def closed(self) -> bool:
        return all(rack.main_closed for rack in self.bench.plant.racks)


def with_gateway(rig: str) -> Callable[[Callable[[Gateway], Awaitable[None]]], Callable[[], None]]:
    """The test gets a gateway that has run for 8 s, in virtual time."""

    def decorate(test: Callable[[Gateway], Awaitable[None]]) -> Callable[[], None]:
        async def main() -> None:
            gateway = Gateway(rig)
            await gateway.start()
            running = asyncio.create_task(gateway.bench.run())
            await asyncio.sleep(8.0)
            await test(gateway)
            running.cancel()
            await gateway.kill()
            await asyncio.gather(running, return_exceptions=True)
            gateway.bench.close()

        def run() -> None:
            run_virtual(main(), seed=5)

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return decorate


SET_POINT = 11
"""Registers of the block WSetEna..WSetRvrtTms."""


def set_points(gateway: Gateway) -> list[tuple[int, int]]:
    """Enabled and reversion time of each set-point block that was written."""
    return [(values[0], values[-1]) for _, values in gateway.writes if len(values) == SET_POINT]


@with_gateway("island")
async def test_island_survives_the_gateways_death_and_its_return(gateway: Gateway) -> None:
    assert gateway.served
    await gateway.kill()
    for _ in range(300):
        await asyncio.sleep(0.1)
        assert (gateway.served, gateway.closed) == (True, True)
    gateway.writes.clear()
    await gateway.start()
    for _ in range(100):
        await asyncio.sleep(0.1)
        assert (gateway.served, gateway.closed) == (True, True)
    assert set(set_points(gateway)) == {(0, 0)}
    assert gateway.named == []


@with_gateway("island")
async def test_no_set_point_and_no_reversion_is_written_while_it_forms(gateway: Gateway) -> None:
    gateway.writes.clear()
    inject(gateway.bench, parse_fault("cell-data-lost@0:rack-2/13"))
    await asyncio.sleep(5.0)
    assert set(set_points(gateway)) == {(0, 0)}
    assert gateway.named == ["cell_data_stale"]


@with_gateway("island")
async def test_fire_writes_zero_power_then_stop_then_opens(gateway: Gateway) -> None:
    gateway.writes.clear()
    inject(gateway.bench, parse_fault("gas@0:rack-1"))
    opened_after = None
    for _ in range(100):
        await asyncio.sleep(0.01)
        if not gateway.closed and opened_after is None:
            opened_after = len(gateway.writes)
    written = [values for _, values in gateway.writes[:opened_after] if len(values) in (1, SET_POINT)]
    zero, stop = [1, 1, 0, 0], [0]
    kinds = [values[:4] if len(values) == SET_POINT else values for values in written]
    assert zero in kinds
    assert stop in kinds
    assert kinds.index(zero) < kinds.index(stop)
    assert not gateway.closed


@with_gateway("demo")
async def test_grid_that_is_lost_and_comes_back(gateway: Gateway) -> None:
    """The load of 1.5 MW is far above the converter's rating: it gives what it can."""
    gateway.bench.form_island()
    await asyncio.sleep(0.7)
    gateway.writes.clear()
    await asyncio.sleep(2.0)
    assert set(set_points(gateway)) == {(0, 0)}
    assert gateway.bench.plant.load_power_w > 300e3
    assert gateway.closed
    gateway.bench.join_grid()
    await asyncio.sleep(0.7)
    gateway.writes.clear()
    await asyncio.sleep(2.0)
    assert set(set_points(gateway)) == {(1, 1)}
    assert gateway.closed


@with_gateway("demo")
async def test_converter_that_follows_is_stopped_by_the_same_fault(gateway: Gateway) -> None:
    inject(gateway.bench, parse_fault("cell-data-lost@0:rack-2/13"))
    await asyncio.sleep(2.0)
    assert [rack.main_closed for rack in gateway.bench.plant.racks] == [True, False]
