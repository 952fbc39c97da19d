"""Log files as testers write them: what is read, what is bridged, and what is refused in one line."""

import math
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bms.estimate.log import LogError, read_log, read_runs

DATA = Path(os.environ.get("CELLWARD_DATA") or Path(__file__).parents[3] / "shared/data")
HEADER = "time_s,current_a,voltage_v,temperature_c,soc,ah\n"
THREE = "0,-1,3.30,25,0.90,0\n1,-2,3.29,26,0.89,-0.1\n2,0,3.31,27,0.88,-0.2\n"


def csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(text)
    return path


def refusal(path: Path, run: str | None = None) -> str:
    with pytest.raises(LogError) as caught:
        read_log(path, run=run)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(f"{path}: ")


def test_charge_positive_log_is_turned_to_discharge_positive(tmp_path: Path) -> None:
    path = csv(tmp_path, HEADER + THREE)
    turned = read_log(path, charge_positive=True)
    assert turned.current_a.tolist() == [1, 2, 0]
    assert turned.ah is not None
    assert turned.ah.tolist() == [0, 0.1, 0.2]
    assert read_log(path).current_a.tolist() == [-1, -2, 0]
    assert turned.soc_frac is not None
    assert turned.soc_frac.tolist() == [0.9, 0.89, 0.88]
    assert turned.temperature_degc.tolist() == [25, 26, 27]


def test_parquet_and_csv_give_the_same_log(tmp_path: Path) -> None:
    columns = {"time_s": [0.0, 1.0], "current_a": [1, 2], "voltage_v": np.array([3.5, 3.25], np.float32)}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    read = read_log(tmp_path / "log.parquet")
    same = read_log(csv(tmp_path, "# a comment\ntime_s, current_a, voltage_v\n0,1,3.5\n\n1,2,3.25\n"))
    for name in ("time_s", "current_a", "voltage_v", "temperature_degc"):
        assert getattr(read, name).tolist() == getattr(same, name).tolist()
    assert read.soc_frac is None
    assert read.ah is None


def test_last_row_of_those_with_one_time_counts(tmp_path: Path) -> None:
    log = read_log(csv(tmp_path, "time_s,current_a,voltage_v\n0,0,3.3\n1,0,3.31\n1,5,3.2\n2,5,3.1\n2,5,3.0\n"))
    assert log.time_s.tolist() == [0, 1, 2]
    assert log.current_a.tolist() == [0, 5, 5]
    assert log.voltage_v.tolist() == [3.3, 3.2, 3.0]


def test_time_that_goes_back_is_refused_by_row(tmp_path: Path) -> None:
    path = csv(tmp_path, "time_s,current_a,voltage_v\n0,0,3.3\n5,0,3.3\n4,0,3.3\n")
    assert refusal(path) == "row 3: time_s goes back (4 after 5)"


RUNS = "time_s,current_a,voltage_v,cycle\n0,1,3.3,7\n1,1,3.3,7\n0,2,3.3,8\n2,2,3.3,8\n0,3,3.3,7\n"


def test_run_is_picked_by_its_number(tmp_path: Path) -> None:
    path = csv(tmp_path, RUNS)
    assert read_log(path, run="8").time_s.tolist() == [0, 2]
    assert read_log(path, run=7).current_a.tolist() == [1, 1]
    assert read_log(path, run="7.2").current_a.tolist() == [3]
    assert [log.run for log in read_runs(path)] == ["7", "8", "7.2"]


def test_several_runs_need_a_choice(tmp_path: Path) -> None:
    path = csv(tmp_path, RUNS)
    assert refusal(path) == "has several runs, pick one with --run: 7, 8, 7.2"
    assert refusal(path, run="9") == "no run 9 (it has: 7, 8, 7.2)"


def test_noise_about_the_ends_of_what_a_cell_can_show_is_read(tmp_path: Path) -> None:
    log = read_log(csv(tmp_path, HEADER + "0,1,-0.02,-40,-0.03,0\n1,1,5.1,85,1.04,0\n"))
    assert log.voltage_v.tolist() == [-0.02, 5.1]
    assert log.temperature_degc.tolist() == [-40, 85]
    assert log.soc_frac is not None
    assert log.soc_frac.tolist() == [-0.03, 1.04]


def test_value_in_another_unit_is_named_by_its_row_of_the_file(tmp_path: Path) -> None:
    path = csv(tmp_path, "time_s,current_a,voltage_v,run\n0,1,3.3,1\n1,1,3.3,1\n0,2,3.3,2\n1,2,3300,2\n")
    assert refusal(path, run="2").startswith("row 4: voltage_v is 3300.0")


def test_row_of_a_run_is_named_as_in_the_file(tmp_path: Path) -> None:
    path = csv(tmp_path, "time_s,current_a,voltage_v,run\n0,1,3.3,1\n1,1,3.3,1\n5,2,3.3,2\n4,2,3.3,2\n")
    assert refusal(path, run="2") == "row 4: time_s goes back (4 after 5)"


def test_numbered_file_whose_time_goes_on_is_one_run(tmp_path: Path) -> None:
    path = csv(tmp_path, "time_s,current_a,voltage_v,cycle\n0,1,3.3,1\n1,1,3.3,2\n")
    assert len(read_log(path).time_s) == 2
    assert [len(log.time_s) for log in read_runs(path)] == [2]


def test_run_without_such_a_column_is_refused(tmp_path: Path) -> None:
    assert refusal(csv(tmp_path, HEADER + THREE), run="1") == "no run 1 (it has: no column run, cycle or cell_no)"


def test_absent_samples_stay_absent(tmp_path: Path) -> None:
    log = read_log(csv(tmp_path, HEADER + "0,nan,3.3,25,0.9,0\n1,1,,25,,0\n2,1,3.3,25,0.8,0\n"))
    assert math.isnan(log.current_a[0])
    assert math.isnan(log.voltage_v[1])
    assert log.soc_frac is not None
    assert math.isnan(log.soc_frac[1])


def test_reference_without_any_value_counts_as_none(tmp_path: Path) -> None:
    assert read_log(csv(tmp_path, "time_s,current_a,voltage_v,soc\n0,1,3.3,\n1,1,3.3,nan\n")).soc_frac is None


def test_gaps_in_the_temperature_are_bridged(tmp_path: Path) -> None:
    rows = "0,1,3.3,,,\n10,1,3.3,20,,\n20,1,3.3,,,\n30,1,3.3,40,,\n40,1,3.3,,,\n"
    log = read_log(csv(tmp_path, HEADER + rows))
    assert log.temperature_degc.tolist() == [20, 20, 30, 40, 40]
    assert log.temperature_measured


def test_temperature_never_measured_is_said(tmp_path: Path) -> None:
    log = read_log(csv(tmp_path, "time_s,current_a,voltage_v\n0,1,3.3\n"))
    assert log.temperature_degc.tolist() == [25.0]
    assert not log.temperature_measured


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column time_s (it has: nothing)"),
        ("time_s,current_a,voltage_v\n", "no rows"),
        ("time_s,current_a\n0,1\n", "no column voltage_v (it has: time_s, current_a)"),
        (HEADER + THREE + "3,x,3.3,25,0.9,0\n", "row 4: current_a is 'x', expected a number"),
        (HEADER + "0,1,3.3,25\n", "row 1: got 4 cells, expected 6 as in the header"),
        (HEADER + "0,1,3.3,25,0.9,0\n,1,3.3,25,0.9,0\n", "row 2: time_s is nan, expected a finite number"),
        (HEADER + "0,1,inf,25,0.9,0\n", "row 1: voltage_v is inf, expected a finite number"),
        ("time_s,current_a,voltage_v\n0,,3.3\n1,,3.3\n", "current_a has no value in any row"),
        (
            HEADER + THREE + "3,1,3300,25,0.8,0\n",
            "row 4: voltage_v is 3300.0, expected one cell's V (not mV, not a pack's) from -1 to 10",
        ),
        (
            HEADER + "0,1,-1.01,25,0.9,0\n",
            "row 1: voltage_v is -1.01, expected one cell's V (not mV, not a pack's) from -1 to 10",
        ),
        (HEADER + "0,1,3.3,298.15,0.9,0\n", "row 1: temperature_c is 298.15, expected degC (not K) from -60 to 120"),
        (
            HEADER + THREE + "3,1,3.3,25,90,0\n",
            "row 4: soc is 90.0, expected a fraction (not percent) from -0.1 to 1.1",
        ),
        ("time_s,time_s,current_a,voltage_v\n0,0,1,3.3\n", "column time_s appears more than once"),
        ("time_s,current_a,voltage_v,run\n0,0,3.3,1\n1,0,3.3,\n", "row 2: run is nan, expected the number of a run"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    assert refusal(csv(tmp_path, text)) == says


def test_wrong_paths_and_kinds_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.csv") == "no such file"
    assert refusal(tmp_path) == "not a regular file"
    (tmp_path / "log.txt").write_text(HEADER + THREE)
    assert refusal(tmp_path / "log.txt") == "expected a .csv or .parquet file"
    (tmp_path / "log.parquet").write_text(HEADER + THREE)
    assert refusal(tmp_path / "log.parquet").startswith("cannot be read: ")
    pq.write_table(pa.table({"time_s": [0.0], "current_a": ["1"], "voltage_v": [3.3]}), tmp_path / "words.parquet")
    assert refusal(tmp_path / "words.parquet") == "column current_a holds string, expected numbers"


@pytest.mark.parametrize(
    ("name", "runs", "rows"),
    [
        ("panasonic_ncr18650pf/drive_us06_25c", 1, 4812),
        ("panasonic_ncr18650pf/char_c20_ocv_25c", 1, 2446),
        ("dmegc_inr18650_2p6ah/r1_drive_random_walk_25c", 50, 15682),
        ("lg_m50_21700_5ah/char_pulse_0c", 54, 6260),
        ("nissan_leaf_2013_lmo_33ah/char_c15_cycles_10c_24c_40c", 1, 22596),
    ],
)
def test_real_files_are_read_whole_but_for_repeated_times(name: str, runs: int, rows: int) -> None:
    path = DATA / f"cells/{name}.parquet"
    if not path.is_file():
        pytest.skip(f"measurements absent: {path}")
    logs = read_runs(path, charge_positive=True)
    assert len(logs) == runs
    assert sum(len(log.time_s) for log in logs) == rows
    assert all((np.diff(log.time_s) > 0).all() for log in logs)
