"""The SoC filter: exact charge counting, honest sigma on the plateau, convergence at the knees, its twin."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels import soc
from kernels.cellsim import CellPack
from kernels.parameters import load_cell
from kernels.reference import soc as twin

CELL = load_cell("lfp-280ah")
LINEAR_V = np.linspace(2.5, 3.5, 11)
NAN = float("nan")

FILTERS = pytest.mark.parametrize("kernel", [soc, twin], ids=["compiled", "twin"])


def rack(kernel: Any, n: int = 1, **changed: Any) -> Any:
    parameters: dict[str, Any] = {
        "ocv_v": LINEAR_V,
        "resistance_ohm": np.full(n, 0.00025),
        "rc_resistance_ohm": np.full(n, 0.0002),
        "rc_tau_s": 30.0,
        "capacity_ah": np.full(n, 280.0),
        "voltage_sigma_v": 0.005,
        "current_sigma_a": 1.0,
    }
    return kernel.SocFilter(**(parameters | changed))


def run(rack: Any, voltage_v: float, current_a: float, dt_s: float, steps: int) -> None:
    for _ in range(steps):
        rack.step(np.full(rack.soc_frac.size, voltage_v), current_a, dt_s)


def test_one_hour_of_one_tenth_ampere_is_counted_exactly() -> None:
    cells = rack(soc, capacity_ah=np.array([314.0]))
    cells.set_state(np.array([0.5]), np.array([0.01]))
    run(cells, NAN, 0.1, 0.1, 36_000)
    assert 0.5 - cells.soc_frac[0] == pytest.approx(0.1 / 314, rel=1e-6)


@FILTERS
@pytest.mark.parametrize(("current_a", "soc_frac"), [(28.0, 0.4), (-28.0, 0.6)])
def test_discharge_is_positive(kernel: Any, current_a: float, soc_frac: float) -> None:
    cells = rack(kernel)
    cells.set_state(np.array([0.5]), np.array([0.01]))
    run(cells, NAN, current_a, 1.0, 3600)
    assert cells.soc_frac[0] == pytest.approx(soc_frac, abs=1e-9)


@FILTERS
def test_rc_voltage_is_the_closed_form_step_response(kernel: Any) -> None:
    cells = rack(kernel)
    run(cells, NAN, 100.0, 0.1, 300)
    assert cells.rc_voltage_v[0] == pytest.approx(0.0002 * 100 * (1 - np.exp(-1)), rel=1e-9)


@FILTERS
def test_soc_stays_within_0_and_1(kernel: Any) -> None:
    cells = rack(kernel, n=2)
    cells.set_state(np.array([0.001, 0.999]), np.array([0.01, 0.01]))
    run(cells, NAN, 280.0, 60.0, 1)
    assert cells.soc_frac.tolist() == [0.0, pytest.approx(0.999 - 1 / 60)]
    run(cells, NAN, -280.0, 60.0, 2)
    assert cells.soc_frac[1] == 1.0


@FILTERS
def test_reset_reads_the_knee_exactly_and_admits_the_plateau(kernel: Any) -> None:
    cells = rack(kernel, n=4, ocv_v=CELL.ocv_v)
    cells.reset(np.array([2.985, 3.291, 3.5, NAN]))
    assert cells.soc_frac.tolist() == [pytest.approx(0.03), pytest.approx(0.5), 1.0, 0.5]
    assert cells.soc_sigma_frac[0] < 0.003
    assert cells.soc_sigma_frac[1] > 0.1
    assert cells.soc_sigma_frac[2] < 0.01
    assert cells.soc_sigma_frac[3] == 0.3


@FILTERS
def test_reset_on_a_flat_curve_takes_the_middle(kernel: Any) -> None:
    cells = rack(kernel, ocv_v=[3.0, 3.2, 3.2, 3.2, 3.4])
    cells.reset(np.array([3.2]))
    assert cells.soc_frac[0] == pytest.approx(0.5)
    assert cells.soc_sigma_frac[0] == pytest.approx(0.25, abs=0.01)


@FILTERS
def test_sigma_of_reset_is_held_at_the_given_maximum(kernel: Any) -> None:
    cells = rack(kernel, n=2, ocv_v=CELL.ocv_v)
    cells.reset(np.array([3.291, NAN]), sigma_frac_max=0.05)
    assert cells.soc_sigma_frac.tolist() == [pytest.approx(0.05), pytest.approx(0.05)]


@FILTERS
def test_wrong_start_converges_where_the_curve_is_steep(kernel: Any) -> None:
    cells = rack(kernel)
    cells.set_state(np.array([0.9]), np.array([0.3]))
    run(cells, 2.8, 0.0, 0.1, 600)
    assert cells.soc_frac[0] == pytest.approx(0.3, abs=0.01)
    assert cells.soc_sigma_frac[0] < 0.02


@FILTERS
def test_plateau_voltage_off_by_10_mv_moves_a_known_soc_by_nothing(kernel: Any) -> None:
    cells = rack(kernel, ocv_v=CELL.ocv_v)
    cells.set_state(np.array([0.5]), np.array([0.02]))
    run(cells, 3.301, 0.0, 1.0, 4 * 3600)
    assert cells.soc_frac[0] == pytest.approx(0.5, abs=1e-6)


@FILTERS
def test_sigma_grows_on_the_plateau_by_the_current_offset_alone(kernel: Any) -> None:
    cells = rack(kernel, ocv_v=CELL.ocv_v)
    cells.set_state(np.array([0.5]), np.array([0.01]))
    run(cells, 3.291, 0.0, 1.0, 3600)
    drift_frac = 1.0 * np.sqrt(2 * 3600 * 3600) / (3600 * 280)
    assert cells.soc_sigma_frac[0] == pytest.approx(np.hypot(0.01, drift_frac), rel=1e-6)


@FILTERS
@pytest.mark.parametrize("dt_s", [0.1, 1.0, 10.0])
def test_sigma_does_not_depend_on_the_sample_period(kernel: Any, dt_s: float) -> None:
    cells = rack(kernel)
    cells.set_state(np.array([0.3]), np.array([0.1]))
    run(cells, 2.8, 0.0, dt_s, round(600 / dt_s))
    assert cells.soc_sigma_frac[0] == pytest.approx(0.0053, abs=0.0003)


@FILTERS
def test_unknown_lfp_cell_is_found_at_the_lower_knee(kernel: Any) -> None:
    cells = rack(kernel, ocv_v=CELL.ocv_v, voltage_sigma_v=0.02)
    truth = CellPack(CELL.ocv_v, [0.00027], [[5e-5, 1.5e-4, 5e-5]], [3, 40, 900], [275], [0.35], 0.008, 5500, 1, [25])
    cells.set_state(np.array([0.6]), np.array([0.3]))
    covered = []
    for second in range(3000):
        current_a = 140.0 if second % 600 < 500 else 0.0
        truth.step(current_a, np.zeros(1), 25.0, 1.0)
        cells.step(truth.voltage_v, current_a + 0.7, 1.0)
        if second % 60 == 0:
            covered.append(abs(cells.soc_frac[0] - truth.soc_frac[0]) < 3 * cells.soc_sigma_frac[0])
        if truth.soc_frac[0] < 0.03:
            break
    assert np.mean(covered) > 0.9
    assert cells.soc_frac[0] == pytest.approx(truth.soc_frac[0], abs=0.02)
    assert cells.soc_sigma_frac[0] < 0.02


@FILTERS
@pytest.mark.parametrize("soc_frac", [0.0, 1.0])
def test_step_beyond_an_end_stays_finite(kernel: Any, soc_frac: float) -> None:
    cells = rack(kernel)
    cells.set_state(np.array([soc_frac]), np.array([0.002]))
    cells.step(np.array([2.5 + soc_frac]), 0.002 * 280 if soc_frac == 0 else -0.002 * 280, 3600.0)
    assert cells.soc_frac[0] == pytest.approx(soc_frac, abs=0.01)


@FILTERS
def test_absent_voltage_predicts_only_its_own_cell(kernel: Any) -> None:
    cells = rack(kernel, n=2)
    cells.set_state(np.array([0.5, 0.5]), np.array([0.1, 0.1]))
    cells.step(np.array([NAN, 2.8]), 0.0, 1.0)
    assert cells.soc_frac[0] == 0.5
    assert cells.soc_frac[1] < 0.5
    assert np.isfinite(cells.soc_frac).all()


@FILTERS
def test_load_drop_is_not_taken_for_lost_charge(kernel: Any) -> None:
    cells = rack(kernel)
    cells.set_state(np.array([0.5]), np.array([0.05]))
    run(cells, 3.0 - 280 * 0.00025, 280.0, 0.1, 1)
    assert cells.soc_frac[0] == pytest.approx(0.5, abs=1e-3)


@FILTERS
@pytest.mark.parametrize(("current_a", "dt_s"), [(1.0, 0.0), (1.0, -1.0), (1.0, NAN), (NAN, 1.0), (float("inf"), 1.0)])
def test_impossible_step_is_refused_and_changes_nothing(kernel: Any, current_a: float, dt_s: float) -> None:
    cells = rack(kernel)
    before = cells.soc_frac.copy()
    with pytest.raises(ValueError, match=r"^(current_a|dt_s): got"):
        cells.step(np.array([3.0]), current_a, dt_s)
    assert cells.soc_frac.tolist() == before.tolist()


@FILTERS
@pytest.mark.parametrize("voltage_v", [np.zeros(2), np.zeros(0), np.zeros(1, np.float32)])
def test_voltages_of_another_shape_or_type_are_refused(kernel: Any, voltage_v: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"expected"):
        rack(kernel).step(voltage_v, 1.0, 1.0)


@FILTERS
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ocv_v": [3.0]}, "ocv_v: got 1 point"),
        ({"ocv_v": [3.0, 2.9, 3.1]}, r"ocv_v\[1\]: got 2.9 V"),
        ({"resistance_ohm": np.array([0.0])}, r"resistance_ohm\[0\]: got 0.0"),
        ({"capacity_ah": np.array([280.0, 280.0])}, "capacity_ah: got shape"),
        ({"capacity_ah": np.array([NAN])}, r"capacity_ah\[0\]: got nan"),
        ({"rc_tau_s": 0.0}, "rc_tau_s: got 0.0"),
        ({"voltage_sigma_v": -0.1}, "voltage_sigma_v: got -0.1"),
        ({"current_sigma_a": NAN}, "current_sigma_a: got nan"),
    ],
)
def test_impossible_parameters_are_named(kernel: Any, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rack(kernel, **changed)


@FILTERS
def test_unknown_soc_cannot_be_set(kernel: Any) -> None:
    with pytest.raises(ValueError, match=r"soc_frac\[0\]: got nan"):
        rack(kernel).set_state(np.array([NAN]), np.array([0.1]))


@FILTERS
def test_views_are_read_only(kernel: Any) -> None:
    cells = rack(kernel)
    assert not cells.soc_frac.flags.writeable
    assert not cells.soc_sigma_frac.flags.writeable
    assert not cells.rc_voltage_v.flags.writeable


def test_one_view_follows_the_compiled_filter() -> None:
    cells = rack(soc)
    view = cells.soc_frac
    cells.step(np.array([NAN]), 28.0, 3600.0)
    assert view[0] == pytest.approx(0.4)


steps = st.tuples(
    st.lists(st.one_of(st.floats(2.0, 4.0), st.just(NAN), st.just(float("inf"))), min_size=3, max_size=3),
    st.floats(-600, 600),
    st.sampled_from([0.02, 0.1, 1.0, 10.0, 100.0]),
)


@settings(deadline=None)
@given(st.lists(st.floats(2.4, 3.6), min_size=3, max_size=3), st.lists(steps, max_size=20), st.booleans())
def test_compiled_equals_twin(rest_v: list[float], history: list[Any], linear: bool) -> None:
    spread: dict[str, Any] = {
        "ocv_v": LINEAR_V if linear else CELL.ocv_v,
        "resistance_ohm": np.array([0.00025, 0.0004, 0.0002]),
        "capacity_ah": np.array([280.0, 250.0, 300.0]),
    }
    compiled, reference = rack(soc, n=3, **spread), rack(twin, n=3, **spread)
    for cells in (compiled, reference):
        cells.reset(np.array(rest_v))
        for voltage_v, current_a, dt_s in history:
            wide = np.repeat(np.array(voltage_v), 2)
            wide.flags.writeable = False
            cells.step(wide[::2], current_a, dt_s)
    for name in ("soc_frac", "soc_sigma_frac", "rc_voltage_v"):
        np.testing.assert_allclose(getattr(compiled, name), getattr(reference, name), rtol=1e-7, atol=1e-9)
    assert ((compiled.soc_frac >= 0) & (compiled.soc_frac <= 1)).all()
    assert ((compiled.soc_sigma_frac > 0) & (compiled.soc_sigma_frac <= 0.3 + 1e-12)).all()
