"""The simulated contactor block is as strict as a real one, and a site whose contactors hang on blocks runs."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from drivers.profiles import find_profile
from hil_rigs.devices.described_contactors import DescribedContactorBlock
from hil_rigs.faults.place import UnknownTargetError, locate
from hil_rigs.faults.spec import parse_fault
from hil_rigs.rig import find_rig
from hil_rigs.world import run_virtual
from tests.hil.test_described_device import refused


class Contactors:
    """Follow at once, unless welded."""

    main_closed = precharge_closed = welded = False

    def command(self, main: bool, precharge: bool) -> None:
        self.main_closed, self.precharge_closed = main or self.welded, precharge


def with_block(test: Callable[[Contactors, DescribedContactorBlock], Awaitable[None]]) -> Callable[[], None]:
    async def main() -> None:
        rack = Contactors()
        block = DescribedContactorBlock(rack, find_profile("contactor-block"))
        await test(rack, block)
        block.close()

    def run() -> None:
        run_virtual(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def arm(block: DescribedContactorBlock) -> None:
    for address, value in ((0x1008, 0x55AA), (0x1000, 40), (0x1001, 0x0010), (0x1003, 1)):
        block.write(address, [value])


@with_block
async def test_coils_move_the_contactors_and_inputs_show_them(rack, block) -> None:
    arm(block)
    block.write_coils(1, [1])
    assert (rack.main_closed, rack.precharge_closed, block.read_discrete(0, 2)) == (False, True, [0, 1])
    block.write_coils(0, [1, 0])
    assert (rack.main_closed, rack.precharge_closed, block.read_discrete(0, 2)) == (True, False, [1, 0])


@with_block
async def test_watchdog_opens_all_4_s_after_the_last_write_of_an_output(rack, block) -> None:
    arm(block)
    block.write_coils(0, [1])
    for _ in range(3):
        await asyncio.sleep(3.9)
        block.write_coils(0, [1])
    await asyncio.sleep(3.99)
    block.read_discrete(0, 2)
    assert rack.main_closed
    await asyncio.sleep(0.02)
    assert not rack.main_closed


@with_block
async def test_block_that_dropped_refuses_everything_until_it_is_told_to_forget(rack, block) -> None:
    arm(block)
    block.write_coils(0, [1])
    await asyncio.sleep(4.1)
    assert refused(lambda: block.read_discrete(0, 2)) == 4
    assert refused(lambda: block.write_coils(0, [1])) == 4
    assert refused(lambda: block.write(0x1003, [1])) == 4
    arm(block)
    assert block.read_discrete(0, 2) == [0, 0]
    block.write_coils(0, [1])
    assert rack.main_closed


@with_block
async def test_block_is_strict(rack, block) -> None:
    arm(block)
    assert refused(lambda: block.write(0x1000, [100])) == 3
    assert refused(lambda: block.read_discrete(0, 3)) == 2
    assert refused(lambda: block.read_coils(0, 1)) == 2
    assert refused(lambda: block.write_coils(2, [1])) == 2
    assert refused(lambda: block.read(0x1008, 1)) == 2


@with_block
async def test_stuck_output_stays_whatever_is_written_and_a_weld_shows(rack, block) -> None:
    arm(block)
    block.write_coils(0, [1])
    block.faults.main_stuck = True
    block.write_coils(0, [0])
    assert block.read_discrete(0, 2) == [1, 0]
    block.faults.main_stuck, rack.welded = False, True
    block.write_coils(0, [0])
    assert block.read_discrete(0, 2) == [1, 0]


@pytest.mark.parametrize(
    ("rig", "kind", "message"),
    [
        ("contactor-block", "commands-lost", "the racks' contactors hang on a block, not on the cell monitors,"),
        ("demo", "contactor-block-lost", "no rack's contactors hang on a block in rig demo"),
    ],
)
def test_fault_fits_who_moves_the_contactors(rig: str, kind: str, message: str) -> None:
    with pytest.raises(UnknownTargetError, match=message):
        locate(find_rig(rig), parse_fault(f"{kind}@1"))
