"""The plant's cell against PyBaMM on the same circuit. Without PyBaMM the comparison is skipped; the rest is not."""

import importlib.util

import numpy as np
import pytest

from hil_rigs.cli import main
from hil_rigs.validate.circuit import Circuit, circuit_of, profiles
from hil_rigs.validate.command import Row, compared, page
from hil_rigs.validate.electrochemistry import PorousCell
from hil_rigs.validate.solve import Solved, by_plant, by_pybamm

HAS_PYBAMM = importlib.util.find_spec("pybamm") is not None
CIRCUIT = Circuit(np.array([3.0, 3.2, 3.4]), 0.001, (0.0005, 0.0002, 0.0003), (5.0, 60.0, 900.0), 100.0)


@pytest.mark.skipif(not HAS_PYBAMM, reason="PyBaMM is not installed: pip install 'cellward[validation]'")
@pytest.mark.filterwarnings("default")
def test_plant_and_pybamm_agree_to_a_microvolt() -> None:
    current_a = np.concatenate([np.full(20, 100.0), np.zeros(20), np.full(20, -80.0)])
    row = compared("pulse", current_a.tolist(), by_plant(CIRCUIT, 0.5, current_a), by_pybamm(CIRCUIT, 0.5, current_a))
    assert row.voltage_error_v_max < 1e-6
    assert abs(row.charge_error_frac) < 1e-9
    assert abs(row.energy_error_frac) < 1e-6


@pytest.mark.skipif(HAS_PYBAMM, reason="PyBaMM is installed")
@pytest.mark.parametrize("words", [[], ["--json"]])
def test_without_pybamm_the_command_says_what_to_install(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate-plant", *words]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "PyBaMM is not installed: pip install 'cellward[validation]'\n")


def test_plant_follows_the_circuit_by_hand() -> None:
    solved = by_plant(CIRCUIT, 0.5, np.full(5, 100.0))
    drop_v = sum(100.0 * ohm * (1 - np.exp(-5.0 / tau_s)) for ohm, tau_s in ((5e-4, 5.0), (2e-4, 60.0), (3e-4, 900.0)))
    assert solved.soc_frac == pytest.approx(0.5 - 500.0 / 360_000.0, abs=1e-12)
    assert solved.voltage_v[-1] == pytest.approx(3.2 - 0.4 * 500.0 / 360_000.0 - 0.1 - drop_v, abs=1e-9)


def test_figures_are_of_the_difference() -> None:
    row = compared("p", [10.0, -10.0], Solved(np.array([3.001, 3.3]), 0.5), Solved(np.array([3.0, 3.303]), 0.500002))
    assert (row.voltage_rms_v, row.voltage_error_v_max) == pytest.approx((np.sqrt(5.0) * 1e-3, 3e-3), rel=1e-6)
    assert row.charge_error_frac == pytest.approx(-2e-6, rel=1e-6)
    assert row.energy_error_frac == pytest.approx(0.04 / 63.03, rel=1e-6)
    assert not row.passed


def test_profiles_stay_inside_the_cell_and_have_both_directions() -> None:
    for soc_frac, current_a in profiles(circuit_of("lfp-280ah").capacity_ah).values():
        soc = soc_frac - np.cumsum(current_a) / 3600.0 / 280.0
        assert 0.1 < soc.min() < soc.max() < 0.95
        assert np.abs(current_a).max() <= 280.0


def test_page_has_a_line_a_profile_and_judges_the_same_circuit_only() -> None:
    text = page([Row("drive", 60.0, 1e-4, 2e-4, 1e-9, 1e-8)], [Row("drive", 60.0, 0.0213, 0.06, 0.0, 3e-3)], "26.1")
    assert text.startswith("# The plant's cells against PyBaMM\n")
    assert "| drive | 1 min | 0.1 mV | 0.2 mV | 1e-09 | 1e-08 | pass |\n" in text
    assert text.endswith("| drive | 1 min | 21 mV | 60 mV | 0 | 0.003 |\n")


@pytest.mark.skipif(not HAS_PYBAMM, reason="PyBaMM is not installed: pip install 'cellward[validation]'")
@pytest.mark.filterwarnings("default")
def test_porous_cell_rests_at_its_own_open_circuit_voltage() -> None:
    cell = PorousCell()
    assert cell.capacity_ah == pytest.approx(2.3, abs=0.01)
    assert cell.ocv_v[[0, -1]] == pytest.approx([2.0, 3.6], abs=1e-6)
    solved = cell.solve(0.5, np.zeros(5))
    assert solved.voltage_v == pytest.approx(np.full(5, cell.ocv_v[100]), abs=1e-5)
    assert solved.soc_frac == pytest.approx(0.5, abs=1e-9)
