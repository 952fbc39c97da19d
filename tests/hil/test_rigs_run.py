"""Every shipped rig comes alive with the controller, and stops safely."""

import numpy as np
import pytest

from hil_rigs.invariants import invariants
from hil_rigs.plant.build import PlantConfig, build_plant
from hil_rigs.plant.rack import ChargeLoss, RackPlant
from hil_rigs.plant.spread import one_cell
from hil_rigs.plant.strings import ParallelStrings
from hil_rigs.rig import RigFile, find_rig, list_rigs
from hil_rigs.rig_plant import plant_config
from hil_rigs.run import simulate
from hil_rigs.signals import INVARIANT_SIGNALS
from kernels.parameters import load_cell

LONG_S = 4.0


LIT = [rig for rig in list_rigs() if rig.microgrid is None or not rig.microgrid.dark]
"""A rig that begins without a grid has its own tests: no grid is a fault there from the start."""


@pytest.mark.parametrize("rig", LIT, ids=lambda rig: rig.name)
def test_shipped_rig_runs_without_a_fault_and_stops_safely(rig: RigFile) -> None:
    outcome = simulate(rig, seed=1, duration_s=LONG_S, signals=INVARIANT_SIGNALS)
    assert outcome.trips == ()
    assert any(outcome.end.contactors_closed)
    assert outcome.end.stopped_safely
    assert [verdict for verdict in invariants(rig, outcome) if not verdict.passed] == []


def test_container_holds_its_cells_at_their_nominal_voltage() -> None:
    """13 x 411 cells of 314 Ah and 3.2 V: 5.37 MWh."""
    plant = find_rig("container").plant
    assert (plant.racks, plant.cells_per_rack) == (13, 411)
    cells = plant.racks * plant.cells_per_rack
    assert cells * load_cell(plant.cell).capacity_ah * 3.2 == pytest.approx(5.37e6, rel=1e-3)


def lossy(efficiency_frac: float, self_discharge_a: float) -> RackPlant:
    rack = build_plant(PlantConfig(racks=1, cells_in_series=4, cell="zinc-200ah", soc_frac=0.5)).racks[0]
    return RackPlant(rack.cells, loss=ChargeLoss(efficiency_frac, self_discharge_a))


def moved_ah(rack: RackPlant, current_a: float, hours: float) -> float:
    """Charge that went into the mean cell."""
    capacity_ah = load_cell("zinc-200ah").capacity_ah
    before = rack.cells.soc_frac.copy()
    rack.current_a = current_a
    for _ in range(round(hours * 360.0)):
        rack.step(10.0, 25.0)
    return float(np.mean(rack.cells.soc_frac - before)) * capacity_ah


def test_part_of_every_charge_is_lost_and_none_of_a_discharge() -> None:
    assert moved_ah(lossy(0.93, 0.0), -40.0, 1.0) == pytest.approx(37.2, rel=0.02)
    assert moved_ah(lossy(0.93, 0.0), 40.0, 1.0) == pytest.approx(-40.0, rel=0.02)


def test_cells_at_rest_lose_what_the_rig_says() -> None:
    """0.2 % of 200 Ah in an hour."""
    config = plant_config(find_rig("zinc"), seed=1)
    assert config.self_discharge_frac_per_h == 0.002
    assert moved_ah(lossy(0.93, 0.4), 0.0, 10.0) == pytest.approx(-4.0, rel=0.02)
    assert moved_ah(lossy(1.0, 0.0), 0.0, 10.0) == 0.0


def test_block_of_cells_in_parallel_is_as_many_cells() -> None:
    """20 of them at 20 times the current: voltage and warming of one."""
    single, block = (
        build_plant(PlantConfig(racks=1, cells_in_series=8, cell=cell, cells_in_parallel=count, seed=3)).racks[0]
        for cell, count in (("lfp-314ah", 1), ("lfp-314ah-20p", 20))
    )
    single.current_a, block.current_a = 150.0, 20 * 150.0
    for _ in range(360):
        single.step(10.0, 25.0)
        block.step(10.0, 25.0)
    assert block.cells.voltage_v == pytest.approx(single.cells.voltage_v, abs=2e-4)
    assert block.cells.soc_frac == pytest.approx(single.cells.soc_frac)
    assert block.cells.temperature_degc == pytest.approx(single.cells.temperature_degc, abs=0.05)
    assert block.cells.temperature_degc.mean() > 26.0


def test_aged_cells_have_less_charge_and_more_resistance() -> None:
    new, aged = (
        build_plant(PlantConfig(racks=1, cells_in_series=8, seed=3, **ageing)).racks[0]
        for ageing in ({}, {"aged_capacity_frac": 0.8, "aged_resistance_factor": 1.5})
    )
    assert aged.resistance_ohm == pytest.approx(1.5 * new.resistance_ohm)
    before = new.cells.soc_frac.copy()
    for rack in (new, aged):
        rack.current_a = 100.0
        rack.step(360.0, 25.0)
    assert before - aged.cells.soc_frac == pytest.approx((before - new.cells.soc_frac) / 0.8)


def strings_of(own_frac: float, others_frac: float, others: int) -> ParallelStrings:
    """A string of 8 equal cells, and others."""
    cell = load_cell("lfp-314ah")
    own = one_cell(cell, own_frac, 25.0), one_cell(cell, others_frac, 25.0)
    return ParallelStrings(own[0], own[1], others)


def test_equal_strings_in_parallel_share_the_current_equally() -> None:
    strings, single = strings_of(0.5, 0.5, 19), one_cell(load_cell("lfp-314ah"), 0.5, 25.0)
    for _ in range(600):
        strings.step(20 * 150.0, None, 25.0, 1.0)
        single.step(150.0, None, 25.0, 1.0)
    assert strings.soc_frac[0] == pytest.approx(0.5 - 150.0 / 6 / 314, abs=1e-9)
    assert strings.voltage_v == pytest.approx(single.voltage_v, abs=1e-9)
    assert strings.emf_v == pytest.approx(single.emf_v, abs=1e-9)
    assert strings.resistance_ohm == pytest.approx(single.resistance_ohm / 20)


def test_unequal_strings_feed_each_other_while_the_rack_rests() -> None:
    strings = strings_of(0.10, 0.14, 3)
    for _ in range(3600):
        strings.step(0.0, None, 25.0, 1.0)
    own_frac, others_frac = float(strings.soc_frac[0]), float(strings.mean_cell.soc_frac[0])
    assert 0.10 < own_frac < others_frac < 0.14
    assert own_frac + 3 * others_frac == pytest.approx(0.10 + 3 * 0.14, abs=1e-9)


def test_one_container_of_the_campus_is_there_to_its_cells() -> None:
    """Its string has the capacity and the voltages of single cells, its rack the currents of twenty containers."""
    rack = build_plant(plant_config(find_rig("sakai"), seed=1)).racks[0]
    rack.current_a = 20 * 157.0
    for _ in range(360):
        rack.step(1.0, 25.0)
    assert rack.cell_count == 411
    assert 0.55 - rack.cells.soc_frac.mean() == pytest.approx(0.05, abs=0.004)
    assert np.ptp(rack.cells.soc_frac) > 0.03
