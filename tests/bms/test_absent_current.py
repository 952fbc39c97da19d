"""Rows without a current: bridged for as long as that is honest, with a doubt that covers what flowed meanwhile."""

from pathlib import Path

import numpy as np
import pytest

from bms.estimate.absent_current import bridge
from bms.estimate.coulomb import CoulombCounter
from bms.estimate.log import Log, LogError
from bms.estimate.plain_ekf import PlainEkf
from bms.estimate.replay import Start, replay
from bms.estimate.string import StringEstimator
from kernels.parameters import load_tables

CELL = load_tables("lfp-280ah")
NAN = float("nan")


def log_of(time_s: list[float], current_a: list[float]) -> Log:
    rows = len(time_s)
    volts, degc = np.full(rows, 3.3), np.full(rows, 25.0)
    return Log(Path("log.csv"), np.array(time_s), np.array(current_a), volts, degc, None, None, None)


def rough(rows: int, seed: int) -> Log:
    """A current of steps of 7 s on the average."""
    rng = np.random.default_rng(seed)
    levels_a = rng.uniform(-100.0, 200.0, rows)
    return log_of(list(range(rows)), levels_a[np.cumsum(rng.random(rows) < 1 / 7)].tolist())


def test_log_with_every_current_stays_as_it_is() -> None:
    log = log_of([0, 1, 2], [1, 2, 3])
    bridged = bridge(log, 280.0)
    assert (bridged.log is log, bridged.absent, bridged.beyond, bridged.bridged) == (True, 0, 0, 0)


def test_short_absence_runs_straight_and_its_voltage_counts_between_like_ends() -> None:
    bridged = bridge(log_of([0, 1, 2, 4, 5, 6], [10, NAN, NAN, 50, NAN, 52]), 280.0)
    assert bridged.log.current_a.tolist() == [10, 20, 30, 50, 51, 52]
    assert np.isnan(bridged.log.voltage_v).tolist() == [False, True, True, False, False, False]
    assert (bridged.absent, bridged.bridged) == (3, 3)


def test_absence_of_more_than_two_minutes_or_without_an_end_stays() -> None:
    bridged = bridge(log_of([0, 1, 2, 60, 121, 122, 123], [NAN, 10, NAN, NAN, NAN, 10, NAN]), 280.0)
    assert np.isnan(bridged.log.current_a).tolist() == [True, False, True, True, True, False, True]
    assert (bridged.absent, bridged.bridged) == (5, 0)


def test_steady_current_leaves_no_doubt() -> None:
    current_a = [140.0 if row % 2 else NAN for row in range(1, 100)]
    sigma_ah = bridge(log_of(list(range(99)), current_a), 280.0).log.charge_sigma_ah
    assert sigma_ah is not None
    assert sigma_ah.max() == 0.0


def test_log_too_short_to_tell_is_doubted_as_a_gap() -> None:
    """Half a C, as the estimator reckons over a gap: 140 A for two seconds."""
    sigma_ah = bridge(log_of([0, 1, 2], [10, NAN, 12]), 280.0).log.charge_sigma_ah
    assert sigma_ah is not None
    assert np.sqrt((sigma_ah**2).sum()) == pytest.approx(140 * 2 / 3600)


@pytest.mark.parametrize("every", [2, 5, 20, 60])
def test_doubt_covers_what_flowed_over_the_bridges(every: int) -> None:
    beside = []
    for seed in range(20):
        true = rough(4000, seed)
        current_a = np.where(np.arange(4000) % every == 0, true.current_a, NAN)
        log = bridge(log_of(true.time_s.tolist(), current_a.tolist()), 280.0).log
        assert log.charge_sigma_ah is not None
        known = np.isfinite(log.current_a)
        taken_ah = [np.trapezoid(each[known], true.time_s[known]) / 3600 for each in (true.current_a, log.current_a)]
        beside.append((taken_ah[1] - taken_ah[0]) / np.sqrt((log.charge_sigma_ah**2).sum()))
    assert 0.3 < np.sqrt(np.mean(np.square(beside))) < 1.2
    assert np.abs(beside).max() < 3.0


def test_current_that_no_cell_carries_is_absent() -> None:
    amps = [10.0] * 50
    amps[20], amps[30] = 14_001.0, -20_000.0
    bridged = bridge(log_of(list(range(50)), amps), 280.0)
    assert bridged.log.current_a.tolist() == [10.0] * 50
    assert (bridged.absent, bridged.beyond, bridged.bridged) == (2, 2, 2)
    amps[20], amps[30] = 13_999.0, -13_999.0
    assert bridge(log_of(list(range(50)), amps), 280.0).absent == 0


def test_current_in_another_unit_is_refused() -> None:
    with pytest.raises(LogError) as caught:
        bridge(log_of(list(range(50)), [100_000.0] * 40 + [0.0] * 10), 280.0)
    assert str(caught.value) == (
        "log.csv: current_a is beyond 14000 A in 40 of 50 rows, expected A (not mA) through one cell of 280 Ah"
    )


@pytest.mark.parametrize("make", [CoulombCounter, PlainEkf, StringEstimator])
def test_sigma_grows_by_the_doubt(make: type[CoulombCounter]) -> None:
    log = log_of(list(range(100)), [0.0] * 100)
    log.voltage_v[:] = NAN
    doubted = Log(
        **{name: getattr(log, name) for name in Log.__dataclass_fields__} | {"charge_sigma_ah": np.zeros(100)}
    )
    assert doubted.charge_sigma_ah is not None
    doubted.charge_sigma_ah[50:] = 2.8 / np.sqrt(50)
    plain, worse = (replay(each, make(CELL), Start(0.5, 0.02)).soc_sigma_frac for each in (log, doubted))
    assert worse[:50] == pytest.approx(plain[:50])
    assert worse[-1] == pytest.approx(np.hypot(plain[-1], 0.01), rel=0.02)
