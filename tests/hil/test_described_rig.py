"""The whole demo in virtual time behind profiles: start, follow, stop, and what a dead controller leaves."""

import asyncio
import math
import textwrap
from pathlib import Path

import pytest

from bms.controller import Controller
from bms.protect.protection import ActiveFault
from bms.site import dump_site, load_site
from hil_rigs.bench import Bench
from hil_rigs.faults.spec import parse_fault
from hil_rigs.rig import CanEndpoint, Endpoints, ModbusEndpoint, RigFile, find_rig, make_site
from hil_rigs.run import simulate
from hil_rigs.serve import served_devices
from hil_rigs.world import run_virtual

AT_POWER_S = 16.0
REVERSION_S = {"pcs-holding-s32": 1.0, "pcs-input-f32": 2.0}


def rig_with(profile: str) -> RigFile:
    rig = find_rig("described")
    return rig.model_copy(update={"plant": rig.plant.model_copy(update={"inverter_profile": profile})})


@pytest.mark.parametrize("profile", REVERSION_S)
def test_demo_starts_follows_both_ways_and_stops_without_a_fault(profile: str) -> None:
    outcome = simulate(rig_with(profile), seed=1, duration_s=30.0)
    assert outcome.trips == ()
    assert outcome.end.contactors_closed == (True, True)
    assert outcome.end.stopped_safely
    assert outcome.end.opened_under_load_a < 5.0
    assert outcome.curves.battery_power_w.min() < -100e3
    assert outcome.curves.battery_power_w.max() > 100e3


def test_what_the_page_says_of_adding_an_inverter_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its profile and its rig, beside each other and named as somebody there would; the site lies elsewhere."""
    page = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text(encoding="utf-8")
    profile, rig = (textwrap.dedent(part.split("```")[0]) for part in page.split("```yaml\n")[1:3])
    (tmp_path / "my-pcs.yaml").write_text(profile)
    (tmp_path / "my-rig.yaml").write_text(rig)
    monkeypatch.chdir(tmp_path)
    mine = find_rig("my-rig.yaml")
    outcome = simulate(mine, seed=1, duration_s=14.0)
    assert [trip.fault_id for trip in outcome.trips] == ["inverter_keeps_on"]
    assert outcome.curves.battery_power_w[-100:].min() > 9e3
    at = ModbusEndpoint("127.0.0.1", 502, 1)
    endpoints = Endpoints(inverter=at, grid_meter=at, racks=(CanEndpoint("virtual", "can0"),))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "site.yaml").write_text(dump_site(make_site(mine, endpoints)))
    assert load_site(tmp_path / "elsewhere" / "site.yaml").inverter.profile == str(tmp_path / "my-pcs.yaml")


async def die(profile: str) -> float:
    """Power at the converter's terminals one reversion, and its lag, after the controller died at power."""
    bench = Bench(rig_with(profile), 1)
    site = make_site(bench.rig, await bench.start())
    controller = Controller(
        site, can_opener=bench.open_can, recorder=None, perf_clock=lambda: math.nan, on_trip=lambda _: None
    )
    running = asyncio.create_task(bench.run())
    controlled = asyncio.create_task(controller.run())
    converter = bench.plant.converter
    await asyncio.sleep(AT_POWER_S)
    controlled.cancel()
    await asyncio.gather(controlled, return_exceptions=True)
    assert abs(converter.ac_power_w) > 40e3
    await asyncio.sleep(REVERSION_S[profile] + 0.3)
    power_w = converter.ac_power_w
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    bench.close()
    return power_w


@pytest.mark.parametrize("profile", REVERSION_S)
def test_dead_controller_leaves_0_w_after_the_devices_own_time(profile: str) -> None:
    assert run_virtual(die(profile), seed=1) == pytest.approx(0.0, abs=100.0)


def test_device_that_keeps_on_is_shown_as_a_fault_all_the_time(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "drivers" / "profiles" / "pcs-holding-s32.yaml"
    text = shipped.read_text().replace("{kind: timer, time_s_min: 0.5, time_s_max: 60}", "{kind: keeps-on}")
    path = tmp_path / "pcs-holding-s32.yaml"
    path.write_text("\n".join(line for line in text.splitlines() if "reversion-time" not in line))
    outcome = simulate(rig_with(str(path)), seed=1, duration_s=8.0)
    assert [(trip.fault_id, trip.target) for trip in outcome.trips] == [("inverter_keeps_on", "inverter")]
    assert outcome.trips[0].at_s < 1.0


def test_served_lines_end_with_the_profiles_names() -> None:
    at = ModbusEndpoint("127.0.0.1", 5020, 1)
    racks = tuple(CanEndpoint("socketcand", channel, "127.0.0.1", 29536) for channel in ("can0", "can1"))
    lines = [device.line for device in served_devices(find_rig("described"), Endpoints(at, at, racks))]
    assert lines[:2] == [
        "inverter modbus tcp 127.0.0.1:5020 unit 1 pcs-input-f32",
        "grid-meter modbus tcp 127.0.0.1:5020 unit 1 meter-input-f32",
    ]


async def run_away(rig: RigFile) -> tuple[list[str], float]:
    """Faults after a converter at power goes to 300 kW by itself, and how long the first took."""
    bench = Bench(rig, 1)
    site = make_site(bench.rig, await bench.start())
    named: list[str] = []
    at_s: list[float] = []
    loop = asyncio.get_running_loop()

    def on_trip(fault: ActiveFault) -> None:
        named.append(fault.kind.id)
        at_s.append(loop.time())

    controller = Controller(
        site, can_opener=bench.open_can, recorder=None, perf_clock=lambda: math.nan, on_trip=on_trip
    )
    tasks = [asyncio.create_task(bench.run()), asyncio.create_task(controller.run())]
    await asyncio.sleep(AT_POWER_S)
    bench.plant.converter.runaway_w = 300e3 if bench.plant.converter.ac_power_w < 0 else -300e3
    since_s = loop.time()
    await asyncio.sleep(3.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    bench.close()
    return named, at_s[0] - since_s


@pytest.mark.parametrize("profile", ["sunspec", *REVERSION_S])
def test_converter_that_does_not_follow_is_named_within_2_s(profile: str) -> None:
    named, after_s = run_virtual(run_away(rig_with(profile)), seed=1)
    assert named[0] == "inverter_not_following"
    assert after_s <= 2.0


INJECTED = {
    "inverter-local@8": "inverter_local_control",
    "inverter-alarm@8::7": "inverter_over_temperature",
    "inverter-alarm@8::16": "inverter_manufacturer_alarm",
    "inverter-says-off@8": "inverter_power_while_stopped",
    "inverter-dc-voltage@8": "inverter_dc_voltage_mismatch",
    "grid-voltage@8::205": "grid_voltage_low",
}


@pytest.mark.parametrize(("fault", "named"), INJECTED.items())
def test_fault_of_a_described_device_is_named(fault: str, named: str) -> None:
    outcome = simulate(find_rig("described"), seed=5, duration_s=10.5, faults=[parse_fault(fault)])
    first = outcome.trips[0]
    assert first.fault_id == named
    assert 8.0 <= first.at_s <= 10.5
