"""The smoothing loop inside the converter: pushed, read back, verified; obeyed by the simulated one; ended by 0 W."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from bms.site import ConverterLoop, Site
from hil_rigs.devices.described_inverter import DescribedInverterDevice
from hil_rigs.plant.smoothing_loop import SmoothingLoop
from hil_rigs.rig import FOLDER, CanEndpoint, Endpoints, ModbusEndpoint, find_rig, make_site
from hil_rigs.world import run_virtual
from tests.hil.live_rig import Live, live

SETTINGS = ConverterLoop(rest_s=4.0)


def with_loop(site: Site) -> Site:
    return site.model_copy(update={"converter_loop": SETTINGS})


@pytest.fixture
def rig_file(tmp_path: Path) -> str:
    """The demo rig with a converter that has a loop."""
    text = (FOLDER / "described.yaml").read_text(encoding="utf-8")
    path = tmp_path / "own-loop.yaml"
    path.write_text(text.replace("pcs-input-f32", "pcs-holding-s32").replace("name: described", "name: own-loop"))
    return str(path)


@pytest.fixture
def on_rig(rig_file: str) -> Callable[..., None]:
    def run(test: Callable[[Live], object]) -> None:
        run_virtual(live(test, with_loop, rig_file), seed=5)  # type: ignore[arg-type]

    return run


def way(rig: Live) -> str:
    assert rig.controller is not None
    status = rig.controller.report.status()
    assert status is not None
    return status.smoothing_way


def loop_of(rig: Live) -> SmoothingLoop:
    return rig.bench.plant.converter.loop


def test_parameters_are_told_and_the_converter_smooths(on_rig: Callable[..., None]) -> None:
    """Filter and ramp are the application's; the set-point is only what brings the SoC back, 50 kW at most."""

    async def test(rig: Live) -> None:
        await rig.pass_s(5.0)
        loop = loop_of(rig)
        assert way(rig) == "converter"
        assert (loop.enabled, loop.filter_time_s, loop.ramp_w_per_s, loop.gain) == (True, 90.0, 12e3, 1.0)
        assert 200e3 < loop.charge_power_w_max <= 500e3
        await rig.pass_s(6.0)
        base_w = rig.bench.inverter.set_power_w
        assert abs(base_w) <= 50e3
        assert abs(rig.bench.plant.converter.ac_power_w - base_w) > 20e3
        assert rig.named == []

    on_rig(test)


def test_parameter_that_reads_back_otherwise_is_named_and_the_ticks_smooth(on_rig: Callable[..., None]) -> None:
    async def test(rig: Live) -> None:
        await rig.pass_s(2.0)
        device = rig.bench.inverter
        assert isinstance(device, DescribedInverterDevice)
        honest = device.write

        def deaf(address: int, values: list[int]) -> None:
            honest(address, [500] if address == 2104 else values)

        device.write = deaf  # type: ignore[method-assign]
        device.write(2104, [500])
        await rig.pass_s(4.0)
        assert rig.active == ["converter_loop_mismatch"]
        assert rig.controller is not None
        status = rig.controller.report.status()
        assert status is not None
        assert "loop-gain shows 500, told 1000" in status.faults[0]
        assert (way(rig), loop_of(rig).enabled) == ("ticks", False)
        device.write = honest  # type: ignore[method-assign]
        await rig.pass_s(10.0)
        assert (way(rig), loop_of(rig).enabled, rig.active) == ("converter", True, [])

    on_rig(test)


def test_emergency_stop_switches_it_off_in_the_same_tick(on_rig: Callable[..., None]) -> None:
    async def test(rig: Live) -> None:
        await rig.pass_s(2.0)
        assert loop_of(rig).enabled
        rig.bench.enclosures[0].emergency_stop_released = False
        for _ in range(2000):
            if "emergency_stop" in rig.named:
                break
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.005)
        assert not loop_of(rig).enabled
        assert rig.bench.inverter.set_power_w == 0.0

    on_rig(test)


def test_silence_ends_the_loop_with_the_set_point(on_rig: Callable[..., None]) -> None:
    """The gateway dies: the converter's timer of 1 s ends both."""

    async def test(rig: Live) -> None:
        await rig.pass_s(2.0)
        assert rig.controller is not None
        running = [task for task in asyncio.all_tasks() if "controller" in repr(task.get_coro()).lower()]
        for task in running:
            task.cancel()
        await asyncio.sleep(1.5)
        assert (loop_of(rig).enabled, rig.bench.inverter.set_power_w) == (False, 0.0)

    on_rig(test)


@pytest.mark.parametrize(
    ("grid_w", "ac_w", "battery_w"), [(900e3, 0.0, 100e3), (850e3, 50e3, 100e3), (500e3, 0.0, -200e3)]
)
def test_loop_holds_the_grid_where_it_was(grid_w: float, ac_w: float, battery_w: float) -> None:
    """At 800 kW when it began; at most 200 kW of charge."""
    loop = SmoothingLoop()
    loop.enabled, loop.filter_time_s, loop.ramp_w_per_s = True, 3600.0, 1.0
    loop.charge_power_w_max, loop.discharge_power_w_max = 200e3, 300e3
    assert loop.wanted_w(0.0, 800e3, 0.0, 0.001) == pytest.approx(0.0, abs=1.0)
    assert loop.wanted_w(0.0, grid_w, ac_w, 0.001) == pytest.approx(battery_w, abs=1.0)
    loop.enabled = False
    assert loop.wanted_w(12e3, grid_w, ac_w, 0.001) == 12e3


def test_site_needs_a_profile_with_a_loop() -> None:
    rig, at = find_rig("described"), ModbusEndpoint("127.0.0.1", 502, 1)
    site = make_site(rig, Endpoints(at, at, (CanEndpoint("virtual", "can0"), CanEndpoint("virtual", "can1"))))
    raw = site.model_dump() | {"converter_loop": {}}
    with pytest.raises(ValueError, match="knows no loop inside it"):
        Site.model_validate(raw)
    raw["inverter"] |= {"profile": "pcs-holding-s32", "reversion_s": 1}
    assert Site.model_validate(raw).converter_loop == ConverterLoop()
    with pytest.raises(ValueError, match="beside fast_lane"):
        Site.model_validate(raw | {"fast_lane": {"period_s": 0.01}})
