"""PV: the sun, clouds, the inverter that can be limited, its meter, and that all energy is accounted for."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from drivers.config.config_yaml import parse_strict
from drivers.links.modbus import DeviceException, ModbusLink
from drivers.meters.sunspec import SunSpecMeter
from drivers.readings import MeterReading
from drivers.sunspec import discover, load_layout
from hil_rigs.bench import Bench
from hil_rigs.plant.build import LoadConfig, PlantConfig, PvConfig, build_plant, build_pv
from hil_rigs.plant.day import DAY_S, HOUR_S
from hil_rigs.plant.load import ConstantLoad
from hil_rigs.plant.pv import PvPlant
from hil_rigs.plant.site import Plant
from hil_rigs.plant.sun import Clouds, clear_sky_w_per_m2, elevation_rad
from hil_rigs.rig import RigFile, find_rig, make_site
from hil_rigs.serve import served_devices
from hil_rigs.world import run_virtual

RATED_W = 100e3
DT_S = 0.01


@pytest.mark.parametrize(
    ("day", "hour", "latitude_deg", "elevation_deg"),
    [(81, 12.0, 0.0, 90.0), (172, 12.0, 35.7, 77.7), (355, 12.0, 35.7, 30.8), (81, 6.0, 35.7, 0.0)],
)
def test_sun_stands_where_it_does(day: int, hour: float, latitude_deg: float, elevation_deg: float) -> None:
    """Equinox over the equator; solstices in Tokyo: 90 - 35.7 +- 23.4."""
    assert np.degrees(elevation_rad(day, hour, latitude_deg)) == pytest.approx(elevation_deg, abs=0.3)


@pytest.mark.parametrize(("elevation_deg", "expected"), [(90.0, 1037.2), (30.0, 489.9), (0.0, 0.0), (-10.0, 0.0)])
def test_clear_sky_is_haurwitzs(elevation_deg: float, expected: float) -> None:
    """1098 sin(h) exp(-0.057 / sin(h))."""
    assert clear_sky_w_per_m2(np.radians(elevation_deg)) == pytest.approx(expected, abs=0.1)


def day_of(clouds: Clouds | None = None, seed: int = 1) -> np.ndarray:
    config = PvConfig("clear-sky", RATED_W, clouds=clouds, start_s=0.0)
    source = build_pv(config, 60.0, np.random.default_rng(seed))._source
    return np.array([source.power_w(at_s) for at_s in np.arange(0.0, DAY_S, 5.0)])


def test_clear_day_in_july_is_a_smooth_hill() -> None:
    power_w = day_of()
    hours = np.arange(0.0, DAY_S, 5.0) / HOUR_S
    assert power_w[(hours < 4.7) | (hours > 19.3)].max() == 0.0
    assert hours[power_w.argmax()] == pytest.approx(12.0, abs=0.05)
    assert power_w.max() == pytest.approx(0.85 * 1.0117 * RATED_W, rel=0.005)
    assert np.abs(np.diff(power_w)).max() < 0.001 * RATED_W


def test_clouds_take_their_share_and_pass_within_seconds() -> None:
    """A quarter of the time a cloud that lets 45 % through: 13 % of the energy, and edges of 15 s."""
    clear_w, cloudy = day_of(), [day_of(Clouds(), seed) for seed in range(1, 9)]
    lost = 1.0 - np.mean([each.sum() for each in cloudy]) / clear_w.sum()
    assert lost == pytest.approx(0.125, abs=0.03)
    assert all((each <= clear_w + 1e-6).all() for each in cloudy)
    steps_w = np.abs(np.diff(cloudy[0])).max()
    assert 0.15 * RATED_W < steps_w < 0.35 * RATED_W
    assert np.array_equal(day_of(Clouds(), 1), cloudy[0])
    assert not np.array_equal(cloudy[0], cloudy[1])


def fed(pv: PvPlant, seconds: float, voltage_pu: float = 1.0, frequency_hz: float = 60.0) -> float:
    for _ in range(round(seconds / DT_S)):
        pv.meet_grid(voltage_pu, frequency_hz)
        pv.step(0.0, DT_S)
    return pv.ac_power_w


def test_limit_holds_and_lets_go() -> None:
    pv = PvPlant(ConstantLoad(80e3), RATED_W)
    assert fed(pv, 2.0) == pytest.approx(80e3)
    pv.limit(0.3)
    assert fed(pv, 0.2) == pytest.approx(30e3 + 50e3 * np.exp(-1), rel=1e-6)
    assert fed(pv, 3.0) == pytest.approx(30e3, rel=1e-4)
    assert pv.available_power_w == 80e3
    pv.limit(0.9)
    assert fed(pv, 3.0) == pytest.approx(80e3, rel=1e-4)


def test_inverter_clips_at_its_rating_and_takes_nothing_at_night() -> None:
    assert fed(PvPlant(ConstantLoad(130e3), RATED_W), 1.0) == RATED_W
    assert fed(PvPlant(ConstantLoad(-500.0), RATED_W), 1.0) == 0.0


@pytest.mark.parametrize("limit_frac", [-0.1, 1.1, float("nan")])
def test_limit_that_is_none_is_refused(limit_frac: float) -> None:
    with pytest.raises(ValueError, match=r"within 0\.\.1"):
        PvPlant(ConstantLoad(80e3), RATED_W).limit(limit_frac)


def test_inverter_trips_without_a_grid_and_comes_back_a_minute_after_it() -> None:
    pv = PvPlant(ConstantLoad(80e3), RATED_W)
    assert fed(pv, 1.0, 0.0, 0.0) == 0.0
    assert pv.state == "off"
    fed(pv, 2.0, 0.0, 0.0)
    assert (pv.state, pv.alarm) == ("fault", "ac_under_voltage")
    assert fed(pv, 59.9) == 0.0
    assert fed(pv, 3.0) == pytest.approx(80e3, rel=1e-4)
    assert pv.state == "running"


def sunny(load_w: float, pv_w: float, pv: PvPlant | None = None) -> Plant:
    plant = build_plant(PlantConfig(racks=1, load=LoadConfig(kind="constant", rated_power_w=load_w)))
    return Plant(plant.racks, plant.converter, plant.load, bus=plant.bus, pv=pv or PvPlant(ConstantLoad(pv_w), 500e3))


def join(plant: Plant) -> None:
    plant.racks[0].command(main=False, precharge=True)
    run(plant, 3.0)
    plant.racks[0].command(main=True, precharge=False)
    plant.converter.start()
    run(plant, 1.5)


def run(plant: Plant, seconds: float) -> None:
    for _ in range(round(seconds / DT_S)):
        plant.step(DT_S)


def test_grid_is_load_less_pv_less_battery_and_all_energy_is_accounted_for() -> None:
    plant = sunny(200e3, 150e3)
    run(plant, 1.0)
    assert plant.grid_power_w == pytest.approx(50e3)
    join(plant)
    plant.converter.set_power(-100e3)
    run(plant, 5.0)
    assert plant.grid_power_w == pytest.approx(150e3, rel=1e-6)
    energies = plant.energies
    assert energies.pv_j == pytest.approx(150e3 * 10.5, rel=1e-9)
    balance_j = energies.grid_import_j - energies.grid_export_j + energies.pv_j + energies.discharged_j
    assert balance_j - energies.charged_j == pytest.approx(energies.load_j, rel=1e-9)


def test_surplus_is_exported() -> None:
    plant = sunny(50e3, 150e3)
    run(plant, 1.0)
    assert plant.grid_power_w == pytest.approx(-100e3)
    assert plant.energies.grid_export_j == pytest.approx(100e3 * 1.0)


@pytest.mark.parametrize(
    ("load_w", "pv_w", "battery_w", "given_w"),
    [(200e3, 150e3, 50e3, 150e3), (50e3, 150e3, -100e3, 150e3), (0.1e3, 500e3 + 300e3, -455e3, 455e3)],
)
def test_island_lives_on_pv_and_battery_and_holds_back_what_nobody_takes(
    load_w: float, pv_w: float, battery_w: float, given_w: float
) -> None:
    """The third converter takes what its DC current limit allows; the rest of the sun is not used."""
    pv = PvPlant(ConstantLoad(pv_w), 1e6)
    plant = sunny(load_w, pv_w, pv)
    join(plant)
    plant.form_island(lambda: None)
    run(plant, 70.0)
    assert plant.load_power_w == pytest.approx(load_w, rel=1e-3)
    assert plant.grid_power_w == pytest.approx(0.0, abs=1e-6)
    assert plant.converter.ac_power_w == pytest.approx(battery_w, rel=0.12)
    assert plant.pv_power_w == pytest.approx(given_w, rel=0.12)


RIG = """\
name: mine
says: a rig of my own
plant: {racks: 1, modules_per_rack: 2, cells_per_module: 4, cell: lfp-280ah, soc_frac: 0.5, ambient_degc: 25,
  contactor_break_current_a: 50, inverter_power_w: 1e4}
load: {kind: constant, rated_power_w: 2e3}
pv: {kind: file, path: sun.csv, rated_power_w: 5e3}
"""


def live(test: Callable[[Bench, ModbusLink, list[MeterReading]], Awaitable[None]], folder: Path) -> None:
    """The rig with 4 kW of sun, running; a link to its PV inverter, and what the driver of its PV meter reads."""
    (folder / "sun.csv").write_text("time_s,power_w\n0,4000\n")

    async def main() -> None:
        bench = Bench(parse_strict(RIG, RigFile, file="mine.yaml", folder=folder), 1)
        endpoints = await bench.start()
        assert endpoints.pv_meter is not None
        assert endpoints.pv_inverter is not None
        inverter = ModbusLink(endpoints.pv_inverter.host, endpoints.pv_inverter.port, endpoints.pv_inverter.unit)
        meter = ModbusLink(endpoints.pv_meter.host, endpoints.pv_meter.port, endpoints.pv_meter.unit)
        readings: list[MeterReading] = []
        tasks = [asyncio.create_task(bench.run()), asyncio.create_task(SunSpecMeter(meter, readings.append).run())]
        await inverter.connect()
        await test(bench, inverter, readings)
        inverter.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        bench.close()

    run_virtual(main(), seed=1)


CONTROLS = load_layout(704)


async def write_limit(link: ModbusLink, **values: float) -> None:
    """Points of model 704, each in a write of its own."""
    at = (await discover(link)).find(704).address
    for name, value in values.items():
        point = CONTROLS.points[name]
        registers = CONTROLS.encode_point(point, value, {"WMaxLimPct_SF": -1})
        await link.write_registers(at + point.offset, registers)


def test_controller_sees_and_limits_the_pv_over_the_wire(tmp_path: Path) -> None:
    async def test(bench: Bench, inverter: ModbusLink, readings: list[MeterReading]) -> None:
        await asyncio.sleep(2.0)
        assert readings[-1].power_w == pytest.approx(-4000.0, abs=1.0), "a meter that looks at the PV: it gives"
        assert bench.plant.grid_power_w == pytest.approx(-2000.0)
        await write_limit(inverter, WMaxLimPct=25.0)
        await asyncio.sleep(2.0)
        assert bench.plant.pv_power_w == pytest.approx(4000.0, rel=1e-3), "not enabled yet"
        await write_limit(inverter, WMaxLimPctEna=1)
        await asyncio.sleep(3.0)
        assert readings[-1].power_w == pytest.approx(-1250.0, abs=1.0)
        await write_limit(inverter, WMaxLimPctEna=0)
        await asyncio.sleep(3.0)
        assert readings[-1].power_w == pytest.approx(-4000.0, abs=1.0)

    live(test, tmp_path)


def test_limit_reverts_when_nobody_speaks_to_the_inverter_any_more(tmp_path: Path) -> None:
    async def test(bench: Bench, inverter: ModbusLink, readings: list[MeterReading]) -> None:
        await write_limit(inverter, WMaxLimPct=80.0, WMaxLimPctRvrt=10.0, WMaxLimPctEnaRvrt=1, WMaxLimPctRvrtTms=5)
        await write_limit(inverter, WMaxLimPctEna=1)
        await asyncio.sleep(4.0)
        assert bench.plant.pv_power_w == pytest.approx(4000.0, rel=1e-3)
        await write_limit(inverter, WMaxLimPctEna=1)
        await asyncio.sleep(4.0)
        assert bench.plant.pv_power_w == pytest.approx(4000.0, rel=1e-3), "the write started the timer again"
        await asyncio.sleep(3.0)
        assert bench.plant.pv_power_w == pytest.approx(500.0, rel=1e-3)

    live(test, tmp_path)


def test_inverter_refuses_what_it_does_not_offer(tmp_path: Path) -> None:
    async def test(bench: Bench, inverter: ModbusLink, readings: list[MeterReading]) -> None:
        for wrong in ({"WMaxLimPct": 100.1}, {"WMaxLimPctRvrt": 200.0}, {"WMaxLimPctEna": 2}):
            with pytest.raises(DeviceException) as refused:
                await write_limit(inverter, **wrong)
            assert refused.value.code == 3
        for read_only in ({"WSetEna": 1}, {"WMaxLimPctRvrtRem": 3}):
            with pytest.raises(DeviceException) as refused:
                await write_limit(inverter, **read_only)
            assert refused.value.code == 2

    live(test, tmp_path)


def test_rig_with_pv_serves_its_devices_and_makes_a_site_with_its_meter(tmp_path: Path) -> None:
    async def test(bench: Bench, inverter: ModbusLink, readings: list[MeterReading]) -> None:
        endpoints = await Bench(bench.rig, 2).start()
        assert [device.name for device in served_devices(bench.rig, endpoints)] == [
            "inverter", "grid-meter", "pv-meter", "pv-inverter", "rack-1",
        ]  # fmt: skip
        site = make_site(bench.rig, endpoints)
        assert site.pv_meter is not None
        assert endpoints.pv_meter is not None
        assert site.pv_meter.port == endpoints.pv_meter.port
        demo = await Bench(find_rig("demo"), 1).start()
        assert (demo.pv_meter, demo.pv_inverter, make_site(find_rig("demo"), demo).pv_meter) == (None, None, None)

    live(test, tmp_path)
