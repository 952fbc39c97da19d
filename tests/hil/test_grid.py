"""The grid: what is told, recorded or answered by a small network, what devices see of it, and what they bear."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from drivers.config.config_yaml import ConfigErrors, parse_strict
from drivers.links.modbus import ModbusLink
from drivers.meters.sunspec import SunSpecMeter
from drivers.readings import MeterReading
from hil_rigs.bench import Bench
from hil_rigs.faults.inject import inject
from hil_rigs.faults.spec import parse_fault
from hil_rigs.plant.build import GridConfig, LoadConfig, PlantConfig, build_grid, build_plant
from hil_rigs.plant.converter import ConverterPlant, parameters_for_link
from hil_rigs.plant.grid import Generator, Grid, GridNoise, GridProfile, Network, NetworkParameters
from hil_rigs.plant.load_file import LoadFileError
from hil_rigs.rig import RigFile, find_rig, make_site
from hil_rigs.rig_plant import grid_config
from hil_rigs.world import run_virtual

DT_S = 0.01
RNG = np.random.default_rng(1)
RATED_W = 500e3


def played(grid: Grid, seconds: float, import_w: float = 0.0) -> list[tuple[float, float]]:
    """Frequency and voltage of every step."""
    seen = []
    for _ in range(round(seconds / DT_S)):
        grid.step(DT_S, import_w)
        seen.append((grid.frequency_hz, grid.voltage_pu))
    return seen


def test_points_are_ramps_and_steps() -> None:
    points = ((1.0, 50.0, 1.0), (3.0, 49.0, 1.0), (3.0, 49.5, 0.9), (4.0, 50.0, 0.9))
    seen = played(build_grid(GridConfig("points", 50.0, points=points), RNG), 5.0)
    at = {second: seen[round(second / DT_S) - 1] for second in (0.5, 2.0, 2.99, 3.0, 3.5, 5.0)}
    assert at[0.5] == (50.0, 1.0)
    assert at[2.0] == pytest.approx((49.5, 1.0))
    assert at[2.99] == pytest.approx((49.005, 1.0))
    assert at[3.0] == pytest.approx((49.5, 0.9))
    assert at[3.5] == pytest.approx((49.75, 0.9))
    assert at[5.0] == (50.0, 0.9)


def test_generator_slows_down_under_load_as_its_droop_says_while_it_is_there() -> None:
    """60.2 Hz unloaded, 3 % from no load to full: half loaded 59.297 Hz. Before and after it is what the points say."""
    machine = NetworkParameters(base_power_w=1e6, inertia_s=1.5, damping_pu=0.0, droop_frac=0.03, governor_time_s=0.3)
    told = GridProfile(np.array([0.0, 40.0, 40.0]), np.array([60.2, 60.2, 60.0]), np.array([0.98, 0.98, 1.0]))
    grid = Grid(Generator(told, machine, from_s=10.0, to_s=40.0))
    assert played(grid, 9.9, 500e3)[-1] == (60.2, 0.98)
    assert played(grid, 1.0)[-1] == pytest.approx((60.2, 0.98))
    loaded = played(grid, 28.0, 500e3)
    assert loaded[-1] == pytest.approx((60.2 * 0.985, 0.98), abs=1e-3)
    assert min(hz for hz, _ in loaded) < 59.2
    assert played(grid, 1.2, 500e3)[-1] == (60.0, 1.0)


def test_generator_ends_after_it_begins() -> None:
    machine = "generator: {from_s: 2, to_s: 2, rated_power_w: 1e6}"
    with pytest.raises(ConfigErrors, match=r"generator\.from_s.*not below.*to_s"):
        rig_with(f"{{kind: points, points: [{{time_s: 0}}], {machine}}}")


def test_trace_of_a_file_may_leave_the_voltage_out(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("time_s,frequency_hz\n100,50.1\n101,49.9\n")
    seen = played(build_grid(GridConfig("file", 50.0, path=tmp_path / "f.csv"), RNG), 1.5)
    assert seen[49] == pytest.approx((50.0, 1.0))
    assert seen[-1] == pytest.approx((49.9, 1.0))
    (tmp_path / "v.csv").write_text("time_s,frequency_hz,voltage_pu\n0,50,1\n1,50,0.8\n")
    assert played(build_grid(GridConfig("file", 50.0, path=tmp_path / "v.csv"), RNG), 0.5)[-1][1] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_s,hz\n0,50\n", "no column frequency_hz (it has: time_s, hz)"),
        ("time_s,frequency_hz,voltage_pu\n0,50,1\n1,50,x\n", "row 2: expected numbers in time_s, frequency_hz, vol"),
        ("time_s,frequency_hz,voltage_pu\n0,50,inf\n", "row 1: voltage_pu is inf, expected a finite number"),
        ("time_s,frequency_hz\n1,50\n1,50\n", "row 2: time_s does not increase (1 after 1)"),
    ],
)
def test_bad_trace_is_refused_naming_file_and_row(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(LoadFileError) as refusal:
        build_grid(GridConfig("file", path=path), RNG)
    assert str(refusal.value).startswith(f"{path}: {message}")


def network(**changes: object) -> Grid:
    """10 MW, H 5 s, damping 1, droop 5 %, 60 Hz; 1 MW of load comes after 1 s."""
    settings = {"base_power_w": 10e6, "load_steps": ((1.0, 1e6),)} | changes
    return Grid(Network(NetworkParameters(**settings), 60.0))  # type: ignore[arg-type]


def test_network_falls_as_its_inertia_says_and_settles_on_its_droop() -> None:
    """0.1 pu of load: 60 Hz x 0.1 / (2 x 5 s) at first; 60 Hz x 0.1 / (1 + 1 / 0.05) at last."""
    seen = [frequency_hz for frequency_hz, _ in played(network(), 60.0)]
    assert seen[99] == 60.0
    assert seen[109] - 60.0 == pytest.approx(-0.6 * 0.1, rel=0.12)
    assert seen[-1] == pytest.approx(60.0 - 60.0 * 0.1 / 21.0, abs=1e-4)
    assert min(seen) < seen[-1] - 0.02


def test_more_inertia_falls_more_slowly() -> None:
    heavy = [frequency_hz for frequency_hz, _ in played(network(inertia_s=10.0), 1.1)]
    assert heavy[-1] - 60.0 == pytest.approx(-0.3 * 0.1, rel=0.12)


def test_network_answers_to_the_plants_own_power() -> None:
    """The battery takes over the megawatt that came: the frequency is what it was."""
    grid = network()
    played(grid, 1.0, import_w=2e6)
    assert played(grid, 60.0, import_w=1e6)[-1][0] == pytest.approx(60.0, abs=1e-6)


def test_import_lowers_a_weak_networks_voltage() -> None:
    assert played(network(voltage_drop_pu=0.2), 0.1, import_w=5e6)[-1][1] == pytest.approx(0.9)


def test_battery_of_a_plant_lifts_the_weak_network() -> None:
    """The swing of the network and the plant's own power in one loop: 500 kW less import in 10 MW, 5 % droop."""
    weak = GridConfig("network", 50.0, network=NetworkParameters(base_power_w=10e6))
    plant = build_plant(PlantConfig(racks=1, load=LoadConfig(kind="constant", rated_power_w=1e6), grid=weak))
    plant.racks[0].command(main=False, precharge=True)
    for _ in range(300):
        plant.step(DT_S)
    plant.racks[0].command(main=True, precharge=False)
    plant.converter.start()
    for _ in range(150):
        plant.step(DT_S)
    assert plant.frequency_hz == pytest.approx(50.0, abs=1e-9)
    plant.converter.set_power(RATED_W)
    for _ in range(6000):
        plant.step(DT_S)
    assert plant.grid_power_w == pytest.approx(1e6 - plant.converter.ac_power_w)
    delivered_pu = plant.converter.ac_power_w / 10e6
    assert delivered_pu > 0.03
    assert plant.frequency_hz == pytest.approx(50.0 + 50.0 * delivered_pu / 21.0, abs=1e-3)


def test_noise_walks_around_the_grid_the_same_for_the_same_seed() -> None:
    noise = GridNoise(frequency_hz_sigma=0.02, voltage_pu_sigma=0.003, time_s=1.0)
    runs = [played(build_grid(GridConfig(noise=noise), np.random.default_rng(seed)), 600.0) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    frequency_hz, voltage_pu = np.array(runs[0]).T
    assert (frequency_hz.mean(), frequency_hz.std()) == pytest.approx((60.0, 0.02), abs=0.002)
    assert voltage_pu.std() == pytest.approx(0.003, abs=0.0004)
    assert np.abs(np.diff(frequency_hz)).max() < 0.02, "it walks, it does not jump"


def test_dip_and_outage_end_by_themselves() -> None:
    grid = Grid()
    grid.dip(0.5, 0.2)
    seen = played(grid, 0.21)
    assert [voltage_pu for _, voltage_pu in seen] == [0.5] * 20 + [1.0]
    grid.dip(0.0, 0.05)
    assert played(grid, 0.06)[-2:] == [(0.0, 0.0), (60.0, 1.0)]


def test_jump_of_phase_shows_as_a_frequency_for_a_tenth_of_a_second() -> None:
    """18 degrees are a twentieth of a cycle: within 0.1 s that is 0.5 Hz."""
    grid = Grid()
    grid.jump_phase(18.0)
    shown = []
    for _ in range(12):
        grid.step(DT_S, 0.0)
        shown.append((grid.measured_hz, grid.jump_deg, grid.frequency_hz))
    assert shown[0] == pytest.approx((60.5, 18.0, 60.0))
    assert shown[9] == pytest.approx((60.5, 0.0, 60.0))
    assert shown[10] == (60.0, 0.0, 60.0)


def at_power(power_w: float = RATED_W) -> ConverterPlant:
    converter = ConverterPlant(parameters_for_link(1350.0, RATED_W))
    converter.settle(1373.0, 0.0)
    converter.start()
    bear(converter, 1.0)
    converter.set_power(power_w)
    bear(converter, 1.0)
    assert (converter.state, converter.ac_power_w) == ("running", pytest.approx(power_w))
    return converter


def bear(converter: ConverterPlant, seconds: float, voltage_pu: float = 1.0, frequency_hz: float = 60.0) -> None:
    for _ in range(round(seconds / DT_S)):
        converter.meet_grid(voltage_pu, frequency_hz)
        converter.step(DT_S)


SAGS = [(0.5, 0.2), (0.7, 0.5), (0.8, 1.0)]
"""SEMI F47: voltage and time that equipment must ride through."""


@pytest.mark.parametrize(("voltage_pu", "seconds"), SAGS)
def test_sags_of_semi_f47_are_ridden_through(voltage_pu: float, seconds: float) -> None:
    converter = at_power()
    bear(converter, seconds, voltage_pu)
    assert converter.state == "running"
    bear(converter, 0.5)
    assert converter.ac_power_w == pytest.approx(RATED_W)


MUST_TRIP = [
    (0.87, 60.0, 21.0, "ac_under_voltage"),
    (0.49, 60.0, 2.0, "ac_under_voltage"),
    (0.0, 0.0, 2.0, "ac_under_voltage"),
    (1.11, 60.0, 13.0, "ac_over_voltage"),
    (1.21, 60.0, 0.16, "ac_over_voltage"),
    (1.0, 58.4, 300.0, "under_frequency"),
    (1.0, 56.4, 0.16, "under_frequency"),
    (1.0, 61.3, 300.0, "over_frequency"),
    (1.0, 62.1, 0.16, "over_frequency"),
]
"""IEEE 1547-2018, category III, default settings: beyond the bound, the time to the trip, and its name."""


@pytest.mark.parametrize(("voltage_pu", "frequency_hz", "after_s", "alarm"), MUST_TRIP)
def test_beyond_its_settings_it_trips_in_their_time(
    voltage_pu: float, frequency_hz: float, after_s: float, alarm: str
) -> None:
    converter = at_power(0.0)
    bear(converter, after_s - DT_S, voltage_pu, frequency_hz)
    assert converter.state == "running"
    bear(converter, DT_S, voltage_pu, frequency_hz)
    assert (converter.state, converter.alarm, converter.ac_power_w) == ("fault", alarm, 0.0)


INSIDE = [(0.88, 60.0), (1.10, 60.0), (1.0, 58.5), (1.0, 61.2)]


@pytest.mark.parametrize(("voltage_pu", "frequency_hz"), INSIDE)
def test_at_its_bounds_it_runs_for_ever(voltage_pu: float, frequency_hz: float) -> None:
    converter = at_power(0.0)
    bear(converter, 400.0, voltage_pu, frequency_hz)
    assert converter.state == "running"


def test_short_sags_do_not_add_up() -> None:
    converter = at_power()
    for _ in range(10):
        bear(converter, 1.9, 0.3)
        bear(converter, 0.1)
    assert converter.state == "running"


def test_sag_takes_the_power_that_the_current_cannot_carry() -> None:
    """1.1 of rated current at 0.7 of the voltage; nothing at all below half."""
    converter = at_power()
    bear(converter, 0.5, 0.7)
    assert converter.ac_power_w == pytest.approx(0.77 * RATED_W)
    bear(converter, 0.1, 0.45)
    assert converter.ac_power_w == 0.0


def test_converter_waits_for_a_grid_to_start_on() -> None:
    converter = at_power()
    converter.stop()
    converter.start()
    bear(converter, 5.0, 0.0, 0.0)
    assert converter.state == "starting"
    bear(converter, 1.0)
    assert converter.state == "running"


@pytest.mark.parametrize(("jump_deg", "state"), [(20.0, "running"), (-20.1, "fault")])
def test_jump_of_phase_trips_beyond_the_setting(jump_deg: float, state: str) -> None:
    converter = at_power()
    converter.meet_grid(1.0, 60.0, jump_deg)
    converter.step(DT_S)
    assert converter.state == state


FIFTY = "{kind: points, nominal_hz: 50, points: [{time_s: 0}, {time_s: 4, frequency_hz: 49.983, voltage_pu: 0.95}]}"
RIG = """\
name: mine
says: a rig of my own
plant: {racks: 1, modules_per_rack: 2, cells_per_module: 4, cell: lfp-280ah, soc_frac: 0.5, ambient_degc: 25,
  contactor_break_current_a: 50, inverter_power_w: 1e4, meter_model: 213}
load: {kind: constant, rated_power_w: 2e3}
grid: GRID
"""


def rig_with(grid: str, **plant: object) -> RigFile:
    rig = parse_strict(RIG.replace("GRID", grid), RigFile, file="mine.yaml", folder=Path("/rigs"))
    return rig.model_copy(update={"plant": rig.plant.model_copy(update=plant)})


def shown_by_meter(rig: RigFile, *faults: str) -> MeterReading:
    """What the driver of the rig's meter reads after 5 s, faults injected after 4 s."""

    async def main() -> MeterReading:
        bench = Bench(rig, 1)
        endpoint = (await bench.start()).grid_meter
        readings: list[MeterReading] = []
        link = ModbusLink(endpoint.host, endpoint.port, endpoint.unit)
        tasks = [asyncio.create_task(bench.run()), asyncio.create_task(SunSpecMeter(link, readings.append).run())]
        await asyncio.sleep(4.0)
        for fault in faults:
            inject(bench, parse_fault(fault))
        await asyncio.sleep(1.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        bench.close()
        return readings[-1]

    return run_virtual(main(), seed=1)


def test_float_meter_shows_the_grids_frequency_to_a_millihertz() -> None:
    reading = shown_by_meter(rig_with(FIFTY))
    assert reading.frequency_hz == pytest.approx(49.983, abs=1e-5)
    assert reading.voltage_v == pytest.approx(0.95 * 400.0 / 3**0.5, rel=1e-5)
    assert reading.power_w == 2000.0


def test_integer_meter_shows_it_to_ten_millihertz() -> None:
    reading = shown_by_meter(rig_with(FIFTY, meter_model=203))
    assert (reading.frequency_hz, reading.power_w) == (pytest.approx(49.98), 2000.0)


SEEN = [
    ("grid-outage@0::9", 0.0, 0.0),
    ("grid-dip@0::0.7", 50.0, 0.7),
    ("grid-frequency@0::-0.4", 49.6, 1.0),
    ("grid-voltage@0::115.4700538", 50.0, 0.5),
    ("meter-frequency@0::48.5", 48.5, 1.0),
]


@pytest.mark.parametrize(("fault", "frequency_hz", "voltage_pu"), SEEN, ids=[fault for fault, *_ in SEEN])
def test_meter_shows_what_happens_to_the_grid(fault: str, frequency_hz: float, voltage_pu: float) -> None:
    reading = shown_by_meter(rig_with("{kind: constant, nominal_hz: 50}"), fault)
    assert reading.frequency_hz == pytest.approx(frequency_hz, abs=1e-4)
    assert reading.voltage_v == pytest.approx(voltage_pu * 400.0 / 3**0.5, rel=1e-4)


def test_site_of_a_rig_has_its_grids_frequency() -> None:
    async def main() -> tuple[int | None, int | None]:
        rigs = rig_with("{kind: constant, nominal_hz: 50}"), find_rig("demo")
        benches = [Bench(rig, 1) for rig in rigs]
        sites = [make_site(bench.rig, await bench.start()) for bench in benches]
        for bench in benches:
            bench.close()
        return sites[0].grid_meter.frequency_hz_nominal, sites[1].grid_meter.frequency_hz_nominal

    assert run_virtual(main(), seed=1) == (50, 60)


def test_rig_file_describes_every_kind_of_grid() -> None:
    weak = rig_with("{kind: network, base_power_w: 2e6, inertia_s: 3, load_steps: [{time_s: 5, power_w: -1e5}]}")
    assert grid_config(weak.grid).network == NetworkParameters(2e6, inertia_s=3.0, load_steps=((5.0, -1e5),))
    assert grid_config(rig_with("{kind: file, path: f.csv}").grid).path == Path("/rigs/f.csv")
    noisy = rig_with("{kind: constant, frequency_hz: 60.02, noise: {frequency_hz_sigma: 0.01}}")
    assert grid_config(noisy.grid).noise == GridNoise(0.01, 0.003, 60.0)
    assert grid_config(rig_with(FIFTY).grid).points == ((0.0, 50.0, 1.0), (4.0, 49.983, 0.95))


BROKEN = [
    ("{kind: constant, nominal_hz: 55}", "grid.nominal_hz: unknown choice (got 55), expected one of 50, 60"),
    (
        "{kind: points, points: [{time_s: 2}, {time_s: 1}]}",
        "grid.points.1.time_s: before the point above (got 1.0), expected at least 2",
    ),
    ("{kind: steady}", "grid.kind: unknown choice (got 'steady'), expected one of 'constant', 'points', 'file', 'net"),
]


@pytest.mark.parametrize(("grid", "message"), BROKEN, ids=[grid for grid, _ in BROKEN])
def test_broken_grid_is_one_line(grid: str, message: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        rig_with(grid)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
