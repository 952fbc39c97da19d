"""The model's part of the limits: what a rack's cells can hold for ten seconds, by what the estimator knows."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from bms.estimate.held_current import NOT_KNOWN, HeldCurrent
from bms.estimate.soc import RackSoc
from bms.site import Limits
from bms.summary import summarise_rack
from drivers.readings import RackReading
from kernels.parameters import load_tables

CELLS = 4
TABLES = load_tables("lfp-280ah")


def held_by(reading: RackReading, seconds: int = 30, later: RackReading | None = None) -> HeldCurrent:
    """After so many seconds of one reading, and one more step of another."""
    soc, held = RackSoc(TABLES, CELLS, 0.1), HeldCurrent(TABLES, CELLS, Limits())
    readings = [reading] * (10 * seconds) + ([later] * 11 if later is not None else [])
    for each in readings:
        soc.step(each, summarise_rack(each, each.current_at_ns), 0.1)
        held.step(soc, each, 0.1)
    return held


def test_mid_soc_allows_the_rack_current_both_ways(rack: Callable[..., RackReading]) -> None:
    currents = held_by(rack()).currents
    assert (currents.charge.current_a, currents.charge.cell) == (252.0, None)
    assert (currents.discharge.current_a, currents.discharge.cell) == (252.0, None)


def test_cold_and_nearly_empty_allows_less_and_names_the_cell(rack: Callable[..., RackReading]) -> None:
    """After a rest: a cold cell that was just switched on may lie so low by its load of before."""
    cells = {0: 3.15, 1: 3.15, 2: 3.05, 3: 3.15}
    cold = held_by(rack(cells=cells, degc=dict.fromkeys(range(CELLS), -5.0)), 600).currents.discharge
    warm = held_by(rack(cells=cells)).currents.discharge
    assert cold.cell == 2
    assert 0.0 < cold.current_a < 0.8 * warm.current_a


def test_estimate_of_the_first_ten_seconds_is_no_limit(rack: Callable[..., RackReading]) -> None:
    empty = rack(cells=dict.fromkeys(range(CELLS), 2.9))
    assert held_by(empty, seconds=10).currents == NOT_KNOWN
    assert held_by(empty, seconds=12).currents.discharge.current_a < 252.0


def test_unknown_soc_is_no_limit(rack: Callable[..., RackReading]) -> None:
    assert held_by(rack(cells={1: math.nan})).currents == NOT_KNOWN


def test_absent_temperature_is_no_limit(rack: Callable[..., RackReading]) -> None:
    later = held_by(rack(), later=rack(degc={3: math.nan})).currents
    assert math.isnan(later.charge.current_a)
    assert math.isnan(later.discharge.current_a)
    assert later.charge.cell is None


def test_it_is_asked_once_a_second(rack: Callable[..., RackReading]) -> None:
    soc, held = RackSoc(TABLES, CELLS, 0.1), HeldCurrent(TABLES, CELLS, Limits())
    reading, seen = rack(), []
    for _ in range(141):
        soc.step(reading, summarise_rack(reading, reading.current_at_ns), 0.1)
        held.step(soc, reading, 0.1)
        seen.append(held.currents)
    changes = [index for index, (before, now) in enumerate(itertools.pairwise(seen), 1) if now is not before]
    assert np.diff(changes).min() >= 10


def test_ignorance_of_soc_is_bounded(rack: Callable[..., RackReading]) -> None:
    """On the plateau sigma is 20 % at first; with it a rack at 85 % could hardly be charged."""
    soc = RackSoc(TABLES, CELLS, 0.1)
    reading = rack(cells=dict.fromkeys(range(CELLS), 3.332))
    soc.step(reading, summarise_rack(reading, reading.current_at_ns), 0.0)
    assert soc.sigma_frac.max() > 0.1
    assert held_by(reading).currents.charge.current_a == pytest.approx(252.0)


def test_weakest_cell_says_how_healthy_the_rack_is(rack: Callable[..., RackReading]) -> None:
    soc = RackSoc(TABLES, CELLS, 0.1)
    assert math.isnan(soc.soh_frac_min)
    soc.step(rack(), summarise_rack(rack(), rack().current_at_ns), 0.0)
    assert soc.soh_frac_min == pytest.approx(1.0, abs=0.01)
