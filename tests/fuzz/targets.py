"""What is fuzzed, each as a function of bytes: it returns for everything that is refused in the way that it may be, and
for every possible reading; anything else is an error. campaign.py runs them for long, test_fuzz_targets.py for a
moment."""

import asyncio
import math
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial

from drivers.frames import FRAME_BYTES
from drivers.links.modbus import LinkError
from drivers.meters.sunspec import open_block
from drivers.profiles import shipped_profiles
from drivers.profiles.reader import POLLED, RoleReader
from drivers.profiles.roles import ROLES
from drivers.serve.frames import ModbusFault, split_frames
from drivers.session import UnusableDevice
from drivers.sunspec import SunSpecError, discover
from drivers.sunspec.battery import read_battery
from hil_rigs.devices.modbus_rtu import frame_size
from hil_rigs.devices.modbus_server import ModbusServer
from tests.drivers import sunspec_registers as raw
from tests.drivers.test_can_contract import CASES, Case, fed, sane
from tests.drivers.test_modbus_fuzz import Registers, chained, must_be_a_reading, polled

MODELS = (1, 103, 113, 120, 122, 123, 124, 203, 213, 701, 702, 704, 705, 712, 714, 715, 802, 803, 804, 805, 64001)
FRAMES_MAX = 32


def words(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2]))


def models(data: bytes) -> Registers:
    """A map of models: a byte for each one's kind, one for its length, then its words."""
    chain: list[tuple[int, int, list[int]]] = []
    while len(data) >= 2 and len(chain) < 8:
        length = data[1]
        chain.append((MODELS[data[0] % len(MODELS)], length, words(data[2 : 2 + 2 * length])))
        data = data[2 + 2 * length :]
    return chained(chain)


def converter(data: bytes) -> None:
    """SunSpec, of today and older: what a poll makes of any models."""
    reading = asyncio.run(polled(models(data)))
    if reading is not None:
        must_be_a_reading(reading)


def meter_and_battery(data: bytes) -> None:
    async def read() -> None:
        link = models(data)
        with suppress(UnusableDevice, LinkError):
            block = await open_block(link)
            block.decode(await link.read_holding(block.address, block.count))
        with suppress(SunSpecError, LinkError):
            battery = await read_battery(link, await discover(link))
            assert battery is None or not any(math.isinf(each) for each in battery.cell_voltage_v)

    asyncio.run(read())


@cache
def readers() -> list[tuple[RoleReader, list[int]]]:
    """Of every shipped profile, and the registers that a poll reads."""
    made = [RoleReader(profile, POLLED[profile.kind]) for profile in shipped_profiles()]
    return [(one, [block.address + k for block in one.plan for k in range(block.count)]) for one in made]


def described(data: bytes) -> None:
    """The first byte picks the profile, then come the registers of one poll."""
    if not data:
        return
    reader, places = readers()[data[0] % len(readers())]
    said = words(data[1:])

    async def read() -> None:
        values = await reader.read(Registers(dict(zip(places, said + [0] * len(places), strict=False))))
        for role in reader.fields:
            if ROLES[role].units:
                assert not math.isinf(values.number(role))
            elif role not in ("state", "alarms", "blocks-closed"):
                assert values.says(role) in (True, False, None)

    with suppress(LinkError):
        asyncio.run(read())


def can_bus(case: Case, data: bytes) -> None:
    """Whole frames of 16 bytes, as the bus hands them over."""
    count = min(len(data) // FRAME_BYTES, FRAMES_MAX)
    frames = [data[k * FRAME_BYTES : (k + 1) * FRAME_BYTES] for k in range(count)]
    bounded = [frame[:4] + bytes((frame[4] % 9,)) + frame[5:] for frame in frames]
    sane(fed(case, *bounded).reading())


def served(data: bytes) -> None:
    """What a simulated device makes of bytes on its connection or its line: requests, or no Modbus."""
    while data and (size := frame_size(data)) is not None and size <= len(data):
        data = data[size:]
    with suppress(ValueError):
        frames, rest = split_frames(data)
        assert len(rest) <= len(data)
        for frame in frames:
            with suppress(ModbusFault):
                assert len(ModbusServer(raw.converter()).carry_out(1, frame.pdu)) >= 1


TARGETS: dict[str, Callable[[bytes], None]] = {
    "sunspec-converter": converter,
    "sunspec-meter-and-battery": meter_and_battery,
    "described": described,
    "served": served,
    **{f"can-{name.replace(' ', '-')}": partial(can_bus, case) for name, case in CASES.items()},
}

SEEDS: dict[str, tuple[bytes, ...]] = {
    f"can-{name.replace(' ', '-')}": (b"".join(case.frames),) for name, case in CASES.items()
}
"""Inputs to begin with: arbitrary bytes seldom have an identifier that a driver knows."""
