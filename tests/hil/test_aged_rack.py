"""A rack of aged cells with the cell file of new ones: how much they have lost is found out within its bound."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from bms.estimate.soc import RackSoc
from bms.estimate.string import StringEstimator
from bms.summary import summarise_rack
from drivers.readings import MonitorHealth, RackReading
from drivers.safety import NOT_HEARD
from hil_rigs.plant.spread import spread_cells
from kernels.cellsim import CellPack
from kernels.parameters import load_cell, load_tables

NEW = load_cell("lfp-280ah")
CELLS = 32
DT_S = 10.0


def aged(capacity_frac: float, resistance_factor: float) -> CellPack:
    """Cells that differ, half full, with a curve, two RC pairs and sensors of which their file says nothing."""
    ohm, inner_ohm = NEW.resistance_ohm * resistance_factor, NEW.rc_resistance_ohm * resistance_factor
    cell = replace(NEW, capacity_ah=capacity_frac * NEW.capacity_ah, resistance_ohm=ohm, rc_resistance_ohm=inner_ohm)
    return spread_cells(cell, CELLS, 0.5, 25.0, np.random.default_rng(1))


def cycles(pack: CellPack, hours: float) -> Iterator[RackReading]:
    """Between the first cell full, an hour's rest there, and the first nearly empty."""
    rng, way_a, rest_s, at_ns = np.random.default_rng(2), -90.0, 0.0, 10**12
    off_v = 0.0005 * rng.standard_normal(CELLS)
    for _ in range(round(hours * 3600 / DT_S)):
        if rest_s <= 0 and way_a < 0 and pack.voltage_v.max() > 3.55:
            way_a, rest_s = 90.0, 3600.0
        elif rest_s <= 0 and way_a > 0 and pack.voltage_v.min() < 2.9:
            way_a, rest_s = -90.0, 900.0
        rest_s -= DT_S
        amps = 0.0 if rest_s > 0 else way_a * rng.uniform(0.6, 1.4)
        pack.step(amps, np.zeros(CELLS), 25.0, DT_S)
        at_ns += round(DT_S * 1e9)
        volts = pack.voltage_v + off_v + 0.0005 * rng.standard_normal(CELLS)
        times = np.full(CELLS, at_ns)
        yield RackReading(
            volts, times, pack.temperature_degc.copy(), times, np.zeros(CELLS, np.uint8), 1.003 * amps + 0.2, at_ns,
            float(volts.sum()), float(volts.sum()), True, False, 0.1, at_ns, MonitorHealth(0, 0, 0, 0, 0, 0),
            safety=NOT_HEARD,
        )  # fmt: skip


@pytest.mark.parametrize(("capacity_frac", "resistance_factor"), [(1.0, 1.0), (0.9, 1.2), (0.75, 1.5)])
def test_lost_capacity_is_found_within_its_bound(capacity_frac: float, resistance_factor: float) -> None:
    pack, rack = aged(capacity_frac, resistance_factor), RackSoc(load_tables("lfp-280ah"), CELLS, 0.1)
    for k, reading in enumerate(cycles(pack, 30.0)):
        rack.step(reading, summarise_rack(reading, reading.current_at_ns), DT_S if k else 0.0)
    state = rack.cell_state()
    mean_ah, sigma_frac = float(state["capacity_ah"].mean()), float(state["capacity_sigma_frac"].mean())
    assert mean_ah == pytest.approx(capacity_frac * NEW.capacity_ah, rel=0.02)
    assert abs(mean_ah / (capacity_frac * NEW.capacity_ah) - 1) < 3 * sigma_frac
    assert rack.soc_frac == pytest.approx(pack.soc_frac, abs=0.03)


def test_a_resistance_that_has_grown_makes_the_capacity_doubtful_before_a_cycle_tells_it() -> None:
    """70 %, known to be half full, the first six hours: less than a quarter of an hour beyond 3 sigma."""
    pack, one = aged(0.7, 1.5), StringEstimator(load_tables("lfp-280ah"))
    one.start(0.5, 0.02)
    beyond_s = 0.0
    for k, reading in enumerate(cycles(pack, 6.0)):
        volts = float(reading.voltage_v.mean())
        one.step(volts, reading.current_a, 25.0, DT_S if k else 0.0)
        beyond_s += DT_S * (abs(one.soc_frac - pack.soc_frac.mean()) > 3 * one.soc_sigma_frac)
    assert one.capacity_doubted
    assert beyond_s < 900.0


def test_a_new_cell_whose_file_has_a_resistance_somewhat_low_is_not_doubted() -> None:
    pack, one = aged(1.0, 1.1), StringEstimator(load_tables("lfp-280ah"))
    for k, reading in enumerate(cycles(pack, 20.0)):
        one.step(float(reading.voltage_v.mean()), reading.current_a, 25.0, DT_S if k else 0.0)
    assert not one.capacity_doubted
    assert one.resistance_factor > 1.05
