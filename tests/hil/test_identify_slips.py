"""Identification of logs with slips: what no cell can have done does not move the fit, and is told."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bms.estimate.log import Log
from hil_rigs.cli import main
from hil_rigs.identify import IdentifiedCell, IdentifyError, identify_cell
from kernels.cell_tables import SOC_GRID

Floats = NDArray[np.float64]
AH, R0, R1, TAU_S = 3.0, 0.030, 0.020, 40.0


def cell(name: str, current_a: Floats, dt_s: float, start: float = 1.0) -> Log:
    """What a simulated NMC cell of 3 Ah, 50 mOhm shows at 25 degC, with 1 mV of noise."""
    time_s = dt_s * np.arange(len(current_a))
    soc = start - np.concatenate([[0.0], np.cumsum(0.5 * (current_a[1:] + current_a[:-1]) * dt_s / 3600)]) / AH
    behind_a, x, keep = np.zeros(len(current_a)), 0.0, np.exp(-dt_s / TAU_S)
    for k in range(1, len(current_a)):
        x = keep * x + (1 - keep) * current_a[k - 1]
        behind_a[k] = x
    ocv_v = 3.0 + 0.7 * soc + 0.25 * np.tanh((soc - 0.05) / 0.05) + 0.1 * np.sin(6 * soc)
    noise_v = np.random.default_rng(1).normal(0, 0.001, len(time_s))
    degc = np.full(len(time_s), 25.0)
    return Log(Path(name), time_s, current_a, ocv_v - R0 * current_a - R1 * behind_a + noise_v, degc, soc, None, None)


def dynamic(seed: int = 3) -> Floats:
    return np.repeat(1.2 + np.random.default_rng(seed).normal(0, 2.0, 420), 20)


DYNAMIC = cell("dynamic", dynamic(), 1.0)
SLOW = cell("slow", np.full(6840, AH / 20), 10.0)


def found_from(*logs: Log) -> IdentifiedCell:
    return identify_cell(logs, nominal_ah=AH, chemistry="nmc")


@cache
def undisturbed() -> IdentifiedCell:
    return found_from(SLOW, DYNAMIC)


def ohm(found: IdentifiedCell) -> float:
    tables = found.tables
    rows = tables.resistance_ohm + tables.rc_resistance_ohm.sum(axis=0)
    at_25 = int(np.abs(tables.temperature_degc - 25.0).argmin())
    return float(np.interp(0.5, SOC_GRID, rows[at_25]))


def spoilt(column: str, value: float, rows: list[int], log: Log = DYNAMIC) -> Log:
    values = getattr(log, column).copy()
    values[rows] = value
    return replace(log, **{column: values})


def csv(folder: Path, log: Log) -> Path:
    path = folder / f"{log.path.name}.csv"
    assert log.soc_frac is not None
    columns = np.column_stack([log.time_s, log.current_a, log.voltage_v, log.temperature_degc, log.soc_frac])
    np.savetxt(path, columns, delimiter=",", header="time_s,current_a,voltage_v,temperature_c,soc", comments="")
    return path


SCATTERED = list(range(200, 8400, 280))


@pytest.mark.parametrize(
    ("column", "value", "rows"),
    [
        ("voltage_v", 0.0, [3000]),
        ("voltage_v", 0.0, SCATTERED),
        ("voltage_v", 0.0, [3000, 3001, 3002]),
        ("voltage_v", 4.45, [2995, 5012]),
        ("current_a", 500.0, SCATTERED),
        ("current_a", -500.0, [3000]),
        ("current_a", 90.0, [3005, 6007]),
        ("temperature_degc", -55.0, [3000]),
        ("temperature_degc", 80.0, SCATTERED),
        ("temperature_degc", -55.0, [0]),
        ("temperature_degc", -55.0, [8399]),
    ],
)
def test_rows_that_no_cell_can_have_made_do_not_move_the_fit(column: str, value: float, rows: list[int]) -> None:
    found = found_from(SLOW, spoilt(column, value, rows))
    assert found.tables.temperature_measured_degc == (25.0, 25.0)
    assert ohm(found) == pytest.approx(ohm(undisturbed()), rel=0.01)
    assert found.solution.residual_v == pytest.approx(undisturbed().solution.residual_v, rel=0.03)
    (said,) = found.warnings
    dropped = f"{len(rows)} row{'s' if len(rows) > 1 else ''}"
    assert said == f"dynamic: {dropped} of 8400 dropped that no nmc cell can have made (spikes)"


def test_a_clean_log_with_short_loads_loses_no_row() -> None:
    """Loads of one row, to which the voltage answers."""
    log = cell("short", np.where(np.arange(6000) % 10 == 0, 9.0, 0.3), 1.0)
    assert found_from(SLOW, log).warnings == ()


def test_a_range_of_temperatures_rests_on_a_share_of_the_rows() -> None:
    """The logger's last row, half a day later, was made somewhere else."""
    later = replace(SLOW, time_s=np.append(SLOW.time_s[:-1], 120_000.0))
    found = found_from(spoilt("temperature_degc", 11.4, [6839], later), DYNAMIC)
    assert found.tables.temperature_measured_degc == (25.0, 25.0)


@pytest.mark.parametrize(
    ("log", "chemistry", "says"),
    [
        (DYNAMIC, "zinc", r"dynamic: 100 % of voltage_v \(from 2\.\d\d to 4\.\d\d V\) is no zinc cell's, "
                          r"expected 0\.50 to 2\.25 V or another --chemistry"),
        (replace(DYNAMIC, current_a=1e3 * DYNAMIC.current_a), "nmc",
         r"dynamic: \d\d % of current_a is above 100 times the 3 Ah of --nominal-ah an hour, expected A \(not mA\)"),
    ],
)  # fmt: skip
def test_a_log_full_of_impossible_rows_is_refused(log: Log, chemistry: str, says: str) -> None:
    with pytest.raises(IdentifyError, match=says):
        identify_cell([log], nominal_ah=AH, chemistry=chemistry)


def test_the_same_measurement_counts_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = csv(tmp_path, DYNAMIC), tmp_path / "cell.yaml"
    other = path.with_name("again.csv")
    other.write_bytes(path.read_bytes())
    documents = []
    for files in ([path], [path, other, path]):
        options = ["--nominal-ah", "3", "--chemistry", "nmc", "--out", str(out), "--json"]
        assert main(["identify", *map(str, files), *options]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    assert documents[1]["temperatures"] == documents[0]["temperatures"]
    assert [line for line in documents[1]["warnings"] if line not in documents[0]["warnings"]] == [
        f"{other}: the same measurement as {path}, taken once",
        f"{path}: the same measurement as {path}, taken once",
    ]


def test_a_folder_is_no_file_to_write_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = csv(tmp_path, DYNAMIC)
    assert main(["identify", str(path), "--nominal-ah", "3", "--chemistry", "nmc", "--out", str(tmp_path)]) == 2
    assert f"--out {tmp_path}: is a folder, expected a file\n" in capsys.readouterr().err
