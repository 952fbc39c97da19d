"""Cell parameter files: the shipped cell has the shape of its chemistry, a wrong file says so in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from kernels.parameters import load_cell, load_tables, shipped_cells

GOOD: dict[str, Any] = {
    "name": "two-point",
    "chemistry": "lfp",
    "source": "made up for this test",
    "capacity_ah": 100,
    "resistance_ohm": 0.001,
    "rc_resistance_ohm": 0.0005,
    "rc_tau_s": 20,
    "hysteresis_v": 0,
    "heat_capacity_j_per_k": 1000,
    "ocv": [[0, 3.0], [1, 3.4]],
}


def written(folder: Path, content: object) -> Path:
    path = folder / "cell.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("soc_percent", "low_v", "high_v"),
    [(0, 2.5, 2.6), (10, 3.19, 3.21), (40, 3.28, 3.30), (80, 3.32, 3.34), (100, 3.40, 3.45)],
)
def test_shipped_lfp_cell_has_the_published_shape(soc_percent: int, low_v: float, high_v: float) -> None:
    assert low_v <= load_cell("lfp-280ah").ocv_v[2 * soc_percent] <= high_v


def test_shipped_lfp_cell_is_flat_between_30_and_90_percent() -> None:
    cell = load_cell("lfp-280ah")
    assert 0.05 <= cell.ocv_v[180] - cell.ocv_v[60] <= 0.07
    assert (np.diff(cell.ocv_v) > 0).all()
    assert (cell.capacity_ah, cell.chemistry, cell.ocv_v.shape) == (280.0, "lfp", (201,))
    assert not cell.ocv_v.flags.writeable


@pytest.mark.parametrize("name", shipped_cells())
def test_every_shipped_cell_loads_under_its_own_name(name: str) -> None:
    assert load_cell(name).name == name


def test_file_is_loaded_by_path(tmp_path: Path) -> None:
    cell = load_cell(written(tmp_path, GOOD))
    assert cell.ocv_v[[0, 100, 200]].tolist() == pytest.approx([3.0, 3.2, 3.4])
    assert (cell.rc_tau_s, cell.hysteresis_v) == (20.0, 0.0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"capacity_ah": 0}, "capacity_ah: got 0, expected a number above 0"),
        ({"capacity_ah": "280 Ah"}, "capacity_ah: got '280 Ah', expected a number above 0"),
        ({"capacity_ah": True}, "capacity_ah: got True, expected a number above 0"),
        ({"rc_tau_s": float("nan")}, "rc_tau_s: got nan, expected a number above 0"),
        ({"hysteresis_v": -1}, "hysteresis_v: got -1, expected a number of at least 0"),
        ({"name": ""}, "name: got '', expected a text"),
        ({"ocv": [[0, 3.0], [1, 2.9]]}, "ocv: expected soc rising from 0 to 1 and volts that never fall"),
        ({"ocv": [[0, 3.0], [0.9, 3.1]]}, "ocv: expected soc rising from 0 to 1 and volts that never fall"),
        ({"ocv": [[0, 3.0], [1]]}, "ocv: expected a list of at least two [soc, volts] pairs of numbers"),
        ({"ocv": None}, "ocv: expected a list of at least two [soc, volts] pairs of numbers"),
        ({"voltage_v_max": 3.6}, "unknown voltage_v_max; expected name, chemistry,"),
    ],
)
def test_wrong_entry_is_named_with_its_file(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = written(tmp_path, GOOD | changed)
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refusal:
        load_cell(path)
    assert str(refusal.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "got list, expected a mapping"),
        ("a: [1", "cannot be read: "),
        ("name: x", "missing chemistry, source,"),
    ],
)
def test_file_that_is_no_cell_says_so_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refusal:
        load_cell(written(tmp_path, text))
    assert message in str(refusal.value)


def test_unknown_name_lists_the_shipped_cells() -> None:
    with pytest.raises(ValueError, match=r"^nmc: no such cell file; shipped cells: .*lfp-280ah"):
        load_cell("nmc")


TABLES = """
name: made up
chemistry: nca
source: made up
capacity_ah: 3.0
capacity_sigma_frac: 0.01
temperature_degc: [25.0]
temperature_measured_degc: [20.0, 30.0]
soc: [0.0, 1.0]
ocv_v: [[3.0, 4.0]]
ocv_sigma_v: [[0.01, 0.01]]
model_sigma_v: [[0.01, 0.01]]
resistance_ohm: [[0.02, 0.02]]
resistance_sigma_frac: [0.1]
rc: [{tau_s: 300.0, resistance_ohm: [[0.01, 0.01]]}]
hysteresis_v: [[0.0, 0.0]]
hysteresis_rate: [30.0]
saturation_current_a: [1.0e+6]
coulombic_efficiency: [1.0]
self_discharge_per_h: [0.0]
"""


def test_resistances_may_be_those_of_a_soc_that_lags(tmp_path: Path) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text(TABLES)
    assert load_tables(path).surface_lag_h == 0.0
    path.write_text(TABLES + "surface_lag_h: 0.04")
    assert load_tables(path).surface_lag_h == 0.04


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLES + "surface_lag_h: -0.01", "surface_lag_h: got -0.01, expected a number of at least 0"),
        (
            TABLES.replace("300.0", "30.0") + "surface_lag_h: 0.04",
            "surface_lag_h: expected 0, or an rc pair with tau_s from 60 to 1000",
        ),
    ],
)
def test_lag_that_cannot_be_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cell.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^{path}: {message}$"):
        load_tables(path)
