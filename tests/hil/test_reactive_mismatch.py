"""Commanded against measured reactive power: a converter that does not follow is named within 2 s, and goes on."""

from bms.dispatch.applications.reactive_power import ReactivePower
from bms.site import Site
from hil_rigs.faults.inject import inject
from hil_rigs.faults.spec import parse_fault
from hil_rigs.rig import find_rig
from tests.hil.live_rig import Live, run_live

MISMATCH = "inverter_reactive_not_following"
TOLD_VAR = 150e3


def with_fixed_var(site: Site) -> Site:
    fixed = ReactivePower(kind="reactive-power", mode="fixed-var", fixed_var=TOLD_VAR)
    return site.model_copy(update={"applications": (*site.applications, fixed)})


async def follows_then_does_not(rig: Live) -> None:
    converter = rig.bench.plant.converter
    await rig.pass_s(2.0)
    assert (round(converter.reactive_var), rig.named) == (round(TOLD_VAR), [])
    inject(rig.bench, parse_fault("inverter-ignores-reactive@0::-50e3"))
    await rig.pass_s(1.4)
    assert rig.named == []
    await rig.pass_s(0.6)
    assert rig.named == [MISMATCH]
    assert rig.closed
    assert abs(rig.bench.plant.converter.ac_power_w) > 1000.0
    converter.stuck_reactive_var = None
    await rig.pass_s(8.0)
    assert rig.active == []


test_reactive_power_that_is_not_as_told_is_named_within_2_s = run_live(follows_then_does_not, with_fixed_var)


async def nobody_asked(rig: Live) -> None:
    inject(rig.bench, parse_fault("inverter-ignores-reactive@0::150e3"))
    await rig.pass_s(3.0)
    assert rig.named == []


test_what_nobody_asked_for_is_no_mismatch = run_live(nobody_asked)


def test_demo_rig_has_no_reactive_application() -> None:
    assert "reactive-power" not in [each.kind for each in find_rig("demo").site.applications]
