"""On measured cells, with a bad current sensor: logs that the model was not made from. All of them: `hil evaluate`."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bms.estimate.log import Log, read_log
from bms.estimate.string import StringEstimator
from hil_rigs.evaluate.cases import part
from hil_rigs.identify import identify_cell
from kernels.cell_tables import CellTables

DATA = Path(os.environ.get("CELLWARD_DATA", Path(__file__).parents[2] / "../shared/data"))
NCA, LFP = DATA / "cells/panasonic_ncr18650pf", DATA / "restricted/cells/a123_26650_lfp"
NMC = DATA / "restricted/cells/e2_pouch_nmc_5ah"
CONVERGED_S = 600.0
REFERENCE_FRAC = 0.01


def measured(folder: Path, names: Sequence[str]) -> list[Log]:
    if not folder.is_dir():
        pytest.skip(f"measurements are not there: {folder} (CELLWARD_DATA names their folder)")
    return [read_log(folder / f"{name}.parquet", charge_positive=True) for name in names]


@cache
def nca() -> CellTables:
    cold = [f"char_hppc_{degc}c" for degc in ("25", "10", "0", "n10")]
    drives = ["drive_cycle_1_25c", "drive_hwfet_10c", "drive_udds_0c", "drive_hwfet_n10c"]
    return identify_cell(measured(NCA, ["char_c20_ocv_25c", *cold, *drives]), nominal_ah=2.9, chemistry="nca").tables


@cache
def lfp_without(left_out: str) -> CellTables:
    kept = [degc for degc in ("n25", "n5", "5", "25", "45") if degc != left_out]
    names = [f"{kind}_{degc}c" for degc in kept for kind in ("dyn", "char_ocv_dis", "char_ocv_chg")]
    return identify_cell(measured(LFP, names), nominal_ah=2.3, chemistry="lfp").tables


def errors(
    tables: CellTables, log: Log, start: tuple[float | None, float | None], sign: int, first: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(error, sigma) of the SoC after ten minutes; the sensor has 1 % of gain and C/200 of offset, of this sign."""
    assert log.soc_frac is not None
    one, said = StringEstimator(tables), []
    one.start(*start)
    seen_a = log.current_a * (1 + 0.01 * sign) + sign * tables.capacity_ah / 200
    dt_s = np.diff(log.time_s[first:], prepend=log.time_s[first])
    rows = zip(log.voltage_v[first:], seen_a[first:], log.temperature_degc[first:], dt_s, strict=True)
    for volts, amps, degc, step_s in rows:
        one.step(float(volts), float(amps), float(degc), float(step_s))
        said.append((one.soc_frac, one.soc_sigma_frac))
    soc, sigma = np.array(said).T
    late = log.time_s[first:] - log.time_s[first] > CONVERGED_S
    return (soc - log.soc_frac[first:])[late], sigma[late]


def rmse_pct(tables: CellTables, log: Log, start: tuple[float | None, float | None], first: int = 0) -> float:
    """Of the worse sensor; and the error must lie within three sigmas in 95 % of the samples with both."""
    worst = 0.0
    for sign in (1, -1):
        error, sigma = errors(tables, log, start, sign, first)
        assert (np.abs(error) <= 3 * np.hypot(sigma, REFERENCE_FRAC)).mean() >= 0.95
        worst = max(worst, 100 * float(np.sqrt((error**2).mean())))
    return worst


@pytest.mark.parametrize(("degc", "limit_pct"), [("25", 0.8), ("10", 1.2), ("0", 1.5), ("n10", 2.0)])
def test_nca_drive_cycle_from_a_wrong_start(degc: str, limit_pct: float) -> None:
    (log,) = measured(NCA, [f"drive_us06_{degc}c"])
    assert rmse_pct(nca(), log, (0.7, 0.3)) < limit_pct


@pytest.mark.parametrize(
    ("start", "at_frac", "limit_pct"), [((0.7, 0.3), 1.0, 1.5), ((None, None), 0.65, 3.2), ((0.65, 0.02), 0.65, 1.5)]
)
def test_lfp_at_a_temperature_that_the_model_does_not_know(
    start: tuple[float | None, float | None], at_frac: float, limit_pct: float
) -> None:
    """From full with 30 % of error; switched on in the middle of the plateau, knowing nothing, and told."""
    (log,) = measured(LFP, ["dyn_25c"])
    assert log.soc_frac is not None
    first = int(np.argmax(log.soc_frac <= at_frac))
    assert rmse_pct(lfp_without("25"), log, start, first) < limit_pct


@pytest.mark.parametrize("name", ["char_ocv_dis_25c", "char_ocv_chg_25c"])
def test_lfp_c30_is_followed_by_the_model_of_dynamic_runs(name: str) -> None:
    (log,) = measured(LFP, [name])
    assert log.soc_frac is not None
    wrong = float(log.soc_frac[0]) + (0.3 if log.soc_frac[0] < 0.5 else -0.3)
    assert rmse_pct(lfp_without("25"), log, (wrong, 0.3)) < 1.5


@pytest.mark.parametrize(("start", "at_frac"), [((0.7, 0.3), 1.0), ((None, None), 0.65), ((0.65, 0.02), 0.65)])
def test_20_k_colder_than_measured_it_knows_how_little_it_knows(
    start: tuple[float | None, float | None], at_frac: float
) -> None:
    """Never beyond three sigmas for longer than a minute, though resistances are four times the coldest known ones."""
    (log,) = measured(LFP, ["dyn_n25c"])
    assert log.soc_frac is not None
    first = int(np.argmax(log.soc_frac <= at_frac))
    for sign in (1, -1):
        error, sigma = errors(lfp_without("n25"), log, start, sign, first)
        outside = np.flatnonzero(np.diff(np.abs(error) > 3 * np.hypot(sigma, REFERENCE_FRAC), prepend=0, append=0))
        assert np.diff(outside)[::2].max(initial=0) < 60


def test_nmc_below_the_part_that_dynamic_runs_have_covered() -> None:
    """Slow charge and discharge lie 80 mV apart: hysteresis, for the dynamic run above 50 % knows the resistance."""
    slow = measured(NMC, ["char_ocv_dis_25c", "char_ocv_chg_25c"])
    (log,) = measured(NMC, ["dyn_25c"])
    assert log.soc_frac is not None
    half = int(np.argmax(log.soc_frac < 0.5))
    tables = identify_cell([*slow, part(log, slice(0, half))], nominal_ah=5.0, chemistry="nmc").tables
    assert rmse_pct(tables, log, (0.2, 0.3), half) < 1.5


def test_a_faded_cell_is_told_from_a_new_one() -> None:
    """The 1C discharges before and after the campaign took 2.76 and 2.36 Ah."""
    capacities = []
    for log in measured(NCA, ["soh_1c_discharge_start", "soh_1c_discharge_end"]):
        one = StringEstimator(nca())
        one.start(1.0, 0.02)
        dt_s = np.diff(log.time_s, prepend=log.time_s[0])
        for volts, amps, degc, step_s in zip(log.voltage_v, log.current_a, log.temperature_degc, dt_s, strict=True):
            one.step(float(volts), float(amps), float(degc), float(step_s))
        capacities.append((one.capacity_ah, one.capacity_ah_sigma))
    (new_ah, new_sigma), (old_ah, old_sigma) = capacities
    assert new_ah - old_ah > 2 * np.hypot(new_sigma, old_sigma)
