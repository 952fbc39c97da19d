"""`hil evaluate`: no model is judged on its own logs, the worse sign counts, and what misses its target is said."""

import json
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bms.estimate.accuracy import Accuracy
from bms.estimate.log import Log
from bms.estimate.replay import Start, replay
from hil_rigs.cli import main
from hil_rigs.evaluate.cases import Begin, Case, Fold, Limits, Plan, Recorded, part
from hil_rigs.evaluate.judge import Row, rows_of
from hil_rigs.evaluate.measure import ESTIMATORS, OURS, Measured, Trace
from hil_rigs.evaluate.plans import plans
from hil_rigs.evaluate.regulation import lab_log, regulation_log
from hil_rigs.evaluate.report import MISSED, SHORT, Evaluated, figure, markdown
from hil_rigs.evaluate.run import quick
from hil_rigs.evaluate.spkf import SigmaPointFilter
from hil_rigs.evaluate.svg import ticks
from kernels.cell_tables import SOC_GRID
from kernels.parameters import load_tables

CELL = load_tables("lfp-280ah")


def plans_with_all_files(folder: Path) -> list[Plan]:
    for plan in plans(folder):
        for path in plan.absent:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return plans(folder)


def rows_used(source: Recorded) -> tuple[float, float]:
    return source.soc_frac_min or 0.0, source.soc_frac_max or 1.0


def test_no_model_is_made_from_what_it_is_judged_on(tmp_path: Path) -> None:
    folds = [fold for plan in plans_with_all_files(tmp_path) for fold in plan.folds]
    assert len(folds) == 13
    for fold in folds:
        for source in fold.sources:
            for case in fold.cases:
                if isinstance(source, Recorded) and isinstance(case.source, Recorded):
                    same_run = source.path == case.source.path and source.run == case.source.run
                    assert not same_run or rows_used(source)[0] >= rows_used(case.source)[1]


def test_ten_hertz_twin_is_left_out_with_its_run(tmp_path: Path) -> None:
    for fold in plans_with_all_files(tmp_path)[0].folds:
        used = {source.name for source in fold.sources}
        judged = {case.source.name for case in fold.cases}
        assert ("drive_us06_25c" in judged) == ("drive_us06_25c_native10hz" in judged)
        assert "drive_us06_25c_native10hz" not in used


def test_every_group_has_a_case(tmp_path: Path) -> None:
    for plan in plans_with_all_files(tmp_path):
        assert {case.group for fold in plan.folds for case in fold.cases} == set(plan.groups)


def test_absent_files_are_named_and_nothing_is_planned(tmp_path: Path) -> None:
    *measured, simulated = plans(tmp_path)
    assert all(plan.absent and not plan.folds for plan in measured)
    assert simulated.folds
    assert "a made-up signal" in simulated.says


def test_quick_keeps_one_case_of_each_group(tmp_path: Path) -> None:
    for plan in map(quick, plans_with_all_files(tmp_path)):
        assert len(plan.folds) == 1
        groups = [case.group for case in plan.folds[0].cases]
        assert len(groups) == len(set(groups))


def test_quick_is_not_judged_by_what_is_for_all_logs() -> None:
    """The one log left may be a group's worst; what every log must meet it must meet too."""
    whole = Plan("cell", "says", "lfp", 1.0, {"g": Limits(1.0, 0.5, 15.0)}, ())
    case = measured((1.2, 1.1), max_error_pct=16.0, coverage_3sigma_pct=94.0, median_sigma_pct=2.5)
    assert [missed.split()[0] for missed in rows_of(whole, [case])[0].misses] == ["RMSE", "largest", "within", "median"]
    (row,) = rows_of(quick(whole), [case])
    assert [missed.split()[0] for missed in row.misses] == ["largest", "within"]
    assert not row.is_short


def test_what_the_estimator_is_told() -> None:
    assert Begin.OFF.start(1.0) == Start(0.7, 0.3)
    assert Begin.OFF.start(0.0) == Start(0.3, 0.3)
    assert Begin.UNKNOWN.start(0.65) == Start(None, None)
    assert Begin.TOLD.start(0.65) == Start(0.65, 0.02)


def test_part_of_a_run_by_its_reference(tmp_path: Path) -> None:
    soc = np.linspace(1.0, 0.0, 11)
    columns = {"time_s": np.arange(11.0), "current_a": np.full(11, -1.0), "voltage_v": np.full(11, 3.3), "soc": soc}
    pq.write_table(pa.table(columns), tmp_path / "run.parquet")
    upper = Recorded(tmp_path / "run.parquet", soc_frac_min=0.45).log()
    lower = Recorded(tmp_path / "run.parquet", soc_frac_max=0.45).log()
    assert upper.time_s.tolist() == [0, 1, 2, 3, 4, 5]
    assert lower.time_s.tolist() == [6, 7, 8, 9, 10]
    assert lower.current_a.tolist() == [1.0] * 5


def accuracy_of(rmse_pct: float, **changes: float) -> Accuracy:
    return replace(Accuracy(rmse_pct, 2 * rmse_pct, 0.0, 0.0, 100.0, 99.0, 0.0, rmse_pct), **changes)


def measured(rmse_pct: tuple[float, float], group: str = "g", **changes: float) -> Measured:
    ours = tuple(accuracy_of(each, **changes) for each in rmse_pct)
    figures = {name: (accuracy_of(5.0), accuracy_of(6.0)) for name in ESTIMATORS}
    return Measured(Case(group, Recorded(Path("a.parquet")), Begin.OFF), {**figures, OURS: ours}, None)


def row_of(limits: Limits, *cases: Measured) -> Row:
    return rows_of(Plan("cell", "says", "lfp", 1.0, {"empty": Limits(), "g": limits}, ()), cases)[0]


def test_worse_sign_of_each_log_and_their_median_count() -> None:
    row = row_of(Limits(1.0, 0.5), measured((0.2, 0.8)), measured((0.6, 0.1)), measured((3.0, 2.0)))
    assert row.rmse_pct[OURS] == 0.8
    assert row.worst_rmse_pct[OURS] == 3.0
    assert row.first_sign_pct == 0.6
    assert row.error_pct[OURS] == 6.0
    assert row.rmse_pct["plain EKF"] == 6.0
    assert row.misses == ()
    assert row.is_short


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "RMSE 1.20 %, at most 1 %"),
        ({"max_error_pct": 16.0}, "largest error 16.0 %, at most 15 %"),
        ({"coverage_3sigma_pct": 94.0}, "within 3 sigma 94.0 % of rows, at least 95 %"),
        ({"beyond_3sigma_s_max": 61.0}, "beyond 3 sigma for 61 s, at most 60 s"),
        ({"median_sigma_pct": 2.5}, "median sigma 2.50 %, at most 2.40 %"),
    ],
)
def test_every_target_that_is_missed_is_said(changes: dict[str, float], says: str) -> None:
    assert says in row_of(Limits(1.0, 0.5, 15.0), measured((1.2, 1.1), **changes)).misses


def test_group_without_a_limit_misses_none() -> None:
    assert row_of(Limits(), measured((9.0, 9.0))).misses == ()


def test_document_marks_what_misses() -> None:
    plan = Plan("cell", "left out", "lfp", 1.0, {"g": Limits(1.0, 0.5), "h": Limits(1.0, 0.5)}, ())
    cases = (measured((1.2, 0.4)), measured((0.7, 0.7), group="h"))
    text = markdown([Evaluated(plan, cases, tuple(rows_of(plan, cases)))], note="Only a part.")
    assert f"| g | 1 | 6.00 | 6.00 | 6.00 | 1.20 {MISSED} | 1 | 0.5 | 1.20 | 1.20 |" in text
    assert f"| h | 1 | 6.00 | 6.00 | 6.00 | 0.70 {SHORT} | 1 | 0.5 |" in text
    assert "- cell, g: RMSE 1.20 %, at most 1 %" in text
    assert "cell, h: RMSE" not in text
    assert "**Only a part.**" in text
    assert "| cell | g | a |" in text


def test_figure_is_well_formed_and_names_its_lines() -> None:
    time_h = np.linspace(0, 2, 50)
    errors = {name: np.sin(time_h) for name in ESTIMATORS}
    text = figure("a < b", Trace(time_h, errors, np.full(50, 0.5)))
    words = [element.text for element in ElementTree.fromstring(text).iter() if element.tag.endswith("text")]
    assert {"a < b", "time, h", "error, % SoC", "ours ± 3 sigma", *ESTIMATORS} <= set(words)


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.0, 10.0) == [0, 2, 4, 6, 8, 10]
    assert ticks(-4.3, 4.3) == [-4, -2, 0, 2, 4]
    assert ticks(0.0, 0.034) == [0, 0.01, 0.02, 0.03]


def test_simulated_run_is_the_seeds_and_its_charge_adds_up() -> None:
    log, again = regulation_log(None, 1.0), regulation_log(None, 1.0)
    assert (log.voltage_v == again.voltage_v).all()
    assert len(log.time_s) == 1800
    assert log.soc_frac is not None
    drawn_frac = np.cumsum(log.current_a) * 2.0 / 3600 / 280
    assert np.abs(0.62 - drawn_frac - log.soc_frac).max() < 0.001


def test_lab_goes_from_full_to_empty_and_back() -> None:
    down, up = lab_log("discharge"), lab_log("charge")
    for log, first, last, sign in ((down, 1.0, 0.0, 1), (up, 0.0, 1.0, -1)):
        assert log.soc_frac is not None
        assert abs(log.soc_frac[0] - first) < 0.001
        assert abs(log.soc_frac[-1] - last) < 0.001
        assert (np.sign(log.current_a) == sign).all()


def samples(current_a: list[float], step_s: float) -> Log:
    rows = len(current_a)
    time_s, voltage_v, degc = step_s * np.arange(rows), np.full(rows, np.nan), np.full(rows, 25.0)
    return Log(Path("log.csv"), time_s, np.array(current_a), voltage_v, degc, None, None, None)


def test_sigma_points_do_not_integrate_over_a_gap() -> None:
    nan = float("nan")
    gap = replay(samples([280.0, 280.0], 3600.0), SigmaPointFilter(CELL), Start(0.6, 0.05))
    absent = replay(samples([280.0, nan, 280.0, 280.0], 1.0), SigmaPointFilter(CELL), Start(0.6, 0.05))
    assert gap.soc_frac.tolist() == [0.6, 0.6]
    assert gap.soc_sigma_frac[-1] > 0.1
    assert absent.soc_frac.tolist() == pytest.approx([0.6, 0.6, 0.6, 0.6 - 1 / 3600])


def test_sigma_points_find_the_soc_through_hysteresis() -> None:
    """An hour at 0.5 C of a cell whose discharge curve lies 20 mV below the mean: 10 % SoC and more on the plateau."""
    cell = replace(CELL, hysteresis_v=np.full_like(CELL.hysteresis_v, 0.02),
                   rc_resistance_ohm=np.full_like(CELL.rc_resistance_ohm, 1e-9))  # fmt: skip
    moved = 0.5 / 3600 * np.arange(3600)
    ocv_v = np.interp(0.9 - moved, SOC_GRID, CELL.ocv_v[0])
    voltage_v = ocv_v - 0.02 * (1 - np.exp(-30 * moved)) - 0.00025 * 140
    log = replace(samples([140.0] * 3600, 1.0), voltage_v=voltage_v)
    done = replay(log, SigmaPointFilter(cell), Start(0.8, 0.2))
    assert abs(done.soc_frac[-1] - (0.9 - moved[-1])) < 0.01
    assert 0 < done.soc_sigma_frac[-1] < 0.05


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of one cell type in the data folder's format, charge positive, from the simulated lab."""
    folder = tmp_path_factory.mktemp("data")
    cell = folder / "cells/aboutenergy_lfp_18650_2ah"
    cell.mkdir(parents=True)
    slow, dynamic = lab_log("discharge"), lab_log("dynamic")
    logs = {"char_cc_co20": slow, "char_cc_co2": slow, "char_cc_1c": slow, "drive_wltp_like": dynamic}
    for name, log in logs.items():
        every = part(log, slice(0, None, 5))
        columns = {"time_s": every.time_s, "current_a": -every.current_a / 140, "voltage_v": every.voltage_v,
                   "temperature_c": every.temperature_degc, "soc": every.soc_frac}  # fmt: skip
        pq.write_table(pa.table(columns), cell / f"{name}_25c.parquet")
    return folder


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "hil_rigs.cli", "evaluate", *(str(word) for word in words)]


def test_command_writes_tables_and_figures(small_data: Path, tmp_path: Path) -> None:
    words = ("--data", small_data, "--report", tmp_path / "new", "--quick", "--jobs", 2, "--json")
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=300, check=False)
    assert done.stderr == ""
    document = json.loads(done.stdout)
    missed = any(row["misses"] for row in document["rows"])
    assert done.returncode == (1 if missed else 0)
    groups = ["drive cycle", "on at 65 %, unknown", "model from the data sheet"]
    assert [row["group"] for row in document["rows"]] == groups
    assert all(set(row["rmse_pct"]) == set(ESTIMATORS) for row in document["rows"])
    text = Path(document["report"]).read_text()
    assert document["report"] == str(tmp_path / "new/accuracy.md")
    assert "whose RMSE and median sigma are shown and not judged" in text
    assert "Not evaluated" in text
    pictures = list((tmp_path / "new/accuracy").glob("*.svg"))
    assert len(pictures) == 2
    assert all(f"(accuracy/{path.name})" in text for path in pictures)


def test_interrupted_command_keeps_what_is_done(small_data: Path, tmp_path: Path) -> None:
    words = command("--data", small_data, "--report", tmp_path, "--quick", "--jobs", 1, "--plain")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        while "RMSE" not in running.stdout.readline():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=120)
    assert running.returncode == 1
    assert err.startswith("interrupted after")
    assert err.count("\n") == 1
    assert "Incomplete: " in (tmp_path / "accuracy.md").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--data", "none"), "none: no such folder; name that of the measurements with --data or CELLWARD_DATA"),
        (("--data", "."), ".: has none of the cells that are evaluated; choose the folder with --data"),
        (("--data", ".", "--quick"), "--quick: needs --report DIR, so that it does not replace the full tables"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    says: str,
) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *words]) == 2
    assert tuple(capsys.readouterr()) == ("", f"{says}\n")


def test_fold_names_what_its_model_is_made_from(tmp_path: Path) -> None:
    folds = [fold for plan in plans_with_all_files(tmp_path) for fold in plan.folds]
    assert all(isinstance(fold, Fold) and (bool(fold.sources) != (fold.shipped is not None)) for fold in folds)
