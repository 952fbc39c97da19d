"""Racks, DC link and converter together, against closed forms."""

import ast
import math
from pathlib import Path

import numpy as np
import pytest

from hil_rigs.plant import dc_bus
from hil_rigs.plant.build import LoadConfig, PlantConfig, build_plant
from hil_rigs.plant.load import ConstantLoad
from hil_rigs.plant.rack import RackPlant
from hil_rigs.plant.site import Plant
from hil_rigs.plant.spread import OCV_ERROR_V, disturbed_ocv
from kernels.cellsim import CellPack
from kernels.parameters import load_cell

CALM = LoadConfig(kind="constant", rated_power_w=1e6)
CELLS = 416
RACK_OHM = 0.104
WIRING_OHM = 0.004
PRECHARGE_OHM = 15.0
LINK_F = 0.020
LINK_BLEED_OHM = 5000.0


def equal_rack(soc_frac: float = 0.5) -> RackPlant:
    """Identical cells of 0.25 milliohm, 280 Ah, OCV from 3.0 V straight to 3.5 V, no RC, no cooling."""
    cells = CellPack(
        ocv_v=np.linspace(3.0, 3.5, 201),
        resistance_ohm=np.full(CELLS, RACK_OHM / CELLS),
        rc_resistance_ohm=np.full((CELLS, 3), 1e-12),
        rc_tau_s=np.array([1.0, 10.0, 100.0]),
        capacity_ah=np.full(CELLS, 280.0),
        soc_frac=np.full(CELLS, soc_frac),
        hysteresis_v=0.0,
        heat_capacity_j_per_k=5000.0,
        cooling_w_per_k=1e-9,
        temperature_degc=np.full(CELLS, 25.0),
    )
    return RackPlant(cells, wiring_ohm=WIRING_OHM, precharge_ohm=PRECHARGE_OHM)


def equal_plant(*soc_frac: float) -> Plant:
    template = build_plant(PlantConfig(racks=1, load=CALM))
    return Plant([equal_rack(soc) for soc in soc_frac], template.converter, template.load)


def run(plant: Plant, seconds: float, dt_s: float = 0.01) -> None:
    for _ in range(round(seconds / dt_s)):
        plant.step(dt_s)


def bring_up(plant: Plant) -> None:
    for rack in plant.racks:
        rack.command(main=False, precharge=True)
    run(plant, 3.0)
    for rack in plant.racks:
        rack.command(main=True, precharge=False)
    plant.converter.start()
    run(plant, 1.5)
    assert plant.converter.state == "running"


def imports_of(source: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(source.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("dt_s", [0.001, 0.005, 0.010, 0.020])
def test_precharge_reaches_99_percent_in_the_predicted_time(dt_s: float) -> None:
    plant = equal_plant(0.5)
    rack = plant.racks[0]
    rack.command(main=False, precharge=True)
    path_ohm = PRECHARGE_OHM + RACK_OHM + WIRING_OHM
    final_v = rack.emf_v * LINK_BLEED_OHM / (LINK_BLEED_OHM + path_ohm)
    time_constant_s = LINK_F * path_ohm * LINK_BLEED_OHM / (LINK_BLEED_OHM + path_ohm)
    assert math.log(100) * time_constant_s == pytest.approx(1.387, abs=0.001)
    run(plant, 1.380, dt_s)
    assert rack.link_voltage_v == pytest.approx(final_v * (1 - math.exp(-1.380 / time_constant_s)), rel=1e-4)
    run(plant, 0.020, dt_s)
    assert rack.link_voltage_v > 0.99 * final_v


def test_precharge_ends_within_one_percent_of_the_rack_in_less_than_two_seconds() -> None:
    plant = equal_plant(0.5)
    rack = plant.racks[0]
    rack.command(main=False, precharge=True)
    run(plant, 1.6)
    assert abs(rack.voltage_v - rack.link_voltage_v) < 0.01 * rack.voltage_v
    assert rack.current_a < 1.0


def test_precharge_current_starts_at_emf_over_resistance() -> None:
    plant = equal_plant(0.5)
    plant.racks[0].command(main=False, precharge=True)
    plant.step(0.0001)
    assert plant.racks[0].current_a == pytest.approx(CELLS * 3.25 / 15.108, rel=1e-3)


def test_main_closed_on_an_empty_link_gives_an_inrush_that_fills_it() -> None:
    plant = equal_plant(0.5)
    plant.racks[0].command(main=True, precharge=False)
    plant.step(0.010)
    charge_as = LINK_F * CELLS * 3.25
    assert plant.racks[0].current_a * 0.010 == pytest.approx(charge_as, rel=0.02)


def test_link_bleeds_down_slowly_when_disconnected() -> None:
    plant = equal_plant(0.5)
    plant.bus.voltage_v = 1000.0
    run(plant, 100.0, 0.02)
    assert plant.bus.voltage_v == pytest.approx(1000.0 * math.exp(-1), rel=1e-6)


def test_equal_racks_share_the_current_equally() -> None:
    plant = equal_plant(0.5, 0.5)
    bring_up(plant)
    plant.converter.set_power(400e3)
    run(plant, 1.0)
    first, second = plant.racks
    assert first.current_a == pytest.approx(second.current_a)
    dc_power_w = 400e3 / 0.985 + 1500 + plant.bus.voltage_v**2 / 5000
    assert first.current_a == pytest.approx(dc_power_w / plant.bus.voltage_v / 2, rel=1e-4)


def test_unequal_racks_drive_a_circulating_current() -> None:
    plant = equal_plant(0.52, 0.50)
    plant.bus.voltage_v = plant.racks[0].emf_v
    for rack in plant.racks:
        rack.command(main=True, precharge=False)
    plant.step(0.02)
    plant.step(0.001)
    first, second = plant.racks
    delta_v = CELLS * 0.02 * 0.5
    assert delta_v == pytest.approx(4.16)
    assert (first.current_a - second.current_a) / 2 == pytest.approx(delta_v / (2 * 0.108), rel=1e-3)
    assert second.current_a < -18


@pytest.mark.parametrize("dt_s", [0.001, 0.010, 0.020])
def test_shared_load_does_not_depend_on_the_step(dt_s: float) -> None:
    plant = equal_plant(0.55, 0.50)
    bring_up(plant)
    plant.converter.set_power(-500e3)
    run(plant, 1.0, dt_s)
    first, second = (rack.current_a for rack in plant.racks)
    assert first - second == pytest.approx(CELLS * 0.025 / 0.108, rel=0.01)
    assert first + second == pytest.approx((-500e3 * 0.985 + 1500) / plant.bus.voltage_v, rel=0.002)


def test_discharge_lowers_soc_and_charge_raises_it() -> None:
    plant = equal_plant(0.5)
    bring_up(plant)
    start = plant.racks[0].cells.soc_frac.mean()
    plant.converter.set_power(300e3)
    run(plant, 60.0)
    after_discharge = plant.racks[0].cells.soc_frac.mean()
    current_a = (300e3 / 0.985 + 1500) / plant.bus.voltage_v
    assert start - after_discharge == pytest.approx(current_a * 60 / 3600 / 280, rel=0.005)
    plant.converter.set_power(-300e3)
    run(plant, 60.0)
    assert plant.racks[0].cells.soc_frac.mean() > after_discharge


def test_cells_give_what_converter_takes_plus_losses() -> None:
    plant = equal_plant(0.6, 0.5)
    bring_up(plant)
    plant.converter.set_power(450e3)
    before = [rack.cells.soc_frac.mean() for rack in plant.racks]
    warm = [rack.cells.temperature_degc.sum() for rack in plant.racks]
    dc_before_j, lost_j = plant.energies.dc_out_j, 0.0
    for _ in range(12_000):
        plant.step(0.01)
        lost_j += sum(rack.current_a**2 * WIRING_OHM for rack in plant.racks) * 0.01
        lost_j += plant.bus.voltage_v**2 / 5000 * 0.01
    stored_j = 0.0
    for rack, old, warmth in zip(plant.racks, before, warm, strict=True):
        new = rack.cells.soc_frac.mean()
        stored_j += CELLS * 280 * 3600 * (old - new) * (3.0 + 0.5 * (old + new) / 2)
        lost_j += 5000.0 * (rack.cells.temperature_degc.sum() - warmth)
    assert stored_j == pytest.approx(plant.energies.dc_out_j - dc_before_j + lost_j, rel=1e-3)
    assert plant.energies.dc_out_j - dc_before_j == pytest.approx(120 * (450e3 / 0.985 + 1500), rel=1e-3)


def test_energy_counters_agree_with_each_other() -> None:
    plant = equal_plant(0.6, 0.6)
    plant.load = ConstantLoad(100e3)
    bring_up(plant)
    plant.converter.set_power(300e3)
    run(plant, 10.0)
    plant.converter.set_power(-300e3)
    run(plant, 10.0)
    energies = plant.energies
    assert energies.grid_export_j > 1.9e6
    grid_j = energies.grid_import_j - energies.grid_export_j
    assert grid_j == pytest.approx(energies.load_j - energies.discharged_j + energies.charged_j, rel=1e-9)
    assert energies.racks_out_j > energies.dc_out_j > energies.discharged_j > 2.9e6
    assert 2.8e6 < energies.racks_in_j < energies.dc_in_j < energies.charged_j


def test_racks_lose_what_their_resistance_takes() -> None:
    plant = equal_plant(0.5)
    bring_up(plant)
    plant.converter.set_power(450e3)
    run(plant, 1.0)
    before = plant.energies.racks_out_j, plant.energies.dc_out_j
    run(plant, 10.0)
    lost_j = plant.energies.racks_out_j - before[0] - (plant.energies.dc_out_j - before[1])
    ohmic_w = plant.racks[0].current_a ** 2 * (RACK_OHM + WIRING_OHM)
    bleed_w = plant.bus.voltage_v**2 / LINK_BLEED_OHM
    assert lost_j == pytest.approx(10 * (ohmic_w + bleed_w), rel=0.002)


def test_grid_covers_load_less_battery() -> None:
    plant = equal_plant(0.5)
    bring_up(plant)
    plant.converter.set_power(250e3)
    run(plant, 1.0)
    assert plant.load_power_w == 1e6
    assert plant.grid_power_w == pytest.approx(750e3)


def test_opening_under_load_is_counted_and_trips_the_converter() -> None:
    plant = equal_plant(0.5)
    rack = plant.racks[0]
    bring_up(plant)
    plant.converter.set_power(300e3)
    run(plant, 1.0)
    carried_a = rack.current_a
    rack.command(main=False, precharge=False)
    run(plant, 0.1)
    assert rack.opened_under_load_a == carried_a > 200
    assert rack.main.opened_under_load == 1
    assert (rack.current_a, rack.main_closed) == (0.0, False)
    assert (plant.converter.state, plant.converter.ac_power_w) == ("fault", 0.0)
    assert plant.grid_power_w == 1e6


def test_current_that_racks_carry_for_each_other_is_told_from_a_load() -> None:
    plant = equal_plant(0.45, 0.55)
    bring_up(plant)
    plant.converter.set_power(300e3)
    run(plant, 1.0)
    assert [rack.circulated_s for rack in plant.racks] == [0.0, 0.0]
    plant.converter.stop()
    run(plant, 2.0)
    carried_a = abs(plant.racks[0].current_a)
    plant.racks[0].command(main=False, precharge=False)
    (opening,) = plant.racks[0].main.openings
    assert opening.current_a == carried_a > 50.0
    assert 1.0 < opening.circulated_s < 2.0


def test_charging_into_an_opened_link_trips_on_over_voltage() -> None:
    plant = equal_plant(0.5)
    bring_up(plant)
    plant.converter.set_power(-400e3)
    run(plant, 1.0)
    plant.racks[0].command(main=False, precharge=False)
    run(plant, 0.1)
    assert plant.converter.alarm == "dc_over_voltage"


def test_opening_without_current_is_not_under_load() -> None:
    plant = equal_plant(0.5)
    bring_up(plant)
    plant.converter.stop()
    run(plant, 0.1)
    plant.racks[0].command(main=False, precharge=False)
    run(plant, 0.1)
    assert plant.racks[0].opened_under_load_a == 0.0


def test_precharge_that_opens_beside_a_closed_main_breaks_no_current() -> None:
    plant = equal_plant(0.5)
    rack = plant.racks[0]
    rack.command(main=False, precharge=True)
    run(plant, 3.0)
    rack.command(main=True, precharge=True)
    plant.converter.start()
    plant.converter.set_power(300e3)
    run(plant, 2.0)
    rack.command(main=True, precharge=False)
    assert rack.opened_under_load_a == 0.0


def test_welded_contactor_stays_closed_and_stuck_one_stays_open() -> None:
    rack = equal_rack()
    rack.command(main=True, precharge=False)
    rack.main.welded = True
    rack.command(main=False, precharge=False)
    assert rack.main_closed
    rack.precharge.stuck_open = True
    rack.command(main=False, precharge=True)
    assert not rack.precharge_closed


def test_sensor_biases_move_readings_not_the_truth() -> None:
    rack = equal_rack()
    rack.voltage_bias_v[3] = 0.1
    rack.temperature_bias_degc[4] = 20.0
    rack.current_bias_a = -5.0
    assert rack.measured_voltage_v()[2:4] == pytest.approx([3.25, 3.35])
    assert rack.measured_temperature_degc()[4:6] == pytest.approx([45.0, 25.0])
    assert rack.measured_current_a() == -5.0
    assert rack.voltage_v == pytest.approx(CELLS * 3.25)


def test_bleeding_cells_and_only_those_lose_charge() -> None:
    plant = equal_plant(0.5)
    rack = plant.racks[0]
    rack.bleed[7] = 1
    assert rack.bleeding()[6:9].tolist() == [0, 1, 0]
    run(plant, 36.0)
    lost_frac = 3.25 / 33 * 36 / 3600 / 280
    assert rack.cells.soc_frac[6:9] == pytest.approx([0.5, 0.5 - lost_frac, 0.5], abs=1e-9)


def test_rack_voltage_is_the_sum_of_its_cells() -> None:
    plant = build_plant(PlantConfig(load=CALM))
    bring_up(plant)
    plant.converter.set_power(500e3)
    run(plant, 5.0)
    for rack in plant.racks:
        assert rack.voltage_v == pytest.approx(rack.cells.voltage_v.sum(), rel=1e-6)
        assert rack.voltage_v - rack.current_a * WIRING_OHM == pytest.approx(plant.bus.voltage_v, abs=0.5)


def test_same_seed_builds_the_same_plant() -> None:
    first, same, other = (build_plant(PlantConfig(seed=seed)) for seed in (1, 1, 2))
    for plant in (first, same, other):
        bring_up(plant)
        plant.converter.set_power(200e3)
        run(plant, 2.0)
    assert np.array_equal(first.racks[1].cells.voltage_v, same.racks[1].cells.voltage_v)
    assert first.grid_power_w == same.grid_power_w
    assert not np.array_equal(first.racks[1].cells.voltage_v, other.racks[1].cells.voltage_v)
    assert not np.array_equal(first.racks[0].cells.soc_frac, first.racks[1].cells.soc_frac)


def test_cells_spread_as_asked() -> None:
    rack = build_plant(PlantConfig(soc_frac=0.55)).racks[0]
    assert rack.cell_count == CELLS
    assert rack.cells.soc_frac.mean() == pytest.approx(0.55, abs=0.003)
    assert rack.cells.soc_frac.std() == pytest.approx(0.012, rel=0.15)
    assert np.ptp(rack.cells.temperature_degc) < 3.0


def test_cells_relax_for_longer_than_the_one_rc_pair_of_the_parameters() -> None:
    cells = build_plant(PlantConfig(load=CALM)).racks[0].cells
    none_a = np.zeros(CELLS)
    for seconds, current_a in ((900, 140.0), (200, 0.0)):
        for _ in range(seconds):
            cells.step(current_a, none_a, 25.0, 1.0)
    settled_v = cells.voltage_v.mean()
    for _ in range(3600):
        cells.step(0.0, none_a, 25.0, 1.0)
    assert cells.voltage_v.mean() - settled_v == pytest.approx(0.0056, abs=0.0005)


def test_plant_imports_nothing_that_it_is_there_to_judge() -> None:
    sources = sorted(Path(dc_bus.__file__).parent.glob("*.py"))
    assert len(sources) > 5
    imported = {name for source in sources for name in imports_of(source)}
    ours = {name for name in imported if name.split(".")[0] in ("bms", "drivers", "kernels")}
    assert ours == {"kernels.cellsim", "kernels.parameters", "kernels.ramp"}


def test_ocv_error_is_small_smooth_and_never_falling() -> None:
    ocv_v = np.asarray(load_cell("lfp-280ah").ocv_v)
    disturbed_v = disturbed_ocv(ocv_v, np.random.default_rng(5))
    error_v = disturbed_v - ocv_v
    assert 0.5 * OCV_ERROR_V < np.abs(error_v).max() <= OCV_ERROR_V + 1e-6
    assert np.all(np.diff(disturbed_v) >= 0)


def test_time_is_counted_without_drift() -> None:
    plant = equal_plant(0.5)
    run(plant, 100.0)
    assert plant.time_s == 100.0


@pytest.mark.parametrize("dt_s", [0.0, -0.01, math.nan])
def test_step_that_does_not_advance_is_refused(dt_s: float) -> None:
    with pytest.raises(ValueError, match="longer than 0 s"):
        equal_plant(0.5).step(dt_s)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"racks": 0}, "0 racks"), ({"cells_in_series": 0}, "0 cells"), ({"soc_frac": 55.0}, "soc_frac")],
)
def test_plant_that_cannot_be_is_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PlantConfig(**fields)


@pytest.mark.parametrize(("kind", "message"), [("file", "needs a path"), ("windmill", "unknown kind")])
def test_load_that_cannot_be_built_is_refused(kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_plant(PlantConfig(load=LoadConfig(kind=kind)))


def warmed_k(works: tuple[bool, ...]) -> tuple[float, float]:
    """Coolant and cells above their surroundings, after an hour at 0.5C for each entry."""
    rack = build_plant(PlantConfig(racks=1, cells_in_series=4, load=CALM)).racks[0]
    for now in works:
        rack.coolant.works = now
        for second in range(3600):
            rack.current_a = 140.0 if second % 200 < 100 else -140.0
            rack.step(1.0, 25.0)
    return rack.coolant.rise_k, float(rack.cells.temperature_degc.mean()) - 25.0


def test_without_cooling_the_heat_stays_in_cells_and_coolant() -> None:
    """Cells of 5.5 kJ/K that 1.5 W/K cool, an hour of P: P / 1.5 (1 - exp(-3600 / 3667)). Without cooling the same P
    warms them and 1 kJ/K of coolant, but for what that loses with 0.05 W/K."""
    cooled_rise_k, cooled_k = warmed_k((True,))
    rise_k, cells_k = warmed_k((False,))
    assert cooled_rise_k == 0.0
    heat_j = 3600 * 1.5 * cooled_k / (1 - math.exp(-3600 / 3667))
    assert 5500 * cells_k + 1000 * rise_k + 3600 * 0.05 * rise_k / 2 == pytest.approx(heat_j, rel=0.03)
    assert cells_k > rise_k > 2.0


def test_cooling_that_works_again_takes_the_heat_back() -> None:
    rise_k, cells_k = warmed_k((False, True))
    assert rise_k == 0.0
    assert cells_k < warmed_k((False, False))[1] - 2.0
