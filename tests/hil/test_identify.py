"""Identification: what is known comes out again, any mix of runs is taken, the file says what was found."""

import json
import os
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from bms.estimate.log import Log, read_log
from bms.estimate.log_sign import contradiction
from hil_rigs.cli import main
from hil_rigs.evaluate.svg import BOTTOM, HEIGHT, TOP
from hil_rigs.identify import IdentifyError, identify_cell
from hil_rigs.identify.basis import hysteresis, low_pass
from hil_rigs.identify.chemistry import CHEMISTRIES
from hil_rigs.identify.efficiency import efficiency_over_temperature
from hil_rigs.identify.fit import SOC_KNOTS, Solution, Structure
from hil_rigs.identify.ocv import ocv_base
from hil_rigs.identify.runs import ANCHOR_V, Capacity, capacity_of, charge_ah, rows_inside, run_of
from hil_rigs.identify.tables import cell_tables, write_cell
from kernels.cell_tables import SOC_GRID, CellTables
from kernels.parameters import load_cell, load_tables

Floats = NDArray[np.float64]
DATA = Path(os.environ.get("CELLWARD_DATA") or Path(__file__).parents[3] / "shared/data")

AH = 3.0
R0, R1, TAU_S = 0.030, 0.020, 40.0
ACTIVATION_K = 4000.0


def true_ocv_v(soc: Floats) -> Floats:
    return 3.0 + 0.7 * soc + 0.25 * np.tanh((soc - 0.05) / 0.05) + 0.1 * np.sin(6 * soc)


def measured(
    name: str, current_a: Floats, dt_s: float, degc: float = 25.0, start: float = 1.0, *, soc_known: bool = True
) -> Log:
    """A cell with R0 and one pair, both by Arrhenius, seen with 1 mV of noise."""
    time_s = dt_s * np.arange(len(current_a))
    moved = np.concatenate([[0.0], np.cumsum(0.5 * (current_a[1:] + current_a[:-1]) * dt_s / 3600)])
    soc, keep, inner, x = start - moved / AH, np.exp(-dt_s / TAU_S), np.zeros(len(current_a)), 0.0
    for k in range(1, len(current_a)):
        x = keep * x + (1 - keep) * current_a[k - 1]
        inner[k] = x
    warm = np.exp(ACTIVATION_K * (1 / (degc + 273.15) - 1 / 298.15))
    noise_v = np.random.default_rng(1).normal(0, 0.001, len(time_s))
    voltage_v = true_ocv_v(soc) - warm * (R0 * current_a + R1 * inner) + noise_v
    return Log(
        path=Path(name),
        time_s=time_s,
        current_a=current_a,
        voltage_v=voltage_v,
        temperature_degc=np.full(len(time_s), degc),
        soc_frac=soc if soc_known else None,
        ah=None,
        run=None,
    )


def dynamic(seed: int, mean_a: float = 1.2) -> Floats:
    rng = np.random.default_rng(seed)
    steps = int(0.93 * AH * 3600 / mean_a / 20)
    return np.repeat(mean_a + rng.normal(0, 2.0, steps), 20)


def slow(hours: float = 19.0) -> Floats:
    return np.full(int(hours * 360), AH / 20)


DYNAMIC = measured("dynamic", dynamic(3), 1.0)
COLD = measured("cold", dynamic(4), 1.0, degc=0.0)
SLOW = measured("slow", slow(), 10.0)


def row_at(tables: CellTables, degc: float) -> int:
    return int(np.flatnonzero(np.isclose(tables.temperature_degc, degc))[0])


def error_mv(tables: CellTables, degc: float) -> float:
    soc = np.linspace(0.1, 0.9, 50)
    return float(1e3 * np.abs(np.interp(soc, SOC_GRID, tables.ocv_v[row_at(tables, degc)]) - true_ocv_v(soc)).max())


def total_ohm(tables: CellTables, degc: float) -> float:
    rows = tables.resistance_ohm + tables.rc_resistance_ohm.sum(axis=0)
    return float(np.interp(0.5, SOC_GRID, rows[row_at(tables, degc)]))


def warm(degc: float) -> float:
    return float(np.exp(ACTIVATION_K * (1 / (degc + 273.15) - 1 / 298.15)))


@cache
def of_three_runs() -> CellTables:
    """Read-only, and not made anew for each test."""
    return identify_cell([SLOW, DYNAMIC, COLD], nominal_ah=AH, chemistry="nmc", name="mine").tables


def test_known_cell_comes_out_again() -> None:
    tables = of_three_runs()
    assert tables.temperature_measured_degc == (0.0, 25.0)
    assert tables.capacity_ah == pytest.approx(AH, rel=0.002)
    assert error_mv(tables, 25.0) < 6.0
    for degc in (0.0, 6.25, 25.0):
        assert total_ohm(tables, degc) == pytest.approx(warm(degc) * (R0 + R1), rel=0.05), degc


def test_beyond_the_measured_temperatures_resistances_go_on_as_usual() -> None:
    """From two temperatures by their own slope, from one by what is usual for the chemistry."""
    two = of_three_runs()
    assert total_ohm(two, -20.0) == pytest.approx(warm(-20.0) * (R0 + R1), rel=0.15)
    one = identify_cell([DYNAMIC], nominal_ah=AH, chemistry="nmc").tables
    assert 1.5 < total_ohm(one, 5.0) / total_ohm(one, 25.0) < 3.5


def test_a_pair_that_changes_little_in_the_warm_rises_in_the_cold_all_the_same() -> None:
    """Both runs are of the same cell at 25 degC; one claims 40 degC, so that the resistances seem not to change."""
    tables = identify_cell([DYNAMIC, replace(DYNAMIC, temperature_degc=DYNAMIC.temperature_degc + 15.0)], nominal_ah=AH,
                           chemistry="nmc").tables  # fmt: skip
    pairs_ohm = np.median(tables.rc_resistance_ohm.sum(axis=0), axis=1)
    colder = 1 / (tables.temperature_degc[0] + 273.15) - 1 / 298.15
    assert tables.temperature_degc[0] == pytest.approx(5.0)
    assert pairs_ohm[0] / pairs_ohm[row_at(tables, 25.0)] == pytest.approx(np.exp(4800.0 * colder), rel=0.05)


@pytest.mark.parametrize("others", [[], [measured("cold", dynamic(4), 1.0, degc=-20.0)]], ids=["one", "both sides"])
def test_a_temperature_of_slow_runs_alone_has_the_resistance_that_follows_from_the_others(others: list[Log]) -> None:
    """Slow runs at 0 degC whose voltages would give it none at all, beside a dynamic one at 25 degC."""
    cold = [measured("down", slow(), 10.0, degc=0.0), measured("up", -slow(), 10.0, degc=0.0, start=0.02)]
    flat = [replace(log, voltage_v=log.voltage_v + warm(0.0) * (R0 + R1) * log.current_a) for log in cold]
    found = identify_cell([SLOW, DYNAMIC, *flat, *others], nominal_ah=AH, chemistry="nmc")
    ohm, row = total_ohm(found.tables, 0.0), row_at(found.tables, 0.0)
    sigma_frac = found.tables.resistance_sigma_frac
    assert sigma_frac[row] > 0.15
    assert sigma_frac[row] > sigma_frac[row_at(found.tables, 25.0)]
    assert abs(ohm - warm(0.0) * (R0 + R1)) < 2 * sigma_frac[row] * ohm
    assert sum(line.startswith("no run at 0 degC has steps") for line in found.warnings) == 1


def test_without_a_slow_run_the_curve_is_no_surer_than_its_place_and_what_may_be_hysteresis() -> None:
    """1 % of SoC where it falls by 5 V per unit, 7 mV everywhere; with one it is 20 mV at most."""
    drives, both = (identify_cell(logs, nominal_ah=AH, chemistry="nmc").tables for logs in ([DYNAMIC], [SLOW, DYNAMIC]))
    near_empty, middle = SOC_GRID.searchsorted(0.04), slice(50, 180)
    assert drives.ocv_sigma_v[0, near_empty] > 0.035
    assert drives.ocv_sigma_v[0, middle].min() > 0.007
    assert np.median(drives.ocv_sigma_v[0, middle]) < 0.03
    assert both.ocv_sigma_v[0, 50:180].max() <= 0.02


def test_resistances_go_on_level_where_no_run_went() -> None:
    """Seen below half charge, rising up to there: above it is what it was at half charge, not three times as much."""
    soc = DYNAMIC.soc_frac
    assert soc is not None
    rising_ohm = R0 * np.clip((soc - 0.3) / 0.2, 0, 1)
    rising = replace(DYNAMIC, voltage_v=DYNAMIC.voltage_v - rising_ohm * DYNAMIC.current_a)
    below = np.flatnonzero(soc < 0.5)
    columns = ("time_s", "current_a", "voltage_v", "temperature_degc", "soc_frac")
    half = replace(rising, **{name: getattr(rising, name)[below[0] :] for name in columns})
    tables = identify_cell([half], nominal_ah=AH, chemistry="nmc").tables
    row = row_at(tables, 25.0)
    total = tables.resistance_ohm[row] + tables.rc_resistance_ohm[:, row].sum(axis=0)
    seen_ohm, beyond_ohm, full_ohm = np.interp([0.48, 0.6, 0.95], SOC_GRID, total)
    assert full_ohm == pytest.approx(beyond_ohm, rel=0.1)
    assert full_ohm < 1.6 * seen_ohm


def test_resistances_of_the_surface_are_told_from_those_of_the_mean_soc() -> None:
    """R0 rises towards empty: by the mean SoC, then by one that 0.04 h of the current of 300 s lie below it."""
    current_a = np.repeat(1.2 + np.random.default_rng(9).normal(0, 1.5, 26), 100)
    log = measured("loads of 5 min", current_a, 3.0)
    assert log.soc_frac is not None
    behind_a = low_pass(log.time_s, current_a, 300.0)
    for lag_h in (0.0, 0.04):
        ohm = 0.2 * (1.0 - log.soc_frac + lag_h * behind_a / AH) ** 2
        seen = replace(log, voltage_v=log.voltage_v - ohm * current_a)
        tables = identify_cell([seen], nominal_ah=AH, chemistry="nmc").tables
        assert tables.surface_lag_h == pytest.approx(lag_h, abs=0.011)


def test_between_temperatures_that_a_load_spans_the_tables_are_what_was_fitted() -> None:
    """A pair that the colder runs do not show: half way to the warmer ones it has half of what it has there."""
    degc, one, ohm = np.array([13.0, 25.0]), np.ones((2, len(SOC_KNOTS))), np.full((2, 2, len(SOC_KNOTS)), 0.01)
    ohm[1, 0] = 1e-7
    structure = Structure(
        tau_s=(30.0,), hysteresis_pair=None, hysteresis_rate=30.0, saturation_a=0.0, activation_k=(0.0, 0.0)
    )
    solution = Solution(structure, degc, ohm, 0 * one, 0 * one, 0.002 * one, 0.002 * one, np.full(2, 0.1), 0.002)
    base = ocv_base((), degc, CHEMISTRIES["nmc"])
    tables = cell_tables(solution, base, "made up", "nmc", "made up", Capacity(AH, 0.01, ()), (13.0, 25.0))
    at_19 = np.interp(19.0, tables.temperature_degc, tables.rc_resistance_ohm[0, :, 110])
    assert at_19 == pytest.approx(0.005, rel=0.05)


def test_what_constant_currents_do_not_tell_is_divided_as_usual() -> None:
    """Three rates, none of which moves much in seconds: what rises within hours is the smallest part of the drop."""
    rates = [measured(f"rate {amps}", np.full(int(0.95 * AH * 3600 / amps), amps), 1.0) for amps in (0.6, 1.5, 3.0)]
    tables = identify_cell(rates, nominal_ah=AH, chemistry="lfp").tables
    middle = slice(60, 170)
    pairs_ohm = np.median(tables.rc_resistance_ohm[:, row_at(tables, 25.0), middle], axis=1)
    assert tables.rc_tau_s.tolist() == [20.0, 200.0, 2000.0, 12000.0]
    assert pairs_ohm[2:].sum() < 0.25 * total_ohm(tables, 25.0)


def test_three_constant_currents_are_as_far_off_as_they_say() -> None:
    """Each with an error of its own, 10 mV that last for 5 minutes. They are as many samples as the tables have values,
    so that the fit follows half of it: what it leaves is no measure of how far off it is."""
    rates = [measured(f"rate {rate}", np.full(int(0.95 * 360 / rate), rate * AH), 10.0) for rate in (0.5, 1.0, 2.0)]
    seen, keep = (SOC_GRID > 0.15) & (SOC_GRID < 0.9), np.exp(-10.0 / 300.0)
    of_ohm, of_ocv = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        size_v = 0.01 * np.sqrt(1 - keep**2)
        wander_v = [lfilter([size_v], [1, -keep], rng.normal(size=len(log.time_s))) for log in rates]
        logs = [replace(log, voltage_v=log.voltage_v + v) for log, v in zip(rates, wander_v, strict=True)]
        tables = identify_cell(logs, nominal_ah=AH, chemistry="nmc").tables
        at = row_at(tables, 25.0)
        ohm = (tables.resistance_ohm + tables.rc_resistance_ohm.sum(axis=0))[at, seen]
        of_ohm.append((ohm / (R0 + R1) - 1) / tables.resistance_sigma_frac[at])
        of_ocv.append((tables.ocv_v[at, seen] - true_ocv_v(SOC_GRID[seen])) / tables.ocv_sigma_v[at, seen])
    assert 0.5 < np.sqrt(np.mean(np.square(of_ohm))) < 1.5
    assert 0.5 < np.sqrt(np.mean(np.square(of_ocv))) < 1.5


def test_sampled_at_1_hz_a_cell_has_the_resistances_of_10_hz() -> None:
    """The current swings within seconds; every tenth row of the same log."""
    rng = np.random.default_rng(7)
    knots = 1.2 + rng.normal(0, 2.0, 8001)
    fast = measured("fast", np.interp(np.arange(80_000) / 10, np.arange(8001), knots), 0.1)
    assert fast.soc_frac is not None
    thin = replace(fast, time_s=fast.time_s[::10], current_a=fast.current_a[::10], voltage_v=fast.voltage_v[::10],
                   temperature_degc=fast.temperature_degc[::10], soc_frac=fast.soc_frac[::10])  # fmt: skip
    ohmic = [
        float(np.interp(0.5, SOC_GRID, tables.resistance_ohm[row_at(tables, 25.0)]))
        for tables in (identify_cell([log], nominal_ah=AH, chemistry="nmc").tables for log in (fast, thin))
    ]
    assert ohmic[1] == pytest.approx(ohmic[0], rel=0.02)


@pytest.mark.parametrize("turned_by_s", [0.0, 200.0])
def test_lfp_runs_tell_whether_seconds_of_charge_turn_its_hysteresis(turned_by_s: float) -> None:
    """R0 and a half gap of 15 mV; some percent of charge turn it over, by the current or by that behind 200 s."""
    log = measured("turning", np.repeat(np.random.default_rng(7).choice([-2.0, 1.0, 4.0], 450), 20), 1.0)
    keep, inner_a, h, gap = np.exp(-1 / turned_by_s) if turned_by_s else 0.0, 0.0, -1.0, []
    for amps in log.current_a.tolist():
        gap.append(h)
        inner_a = keep * inner_a + (1 - keep) * amps
        turned = np.exp(-60.0 * abs(inner_a) / 3600 / AH)
        h = turned * h + (1 - turned) * np.sign(inner_a)
    assert log.soc_frac is not None
    ocv_v = CHEMISTRIES["lfp"].ocv_v(log.soc_frac)
    hysteretic = replace(log, voltage_v=ocv_v - R0 * log.current_a - 0.015 * np.array(gap))
    tables = identify_cell([hysteretic], nominal_ah=AH, chemistry="lfp").tables
    assert tables.hysteresis_tau_s == turned_by_s
    assert tables.hysteresis_pair == (1 if turned_by_s else None)


def test_counters_are_believed_where_samples_of_the_current_miss_some_charge() -> None:
    """A tester counts between its rows; here the rows see a tenth less of every charge, and 2 % of it does not stay."""
    time_s = np.arange(20_000.0)
    true_a = np.where(time_s % 100 < 50, 2.0, -1.7)
    out_ah, back_ah = (np.cumsum(np.maximum(sign * true_a, 0)) / 3600 for sign in (1, -1))
    log = replace(
        DYNAMIC,
        time_s=time_s,
        current_a=np.where(true_a < 0, 0.9 * true_a, true_a),
        voltage_v=np.full(len(time_s), 3.3),
        temperature_degc=np.full(len(time_s), 25.0),
        soc_frac=1 - (out_ah - 0.98 * back_ah) / AH,
        ah=out_ah - back_ah,
    )
    capacity = capacity_of([log], AH)
    assert capacity.ah == pytest.approx(3.0, rel=0.003)
    ((degc, share),) = capacity.efficiency
    assert (degc, share) == (25.0, pytest.approx(0.98, abs=0.003))


def test_what_a_pulse_test_leaves_out_between_its_pulses_has_flowed_all_the_same() -> None:
    """Stages of pulses, rest, 5 % at 1 A, rest; rows of the pulses only, and a counter that goes on."""
    stage_a = np.repeat([0.0, 4.0, 0.0, -4.0, 0.0, 1.0, 0.0], [60, 30, 60, 30, 600, 540, 960])
    whole = measured("pulses", np.tile(stage_a, 6), 1.0)
    counted_ah = charge_ah(whole.time_s, whole.current_a)
    logged = whole.time_s % len(stage_a) < 780
    assert whole.soc_frac is not None
    cut = replace(whole, time_s=whole.time_s[logged], current_a=whole.current_a[logged], ah=counted_ah[logged],
                  voltage_v=whole.voltage_v[logged], temperature_degc=whole.temperature_degc[logged],
                  soc_frac=whole.soc_frac[logged])  # fmt: skip
    runs = [run_of(log, AH, CHEMISTRIES["nmc"]) for log in (whole, cut)]
    turned, behind_a = (
        [np.interp(cut.time_s, run.time_s, course) for run, course in zip(runs, courses, strict=True)]
        for courses in (
            [hysteresis(run.time_s, run.current_a, AH, 15.0, -1.0) for run in runs],
            [low_pass(run.time_s, run.current_a, 3000.0) for run in runs],
        )
    )
    assert turned[1] == pytest.approx(turned[0], abs=0.03)
    assert behind_a[1] == pytest.approx(behind_a[0], abs=0.05)
    assert len(rows_inside(runs[1].soc_frac)) == logged.sum() - 1


def test_what_is_lost_of_a_charge_goes_over_temperature_as_reactions_do() -> None:
    measured = [(25.0, 0.995), (24.0, 0.993), (-5.0, 0.990), (-25.0, 0.940)]
    at = efficiency_over_temperature(measured, np.array([60.0, 24.5, -5.0, -15.5, -25.0, -30.0, -45.0]))
    assert at == pytest.approx([0.994, 0.994, 0.990, 0.9753, 0.940, 0.9017, 0.9017], abs=0.0005)
    assert efficiency_over_temperature([], np.array([25.0])).tolist() == [1.0]
    assert efficiency_over_temperature([(25.0, 1.0)], np.array([-20.0, 25.0])).tolist() == [0.9995, 0.9995]


@pytest.mark.parametrize("logs", [[DYNAMIC], [SLOW], [SLOW, DYNAMIC], [COLD, SLOW]], ids=len)
def test_any_mix_is_taken_and_says_how_sure_it_is(logs: list[Log]) -> None:
    tables = identify_cell(logs, nominal_ah=AH, chemistry="nmc").tables
    middle = slice(40, 180)
    assert (np.diff(tables.ocv_v, axis=1) >= 0).all()
    assert (tables.resistance_ohm > 0).all()
    soc = SOC_GRID[middle]
    away_v = np.abs(tables.ocv_v[-1, middle] - true_ocv_v(soc))
    assert (away_v < 4 * tables.ocv_sigma_v[-1, middle] + 0.01).mean() > 0.95


def test_a_run_without_reference_is_anchored_where_it_is_full() -> None:
    """4.05 V is what the cell shows at full: below the usual 4.20 V nothing can be anchored, at it everything."""
    bare = measured("bare", dynamic(5), 1.0, soc_known=False)
    with pytest.raises(
        IdentifyError, match=r"bare: has no soc, and reaches neither full \(4.2 V\) nor empty \(2.5 V\)"
    ):
        identify_cell([bare], nominal_ah=AH, chemistry="nmc")
    raised = Log(bare.path, bare.time_s, bare.current_a, bare.voltage_v + 0.27, bare.temperature_degc, None, None, None)
    tables = identify_cell([raised], nominal_ah=AH, chemistry="nmc").tables
    assert np.interp(0.5, SOC_GRID, tables.ocv_v[0]) == pytest.approx(true_ocv_v(np.array([0.5]))[0] + 0.27, abs=0.01)


def test_nothing_usable_is_an_error() -> None:
    with pytest.raises(IdentifyError, match="no measurements"):
        identify_cell([], nominal_ah=AH, chemistry="nmc")
    empty = measured("few", np.ones(5), 1.0)
    with pytest.raises(IdentifyError, match="few: only 5 usable rows"):
        identify_cell([empty], nominal_ah=AH, chemistry="nmc")


def test_a_reference_that_never_lies_between_empty_and_full_is_an_error() -> None:
    beyond = replace(DYNAMIC, soc_frac=np.full(len(DYNAMIC.time_s), 1.05))
    says = "dynamic: only 0 rows with a soc between -0.03 and 1.03, expected at least 10"
    with pytest.raises(IdentifyError, match=says):
        identify_cell([beyond], nominal_ah=AH, chemistry="nmc")


def test_a_cell_that_only_rests_is_refused() -> None:
    with pytest.raises(IdentifyError, match="still: no current flows in any run"):
        identify_cell([measured("still", np.zeros(500), 1.0, start=0.5)], nominal_ah=AH, chemistry="nmc")


def test_file_gives_the_tables_back_and_a_controller_can_load_it(tmp_path: Path) -> None:
    tables = of_three_runs()
    write_cell(tables, tmp_path / "cell.yaml")
    back = load_tables(tmp_path / "cell.yaml")
    assert (back.name, back.chemistry, back.source) == (tables.name, tables.chemistry, tables.source)
    inside = slice(10, -10)
    for key in ("ocv_v", "ocv_sigma_v", "model_sigma_v", "resistance_ohm", "rc_resistance_ohm", "hysteresis_v"):
        ours, theirs = getattr(tables, key)[..., inside], getattr(back, key)[..., inside]
        assert theirs == pytest.approx(ours, rel=0.06, abs=0.0005), key
    row_keys = "temperature_degc", "rc_tau_s", "hysteresis_rate", "saturation_current_a", "coulombic_efficiency"
    for key in (*row_keys, "hysteresis_tau_s"):
        assert getattr(back, key) == pytest.approx(getattr(tables, key), rel=0.005), key
    assert back.surface_lag_h == tables.surface_lag_h
    simple = load_cell(tmp_path / "cell.yaml")
    assert simple.capacity_ah == pytest.approx(AH, rel=0.002)
    assert simple.ocv_v[100] == pytest.approx(float(true_ocv_v(np.array([0.5]))[0]), abs=0.004)
    other = tmp_path / "other.yaml"
    other.write_text((tmp_path / "cell.yaml").read_text().replace("hysteresis_tau_s: 0\n", "hysteresis_tau_s: 17\n"))
    with pytest.raises(ValueError, match=r"^[^\n]+other.yaml: hysteresis_tau_s: expected 0 or the tau_s of a pair$"):
        load_tables(other)


def csv(folder: Path, log: Log, *, charge_positive: bool = True) -> Path:
    sign = -1.0 if charge_positive else 1.0
    path = folder / f"{log.path.name}.csv"
    assert log.soc_frac is not None
    columns = np.column_stack([log.time_s, sign * log.current_a, log.voltage_v, log.temperature_degc, log.soc_frac])
    np.savetxt(path, columns, delimiter=",", header="time_s,current_a,voltage_v,temperature_c,soc", comments="")
    return path


def test_command_writes_cell_and_report_and_one_json_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(csv(tmp_path, log)) for log in (SLOW, DYNAMIC)]
    out = tmp_path / "cell.yaml"
    options = ["--nominal-ah", "3", "--chemistry", "nmc", "--charge-positive", "--out", str(out)]
    assert main(["identify", *files, *options, "--report", str(tmp_path / "report"), "--json"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert (document["warnings"], said.err) == ([], "")
    assert document["capacity_ah"] == pytest.approx(AH, rel=0.002)
    at_25 = next(row for row in document["temperatures"] if abs(row["temperature_degc"] - 25.0) < 0.1)
    assert (at_25["basis"], document["measured_degc"]) == ("measured", [25.0, 25.0])
    assert at_25["resistance_ohm"] == pytest.approx(R0 + R1, rel=0.05)
    assert load_tables(out).capacity_ah == pytest.approx(AH, rel=0.002)
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<svg") == 4
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_slip_of_a_digit_in_the_nominal_capacity_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = csv(tmp_path, DYNAMIC), tmp_path / "cell.yaml"
    options = ["--nominal-ah", "30", "--chemistry", "nmc", "--charge-positive", "--out", str(out), "--json"]
    assert main(["identify", str(path), *options]) == 0
    said = capsys.readouterr()
    warning = f"{path}: by its soc and current its cell has 3 Ah, far from the 30 Ah of --nominal-ah"
    assert said.err == f"WARNING: {warning}\n"
    assert json.loads(said.out)["warnings"] == [warning]


PULSES = measured("pulses", np.tile(np.repeat([0.0, 1.5], 60), 6), 1.0, start=0.6)


def drawn_beyond(page: str) -> list[float]:
    """Heights of curves' and bands' points outside the charts' plot area, which is cut off."""
    curves = re.findall(r'points="([^"]*)"[^>]*clip-path', page)
    heights = [float(point.split(",")[1]) for curve in curves for point in curve.split()]
    assert len(curves) == 2 * (4 + 1)
    return [y for y in heights if not TOP <= y <= HEIGHT - BOTTOM]


SHORT = measured("short", np.tile(np.repeat([0.0, 1.5], 30), 4), 1.0, start=0.6)
COLD_SHORT = replace(SHORT, path=Path("cold"), temperature_degc=np.zeros(len(SHORT.time_s)))


def warming(log: Log, degc: float) -> Log:
    """A few rows at another temperature, as of a cold cell that warms up, or of a sensor that spikes."""
    return replace(log, temperature_degc=np.where(np.arange(len(log.time_s)) < 0.03 * len(log.time_s), degc, 25.0))


def test_temperatures_without_a_meaningful_share_of_a_run_are_no_measured_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = csv(tmp_path, replace(SHORT, path=Path("bare")))
    bare.write_text(bare.read_text().replace("temperature_c", "other"))
    files = [str(csv(tmp_path, warming(SHORT, 60.0))), str(csv(tmp_path, COLD_SHORT)), str(bare)]
    out = tmp_path / "cell.yaml"
    options = ["--nominal-ah", "3", "--chemistry", "nmc", "--charge-positive", "--out", str(out)]
    assert main(["identify", *files, *options, "--report", str(tmp_path / "report")]) == 0
    told, warned = capsys.readouterr()
    unseen = (
        "WARNING: the runs go through 2 % of the SoC range only (58 to 60 %): elsewhere the tables are the chemistry's"
    )
    assert warned == f"WARNING: {bare}: no temperature_c, taken as 25 degC throughout\n{unseen} usual ones\n"
    assert "measured from 0.0 to 25.0 degC (the middle 90 % of each run)" in told
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Measured from 0.0 to 25.0 degC" in page
    table = [line.split() for line in told.splitlines() if line.startswith("  ")][1:]
    shown = [(float(row[0]), row[-1]) for row in table]
    assert [basis for _, basis in shown] == (
        ["extrapolated"] * 2 + ["measured"] + ["between"] * 3 + ["measured", "extrapolated"]
    )
    for degc, basis in shown:
        assert f"<td>{degc:.1f}<td>{basis}<td>" in page
    assert drawn_beyond(page) == []
    text = out.read_text()
    assert "# measured: 0.00, 25.58 degC\n# between: 6.40, 12.79, 19.19 degC\n# extrapolated: -20.00, " in text


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        (PULSES, "in 11 of 11 steps voltage_v rises with the discharge or falls with the charge"),
        (SLOW, "soc rises in discharge or falls in charge"),
        (
            replace(SLOW, soc_frac=np.full(len(SLOW.time_s), np.nan)),
            "over the run voltage_v rises in discharge or falls in charge",
        ),
    ],
)
@pytest.mark.parametrize("charge_positive", [True, False])
def test_a_current_of_the_other_sign_is_refused_where_the_log_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], log: Log, shown: str, charge_positive: bool
) -> None:
    path, out = csv(tmp_path, log, charge_positive=charge_positive), tmp_path / "cell.yaml"
    wrong, told = (
        ([], "positive on discharge, or --charge-positive")
        if charge_positive
        else (["--charge-positive"], "no --charge-positive")
    )
    assert main(["identify", str(path), "--nominal-ah", "3", "--chemistry", "nmc", "--out", str(out), *wrong]) == 2
    assert f"{path}: current_a has the other sign: {shown}, expected {told}\n" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    "log",
    [PULSES, SLOW, DYNAMIC, COLD, measured("still", np.zeros(500), 1.0, start=0.5), measured("few", np.ones(5), 1.0)],
    ids=lambda log: log.path.name,
)
def test_a_current_of_the_right_sign_is_taken(log: Log) -> None:
    assert contradiction(log, AH) is None
    assert contradiction(replace(log, soc_frac=None), AH) is None


def test_high_currents_first_are_no_other_sign() -> None:
    """Smaller and smaller currents from full to empty: the voltage rises from one to the next, by their drop alone."""
    current_a = np.concatenate([np.full(int(0.24 * AH * 360 / amps), amps) for amps in (9.0, 6.0, 3.0, 0.5)])
    flat = replace(measured("signature", current_a, 10.0), voltage_v=3.3 - 0.05 * current_a, soc_frac=None)
    assert contradiction(flat, AH) is None


@pytest.mark.parametrize("name", ["aboutenergy_lfp_18650_2ah/char_cc_1c_25c", "panasonic_ncr18650pf/drive_us06_n10c"])
def test_measured_cells_show_the_sign_of_their_current(name: str) -> None:
    path = DATA / f"cells/{name}.parquet"
    if not path.is_file():
        pytest.skip(f"measurements absent: {path}")
    assert contradiction(read_log(path, charge_positive=True), 2.5) is None
    assert contradiction(read_log(path), 2.5) is not None


def test_a_log_in_percent_is_refused_by_row_and_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert DYNAMIC.soc_frac is not None
    path = csv(tmp_path, replace(DYNAMIC, soc_frac=100 * DYNAMIC.soc_frac), charge_positive=False)
    out = tmp_path / "cell.yaml"
    assert main(["identify", str(path), "--nominal-ah", "3", "--chemistry", "nmc", "--out", str(out)]) == 2
    expected = "row 1: soc is 100.0, expected a fraction (not percent) from -0.1 to 1.1"
    assert f"{path}: {expected}\n" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("name", sorted(CHEMISTRIES))
def test_page_says_which_voltages_are_full_and_empty(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cell-file.md").read_text(encoding="utf-8")
    (line,) = [
        row for row in page.splitlines() if row.startswith("| `") and f"`{name}`" in row.split("|")[1] and " V |" in row
    ]
    chemistry = CHEMISTRIES[name]
    assert line.endswith(f"| {chemistry.full_v - ANCHOR_V:.2f} V | {chemistry.empty_v + ANCHOR_V:.2f} V |")


def test_a_log_in_milliseconds_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = csv(tmp_path, replace(DYNAMIC, time_s=1000 * DYNAMIC.time_s), charge_positive=False)
    out = tmp_path / "cell.yaml"
    assert main(["identify", str(path), "--nominal-ah", "3", "--chemistry", "nmc", "--out", str(out)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"{path}: time_s is in other units: its current moves ")
    assert err.endswith(" Ah by its soc, expected s (not ms)\n")
    assert err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--out", "/nowhere/cell.yaml"], "no such folder /nowhere"),
        (["--chemistry", "lead"], "invalid choice: 'lead'"),
        (["--nominal-ah", "0"], "expected a number above 0"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], says: str
) -> None:
    out = tmp_path / "cell.yaml"
    options = ["--nominal-ah", "3", "--chemistry", "nmc", "--out", str(out)]
    try:
        status = main(["identify", str(csv(tmp_path, DYNAMIC)), *options, *change])
    except SystemExit as stopped:
        status = int(str(stopped.code))
    assert status == 2
    assert says in capsys.readouterr().err
    assert not out.exists()
