"""What a string's cells answer to a change of current within seconds."""

import math

import numpy as np
import pytest

from bms.estimate.series_resistance import SIGMA, SIGMA_MIN, SeriesResistance

OHM = 0.001
AH = 100.0


def after_pulses(factors: list[float], pulses: int, amps: float = 100.0, dead: int | None = None) -> SeriesResistance:
    """Ten seconds of current and ten of rest, over and over; the model's drop is that of OHM alone."""
    learnt = SeriesResistance(len(factors), AH)
    for second in range(20 * pulses):
        current_a = amps if second // 10 % 2 else 0.0
        fallen_v = np.array(factors) * OHM * current_a + 0.02
        if dead is not None:
            fallen_v[dead] = math.nan
        learnt.take(fallen_v, OHM * current_a, current_a, 1.0)
    return learnt


def test_each_cell_is_learnt_for_itself() -> None:
    learnt = after_pulses([0.7, 1.0, 1.6], pulses=30)
    assert learnt.factor == pytest.approx([0.7, 1.0, 1.6], abs=0.02)
    assert learnt.sigma_frac == pytest.approx(SIGMA_MIN, abs=0.005)


def test_nothing_is_learnt_without_a_step_of_current() -> None:
    learnt = after_pulses([1.6], pulses=30, amps=9.0)
    assert learnt.factor.tolist() == [1.0]
    assert learnt.sigma_frac == SIGMA


def test_a_voltage_that_is_absent_says_nothing_of_its_cell_only() -> None:
    learnt = after_pulses([1.6, 1.6], pulses=30, dead=0)
    assert learnt.factor == pytest.approx([1.0, 1.6], abs=0.02)


def test_what_lay_before_an_interruption_is_not_compared() -> None:
    learnt = SeriesResistance(1, AH)
    for current_a in (0.0, 0.0, 0.0, 100.0, 100.0):
        learnt.interrupt()
        learnt.take(np.array([5 * OHM * current_a]), OHM * current_a, current_a, 1.0)
    assert learnt.factor.tolist() == [1.0]


def test_what_is_not_seen_any_more_becomes_unsure() -> None:
    learnt = after_pulses([1.3], pulses=30)
    for _ in range(3600):
        learnt.take(np.array([0.02]), 0.0, 0.0, 1.0)
    assert learnt.factor[0] == pytest.approx(1.3, abs=0.02)
    assert 0.05 < learnt.sigma_frac < SIGMA
