"""A third-party battery as a rack, over a simulated bus: its word in, keep-alive out, nothing made up about cells."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator

import numpy as np

from drivers.battery import BatteryAlarm, BatterySays
from drivers.cell_monitors.low_voltage import LowVoltageBattery
from drivers.clock import now_ns
from drivers.commands import BleedCommand, OutputsCommand, RackCommand
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanPort, OnBatch
from drivers.low_voltage import PROFILES
from drivers.readings import NEVER_NS
from drivers.safety import CoolingRequest
from hil_rigs.devices.low_voltage import LowVoltageBatteryNode
from hil_rigs.world import run_virtual
from hil_rigs.world.canbus import CanBus

SAYS = BatterySays(
    charge_voltage_v_max=56.8, charge_current_a_max=100.0, discharge_current_a_max=120.0, discharge_voltage_v_min=45.5,
    soc_frac=0.51, soh_frac=0.98, voltage_v=52.62, current_a=-12.3, temperature_degc=18.0,
    alarms=BatteryAlarm(0), charge_allowed=True, discharge_allowed=True, name="PYLON",
)  # fmt: skip


class Rig:
    """A driver for 16 cells and a simulated battery on one bus; `sent` are the ids of what the driver sends."""

    def __init__(self, profile: str = "pylontech") -> None:
        self.bus = CanBus(np.random.default_rng(1))
        self.battery = LowVoltageBatteryNode(self.bus, PROFILES[profile], SAYS)
        self.monitor = LowVoltageBattery(16, PROFILES[profile], CanConfig("virtual", "can0"), self._open)
        self.sent: list[tuple[float, bytes]] = []
        self.bus.attach(self._note)
        self.start_ns = now_ns()

    async def _open(self, config: CanConfig, on_batch: OnBatch) -> CanPort:
        return self.bus.attach(on_batch)

    def _note(self, batch: FrameBatch) -> None:
        if batch.data[:4] == b"\x05\x03\0\0":
            self.sent.append((round((batch.at_ns - self.start_ns) / 1e9, 2), batch.data))


@contextlib.asynccontextmanager
async def rig(profile: str = "pylontech") -> AsyncIterator[Rig]:
    made = Rig(profile)
    tasks = [asyncio.create_task(made.monitor.run()), asyncio.create_task(made.battery.run())]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_a_battery_becomes_a_reading_and_says_nothing_about_cells() -> None:
    async def main() -> None:
        async with rig() as r:
            await asyncio.sleep(2.5)
            reading = r.monitor.reading()
            battery = reading.battery
            assert battery is not None
            assert (battery.charge_current_a_max, battery.discharge_current_a_max) == (100.0, 120.0)
            assert (battery.soc_frac, battery.name, battery.alarms) == (0.51, "PYLON", BatteryAlarm(0))
            assert (round(reading.current_a, 6), round(reading.rack_voltage_v, 6)) == (-12.3, 52.62)
            assert 0 <= now_ns() - reading.current_at_ns < 1_000_000_000
            assert np.isnan(reading.voltage_v).tolist() == [True] * 16
            assert np.isnan(reading.temperature_degc).tolist() == [True] * 16
            assert set(reading.voltage_at_ns.tolist()) == set(reading.temperature_at_ns.tolist()) == {NEVER_NS}
            assert (reading.main_closed, reading.precharge_closed) == (None, None)
            assert math.isnan(reading.link_voltage_v)
            assert math.isnan(reading.command_age_s)
            assert r.monitor.owns_contactors
            assert r.monitor.health.connected

    run_virtual(main())


def test_the_keep_alive_goes_out_once_a_second_and_keeps_the_battery_closed() -> None:
    async def main() -> None:
        async with rig() as r:
            await asyncio.sleep(10.5)
            assert [round(at_s) for at_s, _ in r.sent] == list(range(11))
            assert {data for _, data in r.sent} == {r.sent[0][1]}
            assert r.battery.contactor_closed

    run_virtual(main())


def test_a_battery_that_hears_no_keep_alive_says_so_and_allows_nothing() -> None:
    async def main() -> None:
        bus = CanBus(np.random.default_rng(1))
        battery = LowVoltageBatteryNode(bus, PROFILES["victron"], SAYS)
        listener = LowVoltageBattery(16, PROFILES["victron"], CanConfig("virtual", "can0"))
        bus.attach(listener.on_batch)
        running = asyncio.create_task(battery.run())
        await asyncio.sleep(1.5)
        before = listener.reading().battery
        await asyncio.sleep(3.0)
        after = listener.reading().battery
        running.cancel()
        assert before is not None
        assert after is not None
        assert (before.alarms, before.charge_current_a_max) == (BatteryAlarm(0), 100.0)
        assert after.alarms == BatteryAlarm.GENERAL | BatteryAlarm.INTERNAL
        assert (after.charge_current_a_max, after.discharge_current_a_max) == (0.0, 0.0)
        assert not battery.contactor_closed

    run_virtual(main())


def test_a_silent_battery_keeps_its_last_word_with_its_age_and_is_opened_again() -> None:
    async def main() -> None:
        async with rig() as r:
            await asyncio.sleep(2.5)
            r.battery.silent = True
            await asyncio.sleep(10.0)
            reading = r.monitor.reading()
            assert now_ns() - reading.current_at_ns > 10_000_000_000
            assert (r.monitor.health.connected, r.monitor.health.timeouts) == (False, 1)
            r.battery.silent = False
            await asyncio.sleep(8.0)
            assert now_ns() - r.monitor.reading().current_at_ns < 1_100_000_000

    run_virtual(main())


def test_commands_for_contactors_cells_and_outputs_send_nothing() -> None:
    async def main() -> None:
        async with rig() as r:
            await asyncio.sleep(0.5)
            others: list[int] = []
            r.bus.attach(lambda batch: others.extend(batch.data[0::16]))
            r.monitor.command(RackCommand(True, False, now_ns() + 10**9))
            r.monitor.bleed(BleedCommand(np.ones(16, np.uint8), now_ns() + 10**9))
            r.monitor.outputs(OutputsCommand(True, CoolingRequest.ON, True, now_ns() + 10**9))
            await asyncio.sleep(0.4)
            assert others == []

    run_virtual(main())
