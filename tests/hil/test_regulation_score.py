"""PJM's score of a response: a perfect one, a late one, a wrong one, and none."""

import numpy as np
import pytest

from hil_rigs.comply.regulation_score import score

RNG = np.random.default_rng(3)
SIGNAL = np.clip(np.convolve(RNG.standard_normal(380), np.ones(20) / 8.0, "valid")[:361], -1.0, 1.0)


def test_response_that_is_the_signal_scores_one() -> None:
    assert score(SIGNAL, SIGNAL).total == pytest.approx(1.0)


def test_a_minute_of_delay_costs_a_fifth_of_the_delay_score() -> None:
    late = score(SIGNAL[6:], SIGNAL[:-6])
    assert late.correlation == pytest.approx(1.0, abs=0.05)
    assert late.delay == pytest.approx(0.8, abs=0.05)
    assert late.precision < 0.9


def test_half_the_power_costs_half_the_precision_alone() -> None:
    half = score(SIGNAL, SIGNAL / 2.0)
    assert (half.correlation, half.delay, half.precision) == pytest.approx((1.0, 1.0, 0.5))


def test_no_response_scores_for_its_promptness_only() -> None:
    none = score(SIGNAL, np.zeros_like(SIGNAL))
    assert (none.correlation, none.delay, none.precision) == (0.0, 1.0, 0.0)


def test_too_short_or_unequal_is_said() -> None:
    with pytest.raises(ValueError, match="at least 60, got 59 and 59"):
        score(SIGNAL[:59], SIGNAL[:59])
