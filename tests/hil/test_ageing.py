"""Cells that grow old during a run: the laws against closed forms, and what a rack shows of them."""

import numpy as np
import pytest

from hil_rigs.plant.ageing import YEAR_S, Ageing, AgeingParameters
from hil_rigs.plant.build import LoadConfig, PlantConfig, build_plant
from hil_rigs.plant.rack import RackPlant

LIFE = AgeingParameters(calendar_years=15.0, cycles=6000.0, resistance_factor=1.3)
DEGC, HALF = np.full(2, 25.0), np.full(2, 0.5)


def rested(years: float, degc: float = 25.0, soc_frac: float = 0.5, parts: int = 1) -> Ageing:
    ageing = Ageing(LIFE, cells=2, capacity_ah=280.0)
    for _ in range(parts):
        ageing.step(0.0, years * YEAR_S / parts)
        ageing.due(np.full(2, soc_frac), np.full(2, degc))
    return ageing


@pytest.mark.parametrize(("years", "lost_frac"), [(15.0, 0.2), (15.0 / 4, 0.1), (60.0, 0.4), (1e6, 0.8)])
@pytest.mark.parametrize("parts", [1, 100])
def test_calendar_takes_by_the_root_of_time(years: float, lost_frac: float, parts: int) -> None:
    assert rested(years, parts=parts).lost_frac == pytest.approx([lost_frac, lost_frac], rel=1e-9)


@pytest.mark.parametrize(
    ("degc", "soc_frac", "pace"),
    [(45.0, 0.5, 1.54387), (5.0, 0.5, 0.60851), (25.0, 1.0, 1.59309), (25.0, 0.0, 0.40691), (25.0, 1.2, 1.59309)],
)
def test_warm_and_full_cells_age_faster(degc: float, soc_frac: float, pace: float) -> None:
    """exp(17126 / 8.314462 (1 / 298.15 - 1 / 318.15)) = 1.54387; (2.8575 / 8 + 0.60225) / 0.60225 = 1.59309."""
    assert rested(15.0 / 16, degc, soc_frac).lost_frac == pytest.approx([0.05 * pace] * 2, rel=1e-5)


@pytest.mark.parametrize(("cycles", "lost_frac"), [(6000.0, 0.2), (1500.0, 0.1)])
def test_cycles_take_by_the_root_of_their_charge_in_either_direction(cycles: float, lost_frac: float) -> None:
    ageing = Ageing(AgeingParameters(1e20, 6000.0, 1.3), cells=2, capacity_ah=280.0)
    for current_a in (280.0, -280.0):
        ageing.step(current_a, 3600.0 * cycles)
    ageing.due(HALF, DEGC)
    assert ageing.lost_frac == pytest.approx([lost_frac] * 2, rel=1e-6)


def test_factors_of_all_calls_together_are_those_of_the_whole_time() -> None:
    ageing = Ageing(LIFE, cells=2, capacity_ah=280.0)
    capacity, resistance = np.ones(2), np.ones(2)
    for _ in range(10):
        ageing.step(0.0, 1.5 * YEAR_S)
        factors = ageing.due(HALF, DEGC)
        capacity, resistance = capacity * factors[0], resistance * factors[1]
    assert capacity == pytest.approx([0.8, 0.8], rel=1e-9)
    assert resistance == pytest.approx([1.3, 1.3], rel=1e-9)


def rack(**changed: object) -> RackPlant:
    load = LoadConfig(kind="constant", rated_power_w=0.0)
    return build_plant(PlantConfig(racks=1, cells_in_series=4, load=load, **changed)).racks[0]  # type: ignore[arg-type]


def test_rack_at_work_loses_capacity_and_gains_resistance() -> None:
    """280 A for 100 s, ten times as fast, are 0.1389 of the one full cycle to 80 %: its root takes 7.45 %."""
    old = rack(ageing=AgeingParameters(1e20, 1.0, resistance_factor=2.0, speed=10.0))
    new = rack()
    for each in (old, new):
        each.current_a = 280.0
        for _ in range(100):
            each.step(1.0, 25.0)
    assert (new.capacity_frac_min, old.capacity_frac_min) == (1.0, pytest.approx(0.925464, abs=1e-6))
    assert old.resistance_ohm / new.resistance_ohm == pytest.approx(1.37268, rel=2e-3), "the old cells are warmer"
    before = [each.cells.soc_frac.copy() for each in (old, new)]
    for each in (old, new):
        each.step(1.0, 25.0)
    fell = [was - each.cells.soc_frac for was, each in zip(before, (old, new), strict=True)]
    assert fell[1] / fell[0] == pytest.approx(np.full(4, 0.925464), abs=1e-6)


def test_hot_cell_warms_its_neighbour_and_not_the_next_module() -> None:
    alone, beside = rack(), rack(module_cells=3)
    for each in (alone, beside):
        each.cells.heat(0, 80.0)
        for _ in range(600):
            each.step(1.0, 25.0)
    gained_k = beside.cells.temperature_degc - alone.cells.temperature_degc
    assert gained_k[1] > 3.0
    assert gained_k[:3].sum() == pytest.approx(0.0, abs=1e-9)
    assert gained_k[3] == 0.0
