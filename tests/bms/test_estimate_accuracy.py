"""What counts as an error, and from when on."""

import numpy as np
import pytest

from bms.estimate.accuracy import accuracy, rmse_pct

TIME_S = np.arange(0.0, 1201.0, 100.0)
REFERENCE = np.full(13, 0.5)
SIGMA = np.full(13, 0.01)


def errors(*per_100_s: float) -> np.ndarray:
    return REFERENCE + np.array(per_100_s)


def test_first_ten_minutes_do_not_count() -> None:
    soc = errors(0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.01, -0.01, 0.01, -0.01, 0.01, -0.01, 0.04)
    found = accuracy(TIME_S, soc, SIGMA, REFERENCE)
    assert found is not None
    assert found.rmse_pct == pytest.approx(100 * ((6 * 0.01**2 + 0.04**2) / 7) ** 0.5)
    assert found.max_error_pct == pytest.approx(4.0)
    assert found.median_sigma_pct == pytest.approx(1.0)
    assert rmse_pct(TIME_S, soc, REFERENCE) == pytest.approx(found.rmse_pct)


def test_ten_minutes_count_from_the_first_row() -> None:
    soc = errors(*[0.1] * 6, *[0.0] * 7)
    found = accuracy(TIME_S + 5000.0, soc, SIGMA, REFERENCE)
    assert found is not None
    assert found.max_error_pct == pytest.approx(0.0, abs=1e-9)


def test_time_to_within_is_when_it_stays_there() -> None:
    soc = errors(0.3, 0.01, 0.2, 0.04, 0.03, 0.01, 0.01, 0.03, 0.01, 0.0, 0.0, 0.0, 0.0)
    found = accuracy(TIME_S, soc, SIGMA, REFERENCE)
    assert found is not None
    assert found.time_to_5pct_s == 300.0
    assert found.time_to_2pct_s == 800.0


def test_never_and_always_within() -> None:
    found = accuracy(TIME_S, errors(*[0.0] * 12, 0.04), SIGMA, REFERENCE)
    assert found is not None
    assert found.time_to_5pct_s == 0.0
    assert found.time_to_2pct_s is None


def test_coverage_counts_the_references_own_error() -> None:
    """3 sqrt(1 %^2 + 1 %^2) = 4.24 %; sigma alone allows 3 %."""
    soc = errors(*[0.0] * 6, 0.0, 0.035, 0.035, 0.05, 0.05, 0.05, 0.0)
    found = accuracy(TIME_S, soc, SIGMA, REFERENCE)
    assert found is not None
    assert found.coverage_3sigma_pct == pytest.approx(100 * 4 / 7)
    assert found.coverage_alone_pct == pytest.approx(100 * 2 / 7)
    assert found.beyond_3sigma_s_max == 200.0


def test_rows_without_a_reference_do_not_count() -> None:
    reference = REFERENCE.copy()
    reference[8:10] = np.nan
    found = accuracy(TIME_S, errors(*[0.0] * 8, 0.4, 0.4, *[0.02] * 3), SIGMA, reference)
    assert found is not None
    assert found.max_error_pct == pytest.approx(2.0)


def test_reference_that_ends_before_ten_minutes_says_nothing() -> None:
    reference = np.where(TIME_S < 600, 0.5, np.nan)
    assert accuracy(TIME_S, REFERENCE, SIGMA, reference) is None
    assert rmse_pct(TIME_S, REFERENCE, reference) is None
