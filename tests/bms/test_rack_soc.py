"""SoC of a rack's cells: who is surest speaks for the string, gaps are admitted, the cells that bind decide."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from bms.estimate.soc import RackSoc
from bms.summary import summarise_rack
from drivers.readings import RackReading
from kernels.cell_tables import SOC_GRID
from kernels.parameters import load_tables

TABLES = load_tables("lfp-280ah")
CELLS = 32
CURRENT_AGE_S_MAX = 0.1
NOW_NS = 1_000_000_000_000


@pytest.fixture
def resting(rack: Callable[..., RackReading]) -> Callable[..., RackReading]:
    """A reading of cells that have rested at these SoC."""

    def make(soc_frac: np.ndarray, **changes: object) -> RackReading:
        n = len(soc_frac)
        volts = np.interp(soc_frac, SOC_GRID, TABLES.ocv_v[2])
        at_ns = np.full(n, NOW_NS)
        return rack(**({"voltage_v": volts, "voltage_at_ns": at_ns, "temperature_degc": np.full(n, 25.0),
                        "temperature_at_ns": at_ns, "bleeding": np.zeros(n, np.uint8)} | changes))  # fmt: skip

    return make


def stepped(soc: RackSoc, reading: RackReading, seconds: float) -> Iterator[RackSoc]:
    for _ in range(round(10 * seconds)):
        soc.step(reading, summarise_rack(reading, NOW_NS), 0.1)
        yield soc


def after(soc: RackSoc, reading: RackReading, seconds: float) -> RackSoc:
    *_, last = stepped(soc, reading, seconds)
    return last


def test_stripped_rack_is_at_0_beyond_doubt_and_counts_from_there(resting: Callable[..., RackReading]) -> None:
    soc = after(RackSoc(TABLES, CELLS, CURRENT_AGE_S_MAX), resting(np.linspace(0.3, 0.4, CELLS)), 60.0)
    assert soc.soc_frac.mean() > 0.2
    soc.stripped()
    assert soc.soc_frac.tolist() == [0.0] * CELLS
    assert (soc.sigma_frac.max(), soc.usable_frac, soc.energy_wh) == (pytest.approx(0.0141, abs=1e-3), 0.0, 0.0)
    charged = after(soc, resting(np.full(CELLS, 0.0), voltage_v=np.full(CELLS, np.nan), current_a=-280.0), 360.0)
    assert charged.soc_frac.mean() == pytest.approx(0.1, abs=0.005)


def test_strip_of_a_rack_that_was_never_heard_says_nothing() -> None:
    soc = RackSoc(TABLES, CELLS, CURRENT_AGE_S_MAX)
    soc.stripped()
    assert not soc.known


def test_nothing_is_known_before_a_complete_reading(resting: Callable[..., RackReading]) -> None:
    soc = RackSoc(TABLES, CELLS, CURRENT_AGE_S_MAX)
    volts = np.full(CELLS, 3.3)
    volts[7] = np.nan
    after(soc, resting(np.full(CELLS, 0.5), voltage_v=volts), 1.0)
    assert not soc.known
    assert np.isnan(soc.soc_frac).all()


def test_fullest_cells_speak_for_a_string_near_full(resting: Callable[..., RackReading]) -> None:
    """The mean voltage fits 75 to 98 %; that an eighth of the cells stands on the knee leaves little of it."""
    true = np.linspace(0.95, 0.998, CELLS)
    reading = resting(true)
    soc, alone = (after(RackSoc(TABLES, CELLS, CURRENT_AGE_S_MAX), each, 1800.0)
                  for each in (reading, resting(np.full(CELLS, true.mean()))))  # fmt: skip
    assert soc.sigma_frac.max() < 0.5 * alone.sigma_frac.min()
    assert (np.abs(soc.soc_frac - true) < 3 * soc.sigma_frac).all()
    assert np.corrcoef(soc.soc_frac, true)[0, 1] > 0.9


def test_one_bad_sensor_does_not_speak_for_the_string(resting: Callable[..., RackReading]) -> None:
    true = np.full(CELLS, 0.5)
    reading = resting(true)
    good = after(RackSoc(TABLES, CELLS, CURRENT_AGE_S_MAX), reading, 600.0)
    volts = reading.voltage_v.copy()
    volts[3] += 0.1
    bad = after(RackSoc(TABLES, CELLS, CURRENT_AGE_S_MAX), reading._replace(voltage_v=volts), 600.0)
    others = np.arange(CELLS) != 3
    assert np.abs(bad.soc_frac - good.soc_frac)[others].max() < 0.1
    assert (np.abs(bad.soc_frac - true) < 3 * bad.sigma_frac)[others].all()


def test_gap_in_the_current_is_not_integrated_and_widens(resting: Callable[..., RackReading]) -> None:
    reading = resting(np.full(CELLS, 0.03))
    soc = after(RackSoc(TABLES, CELLS, CURRENT_AGE_S_MAX), reading, 300.0)
    before, sigma = soc.soc_frac.copy(), float(soc.sigma_frac.max())
    after(soc, reading._replace(current_a=500.0, current_at_ns=NOW_NS - 10**9), 360.0)
    assert (soc.soc_frac == before).all()
    assert soc.sigma_frac.min() > sigma + 0.03


@pytest.mark.parametrize(("main_closed", "counted_ah"), [(True, 1.4), (None, 1.4), (False, 0.0)])
def test_small_current_after_a_load_is_a_draw_unless_the_rack_is_open(
    resting: Callable[..., RackReading], main_closed: bool | None, counted_ah: float
) -> None:
    """No voltage, so that nothing but the current tells; half a percent of the capacity an hour."""
    soc = after(RackSoc(TABLES, CELLS, CURRENT_AGE_S_MAX), resting(np.full(CELLS, 0.6)), 1.0)
    absent = np.full(CELLS, np.nan)
    after(soc, resting(absent, voltage_v=absent, current_a=28.0), 60.0)
    after(soc, resting(absent, voltage_v=absent, current_a=1.4, main_closed=main_closed), 180.0)
    before = soc.soc_frac.mean()
    after(soc, resting(absent, voltage_v=absent, current_a=1.4, main_closed=main_closed), 3600.0)
    assert (before - soc.soc_frac.mean()) * 280.0 == pytest.approx(counted_ah, abs=0.1)


def test_lost_temperature_keeps_the_last_one(resting: Callable[..., RackReading]) -> None:
    reading = resting(np.full(CELLS, 0.03))
    soc = after(RackSoc(TABLES, CELLS, CURRENT_AGE_S_MAX), reading, 60.0)
    after(soc, reading._replace(temperature_degc=np.full(CELLS, np.nan)), 60.0)
    assert soc.soc_frac == pytest.approx(0.03, abs=0.01)


def test_emptiest_and_fullest_cell_bind(resting: Callable[..., RackReading]) -> None:
    """At the low knee, where each cell is seen: the emptiest leaves a third of what the mean does."""
    true = np.full(CELLS, 0.06)
    true[5] = 0.02
    soc = after(RackSoc(TABLES, CELLS, CURRENT_AGE_S_MAX), resting(true), 1800.0)
    assert soc.soc_frac.argmin() == 5
    assert soc.usable_frac < 0.7 * soc.soc_frac.mean()
    assert soc.usable_frac == pytest.approx(
        soc.soc_frac.min() / (soc.soc_frac.min() + 1 - soc.soc_frac.max()), rel=0.05
    )
    to_empty_ah = soc.soc_frac.min() * 280
    assert soc.energy_wh == pytest.approx(CELLS * to_empty_ah * 3.0, rel=0.1)
