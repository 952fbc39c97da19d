"""A log reaches the estimators as it is, or as a worse sensor would have written it; the comparisons are honest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bms.estimate.coulomb import CoulombCounter
from bms.estimate.log import Log
from bms.estimate.plain_cell import PlainCell
from bms.estimate.plain_ekf import PlainEkf
from bms.estimate.replay import SensorError, Start, replay
from kernels.cell_tables import SOC_GRID, CellTables
from kernels.parameters import load_tables

CELL = load_tables("lfp-280ah")
HALF = 110


def log_of(time_s: list[float], current_a: list[float], voltage_v: float = 3.3) -> Log:
    voltages_v, degc = np.full(len(time_s), voltage_v), np.full(len(time_s), 25.0)
    return Log(Path("log.csv"), np.array(time_s), np.array(current_a), voltages_v, degc, None, None, None)


class Listener:
    """Notes what it is given; its SoC is the number of samples."""

    soc_sigma_frac = 0.0

    def __init__(self) -> None:
        self.started: list[tuple[float | None, float | None]] = []
        self.heard: list[tuple[float, float, float, float]] = []
        self.doubts: list[tuple[int, float]] = []

    @property
    def soc_frac(self) -> float:
        return float(len(self.heard))

    def start(self, soc_frac: float | None = None, soc_sigma_frac: float | None = None) -> None:
        self.started.append((soc_frac, soc_sigma_frac))

    def step(self, voltage_v: float, current_a: float, temperature_degc: float, dt_s: float) -> None:
        self.heard.append((voltage_v, current_a, temperature_degc, dt_s))

    def doubt(self, charge_sigma_ah: float) -> None:
        self.doubts.append((len(self.heard), charge_sigma_ah))


def test_every_row_is_one_step_and_the_first_has_no_length() -> None:
    listener, seen = Listener(), []
    done = replay(log_of([5.0, 6.0, 8.5], [1, 2, 3]), listener, Start(0.4, 0.1), watch=seen.append)
    assert listener.started == [(0.4, 0.1)]
    assert listener.heard == [(3.3, 1, 25, 0), (3.3, 2, 25, 1), (3.3, 3, 25, 2.5)]
    assert done.soc_frac.tolist() == [1, 2, 3]
    assert seen == []


def test_doubt_about_the_charge_comes_after_its_row() -> None:
    listener = Listener()
    replay(replace(log_of([0, 1, 2], [1, 2, 3]), charge_sigma_ah=np.array([0.0, 0.5, 0.0])), listener, Start())
    assert listener.doubts == [(2, 0.5)]


def test_sensor_error_is_gain_then_offset() -> None:
    worse = SensorError(current_gain=1.01, current_offset_a=0.5).on(log_of([0, 1], [100, -100]))
    assert worse.current_a.tolist() == pytest.approx([101.5, -100.5])
    assert worse.voltage_v.tolist() == [3.3, 3.3]


def test_noise_is_the_seeds() -> None:
    log = log_of(list(range(5000)), [0.0] * 5000)
    first, again, other = (SensorError(voltage_noise_v=0.01, seed=seed).on(log).voltage_v for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert np.std(first) == pytest.approx(0.01, rel=0.05)


def test_coulomb_counting_is_the_trapezoid_of_the_current() -> None:
    done = replay(log_of([0, 60, 120], [0, 280, 280]), CoulombCounter(CELL), Start(0.6, 0.05))
    assert done.soc_frac.tolist() == pytest.approx([0.6, 0.6 - 0.5 / 60, 0.6 - 1.5 / 60])
    assert done.soc_sigma_frac[-1] == pytest.approx(0.05 + 0.005 / 30)


def test_coulomb_counting_begins_in_the_middle_when_nothing_is_known() -> None:
    assert replay(log_of([0], [0]), CoulombCounter(CELL), Start()).soc_frac.tolist() == [0.5]


@pytest.mark.parametrize("make", [CoulombCounter, PlainEkf])
def test_current_over_a_gap_is_not_integrated(make: type[CoulombCounter]) -> None:
    log = replace(log_of([0, 1, 3600], [280.0, 280.0, 280.0]), voltage_v=np.full(3, np.nan))
    done = replay(log, make(CELL), Start(0.6, 0.05))
    assert done.soc_frac.tolist() == pytest.approx([0.6, 0.6 - 1 / 3600, 0.6 - 1 / 3600])


@pytest.mark.parametrize("make", [CoulombCounter, PlainEkf])
def test_absent_current_is_not_integrated(make: type[CoulombCounter]) -> None:
    nan = float("nan")
    log = replace(log_of([0, 1, 2, 3], [280.0, nan, 280.0, 280.0]), voltage_v=np.full(4, nan))
    done = replay(log, make(CELL), Start(0.6, 0.05))
    assert done.soc_frac.tolist() == pytest.approx([0.6, 0.6, 0.6, 0.6 - 1 / 3600])


def simulated(cell: CellTables, hours: float) -> Log:
    """A discharge with steps, by the plain cell's own equations."""
    plain, soc, fast, slow = PlainCell(cell), 0.9, 0.0, 0.0
    tables, rows = plain.at(25.0), []
    for second in range(int(hours * 3600)):
        flow_a = cell.capacity_ah * (0.6 if second // 300 % 2 else 0.1)
        if second:
            soc -= flow_a / 3600 / cell.capacity_ah
            fast += (1 - np.exp(-1 / plain.pair_tau_s[0])) * (flow_a - fast)
            slow += (1 - np.exp(-1 / plain.pair_tau_s[1])) * (flow_a - slow)
        ohm, fast_ohm, slow_ohm, ocv_v = (
            np.interp(soc, SOC_GRID, row) for row in (tables.resistance_ohm, *tables.pair_ohm, tables.ocv_v)
        )
        rows.append((second, flow_a, ocv_v - ohm * flow_a - fast_ohm * fast - slow_ohm * slow, soc))
    time_s, current_a, voltage_v, soc_frac = np.array(rows).T
    degc = np.full(len(rows), 25.0)
    return Log(Path("simulated"), time_s, current_a, voltage_v, degc, soc_frac, None, None)


def test_plain_filter_finds_the_soc_of_its_own_model() -> None:
    cell = replace(CELL, hysteresis_v=np.zeros_like(CELL.hysteresis_v))
    log = simulated(cell, hours=2.0)
    done = replay(log, PlainEkf(cell), Start(0.6, 0.3))
    assert log.soc_frac is not None
    assert abs(done.soc_frac[-1] - log.soc_frac[-1]) < 0.005
    assert 0 < done.soc_sigma_frac[-1] < 0.02


def test_plain_cell_keeps_the_whole_resistance() -> None:
    pairs = np.stack([CELL.rc_resistance_ohm[0] * part for part in (1.0, 2.0, 3.0)])
    three = replace(CELL, rc_tau_s=np.array([10.0, 100.0, 1000.0]), rc_resistance_ohm=pairs)
    plain = PlainCell(three)
    fast, slow = (pair[HALF] for pair in plain.at(25.0).pair_ohm)
    assert (fast, slow) == (pytest.approx(0.0002), pytest.approx(0.001))
    assert plain.pair_tau_s == (10.0, pytest.approx(10 ** (2 * 0.4 + 3 * 0.6)))


def test_plain_cell_lies_between_its_temperatures() -> None:
    plain = PlainCell(CELL)
    at_0, between, at_25 = (plain.at(degc).resistance_ohm[HALF] for degc in (0.0, 10.0, 25.0))
    assert at_0 > between > at_25 == pytest.approx(0.00025)
    assert between == pytest.approx(0.00025 * np.exp(3500 * (1 / 283.15 - 1 / 298.15)))
    assert plain.at(-90.0).resistance_ohm == plain.at(-20.0).resistance_ohm
