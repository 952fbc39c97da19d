"""A string's estimator through its interface: any rate, gaps, dropouts, sensors that stop telling."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from bms.estimate.string import StringEstimator
from kernels.cell_tables import SOC_GRID, CellTables, extended, frozen_tables
from kernels.parameters import load_tables

AH = 100.0


def straight() -> CellTables:
    """3 V empty, 4 V full, 1 mOhm and one pair of 0.5 mOhm."""
    shape = 1, len(SOC_GRID)
    return frozen_tables(
        name="straight",
        chemistry="nmc",
        source="made up",
        capacity_ah=AH,
        capacity_sigma_frac=0.01,
        temperature_degc=np.array([25.0]),
        temperature_measured_degc=(15.0, 35.0),
        ocv_v=extended(np.array([0.0, 1.0]), np.array([3.0, 4.0]))[None],
        ocv_sigma_v=np.full(shape, 0.002),
        model_sigma_v=np.full(shape, 0.001),
        resistance_ohm=np.full(shape, 0.001),
        resistance_sigma_frac=np.array([0.05]),
        rc_tau_s=np.array([30.0]),
        rc_resistance_ohm=np.full((1, *shape), 0.0005),
        hysteresis_v=np.zeros(shape),
        hysteresis_rate=np.array([20.0]),
        saturation_current_a=np.array([1e6]),
        coulombic_efficiency=np.array([1.0]),
        self_discharge_per_h=np.array([0.0]),
    )


def cell(seconds: float, dt_s: float, soc: float = 0.8, seed: int = 1) -> tuple[list[float], list[float], list[float]]:
    """True SoC, voltage and current of a cell under current steps of 10 s."""
    rng, amps, inner_a, rows = np.random.default_rng(seed), 0.0, 0.0, []
    for k in range(int(seconds / dt_s)):
        if k % round(10 / dt_s) == 0:
            step_a = float(rng.normal(20.0, 60.0))
        amps_before, amps = amps, step_a
        soc -= 0.5 * (amps_before + amps) * dt_s / 3600 / AH if k else 0.0
        inner_a += (amps - inner_a) * (1 - math.exp(-dt_s / 30.0))
        rows.append((soc, 3.0 + soc - 0.001 * amps - 0.0005 * inner_a, amps))
    truth, volts, currents = zip(*rows, strict=True)
    return list(truth), list(volts), list(currents)


@pytest.mark.parametrize("dt_s", [0.1, 1.0, 5.0])
def test_rate_of_the_samples_does_not_matter(dt_s: float) -> None:
    one = StringEstimator(straight())
    truth, voltages, currents = cell(1800, dt_s)
    for k, (volts, amps) in enumerate(zip(voltages, currents, strict=True)):
        one.step(volts, amps, 25.0, dt_s if k else 0.0)
    assert one.soc_frac == pytest.approx(truth[-1], abs=0.01)
    assert abs(one.soc_frac - truth[-1]) < 3 * one.soc_sigma_frac < 0.05


def test_one_tenth_ampere_at_10_hz_is_not_lost() -> None:
    """314 Ah, 0.1 A, one hour: 0.1 Ah to a thousandth of it."""
    tables = load_tables("lfp-280ah")
    one = StringEstimator(tables)
    one.start(0.6, 0.01)
    for k in range(36_001):
        one.step(math.nan, 0.1, 25.0, 0.1 if k else 0.0)
    assert (0.6 - one.soc_frac) * tables.capacity_ah == pytest.approx(0.1, rel=1e-3)


def test_soc_between_two_windows_is_not_late() -> None:
    one = StringEstimator(straight())
    one.start(0.5, 0.01)
    one.step(math.nan, 360.0, 25.0, 0.0)
    one.step(math.nan, 360.0, 25.0, 0.5)
    assert one.soc_frac == pytest.approx(0.5 - 0.5 * 360 / 3600 / AH, rel=1e-9)


@pytest.mark.parametrize(("amps", "least", "most"), [(50.0, 0.4, 1.0), (0.0, 0.0, 0.02)])
def test_a_gap_is_not_integrated_but_admitted(amps: float, least: float, most: float) -> None:
    """An hour between two samples: with current on both sides half a capacity may be gone, at rest next to nothing."""
    one = StringEstimator(straight())
    one.start(0.5, 0.01)
    one.step(math.nan, amps, 25.0, 0.0)
    one.step(math.nan, amps, 25.0, 3600.0)
    assert one.soc_frac == pytest.approx(0.5, abs=1e-6)
    assert least < one.soc_sigma_frac < most


BENT_SOC, BENT_V = np.array([0.0, 0.1, 0.5, 1.0]), np.array([3.0, 3.45, 3.6, 4.2])


def known_at(soc: float, amps: float) -> StringEstimator:
    """An estimator of a cell with a bent curve that came to this SoC under `amps`, ten minutes long."""
    one = StringEstimator(replace(straight(), ocv_v=extended(BENT_SOC, BENT_V)[None]))
    one.start(min(soc + amps / 6 / AH, 1.0), 0.01)
    for k in range(601):
        bent(one, soc + amps * (600 - k) / 3600 / AH, amps, 1.0 if k else 0.0)
    return one


def bent(one: StringEstimator, soc: float, amps: float, dt_s: float) -> None:
    one.step(float(np.interp(soc, BENT_SOC, BENT_V)) - 0.0015 * amps, amps, 25.0, dt_s)


@pytest.mark.parametrize(("before", "after"), [(0.8, 0.3), (0.9, 0.25), (0.7, 0.2)])
def test_after_a_gap_under_load_the_curve_is_read_where_the_cell_is_now(before: float, after: float) -> None:
    """It is three times steeper where the cell was: a straight line from there ends 10 to 20 % too high, and is sure
    of that."""
    one = known_at(before, 50.0)
    learned = one.resistance_factor, one.capacity_ah
    for k in range(61):
        bent(one, after - 50.0 * k / 3600 / AH, 50.0, 1.0 if k else 3600.0)
    away = abs(one.soc_frac - after + 50.0 * 60 / 3600 / AH)
    assert away < 0.06
    assert away < 2 * one.soc_sigma_frac
    assert (one.resistance_factor, one.capacity_ah) == pytest.approx(learned, rel=0.03)


@pytest.mark.parametrize("flowed", [0.1, -0.1])
def test_a_rest_after_which_the_voltage_is_another_was_none(flowed: float) -> None:
    """A logger that pauses with its tester at rest, and goes on after a step to another SoC."""
    one = known_at(0.7, 0.0)
    bent(one, 0.7 - flowed, 0.0, 2400.0)
    for _ in range(60):
        bent(one, 0.7 - flowed, 0.0, 1.0)
    assert abs(one.soc_frac - 0.7 + flowed) < min(3 * one.soc_sigma_frac, 0.02)


def test_a_rest_after_which_the_voltage_is_the_same_was_one() -> None:
    one = known_at(0.7, 0.0)
    sure = one.soc_sigma_frac
    bent(one, 0.702, 0.0, 2400.0)
    assert one.soc_frac == pytest.approx(0.7, abs=0.005)
    assert one.soc_sigma_frac < sure + 0.003


def test_absent_current_is_a_gap_and_absent_voltage_is_not() -> None:
    one = StringEstimator(straight())
    one.start(0.5, 0.01)
    for k in range(60):
        one.step(math.nan, 36.0, 25.0, 1.0 if k else 0.0)
    assert one.soc_frac == pytest.approx(0.5 - 59 * 36 / 3600 / AH, rel=1e-6)
    before = one.soc_sigma_frac
    for _ in range(60):
        one.step(3.5, math.nan, 25.0, 1.0)
    one.step(math.nan, 36.0, 25.0, 1.0)
    assert one.soc_frac == pytest.approx(0.5 - 59 * 36 / 3600 / AH, rel=1e-6)
    assert one.soc_sigma_frac > before


def test_a_frozen_voltage_is_not_believed() -> None:
    one = StringEstimator(straight())
    one.start(0.8, 0.01)
    truth, voltages, currents = cell(3600, 1.0)
    for k, (volts, amps) in enumerate(zip(voltages, currents, strict=True)):
        one.step(volts if k < 600 else 3.75, amps, 25.0, 1.0 if k else 0.0)
    assert one.soc_frac == pytest.approx(truth[-1], abs=0.02)


def test_outliers_do_not_carry_it_away() -> None:
    one, rng = StringEstimator(straight()), np.random.default_rng(3)
    truth, voltages, currents = cell(3600, 1.0)
    for k, (volts, amps) in enumerate(zip(voltages, currents, strict=True)):
        shown = volts + float(rng.choice([-1.0, 1.0])) if rng.random() < 0.02 else volts
        one.step(shown, amps, 25.0, 1.0 if k else 0.0)
    assert one.soc_frac == pytest.approx(truth[-1], abs=0.02)


def test_a_strip_makes_it_zero() -> None:
    one = StringEstimator(straight())
    one.start(0.7, 0.1)
    one.stripped()
    assert one.soc_frac == pytest.approx(0.0, abs=0.001)
    assert one.soc_sigma_frac == pytest.approx(0.01, abs=0.001)


def test_a_faded_cell_is_found_out_within_its_bound() -> None:
    """The cell holds 88 % of what its file says; full swings at C/2 between 5 and 95 %."""
    one, soc, inner_a, amps = StringEstimator(straight()), 0.95, 0.0, 50.0
    one.start(0.95, 0.02)
    for k in range(6 * 5900):
        amps = -50.0 if soc < 0.05 else (50.0 if soc > 0.95 else amps)
        soc -= amps / 3600 / (0.88 * AH) if k else 0.0
        inner_a += (amps - inner_a) * (1 - math.exp(-1 / 30.0))
        one.step(3.0 + soc - 0.001 * amps - 0.0005 * inner_a, amps, 25.0, 1.0 if k else 0.0)
    assert one.soh_frac == pytest.approx(0.88, abs=0.02)
    assert abs(one.capacity_ah - 0.88 * AH) < 3 * one.capacity_ah_sigma < 0.06 * AH


def cycled_lfp(left_frac: float, hours: float) -> Iterator[tuple[float, float, float]]:
    """True SoC, voltage and current, ten seconds a row, of the shipped LFP cell with so much of its capacity left: up
    to full, an hour's rest, down to 5 % and so on at 90 A, at 25 degC."""
    cell = load_tables("lfp-280ah")
    warm = int(np.argmin(abs(cell.temperature_degc - 25.0)))
    tables = (cell.ocv_v, cell.hysteresis_v, cell.resistance_ohm, cell.rc_resistance_ohm[0])
    soc, inner_a, turned, rest_s, way_a = 0.5, 0.0, 0.0, 0.0, -90.0
    for k in range(round(hours * 360)):
        if soc >= 1.0 and way_a < 0:
            way_a, rest_s = 90.0, 3600.0
        elif soc <= 0.05:
            way_a = -90.0
        rest_s -= 10.0
        amps = 0.0 if rest_s > 0 else way_a
        moved = amps * 10 / 3600 / (left_frac * cell.capacity_ah) if k else 0.0
        soc -= moved
        inner_a += (amps - inner_a) * (1 - math.exp(-10.0 / cell.rc_tau_s[0]))
        keep = math.exp(-float(cell.hysteresis_rate[warm]) * abs(moved))
        turned = keep * turned + (1 - keep) * math.copysign(1.0, amps)
        ocv_v, gap_v, ohm, inner_ohm = (float(np.interp(soc, SOC_GRID, table[warm])) for table in tables)
        yield soc, ocv_v - gap_v * turned - ohm * amps - inner_ohm * inner_a, amps


@pytest.mark.parametrize("left_frac", [1.0, 0.85, 0.8, 0.7])
def test_lfp_cell_that_is_not_what_its_file_says_is_found_out_within_its_bound(left_frac: float) -> None:
    """From an unknown start, over three cycles. The file's word on the capacity is taken back, and stays for a cell as
    good as new."""
    one = StringEstimator(load_tables("lfp-280ah"))
    for k, (_, volts, amps) in enumerate(cycled_lfp(left_frac, 19.0)):
        one.step(volts, amps, 25.0, 10.0 if k else 0.0)
    assert one.soh_frac == pytest.approx(left_frac, abs=0.02)
    assert abs(one.capacity_ah - left_frac * 280.0) < 3 * one.capacity_ah_sigma < 0.06 * 280.0
    assert one.capacity_doubted is (left_frac < 1.0)


def test_lost_filter_begins_anew() -> None:
    """Told half full and sure of it, while the cell rests at the end of a charge: no slope of the plateau leads out."""
    one, full_v = StringEstimator(load_tables("lfp-280ah")), 3.50
    one.start(0.6, 0.002)
    for k in range(100):
        one.step(full_v, 0.0, 25.0, 10.0 if k else 0.0)
    assert one.soc_frac == pytest.approx(1.0, abs=0.03)


def test_means_of_a_window_are_those_of_its_middle() -> None:
    """A current that rises by 20 A/s, 8 samples a second: half a second later 200 A have taken 0.28 mV of voltage, and
    the pair carries some amperes more."""
    one, inner_a, window_v, missed_v = StringEstimator(straight()), 0.0, 0.0, []
    one.start(0.8, 0.001)
    for k in range(161):
        amps = 2.5 * k
        inner_a += (amps - 1.25 - inner_a) * (1 - math.exp(-0.125 / 30.0)) if k else 0.0
        volts = 3.8 - 10.0 * (0.125 * k) ** 2 / 3600 / AH - 0.001 * amps - 0.0005 * inner_a
        one.step(volts, amps, 25.0, 0.125 if k else 0.0)
        window_v += volts / 8 if k else 0.0
        if k and k % 8 == 0:
            missed_v.append(one.voltage_predicted_v - window_v)
            window_v = 0.0
    assert missed_v == pytest.approx([0.0] * 20, abs=1e-4)
