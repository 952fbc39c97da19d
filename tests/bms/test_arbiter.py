"""One power over many units: never beyond a limit, shared by energy, over as few as work well, without hunting."""

from time import process_time

import numpy as np
import pytest

from bms.dispatch.arbiter import Arbiter, Units


def units(soc_frac: list[float], limit_w: float = 100e3, efficient_w: float = 0.0, energy_wh: float = 200e3) -> Units:
    count = len(soc_frac)
    return Units(
        charge_power_w_limit=np.full(count, limit_w),
        discharge_power_w_limit=np.full(count, limit_w),
        soc_frac=np.array(soc_frac),
        energy_wh=np.full(count, energy_wh),
        efficient_power_w=np.full(count, efficient_w),
    )


def test_fuller_unit_discharges_more_and_charges_less() -> None:
    two = units([0.75, 0.25])
    np.testing.assert_allclose(Arbiter(2).split(80e3, two).power_w, [60e3, 20e3])
    np.testing.assert_allclose(Arbiter(2).split(-80e3, two).power_w, [-20e3, -60e3])


def test_what_one_cannot_give_the_others_do() -> None:
    split = Arbiter(3).split(240e3, units([0.9, 0.2, 0.2]))
    np.testing.assert_allclose(split.power_w, [100e3, 70e3, 70e3])
    assert split.short_w == 0.0


def test_impossible_power_gives_all_there_is_and_says_how_much_is_short() -> None:
    split = Arbiter(2).split(-250e3, units([0.5, 0.6]))
    np.testing.assert_allclose(split.power_w, [-100e3, -100e3])
    assert split.short_w == 50e3


def test_unit_that_cannot_gets_nothing() -> None:
    one_out = units([0.5, 0.5])
    one_out.discharge_power_w_limit[0] = 0.0
    np.testing.assert_allclose(Arbiter(2).split(50e3, one_out).power_w, [0.0, 50e3])


def test_small_power_is_given_by_few_units_that_work_well() -> None:
    split = Arbiter(10).split(25e3, units([0.5] * 10, efficient_w=10e3))
    assert (split.power_w > 0).sum() == 1
    assert split.power_w.sum() == pytest.approx(25e3)


def test_power_that_wanders_switches_nobody() -> None:
    arbiter, ten = Arbiter(10), units([0.5] * 10, efficient_w=10e3)
    rng, power_w, switched, before = np.random.default_rng(3), 100e3, 0, None
    for _ in range(2000):
        power_w = min(max(power_w + rng.normal(0, 2e3), 90e3), 115e3)
        works = arbiter.split(power_w, ten).power_w > 0
        switched += 0 if before is None else int((works != before).sum())
        before = works
    assert switched <= 2


def test_equal_units_do_not_take_turns_when_their_charge_moves_apart() -> None:
    arbiter, works = Arbiter(4), set()
    soc_frac = np.full(4, 0.5)
    for _ in range(500):
        power_w = arbiter.split(15e3, units(soc_frac.tolist(), efficient_w=10e3)).power_w
        soc_frac -= power_w / 3600.0 / 200e3
        works.add(tuple(power_w > 0))
    assert len(works) == 1


def test_units_get_empty_together() -> None:
    arbiter, soc_frac = Arbiter(3), np.array([0.9, 0.6, 0.3])
    for _ in range(350):
        soc_frac -= arbiter.split(60e3, units(soc_frac.tolist())).power_w / 60.0 / 200e3
    assert 0.0 < soc_frac.min() < soc_frac.max() < 0.03


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Arbiter(1).split(float("nan"), units([0.5]))


def test_a_hundred_thousand_random_cases_stay_inside_every_limit_and_give_what_is_there() -> None:
    rng = np.random.default_rng(1)
    arbiters = {count: Arbiter(count) for count in range(1, 13)}
    for _ in range(100_000):
        count = int(rng.integers(1, 13))
        able = rng.random((2, count)) < 0.8
        charge_w, discharge_w = rng.uniform(0, 1e6, (2, count)) * able
        soc_frac = rng.choice([0.0, 1.0, rng.random()], count)
        some = Units(charge_w, discharge_w, soc_frac, rng.uniform(0, 1e6, count), rng.uniform(0, 1e5, count))
        asked_w = float(rng.uniform(-1, 1) * 10 ** rng.uniform(0, 7.5))
        power_w, short_w = arbiters[count].split(asked_w, some)
        shares, sign = power_w.tolist(), 1.0 if asked_w > 0 else -1.0
        caps = (discharge_w if asked_w > 0 else charge_w).tolist()
        given_w, most_w = sum(shares), sum(caps)
        inside = all(0.0 <= sign * share <= cap for share, cap in zip(shares, caps, strict=True))
        exact = abs(sign * given_w - min(abs(asked_w), most_w)) <= 1e-6 * abs(asked_w)
        assert inside
        assert exact
        assert abs(short_w - max(abs(asked_w) - most_w, 0.0)) <= 1e-6 * abs(asked_w)


def test_two_hundred_units_are_split_within_five_milliseconds() -> None:
    """Of the processor's time; the median of a hundred."""
    rng, count = np.random.default_rng(3), 200
    most_w, soc_frac = rng.uniform(0, 1e6, (2, count)), rng.uniform(0, 1, count)
    some = Units(most_w[0], most_w[1], soc_frac, np.full(count, 2e6), np.full(count, 5e4))
    arbiter, times_s = Arbiter(count), []
    for power_w in rng.uniform(-1e8, 1e8, 100):
        began_s = process_time()
        arbiter.split(float(power_w), some)
        times_s.append(process_time() - began_s)
    assert np.median(times_s) < 0.005
