"""Contactors owned and links precharged by whom the site file says: joining, leaving and their faults over the wire."""

import pytest

from drivers.cell_monitors.native.layout import native_layout
from drivers.frames import FrameBatch
from hil_rigs.bench import Bench
from hil_rigs.faults.spec import parse_fault
from hil_rigs.rig import find_rig
from hil_rigs.run import Outcome, simulate
from kernels.canbits import FrameDecoder
from tests.hil.live_rig import Live, run_live


def joined(rig: str, faults: str = "", duration_s: float = 12.0) -> Outcome:
    return simulate(find_rig(rig), seed=1, duration_s=duration_s, faults=[parse_fault(text) for text in faults.split()])


def named(outcome: Outcome) -> list[tuple[str, str]]:
    return [(trip.fault_id, trip.target) for trip in outcome.trips]


CASES = [
    ("own-contactors", "contactor-ignored@0:rack-2", ("contactor_request_ignored", "rack-2"), (True, False)),
    ("own-contactors", "contactor-refused@0:rack-2", ("contactor_request_refused", "rack-2"), (True, False)),
    ("own-contactors", "precharge-open@0:rack-1", ("precharge_open", "rack-1"), (False, True)),
    ("own-contactors", "contactor-stuck-open@0:rack-1", ("contactor_stuck_open", "rack-1"), (False, True)),
    ("own-contactors", "contactor-drops@6:rack-1", ("contactor_opened_itself", "rack-1"), (False, True)),
    ("own-contactors", "link-shorted@0", ("precharge_short", "rack-1"), (False, False)),
    ("own-contactors", "link-loaded@0", ("precharge_timeout", "rack-1"), (False, False)),
    ("inverter-precharge", "precharge-absent@0", ("precharge_open", "rack-1"), (False, False)),
    ("inverter-precharge", "link-shorted@0", ("precharge_short", "rack-1"), (False, False)),
    ("inverter-precharge", "link-loaded@0", ("precharge_timeout", "rack-1"), (False, False)),
    ("inverter-precharge", "contactor-stuck-open@0:rack-1", ("contactor_stuck_open", "rack-1"), (False, True)),
    ("own-contactors-live-link", "contactor-ignored@0:rack-1", ("contactor_request_ignored", "rack-1"), (False, True)),
    ("own-contactors-live-link", "precharge-absent@0", ("precharge_open", "rack-1"), (False, False)),
]


@pytest.mark.parametrize(("rig", "fault", "first", "closed"), CASES, ids=[f"{rig} {fault}" for rig, fault, *_ in CASES])
def test_fault_of_joining_is_named_and_what_is_healthy_works(
    rig: str, fault: str, first: tuple[str, str], closed: tuple[bool, bool]
) -> None:
    outcome = joined(rig, fault, 18.0)
    assert named(outcome)[0] == first
    assert outcome.end.contactors_closed == closed
    assert any(closed) == (outcome.end.battery_power_w_max > 15e3)


@pytest.mark.parametrize("rig", ["own-contactors", "own-contactors-live-link"])
def test_weld_in_a_rack_that_moves_its_contactors_itself_is_named(rig: str) -> None:
    outcome = joined(rig, "contactor-welded@0:rack-1 gas@8", 11.0)
    assert named(outcome) == [("gas_detected", "rack-1"), ("contactor_welded", "rack-1")]
    assert outcome.end.contactors_closed == (True, False)


@pytest.mark.parametrize("rig", ["own-contactors", "inverter-precharge", "own-contactors-live-link"])
def test_no_precharge_command_goes_out_where_somebody_else_precharges(rig: str) -> None:
    heard: list[tuple[bool, bool]] = []

    async def watch(live: Live) -> None:
        commands = FrameDecoder(native_layout(26, 16).commands.frames)

        def on_batch(batch: FrameBatch) -> None:
            if commands.feed(batch.data, batch.at_ns):
                main, precharge, _ = commands.values[-3:].tolist()
                heard.append((main > 0.0, precharge > 0.0))

        live.bench.buses["can0"].attach(on_batch)
        live.controller.stop()
        await live.pass_s(3.0)
        assert not any(rack.main_closed for rack in live.bench.plant.racks)

    outcome = joined(rig)
    assert outcome.trips == ()
    run_live(watch, rig=rig)()
    assert heard
    assert {precharge for _, precharge in heard} == {False}


def test_converter_runs_only_once_a_rack_is_on_the_link_it_charged() -> None:
    bench = Bench(find_rig("inverter-precharge"), 1)
    plant = bench.plant
    plant.converter.start()
    for _ in range(500):
        plant.step(0.01)
    assert plant.converter.state == "starting"
    assert abs(plant.bus.voltage_v - plant.racks[0].voltage_v) < 2.0
    assert plant.grid_power_w > plant.load_power_w
    plant.racks[0].command(True, False)
    for _ in range(110):
        plant.step(0.01)
    assert plant.converter.state == "running"
    assert plant.converter.feed_a == 0.0


def test_racks_own_watchdog_opens_it_although_it_moves_its_contactors_itself() -> None:
    async def deaf(live: Live) -> None:
        live.strike([parse_fault("commands-lost@0:rack-2")])
        await live.pass_s(5.0)
        assert "rack_command_lost" in live.named
        assert [rack.main_closed for rack in live.bench.plant.racks][1] is False
        assert live.bench.plant.racks[1].opened_under_load_a < 50.0

    run_live(deaf, rig="own-contactors")()
