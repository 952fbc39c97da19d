"""Figures of power curves, on series short enough to work out by hand."""

import math

import numpy as np
import pytest

from hil_rigs.report.summary import compare, range_within, steepest_ramp, summarise_power


def series(*points: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    time_s, power_w = np.array(points, dtype=np.float64).T
    return time_s, power_w


def test_step_of_half_a_second() -> None:
    summary = summarise_power(*series((0, 100), (10, 100), (10.5, 300), (20, 300)))
    assert (summary.peak_w, summary.lowest_w, summary.duration_s, summary.samples) == (300, 100, 20, 4)
    assert summary.range_5s_w == pytest.approx(200)
    assert summary.ramp_1s_w_per_s == pytest.approx(200)
    assert summary.ramp_5s_w_per_s == pytest.approx(40)
    assert summary.mean_w == pytest.approx((10 * 100 + 0.5 * 200 + 9.5 * 300) / 20)


@pytest.mark.parametrize(
    ("points", "range_w"),
    [
        ([(0, 0), (5, 10)], 10),
        ([(0, 0), (10, 10)], 5),
        ([(0, 0), (3, 3), (6, 6), (9, 9)], 5),
        ([(0, 10), (2, 0), (4, 8), (6, 0), (20, 0)], 10),
        ([(0, 10), (5.1, 10), (10.2, 0), (30, 10)], 10 * 5 / 5.1),
        ([(0, 7), (1, 7)], 0),
        ([(0, 0), (1, 9), (1.5, 4)], 9),
    ],
)
def test_range_within_any_5_s_also_between_samples(points: list[tuple[float, float]], range_w: float) -> None:
    assert range_within(*series(*points), 5.0) == pytest.approx(range_w)


def test_range_agrees_with_trying_every_window() -> None:
    rng = np.random.default_rng(3)
    time_s, power_w = np.arange(0, 60, 0.1), rng.normal(size=600).cumsum()
    every_w = [np.ptp(power_w[at : at + 51]) for at in range(600)]
    assert range_within(time_s, power_w, 5.0) == pytest.approx(max(every_w))


@pytest.mark.parametrize(
    ("points", "ramp_w_per_s"),
    [
        ([(0, 0), (10, 50)], 5),
        ([(0, 50), (10, 0)], 5),
        ([(0, 0), (4, 0), (4.2, 30), (10, 30)], 30),
        ([(0, 0), (3, 0), (3.5, 8), (4, 0), (8, 0)], 8),
        ([(0, 0), (10, 10), (10.6, 12), (30, 12)], 2.4),
        ([(0, 12), (10, 12), (10.6, 10), (20, 0.6)], 2.4),
        ([(0, 0), (0.5, 99)], math.nan),
    ],
)
def test_steepest_ramp_over_1_s(points: list[tuple[float, float]], ramp_w_per_s: float) -> None:
    assert steepest_ramp(*series(*points), 1.0) == pytest.approx(ramp_w_per_s, nan_ok=True)


def test_series_shorter_than_5_s_has_no_ramp_over_5_s() -> None:
    summary = summarise_power(*series((0, 0), (2, 8)))
    assert summary.ramp_1s_w_per_s == 4
    assert math.isnan(summary.ramp_5s_w_per_s)


def test_percentiles_count_time_not_rows() -> None:
    busy = [(90 + i * 0.1, 1000.0) for i in range(101)]
    summary = summarise_power(*series((0, 0), (30, 0), (60, 0), (89.9, 0), *busy))
    assert summary.percentile_w[:3] == (0, 0, 0)
    assert summary.percentile_w[-1] == 1000


def test_absent_rows_are_left_out_and_counted() -> None:
    summary = summarise_power(*series((0, math.nan), (1, 100), (2, math.nan), (3, 100)))
    assert (summary.missing, summary.samples, summary.peak_w) == (2, 2, 100)


def test_comparison_tells_with_from_without_battery() -> None:
    time_s, load_w = series((0, 100), (10, 100), (11, 900), (20, 900))
    result = compare(time_s, load_w, np.array([100.0, 100.0, 300.0, 900.0]))
    assert result.without_battery.range_5s_w == 800
    assert result.with_battery.range_5s_w == pytest.approx(200 + 600 * 4 / 9)
    assert result.range_5s_kept_frac == pytest.approx((200 + 600 * 4 / 9) / 800)


def test_flat_load_has_no_share_to_keep() -> None:
    time_s, load_w = series((0, 5), (10, 5))
    assert math.isnan(compare(time_s, load_w, load_w).range_5s_kept_frac)


@pytest.mark.parametrize(
    ("time_s", "power_w", "message"),
    [
        ([0, 1], [1], "same length"),
        ([0], [1], "two samples"),
        ([0, 1, 2], [math.nan, 1, math.nan], "two samples"),
        ([0, 1, 1], [1, 1, 1], "increase"),
    ],
)
def test_series_that_makes_no_sense_is_refused(time_s: list[float], power_w: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        summarise_power(np.array(time_s, dtype=float), np.array(power_w, dtype=float))
