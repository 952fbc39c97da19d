"""What a string's current sensor reads while nothing flows: its offset, but no slow test and no standby's draw."""

import math

import pytest

from bms.estimate.string import StringEstimator
from kernels.parameters import load_tables

LFP = load_tables("lfp-280ah")
AH = LFP.capacity_ah


def run(one: StringEstimator, amps: float, seconds: int, dt_s: float = 1.0) -> None:
    """No voltage, so that nothing but the current tells."""
    for _ in range(round(seconds / dt_s)):
        one.step(math.nan, amps, 25.0, dt_s)


def started() -> StringEstimator:
    one = StringEstimator(LFP)
    one.start(0.6, 0.02)
    one.step(math.nan, 0.0, 25.0, 0.0)
    return one


@pytest.mark.parametrize("dt_s", [0.1, 1.0, 10.0])
def test_reading_of_a_rest_after_a_load_is_the_sensors_offset(dt_s: float) -> None:
    """A sensor that reads 1.4 A too much: 28 Ah out in an hour, a rest, and 28 Ah again."""
    one = started()
    run(one, 28.0 + 1.4, 3600, dt_s)
    run(one, 1.4, 200, dt_s)
    assert one.current_bias_a == pytest.approx(1.4, abs=0.05)
    run(one, 28.0 + 1.4, 3600, dt_s)
    assert one.soc_frac == pytest.approx(0.6 - 56.0 / AH, abs=0.001)


def test_rest_before_the_first_load_counts_when_that_sets_in() -> None:
    one = started()
    run(one, 1.4, 3600)
    assert one.current_bias_a == pytest.approx(0.0, abs=0.01)
    run(one, 29.4, 3600)
    assert one.current_bias_a == pytest.approx(1.4, abs=0.05)
    assert one.soc_frac == pytest.approx(0.6 - 28.0 / AH, abs=0.001)


def test_small_current_that_no_load_frames_is_counted() -> None:
    one = started()
    run(one, 1.4, 10 * 3600)
    assert (0.6 - one.soc_frac) * AH == pytest.approx(14.0, rel=1e-3)


def test_current_of_no_account_is_counted_after_a_load_too() -> None:
    one = started()
    run(one, 28.0, 600)
    run(one, 0.1, 1)
    before = one.soc_frac
    run(one, 0.1, 3600)
    assert (before - one.soc_frac) * AH == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("amps", [4.2, -4.2])
def test_current_beyond_any_offset_is_counted(amps: float) -> None:
    one = started()
    run(one, 28.0, 600)
    before = one.soc_frac
    run(one, amps, 3600)
    assert (before - one.soc_frac) * AH == pytest.approx(amps, rel=0.01)


def test_taper_at_the_end_of_a_charge_is_no_rest() -> None:
    one = started()
    run(one, -28.0, 600)
    for second in range(600):
        run(one, -2.7 * math.exp(-second / 600), 1)
    assert one.current_bias_a == pytest.approx(0.0, abs=0.01)


def test_what_a_standby_may_draw_stays_in_sigma() -> None:
    """However often a rest is seen, sigma grows by at least 0.15 % of the capacity an hour."""
    one = started()
    run(one, 28.0, 600)
    for _ in range(10):
        run(one, 0.0, 3600)
    assert one.soc_sigma_frac > math.hypot(0.02, 10 * 0.0015) - 0.001


def test_gap_ends_a_rest() -> None:
    one = started()
    run(one, 28.0, 600)
    run(one, 1.4, 100)
    one.step(math.nan, 1.4, 25.0, 300.0)
    run(one, 1.4, 100)
    assert one.current_bias_a == pytest.approx(0.0, abs=0.01)
