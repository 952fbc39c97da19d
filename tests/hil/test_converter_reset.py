"""`reset` of a converter's own fault: the converter is asked to forget it, the site returns; a cause that stays trips
it again."""

import asyncio

import pytest

from hil_rigs.plant.converter import ConverterAlarm, ConverterState
from tests.hil.live_rig import Live, run_live


@pytest.mark.parametrize("name", ["demo", "described"])
def test_site_returns_after_the_reset_of_a_converter_that_tripped(name: str) -> None:
    async def test(rig: Live) -> None:
        converter = rig.bench.plant.converter
        converter.trip(ConverterAlarm.POWER_STAGE)
        await rig.pass_s(3.0)
        assert ("inverter_fault" in rig.active, rig.closed, converter.state) == (True, False, ConverterState.FAULT)
        rig.controller.reset("inverter_fault", "inverter")
        await rig.pass_s(12.0)
        assert ("inverter_fault" in rig.active, rig.closed, converter.state) == (False, True, ConverterState.RUNNING)
        assert rig.named.count("inverter_fault") == 1

    run_live(test, rig=name)()


def test_fault_whose_cause_stays_trips_again_a_second_after_its_reset() -> None:
    async def test(rig: Live) -> None:
        async def broken() -> None:
            while True:
                rig.bench.plant.converter.trip(ConverterAlarm.POWER_STAGE)
                await asyncio.sleep(0.01)

        breaking = asyncio.create_task(broken())
        await rig.pass_s(3.0)
        rig.controller.reset("inverter_fault", "inverter")
        await rig.pass_s(0.8)
        assert rig.named.count("inverter_fault") == 1
        await rig.pass_s(0.4)
        assert (rig.named.count("inverter_fault"), rig.closed) == (2, False)
        breaking.cancel()

    run_live(test)()
