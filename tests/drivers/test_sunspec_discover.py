"""Walking a device's chain of models, whole and broken."""

import pytest

from drivers.links.modbus import DeviceException, LinkTimeout
from drivers.sunspec import ModelAddress, SunSpecError, discover

SUNS = [0x5375, 0x6E53]
CHAIN = [*SUNS, 1, 2, 0, 0, 203, 3, 0, 0, 0]


class Registers:
    """Answers reads from `registers` at `base`, exception 2 elsewhere."""

    def __init__(self, registers: list[int], base: int = 40000) -> None:
        self.registers, self.base = registers, base

    async def read_holding(self, address: int, count: int) -> list[int]:
        first = address - self.base
        if first < 0 or first + count > len(self.registers):
            raise DeviceException(2)
        return self.registers[first : first + count]


@pytest.mark.parametrize("base", [40000, 0, 50000])
async def test_chain_is_found_at_each_base_that_sunspec_allows(base):
    found = await discover(Registers([*CHAIN, 0xFFFF, 0], base))
    assert found.base == base
    assert found.models == (ModelAddress(1, base + 2, 2), ModelAddress(203, base + 6, 3))
    assert 203 in found
    assert found.find(701, 203).address == base + 6


async def test_end_without_a_length_register_ends_the_chain():
    found = await discover(Registers([*CHAIN, 0xFFFF]))
    assert [model.model_id for model in found.models] == [1, 203]


async def test_missing_model_names_what_the_device_serves():
    found = await discover(Registers([*CHAIN, 0xFFFF, 0]))
    with pytest.raises(SunSpecError, match=r"no model 701 \(it serves 1, 203\)"):
        found.find(701)


class Deaf(Registers):
    """Answers at its base only, not even with an exception elsewhere."""

    async def read_holding(self, address: int, count: int) -> list[int]:
        if address < self.base:
            raise LinkTimeout("nothing")
        return await super().read_holding(address, count)


async def test_silence_at_a_wrong_base_does_not_end_the_search():
    assert (await discover(Deaf([*CHAIN, 0xFFFF, 0], base=50000))).base == 50000


async def test_silence_everywhere_is_a_timeout_and_no_missing_marker():
    with pytest.raises(LinkTimeout):
        await discover(Deaf([], base=60000))


@pytest.mark.parametrize(
    ("registers", "says"),
    [
        ([0x5375, 0x6E54, 0xFFFF, 0], "no SunS marker at any of 40000, 0, 50000"),
        ([*SUNS, 1, 0, 0xFFFF, 0], "impossible length 0"),
        ([*SUNS, 1, 30000, 0, 0], "impossible length 30000"),
        ([*SUNS, *([1, 1, 0] * 70), 0xFFFF, 0], "no end after 64 models"),
    ],
)
async def test_broken_map_is_an_error_and_never_an_endless_walk(registers, says):
    with pytest.raises(SunSpecError, match=says):
        await discover(Registers(registers))
