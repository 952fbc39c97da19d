"""`bms estimate`: figures as JSON and text, the file of what the estimator said, and one line for bad input."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from bms.cli import main

CELL_FILE = """
name: steep
chemistry: nmc
source: made up for these tests
capacity_ah: 10
resistance_ohm: 0.002
rc_resistance_ohm: 0.001
rc_tau_s: 30
hysteresis_v: 0
heat_capacity_j_per_k: 100
ocv: [[0, 3.0], [1, 4.0]]
"""
COLUMNS = ["time_s", "soc", "soc_sigma", "voltage_v", "voltage_predicted_v", "current_bias_a", "capacity_ah",
           "capacity_ah_sigma", "soh_frac"]  # fmt: skip
KEYS = {"rmse_pct", "max_error_pct", "time_to_5pct_s", "time_to_2pct_s", "coverage_3sigma_pct", "median_sigma_pct",
        "coulomb_rmse_pct", "ekf_rmse_pct"}  # fmt: skip


def write_log(path: Path, *, sign: float = 1.0, with_soc: bool = True, seconds: int = 3000) -> Path:
    """A 10 Ah cell with a straight OCV from SoC 0.9, in steps of 5 and 0 A of 5 min; no temperature."""
    lines, soc, behind_a = ["time_s,current_a,voltage_v" + (",soc" if with_soc else "")], 0.9, 0.0
    for second in range(seconds):
        flow_a = 5.0 if second // 300 % 2 else 0.0
        soc -= flow_a / 36000
        behind_a += (1 - np.exp(-1 / 30)) * (flow_a - behind_a)
        voltage_v = 3.0 + soc - 0.002 * flow_a - 0.001 * behind_a
        lines.append(f"{second},{sign * flow_a},{voltage_v:.6f}" + (f",{soc:.7f}" if with_soc else ""))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def cell(tmp_path: Path) -> str:
    path = tmp_path / "cell.yaml"
    path.write_text(CELL_FILE)
    return str(path)


def estimate(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = main(["estimate", *(str(word) for word in words)])
    out, err = capsys.readouterr()
    return status, out, err


def figures(capsys: pytest.CaptureFixture[str], cell: str, log: Path, *words: object) -> dict[str, Any]:
    status, out, err = estimate(capsys, "--cell", cell, "--log", log, "--json", *words)
    assert status == 0
    assert err == f"{log}: no temperature_c, taken as 25 degC throughout\n"
    document: dict[str, Any] = json.loads(out)
    return document


def test_unknown_start_is_found_and_judged(tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(capsys, cell, write_log(tmp_path / "log.csv"))
    assert set(found) >= KEYS
    assert found["rmse_pct"] < 2.0
    assert found["max_error_pct"] < 4.0
    assert found["coverage_3sigma_pct"] == 100.0
    assert found["ekf_rmse_pct"] < 2.0
    assert found["coulomb_rmse_pct"] == pytest.approx(40.0, abs=0.1)


def test_rows_without_a_current_are_bridged_and_told(
    tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every other one, and one that reads more than 50 C."""
    log = write_log(tmp_path / "log.csv")
    header, *rows = log.read_text().splitlines()
    cells = [row.split(",") for row in rows]
    for row in cells[1::2]:
        row[1] = ""
    cells[1500][1] = "501"
    log.write_text("\n".join([header, *(",".join(row) for row in cells)]) + "\n")
    status, out, err = estimate(capsys, "--cell", cell, "--log", log, "--json", "--start-soc", 0.9)
    found = json.loads(out)
    assert status == 0
    assert err.splitlines()[0] == (
        f"{log}: 1501 of 3000 rows without a current (1 of them beyond 500 A, which counts as none): 1500 bridged "
        "between samples at most 120 s apart, over the other 1 what flowed is unknown"
    )
    assert (found["rows_without_current"], found["rows_bridged"]) == (1501, 1500)
    assert found["rmse_pct"] < 1.0
    assert found["coverage_alone_pct"] == 100.0


def test_told_start_and_sensor_error_reach_the_comparison(
    tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Coulomb counting from a true start drifts with the offset alone: 0.1 A x t / 10 Ah."""
    log = write_log(tmp_path / "log.csv")
    start = ("--start-soc", 0.9, "--start-sigma", 0.02)
    drift_pct = 100 * 0.1 / 36000 * np.arange(600, 3000)
    found = figures(capsys, cell, log, *start, "--current-offset-a", 0.1)
    assert found["coulomb_rmse_pct"] == pytest.approx(np.sqrt(np.mean(drift_pct**2)), rel=0.02)
    more = figures(capsys, cell, log, *start, "--current-gain", 1.1)
    assert more["coulomb_rmse_pct"] == pytest.approx(10 * np.sqrt(np.mean(drained(600, 3000) ** 2)), rel=0.02)


def drained(first: int, end: int) -> np.ndarray:
    flow_a = np.where(np.arange(end) // 300 % 2, 5.0, 0.0)
    return (np.cumsum(flow_a) / 36000)[first:]


def test_offset_is_in_the_logs_own_sign(tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    plain = write_log(tmp_path / "plain.csv")
    turned = write_log(tmp_path / "turned.csv", sign=-1.0)
    start = ("--start-soc", 0.9)
    as_is = figures(capsys, cell, plain, *start, "--current-offset-a", 0.2)
    same = figures(capsys, cell, turned, *start, "--current-offset-a", -0.2, "--charge-positive")
    assert same["rmse_pct"] == as_is["rmse_pct"]
    assert same["coulomb_rmse_pct"] == as_is["coulomb_rmse_pct"]


def test_noise_is_repeatable(tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    log = write_log(tmp_path / "log.csv")
    first, again, other = (figures(capsys, cell, log, "--noise-v", 0.005, "--seed", seed) for seed in (1, 1, 2))
    assert first == again
    assert first["ekf_rmse_pct"] != other["ekf_rmse_pct"]


def test_file_has_one_row_for_each_row(tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    log, out = write_log(tmp_path / "log.csv", seconds=700), tmp_path / "out.parquet"
    assert estimate(capsys, "--cell", cell, "--log", log, "--out", out)[0] == 0
    table = pq.read_table(out)
    assert table.column_names == COLUMNS
    assert table["time_s"].to_pylist() == [float(second) for second in range(700)]
    assert table["voltage_v"][0].as_py() == pytest.approx(3.9)
    assert abs(table["soc"][-1].as_py() - (0.9 - 300 * 5 / 36000)) < 0.02
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cell.yaml", "log.csv", "out.parquet"]


def test_log_without_reference_gives_the_last_estimate(
    tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_log(tmp_path / "log.csv", with_soc=False)
    found = figures(capsys, cell, log)
    assert {found[key] for key in KEYS} == {None}
    assert abs(found["final"]["soc_frac"] - (0.9 - 5 * 300 * 5 / 36000)) < 0.02
    text = estimate(capsys, "--cell", cell, "--log", log)[1]
    assert "at the end: SoC " in text
    assert "nothing to compare with" in text


def test_reference_of_the_first_ten_minutes_judges_nothing(
    tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_log(tmp_path / "log.csv", seconds=500)
    found = figures(capsys, cell, log)
    assert {found[key] for key in KEYS} == {None}
    assert "the first 600 s: nothing to compare with" in estimate(capsys, "--cell", cell, "--log", log)[1]


def test_text_names_every_figure(tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = estimate(capsys, "--cell", cell, "--log", write_log(tmp_path / "log.csv"))[1]
    for name in ("RMSE", "coulomb counting", "plain EKF", "largest error", "within 3 sigma", "median sigma"):
        assert name in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--cell", "none"), "none: no such cell file; shipped cells: lfp-280ah, lfp-314ah, lfp-314ah-20p, zinc-200ah"),
        (("--log", "none.csv"), "none.csv: no such file"),
        (("--out", "out.csv"), "out.csv: expected a file that ends with .parquet"),
        (("--out", "none/out.parquet"), "none/out.parquet: no folder none"),
        (("--start-sigma", "0.1"), "--start-sigma: needs --start-soc; without both the SoC is unknown, with sigma 0.3"),
        (("--run", "3"), "log.csv: no run 3 (it has: no column run, cycle or cell_no)"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    tmp_path: Path,
    cell: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_log(tmp_path / "log.csv", seconds=700)
    given = {"--cell": cell, "--log": "log.csv", "--out": "out.parquet", words[0]: words[1]}
    status, out, err = estimate(capsys, "--json", *(word for pair in given.items() for word in pair))
    assert (status, out) == (2, "")
    assert err.startswith(says)
    assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cell.yaml", "log.csv"]


@pytest.mark.parametrize(
    "option", ["--start-soc=1.5", "--start-soc=x", "--current-gain=nan", "--noise-v=-1", "--seed=x"]
)
def test_numbers_that_cannot_be_are_refused(option: str, cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["estimate", "--cell", cell, "--log", "log.csv", option])
    assert caught.value.code == 2
    assert "expected a" in capsys.readouterr().err


def test_log_is_never_overwritten(tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    log, out = write_log(tmp_path / "log.csv", seconds=700), tmp_path / "out.parquet"
    assert estimate(capsys, "--cell", cell, "--log", log, "--out", out)[0] == 0
    kept = out.read_bytes()
    status, _, err = estimate(capsys, "--cell", cell, "--log", out, "--out", out)
    assert (status, err) == (2, f"{out}: is the log itself\n")
    assert out.read_bytes() == kept


def test_log_of_another_cell_is_told_in_one_line(tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """20 A for an hour out of a cell file's 10 Ah: two in parallel, or the wrong file."""
    rows = "".join(f"{second},20,{4.0 - second / 3600:.6f},25\n" for second in range(3600))
    log = tmp_path / "log.csv"
    log.write_text("time_s,current_a,voltage_v,temperature_c\n" + rows)
    status, _, err = estimate(capsys, "--cell", cell, "--log", log)
    assert status == 0
    assert err == (f"WARNING: {log}: its current moves 20 Ah one way, more than the 10 Ah of cell steep can hold\n")


def test_time_in_milliseconds_is_refused_in_one_line(
    tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log, out = write_log(tmp_path / "log.csv"), tmp_path / "out.parquet"
    header, *rows = log.read_text().splitlines()
    log.write_text("\n".join([header, *(row.replace(",", "000,", 1) for row in rows)]) + "\n")
    status, said, err = estimate(capsys, "--cell", cell, "--log", log, "--out", out)
    assert (status, said, out.exists()) == (2, "", False)
    assert err == (
        f"{log}: time_s is in other units: its current moves 2.08e+03 Ah over it, 2.08 Ah by its soc, "
        "expected s (not ms)\n"
    )


@pytest.mark.parametrize(
    ("amps", "words", "told"),
    [
        (-7, [], "positive on discharge, or --charge-positive"),
        (7, ["--charge-positive"], "no --charge-positive"),
    ],
)
def test_current_of_the_other_sign_is_told_in_one_line(
    tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str], amps: int, words: list[str], told: str
) -> None:
    rows = "".join(
        f"{second},{amps},{4.0 - 0.7 * second / 3600:.6f},25,{1 - 0.7 * second / 3600:.6f}\n" for second in range(3600)
    )
    log = tmp_path / "log.csv"
    log.write_text("time_s,current_a,voltage_v,temperature_c,soc\n" + rows)
    status, _, err = estimate(capsys, "--cell", cell, "--log", log, *words)
    assert status == 0
    assert err == (
        f"WARNING: {log}: current_a has the other sign: soc rises in discharge or falls in charge, expected {told}\n"
    )


def write_swings(path: Path, amps: float, capacity_ah: float) -> Path:
    """Six hours from full down and up again, each for one."""
    rows, soc = [], 1.0
    for row in range(2160):
        flow_a = amps if row // 360 % 2 == 0 else -amps
        soc -= flow_a * 10 / 3600 / capacity_ah
        rows.append(f"{10 * row},{flow_a},{3 + soc - 0.003 * flow_a:.6f},25\n")
    path.write_text("time_s,current_a,voltage_v,temperature_c\n" + "".join(rows))
    return path


def test_capacity_that_a_log_contradicts_is_told_in_one_line(
    tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_swings(tmp_path / "log.csv", 5.0, 7.0)
    status, out, err = estimate(capsys, "--cell", cell, "--log", log, "--json")
    final = json.loads(out)["final"]
    assert status == 0
    assert final["capacity_ah"] == pytest.approx(7.0, abs=0.14)
    assert err == (
        f"WARNING: {log}: contradicts the 10 Ah of cell steep, and is taken at its own word: "
        f"{final['capacity_ah']:.3g} Ah (sigma {final['capacity_ah_sigma']:.2g} Ah)\n"
    )


def test_soh_that_no_cell_has_is_told_in_one_line(
    tmp_path: Path, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cell of 25 Ah beside a file of 10 Ah, between full and 56 %: neither sign nor charge contradicts."""
    log = write_swings(tmp_path / "log.csv", 11.0, 25.0)
    status, out, err = estimate(capsys, "--cell", cell, "--log", log, "--json")
    soh_frac = json.loads(out)["final"]["soh_frac"]
    assert status == 0
    assert soh_frac > 1.5
    assert err == (
        f"WARNING: {log}: SoH {100 * soh_frac:.0f} % is none that a cell can have: the log is not of cell steep, or "
        "its current has the other sign\n"
    )
