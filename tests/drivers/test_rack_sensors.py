"""IVT-S and iso165C: golden frames, and the drivers beside simulated devices.

Frames of the IVT-S were typed by its data sheet and checked once with cantools and foxBMS 2's DBC; those of the iso165C
are from foxBMS 2's unit test test_can_cbs_rx_imd_bender-iso165c-info.c and the manual, chapter 7.3.
"""

import asyncio
import math
import struct
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from drivers.clock import now_ns
from drivers.commands import OutputsCommand
from drivers.current_sensors.ivt_s import IvtDecoder, IvtReading, IvtSensor
from drivers.frames import FrameBatch
from drivers.insulation.iso165c import InsulationReading, Iso165c, Iso165cDecoder
from drivers.links.can import CanConfig, CanPort, OnBatch
from drivers.readings import NEVER_NS
from drivers.safety import CoolingRequest, InsulationState
from hil_rigs.devices.rack_sensors import Iso165cNode, IvtNode
from hil_rigs.world import run_virtual
from hil_rigs.world.canbus import CanBus

CONFIG = CanConfig("virtual", "can0")


def wire(can_id: int, payload_hex: str) -> bytes:
    payload = bytes.fromhex(payload_hex)
    return struct.pack("<IB3x8s", can_id, len(payload), payload)


def ivt(*frames: bytes, positive: str = "discharge") -> IvtReading:
    decoder = IvtDecoder(positive)  # type: ignore[arg-type]
    decoder.feed(FrameBatch(b"".join(frames), 7))
    return decoder.reading()


@pytest.mark.parametrize(("positive", "current_a"), [("discharge", -2.309), ("charge", 2.309)])
def test_golden_current_is_positive_in_discharge_however_it_is_mounted(positive: str, current_a: float) -> None:
    reading = ivt(wire(0x521, "00 05 FF FF F6 FB"), positive=positive)  # counter 5, -2309 mA
    assert reading.current_a == pytest.approx(current_a, abs=1e-9)
    assert (reading.current_at_ns, reading.over_current) == (7, False)


def test_golden_voltage_temperature_and_charge() -> None:
    reading = ivt(wire(0x522, "01 01 00 0C 32 18"), wire(0x525, "04 1F 00 00 01 2C"), wire(0x527, "06 03 FF FF FF 38"))
    assert reading.voltages_v == pytest.approx((799.256, math.nan, math.nan), nan_ok=True)
    assert reading.voltages_at_ns == (7, NEVER_NS, NEVER_NS)
    assert (reading.temperature_degc, reading.charge_as) == pytest.approx((30.0, -200.0))


@pytest.mark.parametrize("status", ["25", "45", "85", "E5"], ids=["channel", "measurement", "system", "all"])
def test_what_the_sensor_marks_as_wrong_is_absent(status: str) -> None:
    reading = ivt(wire(0x521, f"00 {status} FF FF F6 FB"))
    assert math.isnan(reading.current_a)
    assert reading.current_at_ns == NEVER_NS


def test_over_current_is_said_beside_a_valid_current() -> None:
    reading = ivt(wire(0x521, "00 15 00 04 93 E0"))
    assert (reading.current_a, reading.over_current) == (300.0, True)


@pytest.mark.parametrize(
    ("frame", "count"),
    [
        (wire(0x521, "01 05 FF FF F6 FB"), "unknown"),  # the number of another result
        (wire(0x521, "00 05 FF FF F6"), "length_errors"),
        (wire(0x521, "00 05 FF FF F6 FB") * 2, "counter_errors"),
    ],
)
def test_refused_frames_are_counted_by_cause(frame: bytes, count: str) -> None:
    assert getattr(ivt(frame).health, count) == 1


def imd(*frames: bytes) -> InsulationReading:
    decoder = Iso165cDecoder()
    decoder.feed(FrameBatch(b"".join(frames), 7))
    return decoder.reading()


def test_golden_info_with_every_flag() -> None:
    reading = imd(wire(0x37, "39 30 3F 00 17 31"))
    assert (reading.insulation_kohm, reading.state, reading.at_ns) == (12_345.0, InsulationState.DEVICE_FAULT, 7)
    assert (reading.fault, reading.warning) == (True, True)


@pytest.mark.parametrize(
    ("payload", "state"),
    [
        ("11 27 00 00 00 00", InsulationState.ACTIVE),  # 10001 kOhm
        ("11 27 00 00 01 00", InsulationState.OFF),
        ("11 27 10 00 00 00", InsulationState.SETTLING),  # self-test
        ("11 27 08 00 00 00", InsulationState.SETTLING),  # calibration
        ("11 27 00 00 00 01", InsulationState.SETTLING),  # value outdated
        ("11 27 02 00 00 00", InsulationState.DEVICE_FAULT),  # chassis
        ("11 27 04 00 00 00", InsulationState.DEVICE_FAULT),  # system
        ("11 27 00 00 02 00", InsulationState.DEVICE_FAULT),  # not connected
        ("11 27 00 00 04 00", InsulationState.DEVICE_FAULT),  # not alive
        ("11 27 00 00 00 30", InsulationState.ACTIVE),  # self-tests not executed yet
    ],
)
def test_golden_states(payload: str, state: InsulationState) -> None:
    assert imd(wire(0x37, payload)).state is state


def test_a_resistance_beyond_the_range_is_absent() -> None:
    assert math.isnan(imd(wire(0x37, "FF FF 00 00 00 00")).insulation_kohm)


def test_a_failed_self_test_is_a_state_of_its_own() -> None:
    reading = imd(wire(0x37, "11 27 00 00 00 00"), wire(0x23, "37 00 00 04 00"))  # EEPROM parameter
    assert (reading.state, reading.self_test_result) == (InsulationState.SELF_TEST_FAILED, 4)


def test_nothing_heard_is_absent_not_plausible() -> None:
    current, insulation = ivt(), imd()
    assert math.isnan(current.current_a)
    assert (current.current_at_ns, current.over_current) == (NEVER_NS, None)
    assert math.isnan(insulation.insulation_kohm)
    assert insulation[0] == NEVER_NS
    assert insulation[2:6] == (None, None, None, None)


@pytest.mark.parametrize(("warning", "error"), [(39, 100), (2001, 100), (300, 29), (300, 1001)])
def test_levels_that_the_device_does_not_have_are_refused(warning: int, error: int) -> None:
    with pytest.raises(ValueError, match="_kohm is"):
        Iso165c(CONFIG, warning_kohm=warning, error_kohm=error)


async def while_running(test: Awaitable[None], *runs: Awaitable[None]) -> None:
    tasks = [asyncio.ensure_future(run) for run in runs]
    try:
        await test
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_the_sensor_follows_a_simulated_current_and_goes_stale_when_it_freezes() -> None:
    async def main() -> None:
        bus = CanBus(np.random.default_rng(1))
        amperes = [-120.5]
        node = IvtNode(bus, lambda: amperes[0], lambda: 800.0)

        async def opened(config: CanConfig, on_batch: OnBatch) -> CanPort:
            return bus.attach(on_batch)

        sensor = IvtSensor(CONFIG, opened, positive="discharge")

        async def test() -> None:
            await asyncio.sleep(0.1)
            assert sensor.reading().current_a == pytest.approx(-120.5)
            assert sensor.reading().voltages_v[0] == pytest.approx(800.0)
            amperes[0] = 250.25
            await asyncio.sleep(0.05)
            assert sensor.reading().current_a == pytest.approx(250.25)
            node.frozen = True
            await asyncio.sleep(3.0)
            assert now_ns() - sensor.reading().current_at_ns > 2_900_000_000
            assert sensor.reading().health.counter_errors > 100
            node.frozen = False
            node.errors.add("MeasurementError")
            await asyncio.sleep(0.1)
            assert math.isnan(sensor.reading().current_a)

        await while_running(test(), sensor.run(), node.run())

    run_virtual(main())


def test_the_insulation_monitor_gets_its_levels_measures_when_told() -> None:
    async def main() -> None:
        bus = CanBus(np.random.default_rng(1))
        kohm = [5000.0]
        node = Iso165cNode(bus, lambda: kohm[0])

        async def opened(config: CanConfig, on_batch: OnBatch) -> CanPort:
            return bus.attach(on_batch)

        monitor = Iso165c(CONFIG, opened, warning_kohm=400, error_kohm=80, self_test_period_s=60.0)

        def want(on: bool) -> None:
            monitor.outputs(OutputsCommand(False, CoolingRequest.AUTO, on, now_ns() + 60 * 10**9))

        async def test() -> None:
            await asyncio.sleep(6.5)
            assert (node.levels_kohm["WarningLevel"], node.levels_kohm["ErrorLevel"]) == (400.0, 80.0)
            assert monitor.reading().levels_kohm == (400.0, 80.0)
            assert (monitor.reading().insulation_kohm, monitor.reading().state) == (5000.0, InsulationState.ACTIVE)
            kohm[0] = 300.0
            await asyncio.sleep(1.1)
            assert (monitor.reading().warning, monitor.reading().fault) == (True, False)
            want(False)
            await asyncio.sleep(1.1)
            assert monitor.reading().state is InsulationState.OFF
            want(True)
            await asyncio.sleep(1.1)
            assert monitor.reading().state is InsulationState.ACTIVE

        await while_running(test(), monitor.run(), node.run())

    run_virtual(main())


class MonitorOnTest:
    """An iso165C on a bus with its driver, which tests it at the start and every minute."""

    def __init__(self) -> None:
        self.bus = CanBus(np.random.default_rng(1))
        self.node = Iso165cNode(self.bus, lambda: 5000.0)
        self.monitor = Iso165c(CONFIG, self._open, warning_kohm=400, error_kohm=80, self_test_period_s=60.0)

    async def _open(self, config: CanConfig, on_batch: OnBatch) -> CanPort:
        return self.bus.attach(on_batch)

    def want(self, on: bool) -> None:
        self.monitor.outputs(OutputsCommand(False, CoolingRequest.AUTO, on, now_ns() + 600 * 10**9))

    @property
    def says(self) -> tuple[InsulationState | None, int | None]:
        reading = self.monitor.reading()
        return reading.state, reading.self_test_result


def with_tested_monitor(test: Callable[[MonitorOnTest], Awaitable[None]]) -> Callable[[], None]:
    async def main() -> None:
        it = MonitorOnTest()
        await while_running(test(it), it.monitor.run(), it.node.run())

    def run() -> None:
        run_virtual(main())

    run.__name__ = test.__name__
    return run


@with_tested_monitor
async def test_self_test_is_started_once_it_is_heard_and_then_every_period(it: MonitorOnTest) -> None:
    await asyncio.sleep(2.6)
    assert (it.node.tests, it.says[0], it.monitor.reading().tested_at_ns) == (1, InsulationState.SETTLING, NEVER_NS)
    await asyncio.sleep(3.4)
    assert it.says == (InsulationState.ACTIVE, 0)
    assert 0 < now_ns() - it.monitor.reading().tested_at_ns < 2_000_000_000
    it.node.test_result = 1 << 8
    await asyncio.sleep(48.0)
    assert (it.node.tests, it.says) == (1, (InsulationState.ACTIVE, 0))
    await asyncio.sleep(13.0)
    assert (it.node.tests, it.says) == (2, (InsulationState.SELF_TEST_FAILED, 256))
    it.node.test_result = 0
    await asyncio.sleep(60.0)
    assert (it.node.tests, it.says) == (3, (InsulationState.ACTIVE, 0))


@with_tested_monitor
async def test_one_that_shall_not_measure_is_not_tested(it: MonitorOnTest) -> None:
    it.want(False)
    await asyncio.sleep(20.0)
    assert it.node.tests == 0
    it.want(True)
    await asyncio.sleep(6.0)
    assert (it.node.tests, it.says) == (1, (InsulationState.ACTIVE, 0))


@with_tested_monitor
async def test_self_test_that_never_ends_has_failed_until_one_does(it: MonitorOnTest) -> None:
    it.node.test_hangs = True
    await asyncio.sleep(29.0)
    assert it.says[0] is InsulationState.SETTLING
    await asyncio.sleep(3.0)
    assert it.says[0] is InsulationState.SELF_TEST_FAILED
    it.node.test_hangs = False
    await asyncio.sleep(34.0)
    assert (it.node.tests, it.says) == (2, (InsulationState.ACTIVE, 0))
