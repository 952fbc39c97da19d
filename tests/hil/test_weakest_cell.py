"""Cells in series against a simulated rack: the weakest one comes out right, and sigma says how right."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hil_rigs.plant.spread import spread_cells
from kernels.cellsim import CellPack
from kernels.parameters import load_cell, load_tables
from kernels.series import SeriesCells
from kernels.series_model import MEAN

CELL = load_cell("lfp-280ah")
CELLS = 416
CURRENT_A = 140.0
DT_S = 10.0
OFFSET_V, NOISE_V = 0.0015, 0.0005
RC_SHARE, RC_TAU_S = np.array([1.0, 0.15, 0.4]), np.array([30.0, 2.0, 900.0])
Floats = NDArray[np.float64]


class Rack:
    """416 cells that differ, cycled between the first cell empty and the first cell full, and their estimate. The mean
    cell is told with `mean_error_frac`, the voltages with an offset of each sensor's own."""

    def __init__(self, seed: int, soc_frac: float, mean_error_frac: float) -> None:
        self._rng = np.random.default_rng(seed)
        self.pack: CellPack = spread_cells(CELL, CELLS, soc_frac, 25.0, self._rng)
        self.offset_v = OFFSET_V * self._rng.standard_normal(CELLS)
        self.cells = SeriesCells(load_tables("lfp-280ah"), 1, CELLS)
        self._mean = np.zeros(1, MEAN)
        self._mean["capacity_ah"] = CELL.capacity_ah
        self._mean["temperature_degc"] = 25.0
        self._mean["soc_sigma_frac"] = max(abs(mean_error_frac), 0.005)
        self._error_frac = mean_error_frac
        self._rc_a: Floats = np.zeros(3)
        self._charging = False

    def run(self, hours: float) -> None:
        for _ in range(round(hours * 3600 / DT_S)):
            self._step()

    def _step(self) -> None:
        volts = self.pack.voltage_v
        self._charging = volts.max() < 3.5 if self._charging else volts.min() < 2.8
        current_a = (-1 if self._charging else 1) * CURRENT_A * self._rng.uniform(0.5, 1.5)
        self.pack.step(current_a, np.zeros(CELLS), 25.0, DT_S)
        decay = np.exp(-DT_S / RC_TAU_S)
        self._rc_a = decay * self._rc_a + (1 - decay) * current_a
        rc_v = CELL.rc_resistance_ohm * float(RC_SHARE @ self._rc_a)
        self._mean["soc_frac"] = self.pack.soc_frac.mean() + self._error_frac
        self._mean["drop_v"] = CELL.resistance_ohm * current_a + rc_v
        self._mean["charge_ah"] = current_a * DT_S / 3600
        measured_v = self.pack.voltage_v + self.offset_v + NOISE_V * self._rng.standard_normal(CELLS)
        self.cells.step(measured_v[None], self._mean, DT_S)

    def errors(self) -> tuple[Floats, Floats]:
        """Of each cell's deviation from the mean, and sigma of that deviation alone."""
        told = self.cells.soc_frac[0].astype(np.float64)
        sigma = np.sqrt(np.square(self.cells.soc_sigma_frac[0].astype(np.float64)) - self._mean["soc_sigma_frac"] ** 2)
        return told - self._error_frac - self.pack.soc_frac, sigma


RACKS = pytest.mark.parametrize(("seed", "mean_error_frac"), [(1, 0.0), (2, 0.0), (3, 0.02), (4, -0.02)])


@RACKS
def test_at_the_end_of_one_discharge_the_emptiest_cell_is_known(seed: int, mean_error_frac: float) -> None:
    rack = Rack(seed, 0.9, mean_error_frac)
    while rack.pack.voltage_v.min() > 2.8:
        rack.run(0.1)
    weakest = int(rack.pack.soc_frac.argmin())
    assert weakest in np.argsort(rack.cells.soc_frac[0])[:3]
    error, sigma = rack.errors()
    assert abs(error[weakest]) < 0.01
    assert abs(error[weakest]) < 3 * sigma[weakest]
    assert error.std() < 0.5 * rack.pack.soc_frac.std()


@RACKS
def test_sigma_covers_the_errors_on_the_plateau_and_at_the_knee(seed: int, mean_error_frac: float) -> None:
    rack = Rack(seed + 10, 0.6, mean_error_frac)
    covered, median_frac = [], []
    for _ in range(14):
        rack.run(0.5)
        error, sigma = rack.errors()
        covered.append(np.mean(np.abs(error) < 3 * sigma))
        median_frac.append(np.median(sigma))
    assert min(covered) > 0.99
    assert max(median_frac) < 0.021
    assert min(median_frac) < 0.008


def test_before_anything_was_seen_on_the_plateau_nothing_is_claimed() -> None:
    rack = Rack(1, 0.5, 0.0)
    rack.run(0.2)
    error, sigma = rack.errors()
    assert np.median(sigma) > 0.018
    assert np.mean(np.abs(error) < 3 * sigma) == 1.0


def test_capacities_and_resistances_are_found_within_a_day_of_cycles() -> None:
    rack = Rack(6, 0.9, 0.0)
    before = rack.pack.soc_frac.copy()
    rack.run(0.1)
    moved = before - rack.pack.soc_frac
    capacity = np.mean(moved) / moved
    capacity /= capacity.mean()
    rack.run(24.0)
    told, sigma = rack.cells.capacity_factor
    error = told[0] / told[0].mean() - capacity
    assert error.std() < 0.5 * capacity.std()
    assert np.mean(np.abs(error) < 3 * sigma[0]) > 0.99
    assert int(capacity.argmin()) in np.argsort(told[0])[: CELLS // 20]
    assert rack.cells.resistance_factor[1].max() < 0.03
