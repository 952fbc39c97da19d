"""Arbitrary registers and bytes: the only errors are the typed ones, and what comes out is a reading or nothing."""

import asyncio
import math
from contextlib import suppress

from hypothesis import example, given, settings
from hypothesis import strategies as st

from drivers.inverters.sunspec.device import open_device
from drivers.links.modbus import BadAnswer, DeviceException, LinkError, ModbusLink
from drivers.links.modbus_roles import RoleError, role_of
from drivers.meters.sunspec import open_block
from drivers.profiles import shipped_profiles
from drivers.profiles.reader import POLLED, RoleReader
from drivers.readings import InverterReading, InverterState
from drivers.session import UnusableDevice
from drivers.sunspec import SunSpecError, discover
from drivers.sunspec.battery import read_battery
from drivers.sunspec.curves import FUNCTIONS, Curve, Droop, FunctionKind, FunctionRefused, in_force
from tests.drivers import sunspec_registers as raw

BASE = 40000


class Registers(ModbusLink):
    """The far side of a link, without a wire: what is not there is refused with exception 2."""

    def __init__(self, registers: dict[int, int]) -> None:
        super().__init__("nowhere", 1, 1)
        self._registers = registers

    async def read_holding(self, address: int, count: int) -> list[int]:
        if any(place not in self._registers for place in range(address, address + count)):
            raise DeviceException(2)
        return [self._registers[place] for place in range(address, address + count)]

    async def read_input(self, address: int, count: int) -> list[int]:
        return await self.read_holding(address, count)

    async def read_discrete(self, address: int, count: int) -> list[int]:
        return [word & 1 for word in await self.read_holding(address, count)]


WORDS = st.lists(st.integers(0, 0xFFFF), max_size=120)
MODEL_IDS = st.sampled_from(
    [1, 103, 113, 120, 122, 123, 124, 201, 203, 213, 701, 702, 704, 705, 706, 711, 712, 714, 715, 802, 64001]
)
CHAIN = st.lists(st.tuples(MODEL_IDS, st.integers(0, 160), WORDS), max_size=8)


def chained(models: list[tuple[int, int, list[int]]]) -> Registers:
    """A map of models whose contents, and perhaps lengths, are arbitrary."""
    words = [0x5375, 0x6E53]
    for model_id, length, content in models:
        words += [model_id, length, *(content + [0] * length)[:length]]
    return Registers({BASE + k: word for k, word in enumerate([*words, 0xFFFF, 0])})


def spoiled(changes: dict[int, int]) -> Registers:
    """A right converter with some words changed."""
    words = {BASE + k: word for k, word in enumerate(raw.converter().registers)}
    return Registers(words | {BASE + at % len(words): word for at, word in changes.items()})


async def polled(link: Registers) -> InverterReading | None:
    """What the driver makes of it; None where it refuses in the way that it may."""
    try:
        device = await open_device(link, reversion_s=1)
        return await device.poll(link, at_ns=0)
    except (UnusableDevice, LinkError):
        return None


def must_be_a_reading(reading: InverterReading) -> None:
    numbers = (reading.ac_power_w, reading.dc_power_w, reading.dc_voltage_v, reading.dc_current_a, reading.frequency_hz)
    assert not any(math.isinf(number) for number in numbers)
    assert isinstance(reading.state, InverterState)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([802, 803, 804, 805]), st.integers(0, 160), WORDS), max_size=6))
def test_arbitrary_battery_models_are_refused_or_a_reading(models: list[tuple[int, int, list[int]]]) -> None:
    async def said() -> None:
        link = chained(models)
        with suppress(SunSpecError, LinkError):
            reading = await read_battery(link, await discover(link))
            assert reading is None or not any(math.isinf(each) for each in reading.cell_voltage_v)

    asyncio.run(said())


@settings(deadline=None)
@given(CHAIN)
@example([(701, 153, []), (704, 65, []), (715, 7, [])])
@example([(704, 65, []), (714, 1, [])])
def test_arbitrary_models_are_refused_or_a_reading(models: list[tuple[int, int, list[int]]]) -> None:
    reading = asyncio.run(polled(chained(models)))
    if reading is not None:
        must_be_a_reading(reading)


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 500), st.integers(0, 0xFFFF), min_size=1, max_size=40))
def test_spoiled_converter_is_refused_or_a_reading(changes: dict[int, int]) -> None:
    reading = asyncio.run(polled(spoiled(changes)))
    if reading is not None:
        must_be_a_reading(reading)


@settings(deadline=None)
@given(CHAIN)
def test_arbitrary_models_are_refused_or_a_meter(models: list[tuple[int, int, list[int]]]) -> None:
    async def read() -> None:
        link = chained(models)
        block = await open_block(link)
        block.decode(await link.read_holding(block.address, block.count))

    try:
        asyncio.run(read())
    except (UnusableDevice, LinkError):
        return


@settings(deadline=None)
@given(st.dictionaries(st.integers(BASE, BASE + 40), st.integers(0, 0xFFFF)))
def test_arbitrary_map_is_refused_or_a_chain_that_ends(registers: dict[int, int]) -> None:
    try:
        found = asyncio.run(discover(Registers(registers)))
    except (UnusableDevice, LinkError):
        return
    assert len(found.models) <= 64


@settings(deadline=None)
@given(st.data())
def test_described_device_with_arbitrary_registers_is_refused_or_finite(data: st.DataObject) -> None:
    profile = data.draw(st.sampled_from([profile for profile in shipped_profiles() if profile.kind in POLLED]))
    reader = RoleReader(profile, POLLED[profile.kind])
    places = [block.address + k for block in reader.plan for k in range(block.count)]
    words = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=len(places), max_size=len(places)))

    async def read() -> list[float]:
        said = await reader.read(Registers(dict(zip(places, words, strict=True))))
        if profile.kind == "inverter":
            assert isinstance(said.state(), InverterState)
            assert 0 <= said.alarms() < 2**32
        return [said.number(role) for role in ("ac-power", "frequency", "dc-voltage", "voltage") if role in reader]

    try:
        numbers = asyncio.run(read())
    except BadAnswer:
        return
    assert not any(math.isinf(number) for number in numbers)


@settings(deadline=None)
@given(st.binary(max_size=300))
@example(b"")
@example(b"\x30\x80")
@example(b"\x30\x03\x30\x01\xa3")
def test_arbitrary_bytes_carry_no_role(certificate: bytes) -> None:
    try:
        role = role_of(certificate)
    except RoleError:
        return
    assert role


@given(CHAIN, st.sampled_from(sorted(FUNCTIONS)), st.integers(0, 3), st.integers(0, 3))
def test_grid_functions_of_arbitrary_registers_are_refused_or_whole(
    models: list[tuple[int, int, list[int]]], kind: FunctionKind, points: int, sets: int
) -> None:
    """A model of that kind, enabled, stands before the arbitrary ones."""
    where = FUNCTIONS[kind]
    content = [1, 0, 1, points, sets] if where.x else [1, 0, 1, sets]
    rest = [word for _, _, words in models for word in words]
    link = chained([(where.model_id, 90, [*content, *rest]), *models])

    async def read() -> Curve | Droop | None:
        return await in_force(link, await discover(link), kind)

    try:
        function = asyncio.run(read())
    except (LinkError, SunSpecError, FunctionRefused):
        return
    if isinstance(function, Curve):
        assert 2 <= len(function.points) <= points
        assert all(math.isfinite(number) for point in function.points for number in point)
    else:
        assert isinstance(function, Droop)
        assert math.isfinite(function.droop_over_frac)
