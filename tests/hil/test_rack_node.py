"""The simulated rack on its bus: what it senses goes out on time, commands are obeyed, watchdogs act, faults show."""

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import AsyncIterator

import numpy as np
import pytest
from cantools.database.can import Database

from drivers.cell_monitors.native.layout import DBC_PATH, native_layout
from drivers.cell_monitors.native.snapshot import RackDecoder
from drivers.frames import FrameBatch
from drivers.readings import Flags, Floats
from drivers.safety import InsulationState
from hil_rigs.devices.rack_node import RackNode
from hil_rigs.world import run_virtual
from hil_rigs.world.canbus import CanBus

MODULES, CELLS_PER_MODULE = 26, 16
DATABASE = Database()
DATABASE.add_dbc_file(DBC_PATH)


class BenchRack:
    """A rack whose values are set by hand."""

    def __init__(self, cells: int) -> None:
        self.bleed: Flags = np.zeros(cells, np.uint8)
        self.cell_v: Floats = np.full(cells, 3.3)
        self.cell_degc: Floats = np.full(cells, 25.0)
        self.current_a = 0.0
        self.voltage_v = 1372.8
        self.link_voltage_v = 0.0
        self.main_closed = self.precharge_closed = False

    def command(self, main: bool, precharge: bool) -> None:
        self.main_closed, self.precharge_closed = main, precharge

    def measured_voltage_v(self, into: Floats | None = None) -> Floats:
        shown: Floats = np.add(self.cell_v, 0.0, into)
        return shown

    def measured_temperature_degc(self) -> Floats:
        return self.cell_degc.copy()

    def measured_current_a(self) -> float:
        return self.current_a


class Bench:
    """A rack node on a bus with a decoder and a raw log beside it."""

    def __init__(self, modules: int, cells_per_module: int) -> None:
        bus = CanBus(np.random.default_rng(1))
        self.rack = BenchRack(modules * cells_per_module)
        self.node = RackNode(self.rack, bus, modules, cells_per_module, np.random.default_rng(2))
        self.decoder = RackDecoder(native_layout(modules, cells_per_module))
        self.log: list[FrameBatch] = []
        self.port = bus.attach(self._hear)
        self._counters: Counter[int] = Counter()

    def _hear(self, batch: FrameBatch) -> None:
        self.log.append(batch)
        self.decoder.feed(batch)

    def counts(self) -> Counter[int]:
        """How often each id was heard since the last call."""
        ids = [can_id for batch in self.log for can_id, _, _ in struct.iter_unpack("<IB3x8s", batch.data)]
        self.log.clear()
        return Counter(ids)

    def say(self, name: str, **values: int) -> None:
        """Send one command frame, made by cantools."""
        message = DATABASE.get_message_by_name(name)
        counter = self._counters[message.frame_id] % 16
        self._counters[message.frame_id] += 1
        data = message.encode({**values, "Counter": counter, "Crc": 0})[:7]
        data += bytes([crc(message.frame_id.to_bytes(2, "little") + data)])
        self.port.send(struct.pack("<IB3x8s", message.frame_id, 8, data))


def crc(data: bytes) -> int:
    value = 0xFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x1D) & 0xFF if value & 0x80 else value << 1
    return value ^ 0xFF


@contextlib.asynccontextmanager
async def bench(modules: int = MODULES, cells_per_module: int = CELLS_PER_MODULE) -> AsyncIterator[Bench]:
    made = Bench(modules, cells_per_module)
    task = asyncio.create_task(made.node.run())
    await asyncio.sleep(0.0)
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_every_frame_comes_at_its_period() -> None:
    async def main() -> None:
        async with bench() as b:
            await asyncio.sleep(1.009)
            counts = b.counts()
        assert counts[0x080] == 101
        assert counts[0x090] == 51
        assert {counts[0x200 + 4 * m + k] for m in range(26) for k in range(4)} <= {20, 21}
        assert {counts[0x300 + m] for m in range(26)} <= {10, 11}
        assert counts[0x0A0] in (20, 21)
        assert counts[0x0A1] in (10, 11)
        assert len(counts) == 4 + 104 + 26

    run_virtual(main())


def test_a_slot_fits_into_its_10_ms_on_a_500_kbit_bus() -> None:
    async def main() -> None:
        async with bench(32, 16) as b:
            await asyncio.sleep(1.0)
            ends_ms = [batch.at_ns / 1e6 % 10.0 for batch in b.log]
            assert len(ends_ms) == 100
            assert max(ends_ms) < 8.0

    run_virtual(main())


def test_sensed_values_arrive_in_their_places() -> None:
    async def main() -> None:
        async with bench() as b:
            b.rack.cell_v[:] = 3.2 + 0.001 * np.arange(416)
            b.rack.cell_degc[[0, 18, 415]] = 41.0, 42.1, 43.0
            b.rack.current_a = -251.237
            b.rack.link_voltage_v = 1371.96
            b.rack.bleed[[1, 17, 415]] = 1
            b.say("Module00Bleed", Mask=2)
            b.say("Module01Bleed", Mask=2)
            b.say("Module25Bleed", Mask=0x8000)
            await asyncio.sleep(0.15)
            reading = b.decoder.reading()
        assert reading.voltage_v == pytest.approx(3.2 + 0.001 * np.arange(416), abs=1e-9)
        sensors_degc = reading.temperature_degc.reshape(-1, 4)[:, 0].tolist()
        assert sensors_degc == [41.0, 25.0, 25.0, 25.0, 42.0] + [25.0] * 98 + [43.0]
        assert reading.current_a == pytest.approx(-251.24)
        assert (reading.rack_voltage_v, reading.link_voltage_v) == pytest.approx((1372.8, 1372.0))
        assert (reading.main_closed, reading.precharge_closed) == (False, False)
        assert reading.bleeding.nonzero()[0].tolist() == [1, 17, 415]
        assert reading.health.rejected == 0

    run_virtual(main())


def test_values_off_the_scale_are_limited_and_missing_ones_are_marked() -> None:
    async def main() -> None:
        async with bench(1, 16) as b:
            b.rack.cell_v[:4] = [-1.0, 9.0, np.nan, 8.19]
            b.rack.cell_degc[:8] = 200.0
            b.rack.current_a = 1e6
            await asyncio.sleep(0.15)
            reading = b.decoder.reading()
        assert reading.voltage_v[:4] == pytest.approx([0.0, 8.19, np.nan, 8.19], nan_ok=True)
        assert reading.temperature_degc[0] == 87.5
        assert reading.current_a == 83886.0

    run_virtual(main())


def test_contactors_follow_the_command_and_open_4_s_after_the_last_one() -> None:
    async def main() -> None:
        async with bench() as b:
            b.say("RackCommand", MainClose=1, PrechargeClose=1, Hold=0)
            await asyncio.sleep(0.05)
            assert (b.rack.main_closed, b.rack.precharge_closed) == (True, True)
            b.say("RackCommand", MainClose=1, PrechargeClose=0, Hold=0)
            await asyncio.sleep(3.95)
            assert (b.rack.main_closed, b.rack.precharge_closed) == (True, False)
            await asyncio.sleep(0.1)
            assert not b.rack.main_closed
            assert b.node.watchdog_tripped
            b.say("RackCommand", MainClose=1, PrechargeClose=0, Hold=0)
            await asyncio.sleep(0.05)
            assert (b.rack.main_closed, b.node.watchdog_tripped) == (True, False)

    run_virtual(main())


def test_contactors_that_are_to_be_held_stay_closed_when_commands_end() -> None:
    async def main() -> None:
        async with bench(1, 16) as b:
            b.say("RackCommand", MainClose=1, PrechargeClose=0, Hold=1)
            await asyncio.sleep(30.0)
            assert (b.rack.main_closed, b.node.watchdog_tripped) == (True, False)
            b.say("RackCommand", MainClose=1, PrechargeClose=0, Hold=0)
            await asyncio.sleep(4.1)
            assert (b.rack.main_closed, b.node.watchdog_tripped) == (False, True)

    run_virtual(main())


@pytest.mark.parametrize(
    "payload_hex",
    ["01 00 00 00 00 00 10 8B", "01 00 00 00 00 00 10 8A"],
    ids=["wrong CRC", "counter that stands still"],
)
def test_invalid_commands_do_not_feed_the_watchdog(payload_hex: str) -> None:
    async def main() -> None:
        async with bench(1, 16) as b:
            b.port.send(struct.pack("<IB3x8s", 0x050, 8, bytes.fromhex("01 00 00 00 00 00 10 8A")))
            for _ in range(10):
                await asyncio.sleep(0.41)
                b.port.send(struct.pack("<IB3x8s", 0x050, 8, bytes.fromhex(payload_hex)))
            assert not b.rack.main_closed
            assert b.node.watchdog_tripped

    run_virtual(main())


def test_bleeding_stops_2_s_after_the_last_command() -> None:
    async def main() -> None:
        async with bench() as b:
            b.say("Module01Bleed", Mask=0x8001)
            await asyncio.sleep(1.0)
            b.say("Module02Bleed", Mask=0x0001)
            await asyncio.sleep(0.95)
            assert b.rack.bleed.nonzero()[0].tolist() == [16, 31, 32]
            await asyncio.sleep(0.1)
            assert b.rack.bleed.nonzero()[0].tolist() == [32]
            b.say("Module02Bleed", Mask=0)
            await asyncio.sleep(0.02)
            assert not b.rack.bleed.any()

    run_virtual(main())


def test_silent_senders_are_silent() -> None:
    async def main() -> None:
        async with bench() as b:
            b.node.faults.silent_modules = {0, 25}
            b.node.faults.silent_current = True
            await asyncio.sleep(0.05)
            b.counts()
            await asyncio.sleep(0.5)
            counts = b.counts()
        assert len(counts) == 4 + 104 + 26 - 1 - 10
        assert not counts.keys() & {0x080, 0x200, 0x203, 0x300, 0x264, 0x319}

    run_virtual(main())


def test_outputs_drive_the_enclosure_and_the_insulation_monitor() -> None:
    """The monitor settles for 5 s after it was switched on; cooling goes back to its own control after 4 s."""

    async def main() -> None:
        async with bench(1, 16) as b:
            enclosure = b.node.safety.enclosure
            await asyncio.sleep(0.15)
            assert b.decoder.reading().safety.insulation_state is InsulationState.ACTIVE
            b.say("RackOutputs", FireAlarm=1, Cooling=1, InsulationMonitorOff=1)
            await asyncio.sleep(0.15)
            assert (enclosure.fire_output_on, enclosure.cooling_running) == (True, False)
            said = b.decoder.reading().safety
            assert (said.fire_output_on, said.cooling_running) == (True, False)
            assert said.insulation_state is InsulationState.OFF
            assert np.isnan(said.insulation_kohm)
            b.say("RackOutputs", FireAlarm=1, Cooling=1, InsulationMonitorOff=0)
            await asyncio.sleep(0.15)
            assert b.decoder.reading().safety.insulation_state is InsulationState.SETTLING
            await asyncio.sleep(5.0)
            assert b.decoder.reading().safety.insulation_kohm == 20_000.0
            assert (enclosure.fire_output_on, enclosure.cooling_running) == (True, True)

    run_virtual(main())


def test_damaged_outputs_change_nothing() -> None:
    async def main() -> None:
        async with bench(1, 16) as b:
            for last in ("9A", "99"):
                b.port.send(struct.pack("<IB3x8s", 0x051, 8, bytes.fromhex(f"0D 00 00 00 00 00 00 {last}")))
                await asyncio.sleep(0.02)
                assert b.node.safety.enclosure.fire_output_on is (last == "99")

    run_virtual(main())


def test_broken_crcs_and_stuck_counters_are_rejected_by_the_receiver() -> None:
    async def main() -> None:
        async with bench() as b:
            b.node.faults.break_crc_frac = 0.1
            await asyncio.sleep(1.0)
            health = b.decoder.health
            assert 150 < health.crc_errors < 350
            assert health.counter_errors == 0
            b.node.faults.break_crc_frac, b.node.faults.stuck_counter = 0.0, True
            await asyncio.sleep(0.2)
            before = b.decoder.health
            await asyncio.sleep(0.2)
            assert (b.decoder.health.accepted, b.decoder.health.crc_errors) == (before.accepted, before.crc_errors)
            assert b.decoder.health.counter_errors > before.counter_errors

    run_virtual(main())


def test_frozen_values_stay_while_frames_go_on() -> None:
    async def main() -> None:
        async with bench() as b:
            await asyncio.sleep(0.15)
            b.node.faults.frozen = True
            b.rack.cell_v[:] = 2.0
            accepted = b.decoder.health.accepted
            await asyncio.sleep(0.15)
            assert b.decoder.reading().voltage_v == pytest.approx(np.full(416, 3.3))
            assert b.decoder.health.accepted > accepted + 300

    run_virtual(main())


def test_broken_auxiliary_contact_says_open_while_the_contactor_is_closed() -> None:
    async def main() -> None:
        async with bench() as b:
            b.say("RackCommand", MainClose=1, PrechargeClose=0, Hold=0)
            await asyncio.sleep(0.05)
            assert b.decoder.reading().main_closed is True
            b.node.faults.main_feedback = False
            await asyncio.sleep(0.05)
            assert b.decoder.reading().main_closed is False
            assert b.rack.main_closed

    run_virtual(main())
