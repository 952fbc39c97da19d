"""What every Modbus driver does, whatever it speaks: one suite over all of them, and over every shipped profile."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from bms.devices import Device
from drivers.auxiliary.described import FIELDS, DescribedAuxiliary
from drivers.clock import now_ns
from drivers.commands import InverterCommand
from drivers.contactors.described import ContactorReading, DescribedContactors
from drivers.inverters.described import DescribedInverter
from drivers.inverters.sunspec import SunSpecInverter
from drivers.links.modbus import ModbusLink
from drivers.meters.described import DescribedMeter
from drivers.meters.sunspec import SunSpecMeter
from drivers.profiles import Profile, shipped_profiles
from drivers.readings import InverterReading, InverterState, MeterReading, SwitchgearReading
from drivers.safety import SafetyInputs
from drivers.switchgear.described import DescribedSwitchgear
from hil_rigs.devices.described_auxiliary import DescribedAuxiliaryDevice
from hil_rigs.devices.described_contactors import DescribedContactorBlock
from hil_rigs.devices.described_inverter import DescribedInverterDevice
from hil_rigs.devices.described_meter import DescribedMeterDevice
from hil_rigs.devices.described_switchgear import GRID_VOLTAGE_V, DescribedSwitchgearDevice
from hil_rigs.devices.modbus_server import ModbusServer, RegisterDevice
from hil_rigs.devices.sunspec_inverter import SunSpecInverterDevice
from hil_rigs.devices.sunspec_inverter_models import BatterySummary
from hil_rigs.devices.sunspec_legacy_inverter import SunSpecLegacyInverterDevice
from hil_rigs.devices.sunspec_meter import SunSpecMeterDevice
from hil_rigs.plant.enclosure import Enclosure
from hil_rigs.plant.grid_support import GridSupport
from hil_rigs.plant.smoothing_loop import SmoothingLoop
from hil_rigs.world import current_network, run_virtual
from tests.drivers.test_sunspec_legacy import CHARGING, DISCHARGING
from tests.drivers.test_sunspec_legacy import converter as legacy_converter

HOST, PORT = "10.0.0.2", 502
BATTERY = BatterySummary(0.55, 0.99, 375e3, 280.0, 1350.0, -12.3)
POWER_W = 123_400.0
RESOLUTION_W = 100.0
COLD_DEGC = -12.5
WATCHDOG_S = 4.0
PHASE_DEG = 12.5
Reading = InverterReading | MeterReading | SafetyInputs | SwitchgearReading | ContactorReading


class Measured:
    """What stands behind a device: a converter that runs and follows at once, a feeder with a meter, a switch that is
    open with one of three load blocks closed, or contactors of which the main one is closed."""

    rated_power_w, dc_voltage_v, frequency_hz, ac_voltage_pu, alarm = 500e3, 1350.0, 60.0, 1.0, None
    apparent_power_va, reactive_var_max = 560e3, 250e3

    def __init__(self) -> None:
        self.ac_power_w, self.state = POWER_W, "running"
        self.reactive_var = 0.0
        self.enclosure = Enclosure(aux_supply_v=23.75, coolant_temperature_degc=21.5, aux_charge_frac=0.875)
        self.support, self.loop = GridSupport(), SmoothingLoop()
        self.closed, self.sync_ok, self.blocks_closed, self.phase_deg = False, True, 0b001, PHASE_DEG
        self.grid_voltage_pu, self.grid_hz, self.site_voltage_pu, self.site_hz = 0.96, 59.97, 1.02, 60.02
        self.main_closed, self.precharge_closed = True, False

    def command(self, main: bool, precharge: bool) -> None:
        self.main_closed, self.precharge_closed = main, precharge

    @property
    def dc_power_w(self) -> float:
        return self.ac_power_w

    @property
    def dc_current_a(self) -> float:
        return self.ac_power_w / self.dc_voltage_v

    def start(self) -> None:
        self.state = "running"

    def stop(self) -> None:
        self.state, self.ac_power_w = "off", 0.0

    def reset(self) -> None:
        self.stop()

    def set_reactive(self, reactive_var: float | None) -> None:
        self.reactive_var = reactive_var or 0.0

    def set_power(self, power_w: float) -> None:
        self.ac_power_w = power_w if self.state == "running" else 0.0


@dataclass(frozen=True)
class Subject:
    """One driver and a device for it, polled so often. Where the device has no simulation, `negative` is one that shows
    -POWER_W."""

    name: str
    device: Callable[[Measured], Any]
    driver: Callable[[ModbusLink, Callable[[Any], None]], Device]
    inverter: bool
    negative: Callable[[Measured], Any] | None = None
    polls_per_s: int = 20


class SpokenContactors(DescribedContactors):
    """The driver, which keeps what it read until it is asked, asked after each poll."""

    def __init__(self, link: ModbusLink, profile: Profile, take: Callable[[ContactorReading], None]) -> None:
        super().__init__(link, profile, WATCHDOG_S)
        self._take = take

    async def _poll(self) -> None:
        await super()._poll()
        self._take(self.reading())


def described(profile: Profile) -> Subject:
    if profile.kind == "meter":
        return Subject(
            profile.name,
            lambda it: DescribedMeterDevice(lambda: it.ac_power_w, lambda: it.frequency_hz, profile),
            lambda link, take: DescribedMeter(link, profile, take),
            inverter=False,
        )
    if profile.kind == "auxiliary":
        return Subject(
            profile.name,
            lambda it: DescribedAuxiliaryDevice([it.enclosure], profile),
            lambda link, take: DescribedAuxiliary(link, profile, take),
            inverter=False,
            polls_per_s=5,
        )
    if profile.kind == "switchgear":
        return Subject(
            profile.name,
            lambda it: DescribedSwitchgearDevice(it, profile),
            lambda link, take: DescribedSwitchgear(link, profile, take),
            inverter=False,
        )
    if profile.kind == "contactors":
        return Subject(
            profile.name,
            lambda it: DescribedContactorBlock(it, profile),
            lambda link, take: SpokenContactors(link, profile, take),
            inverter=False,
        )
    return Subject(
        profile.name,
        lambda it: DescribedInverterDevice(it, profile),
        lambda link, take: DescribedInverter(link, profile, take, reversion_s=profile.reversion_s_min),
        inverter=True,
        polls_per_s=10,
    )


SUBJECTS = [
    Subject(
        "sunspec inverter",
        lambda it: SunSpecInverterDevice(it, lambda: BATTERY),
        SunSpecInverter,
        inverter=True,
        polls_per_s=10,
    ),
    Subject(
        "sunspec legacy inverter",
        lambda it: legacy_converter(DISCHARGING),
        SunSpecInverter,
        inverter=True,
        polls_per_s=10,
        negative=lambda it: legacy_converter(CHARGING),
    ),
    Subject(
        "sunspec legacy inverter, simulated",
        lambda it: SunSpecLegacyInverterDevice(it, lambda: BATTERY),
        SunSpecInverter,
        inverter=True,
        polls_per_s=10,
    ),
    Subject(
        "sunspec meter",
        lambda it: SunSpecMeterDevice(lambda: it.ac_power_w, lambda: it.frequency_hz, 1.5e6),
        SunSpecMeter,
        inverter=False,
    ),
    *(described(profile) for profile in shipped_profiles()),
]
INVERTERS = [subject for subject in SUBJECTS if subject.inverter and subject.negative is None]


class Garbled:
    """A device behind something that is not well: `word` gives each register that is read its value instead."""

    def __init__(self, device: RegisterDevice) -> None:
        self.device = device
        self.word: Callable[[int, int], int] | None = None
        if hasattr(device, "read_input"):
            self.read_input = lambda address, count: self._seen(device.read_input(address, count), address)
        if hasattr(device, "read_discrete"):
            self.read_coils, self.write_coils = device.read_coils, device.write_coils
            self.read_discrete = lambda address, count: [
                word & 1 for word in self._seen(device.read_discrete(address, count), address)
            ]

    def read(self, address: int, count: int) -> list[int]:
        return self._seen(self.device.read(address, count), address)

    def write(self, address: int, values: list[int]) -> None:
        self.device.write(address, values)

    def _seen(self, registers: list[int], address: int) -> list[int]:
        word = self.word
        return registers if word is None else [word(address + k, value) for k, value in enumerate(registers)]


class Bench:
    """A subject on the wire."""

    def __init__(self, subject: Subject, negative: bool = False) -> None:
        self.measured = Measured()
        if negative:
            self.measured.ac_power_w = -POWER_W
            self.measured.enclosure.coolant_temperature_degc = COLD_DEGC
            self.measured.phase_deg = -PHASE_DEG
        self.expected_w = self.measured.ac_power_w
        make = subject.negative if negative and subject.negative is not None else subject.device
        self.bare = make(self.measured)
        self.device = Garbled(self.bare)
        self.server = ModbusServer(self.device)
        self.readings: list[Reading] = []
        self.driver = subject.driver(ModbusLink(HOST, PORT, 1), self.readings.append)

    def must_be_right(self) -> None:
        """The newest reading says what there is."""
        newest = self.readings[-1]
        if isinstance(newest, SafetyInputs):
            says = {name: value for name, value in newest._asdict().items() if name in FIELDS.values() and said(value)}
            assert says
            assert says == {name: getattr(self.measured.enclosure, name) for name in says}
            return
        if isinstance(newest, ContactorReading):
            assert (newest.main_closed, newest.precharge_closed) == (True, False)
            return
        if isinstance(newest, SwitchgearReading):
            assert (newest.intertie_closed, newest.sync_ok, newest.blocks_closed) == (False, True, 0b001)
            volts, hertz = (newest.grid_voltage_v, newest.site_voltage_v), (
                newest.grid_frequency_hz, newest.site_frequency_hz,
            )  # fmt: skip
            assert volts == pytest.approx((0.96 * GRID_VOLTAGE_V, 1.02 * GRID_VOLTAGE_V), abs=0.1)
            assert (*hertz, newest.phase_deg) == pytest.approx((59.97, 60.02, self.measured.phase_deg), abs=0.1)
            return
        power_w = newest.ac_power_w if isinstance(newest, InverterReading) else newest.power_w
        assert power_w == pytest.approx(self.expected_w, abs=RESOLUTION_W)

    def command(self, power_w: float, run: bool = True, lasts_s: float = 60.0, var: float | None = None) -> None:
        self.driver.command(InverterCommand(power_w, run, now_ns() + round(lasts_s * 1e9), var))


def play(subject: Subject, test: Callable[[Bench], Awaitable[None]], negative: bool = False) -> None:
    """Runs the test against the subject after a second; the driver must survive it and end when it is cancelled."""

    async def main() -> None:
        bench = Bench(subject, negative)
        await bench.server.start(HOST, PORT)
        running = asyncio.create_task(bench.driver.run())
        await asyncio.sleep(1.0)
        try:
            await test(bench)
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.wait([running], timeout=1.0)
            assert running.cancelled()
            assert not bench.driver.health.connected
            bench.server.close()
            if hasattr(bench.bare, "close"):
                bench.bare.close()

    run_virtual(main())


every = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
every_inverter = pytest.mark.parametrize("subject", INVERTERS, ids=lambda subject: subject.name)


@every
def test_readings_are_true_fresh_and_as_often_as_polled(subject: Subject) -> None:
    async def test(it: Bench) -> None:
        count = len(it.readings)
        await asyncio.sleep(1.0)
        assert len(it.readings) - count == subject.polls_per_s
        it.must_be_right()
        assert 0 <= now_ns() - it.readings[-1].at_ns < 1.1e9 / min(subject.polls_per_s, 10)

    play(subject, test)


@every
def test_what_is_negative_is_negative(subject: Subject) -> None:
    async def test(it: Bench) -> None:
        it.must_be_right()

    play(subject, test, negative=True)


@every
def test_silent_device_gives_no_readings_and_the_link_says_so(subject: Subject) -> None:
    async def test(it: Bench) -> None:
        it.server.faults.silent = True
        await asyncio.sleep(0.05)
        count = len(it.readings)
        await asyncio.sleep(5.0)
        assert len(it.readings) == count
        assert it.driver.health.timeouts >= 3
        it.server.faults.silent = False
        await asyncio.sleep(6.0)
        assert len(it.readings) > count

    play(subject, test)


@every
def test_refusing_device_gives_no_readings_and_comes_back(subject: Subject) -> None:
    async def test(it: Bench) -> None:
        it.server.faults.exception = 4
        await asyncio.sleep(0.05)
        count, errors = len(it.readings), it.driver.health.errors
        await asyncio.sleep(2.0)
        assert len(it.readings) == count
        assert it.driver.health.errors >= errors + min(2 * subject.polls_per_s - 1, 10)
        it.server.faults.exception = None
        await asyncio.sleep(2.0)
        assert len(it.readings) > count

    play(subject, test)


@every
def test_broken_connection_is_made_anew(subject: Subject) -> None:
    async def test(it: Bench) -> None:
        current_network().reset(HOST, PORT)
        await asyncio.sleep(0.05)
        count = len(it.readings)
        await asyncio.sleep(2.0)
        assert len(it.readings) > count
        assert it.driver.health.reconnects == 1

    play(subject, test)


@every
@pytest.mark.parametrize("word", [0x0000, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x7FC0, 0xFF80], ids=hex)
def test_extreme_registers_are_possible_absent_or_no_reading(subject: Subject, word: int) -> None:
    async def test(it: Bench) -> None:
        it.device.word = lambda address, value: word
        await asyncio.sleep(0.05)
        count = len(it.readings)
        await asyncio.sleep(1.0)
        for reading in it.readings[count:]:
            _must_be_possible(reading)
        it.device.word = None
        await asyncio.sleep(2.0)
        it.must_be_right()

    play(subject, test)


@every
@pytest.mark.parametrize("seed", range(5))
def test_random_registers_are_possible_absent_or_no_reading(subject: Subject, seed: int) -> None:
    """A fifth of the words is wrong, at every poll another."""
    state = [seed * 7919 + 1]

    def word(address: int, value: int) -> int:
        state[0] = (state[0] * 1_103_515_245 + 12_345) % 2**31
        return state[0] >> 8 & 0xFFFF if state[0] >> 4 & 0xFF < 51 else value

    async def test(it: Bench) -> None:
        it.device.word = word
        await asyncio.sleep(10.0)
        for reading in it.readings:
            _must_be_possible(reading)

    play(subject, test)


def _must_be_possible(reading: Reading) -> None:
    if isinstance(reading, InverterReading):
        assert math.isnan(reading.ac_power_w) or abs(reading.ac_power_w) <= 2 * 500e3
        assert isinstance(reading.state, InverterState)
        assert 0 <= reading.alarm_bits < 2**32
    numbers = [value for value in _fields(reading) if isinstance(value, float)]
    assert not any(math.isinf(number) for number in numbers)


def _fields(reading: Reading) -> list[object]:
    if isinstance(reading, SafetyInputs | ContactorReading):
        return list(reading)
    return [getattr(reading, name) for name in reading.__dataclass_fields__]


def said(value: object) -> bool:
    """Neither None nor NaN."""
    return value is not None and value == value


@every_inverter
@pytest.mark.parametrize("power_w", [POWER_W, -POWER_W])
def test_set_point_takes_effect_with_its_sign_and_ends_when_the_driver_does(subject: Subject, power_w: float) -> None:
    async def test(it: Bench) -> None:
        it.command(power_w)
        await asyncio.sleep(1.5)
        assert it.bare.set_power_w == pytest.approx(power_w, abs=RESOLUTION_W)
        assert it.driver.sent is not None
        assert it.driver.sent.power_w == it.bare.set_power_w
        it.command(power_w, lasts_s=0.1)
        await asyncio.sleep(3.0)
        assert it.bare.set_power_w == 0.0

    play(subject, test)


@every_inverter
@pytest.mark.parametrize("var", [50_600.0, -50_600.0])
def test_reactive_power_takes_effect_with_its_sign_where_there_is_a_set_point_for_it(
    subject: Subject, var: float
) -> None:
    async def test(it: Bench) -> None:
        it.command(POWER_W, var=var)
        await asyncio.sleep(1.5)
        told = var if it.driver.takes_reactive else 0.0
        assert it.measured.reactive_var == pytest.approx(told, abs=RESOLUTION_W)
        said = it.readings[-1].ac_reactive_var
        assert said == pytest.approx(told, abs=RESOLUTION_W) or not it.driver.takes_reactive
        assert it.bare.set_power_w == pytest.approx(POWER_W, abs=RESOLUTION_W)
        it.command(POWER_W)
        await asyncio.sleep(1.0)
        assert it.measured.reactive_var == 0.0
        it.command(POWER_W, var=var)
        await asyncio.sleep(0.5)
        it.command(POWER_W, lasts_s=0.1, var=var)
        await asyncio.sleep(3.0)
        assert it.measured.reactive_var == 0.0

    play(subject, test)


def test_which_of_them_take_reactive_power() -> None:
    takes: list[str] = []

    for subject in INVERTERS:

        async def test(it: Bench, name: str = subject.name) -> None:
            if it.driver.takes_reactive:
                takes.append(name)

        play(subject, test)
    assert takes == ["sunspec inverter", "pcs-holding-s32"]


@every_inverter
def test_stop_is_0_w_and_stopped(subject: Subject) -> None:
    async def test(it: Bench) -> None:
        it.command(POWER_W)
        await asyncio.sleep(1.0)
        it.command(POWER_W, run=False)
        await asyncio.sleep(0.5)
        assert (it.bare.set_power_w, it.measured.state) == (0.0, "off")
        assert it.readings[-1].state is InverterState.OFF

    play(subject, test)


@every_inverter
def test_nothing_is_written_without_a_command(subject: Subject) -> None:
    async def test(it: Bench) -> None:
        writes: list[int] = []
        it.device.write = lambda address, values: writes.append(address)
        await asyncio.sleep(3.0)
        assert writes == []

    play(subject, test)


@every
def test_slow_device_does_not_delay_the_others(subject: Subject) -> None:
    """Each device has a link of its own: one that answers after 2 s adds no more than 5 ms to the p99 of the others."""

    def p99_ms(slow_s: float) -> float:
        took_ms: list[float] = []

        async def main() -> None:
            benches = []
            for k in range(4):
                bench = Bench(subject)
                await bench.server.start(HOST, PORT + k)
                bench.server.faults.delay_s = slow_s if k == 0 else 0.0
                take = (lambda reading: None) if k == 0 else lambda it: took_ms.append((now_ns() - it.at_ns) / 1e6)
                benches.append((bench, subject.driver(ModbusLink(HOST, PORT + k, 1), take)))
            running = [asyncio.create_task(driver.run()) for _, driver in benches]
            await asyncio.sleep(12.0)
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            for bench, _ in benches:
                bench.server.close()

        run_virtual(main())
        return sorted(took_ms)[round(0.99 * len(took_ms)) - 1]

    assert p99_ms(2.0) - p99_ms(0.0) <= 5.0
