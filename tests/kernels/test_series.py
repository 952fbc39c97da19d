"""What tells the cells of a string apart: exact charge, honest sigma, what is behind a voltage; variants and twin."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels import series
from kernels.cell_tables import SOC_GRID
from kernels.parameters import load_tables
from kernels.reference import series as twin
from kernels.series_model import MEAN, ROWS, Spread

LFP = load_tables("lfp-280ah")
LINEAR = replace(LFP, ocv_v=np.tile(3.0 + SOC_GRID, (len(LFP.temperature_degc), 1)))
FLAT = replace(LFP, ocv_v=np.full_like(LFP.ocv_v, 3.3))
NAN = float("nan")

KERNELS = pytest.mark.parametrize("kernel", [series, twin], ids=["compiled", "twin"])


def means(strings: int = 1, **changed: float) -> NDArray[np.void]:
    values = {
        "soc_frac": 0.5, "soc_sigma_frac": 0.0, "drop_v": 0.0, "charge_ah": 0.0, "capacity_ah": 280.0,
        "temperature_degc": 25.0,
    }  # fmt: skip
    mean = np.zeros(strings, MEAN)
    for name, value in (values | changed).items():
        mean[name] = value
    return mean


def state_of(cells: Any, **rows: Any) -> NDArray[np.float32]:
    """The start with some rows changed; one value a cell, of a single string."""
    state: NDArray[np.float32] = cells.save()
    for name, values in rows.items():
        state[0, ROWS.index(name)] = values
    return state


def deviations(cells: Any) -> NDArray[np.float64]:
    """Of the first string, with what a float32 cannot hold."""
    state = cells.save()[0].astype(np.float64)
    total: NDArray[np.float64] = state[ROWS.index("deviation")] + state[ROWS.index("remainder")]
    return total


def run(cells: Any, voltage_v: Any, steps: int, dt_s: float, mean: NDArray[np.void], bleeding: Any = None) -> None:
    volts = np.atleast_2d(np.asarray(voltage_v, np.float64))
    flags = None if bleeding is None else np.atleast_2d(np.asarray(bleeding, np.uint8))
    for _ in range(steps):
        cells.step(volts, mean, dt_s, flags)


def test_one_hour_of_one_tenth_ampere_at_10_hz_loses_none_of_the_charge() -> None:
    cells = series.SeriesCells(LFP, 1, 2)
    cells.restore(state_of(cells, deviation=[0.25, -0.25], inverse=[0.02, -0.02]))
    run(cells, [NAN, NAN], 36_000, 0.1, means(charge_ah=0.1 * 0.1 / 3600, capacity_ah=314.0))
    moved_frac = 0.1 / 314
    assert deviations(cells) - [0.25, -0.25] == pytest.approx([-0.02 * moved_frac, 0.02 * moved_frac], rel=1e-5)


@KERNELS
def test_charge_is_positive_on_discharge_and_shows_in_the_soc(kernel: Any) -> None:
    cells = kernel.SeriesCells(LFP, 1, 2)
    cells.restore(state_of(cells, inverse=[0.1, -0.1]))
    run(cells, [NAN, NAN], 100, 1.0, means(charge_ah=0.28))
    assert cells.soc_frac[0].tolist() == pytest.approx([0.5 - 0.01, 0.5 + 0.01], abs=1e-7)


def test_bleeding_for_an_hour_takes_what_the_resistor_draws() -> None:
    cells = series.SeriesCells(FLAT, 1, 4, bleed_ohm=33.0)
    cells.restore(state_of(cells, inverse=[0.0, 0.25, 0.0, -0.25]))
    shift_frac = 0.0
    for _ in range(36_000):
        run(cells, [3.3] * 4, 1, 0.1, means(capacity_ah=314.0), bleeding=[0, 1, 0, 0])
        shift_frac += cells.shift_frac[0]
    own = deviations(cells) + shift_frac
    assert own == pytest.approx([0.0, -0.1 / 314 * 1.25, 0.0, 0.0], abs=1e-9)


@KERNELS
def test_a_bleeding_cell_without_voltage_counts_with_that_of_the_curve(kernel: Any) -> None:
    cells = kernel.SeriesCells(FLAT, 1, 2, bleed_ohm=33.0)
    run(cells, [NAN, 3.3], 600, 1.0, means(capacity_ah=10.0), bleeding=[1, 0])
    first, second = deviations(cells)
    assert first - second == pytest.approx(-0.1 / 6 / 10.0, rel=1e-4)


@KERNELS
def test_lasting_voltage_errors_do_not_average_out(kernel: Any) -> None:
    """Closed form for many small updates: with P prior and B offset variance (slope 1 V) and T = P / B, the estimate
    moves by 1 - exp(-T) of the way, and P exp(-T) + B (1 - (1 + T) exp(-T)) is left, however often one reads."""
    cells = kernel.SeriesCells(LINEAR, 1, 400, Spread(soc_frac=0.01, voltage_v=0.01, noise_v=0.01))
    volts = np.full(400, 3.5)
    volts[:2] += [0.01, -0.01]
    run(cells, volts, 2000, 1.0, means())
    moved_frac = 0.01 * (1 - np.exp(-1))
    assert cells.soc_frac[0, :2].tolist() == pytest.approx([0.5 + moved_frac, 0.5 - moved_frac], abs=1e-4)
    assert cells.soc_sigma_frac[0, 0] == pytest.approx(0.01 * np.sqrt(1 - np.exp(-1)), rel=0.01)


@KERNELS
def test_plateau_voltage_moves_nothing_and_teaches_nothing(kernel: Any) -> None:
    cells = kernel.SeriesCells(FLAT, 1, 100)
    cells.restore(state_of(cells, deviation=np.linspace(-0.02, 0.02, 100)))
    before = deviations(cells)
    run(cells, 3.3 + np.linspace(0.01, -0.01, 100), 400, 36.0, means())
    assert deviations(cells) == pytest.approx(before, abs=1e-6)
    walk = 0.005**2 / (30 * 86400) * 4 * 3600
    assert cells.soc_sigma_frac[0].astype(float) == pytest.approx(np.sqrt(0.02**2 + walk), rel=1e-4)


@KERNELS
@pytest.mark.parametrize("dt_s", [0.5, 1.0, 10.0, 60.0])
def test_sigma_does_not_depend_on_the_sample_period(kernel: Any, dt_s: float) -> None:
    cells = kernel.SeriesCells(LINEAR, 1, 400, Spread(noise_v=0.02))
    run(cells, np.full(400, 3.5), round(600 / dt_s), dt_s, means())
    expected = 1 / np.sqrt(1 / 0.02**2 + 1 / (0.002**2 + 0.02**2 / 10))
    assert cells.soc_sigma_frac[0, 0] == pytest.approx(expected, rel=0.02)


@KERNELS
def test_the_mean_cells_own_sigma_is_part_of_each_cells(kernel: Any) -> None:
    cells = kernel.SeriesCells(FLAT, 1, 4, Spread(soc_frac=0.03))
    run(cells, [NAN] * 4, 1, 1.0, means(soc_sigma_frac=0.04))
    assert cells.soc_sigma_frac[0].tolist() == pytest.approx([0.05] * 4)


@KERNELS
def test_an_error_that_all_cells_share_tells_nothing(kernel: Any) -> None:
    cells = kernel.SeriesCells(LINEAR, 1, 16)
    run(cells, [3.55] * 16, 100, 60.0, means(drop_v=0.1))
    assert cells.soc_frac[0].tolist() == pytest.approx([0.5] * 16, abs=1e-6)


@KERNELS
def test_where_the_curve_bends_an_uncertain_mean_makes_the_cells_uncertain(kernel: Any) -> None:
    """Told 0.55 +- 0.05 where it is 0.5, the slope is 10 % too steep, and so is every deviation too small."""
    bent = replace(LFP, ocv_v=np.tile(3.0 + 2.0 * np.maximum(SOC_GRID, 0) ** 2, (len(LFP.temperature_degc), 1)))
    truth = 0.5 + np.linspace(-0.06, 0.06, 32)
    cells = kernel.SeriesCells(bent, 1, 32, Spread(soc_frac=0.05))
    run(cells, 3.0 + 2.0 * truth**2, 60, 60.0, means(soc_frac=0.55, soc_sigma_frac=0.05))
    error = np.abs(cells.soc_frac[0] - 0.05 - truth)
    own_sigma = np.sqrt(cells.soc_sigma_frac[0] ** 2 - 0.05**2)
    assert error[0] > 0.004
    assert (error < 3 * own_sigma).all()
    assert own_sigma[16] < 0.004


@KERNELS
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"soc_frac": 0.3}, {"soc_frac": 0.8}),
        ({"soc_frac": 0.6, "soc_sigma_frac": 0.5}, {"soc_frac": 0.6, "soc_sigma_frac": 0.0}),
    ],
    ids=["soc", "sigma"],
)
def test_the_slope_follows_the_mean_cell_at_once(
    kernel: Any, before: dict[str, float], after: dict[str, float]
) -> None:
    """Flat up to 0.5, then 2 V: where the slope is not seen, or seen as less, a voltage 10 mV off is read wrong."""
    bent = replace(LFP, ocv_v=np.tile(3.0 + 2.0 * np.maximum(SOC_GRID - 0.5, 0), (len(LFP.temperature_degc), 1)))
    cells = kernel.SeriesCells(bent, 1, 100, Spread(soc_frac=0.01, voltage_v=1e-4))
    run(cells, [NAN] * 100, 1, 0.1, means(**before))
    run(cells, [3.21] + [3.2] * 99, 1, 59.0, means(**after))
    assert cells.soc_frac[0, 0] - cells.soc_frac[0, 1] == pytest.approx(0.005, rel=0.03)


@KERNELS
def test_a_mean_cell_lost_on_the_plateau_makes_no_cell_differ_by_more_than_cells_do(kernel: Any) -> None:
    """The string is full and its cells' voltages lie 0.16 V apart, while the mean cell is thought to be on its way from
    85 to 93 %."""
    cells = kernel.SeriesCells(LFP, 1, 16)
    own = np.linspace(-0.02, 0.02, 16)
    volts = np.interp(1.0 + own, SOC_GRID, LFP.ocv_v[2])
    for soc_frac in np.linspace(0.85, 0.93, 100):
        run(cells, volts, 6, 1.0, means(soc_frac=soc_frac, soc_sigma_frac=0.09))
    off = np.abs(deviations(cells) - own)
    assert off.max() < 0.02
    assert (off < 2 * np.sqrt(cells.soc_sigma_frac[0].astype(float) ** 2 - 0.09**2)).all()


@KERNELS
def test_resistance_is_found_by_changing_current_and_leaves_the_soc_alone(kernel: Any) -> None:
    factor = 1 + np.repeat([0.1, -0.1, 0.0, 0.0], 4)
    cells = kernel.SeriesCells(LINEAR, 1, 16, Spread(resistance_frac=0.1))
    for step in range(400):
        drop_v = 0.05 if step % 2 else -0.05
        run(cells, 3.5 - drop_v * factor, 1, 60.0, means(drop_v=drop_v))
    resistance, sigma = cells.resistance_factor
    assert resistance[0].astype(float) == pytest.approx(factor, abs=0.01)
    assert (sigma < 0.03).all()
    assert cells.soc_frac[0].astype(float) == pytest.approx(np.full(16, 0.5), abs=5e-4)


@KERNELS
def test_capacity_is_found_over_a_large_swing(kernel: Any) -> None:
    factor = np.repeat([0.96, 1.0, 1.0, 1.04], 8)
    factor *= np.mean(1 / factor)
    cells = kernel.SeriesCells(LINEAR, 1, 32, Spread(soc_frac=0.005, capacity_frac=0.04))
    for step in range(800):
        soc_frac = 0.9 - step * 0.001
        run(cells, 3.0 + 0.9 - step * 0.001 / factor, 1, 36.0, means(soc_frac=soc_frac, charge_ah=0.28))
    capacity, sigma = cells.capacity_factor
    assert capacity[0].astype(float) == pytest.approx(factor, abs=0.004)
    assert (np.abs(capacity[0] - factor) < 3 * sigma[0]).all()


@KERNELS
def test_absent_voltage_predicts_only_its_own_cell(kernel: Any) -> None:
    cells = kernel.SeriesCells(LINEAR, 1, 8)
    run(cells, [NAN, 3.52, np.inf, -np.inf, 1e300, 3.5, 3.5, 3.5], 100, 60.0, means())
    soc = cells.soc_frac[0]
    assert soc[[0, 2, 3, 4]].tolist() == [soc[0]] * 4
    assert soc[1] - soc[0] > 0.01
    assert np.isfinite(soc).all()


@KERNELS
def test_one_broken_wire_moves_no_other_cell(kernel: Any) -> None:
    cells = kernel.SeriesCells(LINEAR, 1, 100)
    for _ in range(10):
        run(cells, [5.0] + [3.5] * 99, 1, 60.0, means())
        assert cells.soc_frac[0, 1:].astype(float) == pytest.approx(np.full(99, 0.5), abs=1e-3)


@KERNELS
def test_a_spike_in_one_sample_hardly_moves_its_cell(kernel: Any) -> None:
    cells = kernel.SeriesCells(LINEAR, 1, 400)
    run(cells, [4.5] + [3.5] * 399, 1, 0.1, means())
    assert cells.soc_frac[0, 0] == pytest.approx(0.5, abs=2e-4)


@KERNELS
def test_a_single_cell_is_the_mean_cell(kernel: Any) -> None:
    cells = kernel.SeriesCells(LINEAR, 1, 1, Spread(soc_frac=0.02))
    run(cells, [3.7], 100, 60.0, means(soc_sigma_frac=0.05))
    assert cells.soc_frac[0, 0] == 0.5
    assert cells.soc_sigma_frac[0, 0] == pytest.approx(np.hypot(0.02, 0.05), rel=1e-4)


@KERNELS
def test_what_the_mean_is_shifted_by_leaves_every_cell_where_it_is(kernel: Any) -> None:
    cells = kernel.SeriesCells(FLAT, 1, 2)
    mean = means(capacity_ah=1.0)
    for _ in range(360):
        run(cells, [3.3, 3.3], 1, 10.0, mean, bleeding=[1, 0])
        mean["soc_frac"] += cells.shift_frac
    assert cells.soc_frac[0].tolist() == pytest.approx([0.5 - 0.1, 0.5], abs=1e-5)
    assert mean["soc_frac"][0] == pytest.approx(0.5 - 0.05, abs=1e-5)


@KERNELS
def test_curvature_is_the_mean_ocv_less_that_of_the_mean(kernel: Any) -> None:
    bent = replace(LFP, ocv_v=np.tile(3.0 + SOC_GRID**2, (len(LFP.temperature_degc), 1)))
    cells = kernel.SeriesCells(bent, 1, 2)
    cells.restore(state_of(cells, deviation=[0.1, -0.1]))
    run(cells, [NAN, NAN], 1, 1.0, means())
    assert cells.curvature_v[0] == pytest.approx(0.01, rel=1e-3)


@KERNELS
def test_each_string_reads_the_curve_of_its_temperature(kernel: Any) -> None:
    cold = replace(LFP, ocv_v=np.outer([1.0, 1.0, 2.0, 2.0], 3.0 + SOC_GRID))
    cells = kernel.SeriesCells(cold, 2, 200, Spread(voltage_v=1e-5, noise_v=1e-5))
    volts = np.stack([np.full(200, 3.5), np.full(200, 7.0)])
    volts[:, 0] += 0.01
    mean = means(2)
    mean["temperature_degc"] = [-40.0, 99.0]
    run(cells, volts, 100, 60.0, mean)
    assert (cells.soc_frac[:, 0] - 0.5).tolist() == pytest.approx([0.01, 0.005], rel=0.02)


@KERNELS
def test_soc_stays_within_0_and_1_and_finite_beyond(kernel: Any) -> None:
    cells = kernel.SeriesCells(LFP, 2, 3)
    mean = means(2)
    mean["soc_frac"] = [-0.3, 1.3]
    run(cells, np.array([[2.0, 2.0, NAN], [4.0, 4.0, NAN]]), 100, 60.0, mean)
    assert cells.soc_frac.tolist() == [[0.0] * 3, [1.0] * 3]
    assert np.isfinite(cells.soc_sigma_frac).all()


@KERNELS
def test_no_cell_is_known_better_than_the_least_sigma(kernel: Any) -> None:
    cells = kernel.SeriesCells(LINEAR, 1, 100, Spread(1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 1e-9))
    run(cells, [3.5] * 100, 100, 60.0, means())
    cells.restore(cells.save())
    run(cells, [3.5] * 100, 100, 60.0, means())
    assert cells.soc_sigma_frac[0, 0] == pytest.approx(0.001)
    assert cells.resistance_factor[1][0, 0] >= 0.00499
    assert cells.capacity_factor[1][0, 0] >= 0.00199


@KERNELS
def test_outputs_are_absent_before_the_first_step_and_read_only(kernel: Any) -> None:
    cells = kernel.SeriesCells(LFP, 2, 3)
    assert np.isnan(cells.soc_frac).all()
    assert np.isnan(cells.soc_sigma_frac).all()
    assert np.isnan(cells.shift_frac).all()
    assert np.isnan(cells.curvature_v).all()
    if kernel is series:
        with pytest.raises(ValueError, match="read-only"):
            cells.soc_frac[0, 0] = 0.5


@KERNELS
def test_saved_state_goes_on_to_the_same_bits(kernel: Any) -> None:
    rng = np.random.default_rng(5)
    first, second = kernel.SeriesCells(LFP, 3, 20), kernel.SeriesCells(LFP, 3, 20)
    mean = means(3, soc_sigma_frac=0.02, drop_v=0.03, charge_ah=0.05)
    for cells in (first, first, second):
        if cells is second:
            second.restore(first.save())
        run(cells, rng.normal(3.28, 0.01, (3, 20)), 50, 1.0, mean)
    again = rng.normal(3.28, 0.01, (3, 20))
    second.restore(first.save())
    for cells in (first, second):
        run(cells, again, 50, 1.0, mean)
    assert first.save().tobytes() == second.save().tobytes()


@KERNELS
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"voltage_v": np.zeros((2, 2))}, "voltage_v"),
        ({"voltage_v": np.zeros((1, 3))}, "voltage_v"),
        ({"bleeding": np.zeros((1, 3), np.uint8)}, "bleeding"),
        ({"mean": means(2)}, "mean"),
        ({"mean": means(soc_frac=NAN)}, r"mean\[0\].soc_frac: got nan"),
        ({"mean": means(drop_v=np.inf)}, r"mean\[0\].drop_v: got inf"),
        ({"mean": means(temperature_degc=NAN)}, r"mean\[0\].temperature_degc"),
        ({"mean": means(soc_sigma_frac=-0.1)}, r"mean\[0\].soc_sigma_frac"),
        ({"mean": means(capacity_ah=0.0)}, r"mean\[0\].capacity_ah"),
        ({"dt_s": 0.0}, "dt_s"),
        ({"dt_s": NAN}, "dt_s"),
    ],
)
def test_impossible_step_is_refused_and_changes_nothing(kernel: Any, changed: dict[str, Any], message: str) -> None:
    cells = kernel.SeriesCells(LFP, 1, 2)
    before = cells.save()
    arguments = {"voltage_v": np.full((1, 2), 3.3), "mean": means(charge_ah=1.0), "dt_s": 1.0, "bleeding": None}
    with pytest.raises(ValueError, match=f"^{message}"):
        cells.step(**(arguments | changed))
    assert cells.save().tobytes() == before.tobytes()


@KERNELS
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4), "strings: got 0"),
        ((1, 0), "cells_per_string: got 0"),
        ((1, 4, Spread(soc_frac=0.0)), r"spread\.soc_frac: got 0"),
        ((1, 4, Spread(), 0.0), "bleed_ohm: got 0"),
    ],
)
def test_impossible_strings_are_refused(kernel: Any, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        kernel.SeriesCells(LFP, *arguments)


@KERNELS
def test_impossible_state_is_refused(kernel: Any) -> None:
    cells = kernel.SeriesCells(LFP, 1, 2)
    for state in (cells.save()[:, :5], state_of(cells, ss=0.0), state_of(cells, deviation=NAN)):
        with pytest.raises(ValueError, match=r"^state: "):
            cells.restore(state)


def test_unknown_variant_is_refused_with_those_that_run_here() -> None:
    with pytest.raises(ValueError, match=r"^variant: got 'sse9', expected one of plain"):
        series.SeriesCells(LFP, 1, 1, variant="sse9")
    with pytest.raises(ValueError, match=r"^threads: got 0"):
        series.SeriesCells(LFP, 1, 1, threads=0)


def stepped(cells: Any, seed: int, steps: int, strings: int, n: int) -> NDArray[np.float32]:
    """The state after random steps with everything in them."""
    rng = np.random.default_rng(seed)
    for step in range(steps):
        mean = means(strings)
        for name, low, high in (
            ("soc_frac", -0.1, 1.1), ("soc_sigma_frac", 0, 0.2), ("drop_v", -0.2, 0.2), ("charge_ah", -1, 1),
            ("capacity_ah", 1, 300), ("temperature_degc", -40, 70),
        ):  # fmt: skip
            mean[name] = rng.uniform(low, high, strings)
        volts = rng.normal(3.3, 0.05, (strings, n))
        volts[rng.random((strings, n)) < 0.05] = rng.choice([NAN, np.inf, -1e300, 0.0])
        bleeding = (rng.random((strings, n)) < 0.1).astype(np.uint8) if step % 3 else None
        cells.step(volts, mean, float(rng.choice([0.1, 1.0, 20.0, 100.0])), bleeding)
    state: NDArray[np.float32] = cells.save()
    return np.concatenate([state.ravel(), cells.soc_frac.ravel(), cells.soc_sigma_frac.ravel()])


@pytest.mark.parametrize("variant", series.variants())
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 25), st.integers(1, 5), st.sampled_from([1, 2, 15, 16, 17, 37, 100]))
def test_every_variant_equals_the_twin_bit_by_bit(variant: str, seed: int, steps: int, strings: int, n: int) -> None:
    compiled = stepped(series.SeriesCells(LFP, strings, n, variant=variant), seed, steps, strings, n)
    reference = stepped(twin.SeriesCells(LFP, strings, n), seed, steps, strings, n)
    assert compiled.tobytes() == reference.tobytes()


@pytest.mark.parametrize("variant", series.variants())
@pytest.mark.parametrize("far", [0.04, 0.1, 0.2, 0.6])
@pytest.mark.parametrize("soc_frac", [0.02, 0.5, 0.97])
def test_a_cell_far_from_its_string_equals_the_twin_bit_by_bit(variant: str, far: float, soc_frac: float) -> None:
    """However little of the curve the kernel keeps at hand, and wherever on it the string is."""
    kernels = series.SeriesCells(LFP, 1, 40, variant=variant), twin.SeriesCells(LFP, 1, 40)
    for cells in kernels:
        cells.restore(state_of(cells, deviation=[far, -far] + [0.0] * 38))
        run(cells, np.linspace(3.2, 3.4, 40), 3, 1.0, means(soc_frac=soc_frac, soc_sigma_frac=0.02))
    assert kernels[0].save().tobytes() == kernels[1].save().tobytes()
    assert kernels[0].curvature_v.tobytes() == kernels[1].curvature_v.tobytes()


def test_several_threads_give_the_same_bits() -> None:
    alone = stepped(series.SeriesCells(LFP, 100, 37), 1, 20, 100, 37)
    together = stepped(series.SeriesCells(LFP, 100, 37, threads=3), 1, 20, 100, 37)
    assert alone.tobytes() == together.tobytes()


def test_strided_backward_and_read_only_inputs_are_taken_as_they_are() -> None:
    rng = np.random.default_rng(3)
    wide = rng.normal(3.28, 0.01, (6, 80))
    flags = (rng.random((6, 80)) < 0.3).astype(np.uint8)
    wide.flags.writeable = flags.flags.writeable = False
    plain, odd = series.SeriesCells(LFP, 3, 40), series.SeriesCells(LFP, 3, 40)
    for _ in range(5):
        odd.step(wide[::-2, ::2], means(3), 1.0, flags[::2, ::-2])
        plain.step(np.array(wide[::-2, ::2]), means(3), 1.0, np.array(flags[::2, ::-2]))
    assert plain.save().tobytes() == odd.save().tobytes()


@pytest.mark.parametrize("voltage_v", [np.zeros((1, 2), np.float32), np.zeros(2), np.zeros((1, 2, 1))])
def test_voltages_of_another_type_or_rank_are_refused(voltage_v: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="Buffer"):
        series.SeriesCells(LFP, 1, 2).step(voltage_v, means(), 1.0)
