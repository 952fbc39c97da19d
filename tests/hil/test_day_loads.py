"""Loads that follow the day: what they come to, how they move, and that a seed stands for one of them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hil_rigs.plant.build import LoadConfig, build_load
from hil_rigs.plant.day import DAY_S, HOUR_S, Pulse, pulses
from hil_rigs.plant.load import Load

RATED_W = 1e6
KINDS = ["ai-inference", "industry", "factory", "home"]
Floats = NDArray[np.float64]


def load(kind: str, seed: int = 1, start_h: float = 0.0) -> Load:
    config = LoadConfig(kind=kind, rated_power_w=RATED_W, start_s=start_h * HOUR_S)  # type: ignore[arg-type]
    return build_load(config, np.random.default_rng(seed))


def sampled(kind: str, from_h: float, to_h: float, step_s: float = 1.0, seed: int = 1) -> Floats:
    one = load(kind, seed)
    return np.array([one.power_w(at_s) for at_s in np.arange(from_h * HOUR_S, to_h * HOUR_S, step_s)])


@pytest.mark.parametrize("kind", KINDS)
def test_seed_stands_for_one_day_that_comes_again(kind: str) -> None:
    at_s = np.linspace(0.0, DAY_S - 1.0, 2000)
    loads = [load(kind, seed) for seed in (1, 1, 2)]
    first, same, other = ([each.power_w(t) for t in at_s] for each in loads)
    assert first == same != other
    assert [loads[0].power_w(DAY_S + t) for t in at_s] == pytest.approx(first)


@pytest.mark.parametrize("kind", KINDS)
def test_run_may_start_at_any_hour(kind: str) -> None:
    assert load(kind, start_h=9.0).power_w(10.0) == pytest.approx(load(kind).power_w(9.0 * HOUR_S + 10.0))


@pytest.mark.parametrize("kind", KINDS)
def test_power_is_positive_and_known_at_its_most(kind: str) -> None:
    power_w = sampled(kind, 0.0, 24.0, 5.0)
    assert power_w.min() > 0.0
    assert power_w.max() <= load(kind).power_w_max


def test_inference_follows_its_users_between_idle_and_rated() -> None:
    day, night = sampled("ai-inference", 14.0, 16.0), sampled("ai-inference", 2.0, 4.0)
    assert night.min() >= 0.35 * RATED_W
    assert (day.mean() / RATED_W, night.mean() / RATED_W) == pytest.approx((0.87, 0.55), abs=0.03)
    assert max(day.max(), night.max()) <= RATED_W


def test_inference_has_bursts_of_seconds_but_no_training_swings() -> None:
    power_w = sampled("ai-inference", 8.0, 14.0)
    within_10_s = np.array([np.ptp(power_w[at : at + 10]) for at in range(0, len(power_w) - 10, 10)])
    assert 0.15 * RATED_W < within_10_s.max() < 0.45 * RATED_W
    assert np.median(within_10_s) < 0.12 * RATED_W


def test_industry_runs_by_day_and_a_few_machines_by_night() -> None:
    day, night = sampled("industry", 8.0, 20.0, 5.0), sampled("industry", 0.5, 4.5, 5.0)
    assert day.mean() / RATED_W == pytest.approx(0.72, abs=0.05)
    assert night.min() >= 0.15 * RATED_W - 1e-3
    assert night.mean() < 0.35 * RATED_W


def test_industry_starts_machines_above_their_power_for_two_seconds() -> None:
    """A machine of 1/24 of 85 % takes three times that while it starts, so two more of them for 2 s."""
    power_w = sampled("industry", 8.0, 12.0, 0.1)
    rises_w = power_w[1:] - power_w[:-1]
    falls_back = [power_w[at + 2] - power_w[at + 25] for at in np.flatnonzero(rises_w > 0.04 * RATED_W)]
    assert len(falls_back) > 100
    assert np.median(falls_back) == pytest.approx(2 * 0.85 / 24 * RATED_W, rel=0.35)


def test_factory_works_in_two_shifts_with_breaks() -> None:
    at_work = [sampled("factory", from_h, to_h).mean() / RATED_W for from_h, to_h in ((7, 9), (15, 17), (19, 21))]
    idle = [sampled("factory", from_h, to_h).max() / RATED_W for from_h, to_h in ((1, 5), (10.1, 10.4), (22.5, 23.5))]
    assert at_work == pytest.approx([0.78] * 3, abs=0.02)
    assert idle == pytest.approx([0.1] * 3)


def test_factory_switches_motors_on_directly() -> None:
    """Four motors of a tenth of rated each take five tenths more for 4 s."""
    power_w = sampled("factory", 6.0, 6.15, 0.1)
    steps = np.flatnonzero(np.diff(power_w) > 0.25 * RATED_W)
    starts = [at for i, at in enumerate(steps) if i == 0 or at - steps[i - 1] > 20]
    assert len(starts) == 4
    assert power_w.max() < load("factory").power_w_max
    for at in starts:
        assert power_w[at + 20] - power_w[at - 1] == pytest.approx(0.6 * RATED_W, rel=0.05)
        assert power_w[at + 50] - power_w[at - 1] == pytest.approx(0.1 * RATED_W, rel=0.2)


def test_factorys_press_comes_every_quarter_of_a_minute() -> None:
    power_w = sampled("factory", 8.0, 9.0, 0.1)
    high = power_w > (power_w.max() + power_w.min()) / 2.0
    assert np.count_nonzero(np.diff(high.astype(int)) == 1) == pytest.approx(240, abs=3)
    assert np.ptp(power_w) == pytest.approx(0.3 * RATED_W, rel=0.02)


def test_home_of_8_kw_uses_what_homes_use() -> None:
    """Standby and refrigerator are 4.6 kWh a day, the appliances 5.6 kWh on average, most of that in the evening."""
    days = [build_load(LoadConfig(kind="home", rated_power_w=8000.0, start_s=0.0), np.random.default_rng(seed))
            for seed in range(20)]  # fmt: skip
    power_w = np.array([[day.power_w(at_s) for at_s in np.arange(0.0, DAY_S, 20.0)] for day in days])
    used_kwh = power_w.mean(axis=1) * 24.0 / 1000.0
    assert used_kwh.mean() == pytest.approx(10.2, rel=0.1)
    assert 4.6 < used_kwh.min() < 7.0 < 12.0 < used_kwh.max() < 20.0
    assert np.median(power_w[:, 180 * 2 : 180 * 4]) < 300.0
    evening, early = (power_w[:, 180 * from_h : 180 * to_h].mean() for from_h, to_h in ((17, 22), (0, 5)))
    assert evening > 3.0 * early
    assert power_w.max() > 3000.0


def test_pulses_add_up_with_their_edges() -> None:
    """1 kW from 10 to 20 s with edges of 2 s and 3 kW from 15 to 16 s with edges of 0.5 s, on 100 W."""
    time_s, power_w = pulses([Pulse(10.0, 20.0, 1000.0, 2.0), Pulse(15.0, 16.0, 3000.0, 0.5)], 100.0)
    at_s = [0.0, 10.0, 11.0, 12.0, 15.0, 15.25, 15.5, 16.0, 19.0, 20.0, DAY_S]
    assert np.interp(at_s, time_s, power_w) == pytest.approx(
        [100, 100, 600, 1100, 1100, 2600, 4100, 1100, 600, 100, 100]
    )
