"""The simulator's cells against closed forms, and the compiled pack against its twin."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import cellsim
from kernels.parameters import load_cell
from kernels.reference import cellsim as twin

CELL = load_cell("lfp-280ah")
NAN = float("nan")

KERNELS = pytest.mark.parametrize("kernel", [cellsim, twin], ids=["compiled", "twin"])


def pack(kernel: Any, n: int = 1, **changed: Any) -> Any:
    """Cells of 280 Ah at 50 % and 25 degC on a straight curve 3.0..3.4 V; no RC, hysteresis or cooling unless given."""
    parameters: dict[str, Any] = {
        "ocv_v": [3.0, 3.2, 3.4],
        "resistance_ohm": np.full(n, 0.00025),
        "rc_resistance_ohm": np.zeros((n, 3)),
        "rc_tau_s": [5.0, 30.0, 900.0],
        "capacity_ah": np.full(n, 280.0),
        "soc_frac": np.full(n, 0.5),
        "hysteresis_v": 0.0,
        "heat_capacity_j_per_k": 5000.0,
        "cooling_w_per_k": 0.0,
        "temperature_degc": np.full(n, 25.0),
    }
    return kernel.CellPack(**(parameters | changed))


def run(cells: Any, current_a: float, dt_s: float, steps: int, bleed_a: float = 0.0) -> None:
    for _ in range(steps):
        cells.step(current_a, np.full(cells.soc_frac.size, bleed_a), 25.0, dt_s)


@KERNELS
def test_resting_pack_shows_its_curve_before_the_first_step(kernel: Any) -> None:
    cells = pack(kernel, n=3, soc_frac=np.array([0.0, 0.25, 1.0]))
    assert cells.voltage_v.tolist() == pytest.approx([3.0, 3.1, 3.4])
    assert cells.emf_v == pytest.approx(9.5)
    assert cells.resistance_ohm == pytest.approx(0.00075)


@KERNELS
@pytest.mark.parametrize(("current_a", "soc_frac"), [(140.0, 0.0), (-140.0, 1.0), (0.0, 0.5)])
def test_an_hour_at_half_c_moves_half_the_charge(kernel: Any, current_a: float, soc_frac: float) -> None:
    cells = pack(kernel)
    run(cells, current_a, 1.0, 3600)
    assert cells.soc_frac[0] == pytest.approx(soc_frac, abs=1e-9)


def test_one_hour_of_one_tenth_ampere_is_counted_exactly() -> None:
    cells = pack(cellsim, capacity_ah=np.array([314.0]))
    run(cells, 0.1, 0.1, 36_000)
    assert 0.5 - cells.soc_frac[0] == pytest.approx(0.1 / 314, rel=1e-6)


@KERNELS
def test_a_copy_goes_on_from_the_same_state_and_its_own_way(kernel: Any) -> None:
    pair = {"rc_resistance_ohm": np.full((2, 3), 0.0001), "hysteresis_v": 0.01}
    pair |= {"resistance_factor": [1.5, 1.0, 0.8], "entropic_v_per_k": [0.0, 0.0001, 0.0002]}
    cells, other = pack(kernel, n=2, **pair), pack(kernel, n=2, **pair)
    for each in (cells, other):
        each.age(1, 0.8, 1.5)
        run(each, 140.0, 1.0, 600)
    twin_of = cells.copy()
    assert twin_of.voltage_v.tolist() == cells.voltage_v.tolist()
    run(twin_of, -280.0, 1.0, 600)
    run(cells, 140.0, 1.0, 60)
    run(other, 140.0, 1.0, 60)
    assert cells.voltage_v.tolist() == other.voltage_v.tolist()
    assert twin_of.soc_frac[1] > cells.soc_frac[1] + 0.1


@KERNELS
def test_bleed_drains_only_its_own_cell(kernel: Any) -> None:
    cells = pack(kernel, n=2)
    cells.step(0.0, np.array([0.0, 2.8]), 25.0, 3600.0)
    assert cells.soc_frac.tolist() == pytest.approx([0.5, 0.49])


@KERNELS
def test_no_bleed_ends_what_bled_before(kernel: Any) -> None:
    cells = pack(kernel, n=2)
    cells.step(0.0, np.array([0.0, 2.8]), 25.0, 3600.0)
    cells.step(0.0, None, 25.0, 3600.0)
    assert cells.soc_frac.tolist() == pytest.approx([0.5, 0.49])
    assert cells.voltage_v.sum() == pytest.approx(cells.emf_v)


@KERNELS
@pytest.mark.parametrize(("pair", "tau_s"), [(0, 5.0), (1, 30.0), (2, 900.0)])
def test_each_rc_pair_gives_its_step_response(kernel: Any, pair: int, tau_s: float) -> None:
    rc_ohm = np.zeros((1, 3))
    rc_ohm[0, pair] = 0.0002
    cells = pack(kernel, rc_resistance_ohm=rc_ohm, ocv_v=[3.2, 3.2], heat_capacity_j_per_k=1e15)
    run(cells, 100.0, tau_s / 100, 100)
    assert cells.emf_v == pytest.approx(3.2 - 0.02 * (1 - np.exp(-1)), abs=1e-9)


@KERNELS
def test_cell_relaxes_to_its_curve(kernel: Any) -> None:
    cells = pack(kernel, rc_resistance_ohm=np.full((1, 3), 0.0002), ocv_v=[3.2, 3.2])
    run(cells, 100.0, 10.0, 100)
    assert cells.emf_v < 3.15
    run(cells, 0.0, 10.0, 1000)
    assert cells.voltage_v[0] == pytest.approx(3.2, abs=1e-4)


@KERNELS
@pytest.mark.parametrize(("current_a", "offset_v"), [(140.0, -0.01), (-140.0, 0.01)])
def test_hysteresis_ends_half_a_gap_below_after_discharge_and_above_after_charge(
    kernel: Any, current_a: float, offset_v: float
) -> None:
    cells = pack(kernel, ocv_v=[3.2, 3.2], hysteresis_v=0.01)
    run(cells, current_a, 1.0, 1400)
    run(cells, 0.0, 1.0, 1)
    assert cells.voltage_v[0] == pytest.approx(3.2 + offset_v, abs=1e-3)


@KERNELS
def test_terminal_voltage_is_emf_less_resistance_times_current(kernel: Any) -> None:
    cells = pack(kernel, n=4, rc_resistance_ohm=np.full((4, 3), 0.0002), hysteresis_v=0.01)
    run(cells, 200.0, 1.0, 30, bleed_a=0.2)
    assert cells.voltage_v.sum() == pytest.approx(cells.emf_v - 200.0 * cells.resistance_ohm, abs=1e-9)


@KERNELS
@pytest.mark.parametrize(("soc_frac", "voltage_v"), [(-0.1, 2.0), (1.1, 4.4), (-9.0, 0.0), (9.0, 6.0)])
def test_curve_is_steep_outside_and_bounded(kernel: Any, soc_frac: float, voltage_v: float) -> None:
    cells = pack(kernel, n=2)
    cells.set_soc(1, soc_frac)
    assert cells.voltage_v.tolist() == pytest.approx([3.2, voltage_v])


@KERNELS
def test_loss_heats_the_cell_adiabatically(kernel: Any) -> None:
    cells = pack(kernel, resistance_ohm=np.array([1.0]), temperature_degc=np.array([-300.0]))
    cells.step(10.0, np.zeros(1), 25.0, 5.0)  # 3 ohm at the cold bound, 300 W for 5 s into 5000 J/K
    assert cells.temperature_degc[0] == pytest.approx(-300.0 + 0.3)


@KERNELS
def test_aged_cell_has_less_charge_and_more_resistance_from_now_on(kernel: Any) -> None:
    cells = pack(kernel, n=2, rc_resistance_ohm=np.full((2, 3), 0.0001), rc_tau_s=[1e-3, 1e-3, 1e-3])
    cells.age(1, 0.5, 4.0)
    assert cells.voltage_v.tolist() == pytest.approx([3.2, 3.2])
    run(cells, 28.0, 1.0, 360)
    assert cells.soc_frac.tolist() == pytest.approx([0.49, 0.48])
    drop_v = 28.0 * (0.00025 + 3 * 0.0001)
    assert cells.voltage_v.tolist() == pytest.approx([3.196 - drop_v, 3.192 - 4 * drop_v], abs=1e-4)
    with pytest.raises(ValueError, match="capacity_factor: got 0, expected a value above 0"):
        cells.age(0, 0, 1.0)


@KERNELS
def test_hot_cell_cools_to_ambient(kernel: Any) -> None:
    cells = pack(kernel, n=2, cooling_w_per_k=5.0)
    cells.heat(0, 80.0)
    assert cells.temperature_degc.tolist() == [80.0, 25.0]
    run(cells, 0.0, 1.0, 1000)
    assert cells.temperature_degc[0] == pytest.approx(25 + 55 * np.exp(-1), abs=0.1)
    run(cells, 0.0, 1000.0, 20)
    assert cells.temperature_degc.tolist() == pytest.approx([25.0, 25.0], abs=0.01)


@KERNELS
@pytest.mark.parametrize("dt_s", [1.0, 100.0, 5000.0])
def test_two_cells_come_together_as_exp_does_and_lose_nothing(kernel: Any, dt_s: float) -> None:
    """5000 J/K each and 2 W/K between them: 1250 s, however long the steps."""
    cells = pack(kernel, n=2, temperature_degc=[35.0, 25.0], conduction_w_per_k=2.0)
    run(cells, 0.0, dt_s, round(5000.0 / dt_s))
    warm, cold = cells.temperature_degc
    assert warm - cold == pytest.approx(10.0 * np.exp(-4.0), rel=1e-9)
    assert warm + cold == pytest.approx(60.0, abs=1e-9)


@KERNELS
def test_heat_spreads_along_a_module_as_its_slowest_wave_does(kernel: Any) -> None:
    """cos(pi (k + 1/2) / n) is the chain's own shape: it decays by 4 sin^2(pi / 2n) of 2 W/K over 5000 J/K. Steps of
    1 s are 4e-4 of a pair's time constant, and the exponent is off by as much."""
    wave = np.cos(np.pi * (np.arange(16) + 0.5) / 16)
    cells = pack(kernel, n=16, temperature_degc=25.0 + wave, conduction_w_per_k=2.0)
    run(cells, 0.0, 1.0, 3600)
    left = np.exp(-3600 * 4 * np.sin(np.pi / 32) ** 2 * 2.0 / 5000.0)
    assert cells.temperature_degc == pytest.approx(25.0 + wave * left, abs=3e-5)


@KERNELS
def test_no_heat_goes_from_module_to_module(kernel: Any) -> None:
    cells = pack(kernel, n=5, temperature_degc=[45.0, 25.0, 25.0, 25.0, 25.0], conduction_w_per_k=2.0, module_cells=2)
    run(cells, 0.0, 100.0, 500)
    assert cells.temperature_degc == pytest.approx([35.0, 35.0, 25.0, 25.0, 25.0], abs=1e-6)


@KERNELS
def test_each_cell_ages_by_its_own_factors(kernel: Any) -> None:
    cells = pack(kernel, n=2, rc_resistance_ohm=np.full((2, 3), 0.0001))
    cells.age_each([1.0, 0.5], [1.0, 3.0])
    assert cells.resistance_ohm == pytest.approx(0.00025 + 0.00075)
    run(cells, 14.0, 3600.0, 1)
    assert cells.soc_frac == pytest.approx([0.45, 0.4])
    ohmic_v = 14.0 * (0.00025 + 0.0003 * (1 - 2.0e-2))
    assert 3.18 - cells.voltage_v[0] == pytest.approx(ohmic_v, rel=0.01)
    assert 3.16 - cells.voltage_v[1] == pytest.approx(3 * ohmic_v, rel=0.01)
    with pytest.raises(ValueError, match="capacity_factor"):
        cells.age_each([1.0, 0.0], [1.0, 1.0])


@KERNELS
@pytest.mark.parametrize(("degc", "factor"), [(25.0, 1.0), (-5.0, 1.3), (45.0, 0.8), (200.0, 0.5), (-273.0, 3.0)])
def test_resistance_follows_temperature_within_bounds(kernel: Any, degc: float, factor: float) -> None:
    cells = pack(kernel)
    cells.heat(0, degc)
    assert cells.resistance_ohm == pytest.approx(0.00025 * factor)


@KERNELS
@pytest.mark.parametrize(("soc_frac", "factor"), [(-0.1, 2.0), (0.25, 1.5), (0.5, 1.0), (0.75, 1.2), (1.1, 1.4)])
def test_all_resistances_follow_the_soc(kernel: Any, soc_frac: float, factor: float) -> None:
    cells = pack(
        kernel,
        rc_resistance_ohm=np.array([[0.0002, 0.0, 0.0]]),
        soc_frac=[soc_frac],
        capacity_ah=[1e15],
        heat_capacity_j_per_k=1e15,
        resistance_factor=[2.0, 1.0, 1.4],
    )
    rest_v = cells.emf_v
    assert cells.resistance_ohm == pytest.approx(0.00025 * factor)
    run(cells, 100.0, 1000.0, 1)
    assert cells.voltage_v[0] == pytest.approx(rest_v - 0.045 * factor)


@KERNELS
@pytest.mark.parametrize("current_a", [140.0, -140.0])
def test_entropy_cools_on_discharge_and_heats_on_charge(kernel: Any, current_a: float) -> None:
    cells = pack(kernel, resistance_ohm=[1e-12], entropic_v_per_k=[0.0, 2e-4, 4e-4])
    cells.step(current_a, None, 25.0, 5.0)  # 140 A x 298.15 K x 0.2 mV/K = 8.3482 W for 5 s into 5000 J/K
    assert cells.temperature_degc[0] == pytest.approx(25.0 - np.sign(current_a) * 0.0083482, abs=1e-6)


@KERNELS
def test_open_circuit_voltage_rises_with_the_temperature_by_its_entropy(kernel: Any) -> None:
    cells = pack(kernel, n=2, soc_frac=[0.5, 0.75], entropic_v_per_k=[0.0, 2e-4, 4e-4])
    cells.heat(0, 35.0)
    cells.heat(1, 5.0)
    assert cells.voltage_v.tolist() == pytest.approx([3.202, 3.294])


@KERNELS
@pytest.mark.parametrize(
    ("step", "message"),
    [
        ((NAN, np.zeros(1), 25.0, 1.0), "current_a: got nan"),
        ((1.0, np.zeros(1), NAN, 1.0), "ambient_degc: got nan"),
        ((1.0, np.zeros(1), 25.0, 0.0), "dt_s: got 0"),
        ((1.0, np.zeros(1), 25.0, NAN), "dt_s: got nan"),
        ((1.0, np.zeros(2), 25.0, 1.0), "bleed_a: got"),
        ((1.0, np.array([-0.1]), 25.0, 1.0), "bleed_a"),
        ((1.0, np.array([NAN]), 25.0, 1.0), "bleed_a"),
    ],
)
def test_impossible_step_is_refused_and_changes_nothing(kernel: Any, step: Any, message: str) -> None:
    cells = pack(kernel)
    with pytest.raises(ValueError, match=message):
        cells.step(*step)
    assert (cells.soc_frac[0], cells.voltage_v[0], cells.temperature_degc[0]) == (0.5, 3.2, 25.0)


@KERNELS
@pytest.mark.parametrize("cell", [-1, 1])
def test_cell_that_does_not_exist_is_refused(kernel: Any, cell: int) -> None:
    with pytest.raises(ValueError, match=rf"cell: got {cell}, expected 0 to 0"):
        pack(kernel).set_soc(cell, 0.5)
    with pytest.raises(ValueError, match=rf"cell: got {cell}, expected 0 to 0"):
        pack(kernel).heat(cell, 25.0)


@KERNELS
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rc_resistance_ohm": np.zeros((3, 1))}, r"rc_resistance_ohm: got shape \(3, 1\), expected \(1, 3\)"),
        ({"rc_resistance_ohm": np.full((1, 3), NAN)}, "rc_resistance_ohm"),
        ({"rc_tau_s": [1.0, 2.0]}, "rc_tau_s: got shape"),
        ({"rc_tau_s": [1.0, 0.0, 2.0]}, r"rc_tau_s\[1\]"),
        ({"soc_frac": np.array([NAN])}, r"soc_frac\[0\]"),
        ({"heat_capacity_j_per_k": 0.0}, "heat_capacity_j_per_k"),
        ({"cooling_w_per_k": -1.0}, "cooling_w_per_k"),
        ({"hysteresis_v": -0.01}, "hysteresis_v"),
        ({"resistance_factor": [1.0, 0.0, 1.0]}, r"resistance_factor\[1\]: got 0.0, expected a finite value above 0"),
        ({"entropic_v_per_k": [0.0, 0.0]}, r"entropic_v_per_k: got shape \(2,\), expected 3 values"),
    ],
)
def test_impossible_parameters_are_named(kernel: Any, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack(kernel, **changed)


@KERNELS
def test_views_are_read_only(kernel: Any) -> None:
    cells = pack(kernel)
    for view in (cells.voltage_v, cells.soc_frac, cells.temperature_degc):
        assert not view.flags.writeable


steps = st.tuples(
    st.floats(-600, 600),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.floats(-20, 50),
    st.sampled_from([0.001, 0.01, 1.0, 60.0, 1000.0]),
)


@settings(deadline=None)
@given(st.lists(st.floats(-0.1, 1.1), min_size=3, max_size=3), st.lists(steps, max_size=20))
def test_compiled_equals_twin(soc_frac: list[float], history: list[Any]) -> None:
    spread: dict[str, Any] = {
        "ocv_v": CELL.ocv_v,
        "soc_frac": np.array(soc_frac),
        "rc_resistance_ohm": np.arange(9).reshape(3, 3) * 5e-5,
        "hysteresis_v": 0.01,
        "cooling_w_per_k": 2.0,
        "resistance_factor": np.linspace(1.5, 1.0, CELL.ocv_v.size) ** 2,
        "entropic_v_per_k": np.linspace(-3e-4, 2e-4, CELL.ocv_v.size),
        "conduction_w_per_k": 3.0,
        "module_cells": 2,
    }
    compiled, reference = pack(cellsim, n=3, **spread), pack(twin, n=3, **spread)
    for cells in (compiled, reference):
        for current_a, bleed_a, ambient_degc, dt_s in history:
            wide = np.repeat(np.array(bleed_a), 2)
            wide.flags.writeable = False
            cells.step(current_a, wide[::2], ambient_degc, dt_s)
    for name in ("voltage_v", "soc_frac", "temperature_degc", "emf_v", "resistance_ohm"):
        np.testing.assert_allclose(getattr(compiled, name), getattr(reference, name), rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(-0.1, 1.1), min_size=21, max_size=21), st.lists(steps, max_size=10))
def test_every_instruction_set_gives_the_same_bits(soc_frac: list[float], history: list[Any]) -> None:
    spread: dict[str, Any] = {
        "ocv_v": CELL.ocv_v,
        "soc_frac": np.array(soc_frac),
        "rc_resistance_ohm": np.arange(63).reshape(21, 3) * 5e-6,
        "hysteresis_v": 0.01,
        "cooling_w_per_k": 2.0,
        "resistance_factor": np.linspace(1.5, 1.0, CELL.ocv_v.size) ** 2,
        "entropic_v_per_k": np.linspace(-3e-4, 2e-4, CELL.ocv_v.size),
        "conduction_w_per_k": 3.0,
        "module_cells": 4,
    }
    packs = [pack(cellsim, n=21, variant=variant, **spread) for variant in cellsim.variants()]
    assert [cells.variant for cells in packs] == cellsim.variants()
    for cells in packs:
        for current_a, bleed_a, ambient_degc, dt_s in history:
            cells.step(current_a, np.tile(bleed_a, 7), ambient_degc, dt_s)
    for name in ("voltage_v", "soc_frac", "temperature_degc", "emf_v", "resistance_ohm"):
        first, *others = [np.asarray(getattr(cells, name)).tobytes() for cells in packs]
        assert others == [first] * len(others)


def test_the_curve_ends_where_it_is_rounded_to_its_end() -> None:
    """The last SoC below 1 lies beyond the curve's last step when it is multiplied."""
    cells = pack(cellsim, ocv_v=CELL.ocv_v, soc_frac=np.array([1.0 - 2.0**-53]))
    assert cells.voltage_v[0] == pytest.approx(CELL.ocv_v[-1], abs=1e-12)


def test_unknown_instruction_set_is_refused() -> None:
    with pytest.raises(ValueError, match="variant: got 'mmx', expected one of plain"):
        pack(cellsim, variant="mmx")
