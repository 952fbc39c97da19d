"""What the site measures of its smoothing, and what follows: the gain, the learned period, the refusal."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest

from bms.dispatch.applications.grid_smoothing import GridSmoothing, GridSmoothingApplication
from bms.dispatch.dispatch import Dispatch, Wish
from bms.dispatch.learned_period import LearnedPeriod
from bms.dispatch.smoothing_gain import SmoothingGain
from bms.dispatch.view import SiteView
from bms.estimate.smoothing_watch import LargestRange, Smoothed, SmoothingWatch

MS = 1_000_000


def watched(load: Callable[[float], float], delay_s: float = 0.1, seconds: int = 30) -> Smoothed:
    watch = SmoothingWatch()
    for number in range(seconds * 20):
        load_w = load(number * 0.05)
        watch.see(number * 50 * MS, load_w, 0.5 * load_w, delay_s)
    return watch.smoothed


def test_ranges_of_load_and_grid_are_the_largest_within_5_s() -> None:
    """100 kW in 10 s and back: 50 kW in 5 s."""
    seen = watched(lambda t_s: 100e3 * abs((t_s / 10.0) % 2.0 - 1.0))
    assert seen.load_w == pytest.approx(50e3)
    assert seen.grid_w == pytest.approx(25e3)


def test_what_a_delay_leaves_is_the_loads_change_over_it() -> None:
    """10 kW/s up and down: 1 kW late each way after 0.1 s."""
    seen = watched(lambda t_s: 100e3 * abs((t_s / 10.0) % 2.0 - 1.0))
    assert seen.left_w == pytest.approx(2e3)


@pytest.mark.parametrize(("delay_s", "doubles"), [(0.05, False), (1.0, True)])
def test_pulse_that_is_shorter_than_the_delay_doubles_the_range(delay_s: float, doubles: bool) -> None:
    seen = watched(lambda t_s: 100e3 if t_s % 4.0 < 0.5 else 0.0, delay_s)
    assert seen.load_w == 100e3
    assert seen.left_w == 200e3 if doubles else seen.left_w <= 200e3


def test_nothing_is_said_before_20_s_and_after_a_gap() -> None:
    kept = LargestRange()
    kept.note(0, 1.0)
    kept.note(19_900 * MS, 2.0)
    assert math.isnan(kept.value)
    kept.note(20_000 * MS, 2.0)
    assert kept.value == 0.0 or kept.value == 1.0
    watch = SmoothingWatch()
    for number in range(500):
        watch.see(number * 50 * MS, 1.0, 1.0, 0.1)
    assert watch.smoothed.load_w == 0.0
    watch.see(500 * 50 * MS, None, None, 0.1)
    assert math.isnan(watch.smoothed.load_w)


LATE = Smoothed(load_w=98e6, grid_w=math.nan, left_w=177e6, delay_s=0.55)
WORSE = Smoothed(load_w=98e6, grid_w=113e6, left_w=80e6, delay_s=0.15)
ONE_STEP = Smoothed(load_w=28.9e6, grid_w=2e6, left_w=29.1e6, delay_s=0.105)
"""Of a load that falls at once, seen by meters with noise: no battery is in time for it, and none does harm."""
GOOD = Smoothed(load_w=98e6, grid_w=20e6, left_w=30e6, delay_s=0.02)


def gain_after(*steps: tuple[Smoothed, float]) -> SmoothingGain:
    gain = SmoothingGain(quiet_w=1e6, own_w=6e6)
    for seen, seconds in steps:
        for _ in range(round(seconds * 10)):
            gain.look(seen, 0.1)
    return gain


@pytest.mark.parametrize(
    ("steps", "value", "reason"),
    [
        ([(GOOD, 100.0)], 1.0, ""),
        ([(LATE, 19.0)], 1.0, ""),
        ([(LATE, 21.0)], 0.0, "a battery 550 ms late would leave 177000 kW in 5 s, the load moves by 98000 kW"),
        ([(ONE_STEP, 100.0)], 1.0, ""),
        ([(WORSE, 21.0)], 0.5, "the grid moves by 113000 kW in 5 s, the load by 98000 kW"),
        ([(WORSE, 41.0)], 0.25, "the grid moves by 113000 kW in 5 s, the load by 98000 kW"),
        ([(WORSE, 61.0)], 0.0, "the grid moves by 113000 kW in 5 s, the load by 98000 kW"),
        ([(WORSE, 21.0), (GOOD, 500.0)], 0.5, "the grid moves by 113000 kW in 5 s, the load by 98000 kW"),
        ([(WORSE, 21.0), (GOOD, 620.0)], 1.0, ""),
        ([(LATE, 21.0), (GOOD, 61.0)], 1.0, ""),
        ([(LATE._replace(load_w=0.9e6), 100.0)], 1.0, ""),
        ([(Smoothed(), 100.0)], 1.0, ""),
    ],
)
def test_gain_steps_down_with_a_reason_and_up_again(
    steps: list[tuple[Smoothed, float]], value: float, reason: str
) -> None:
    gain = gain_after(*steps)
    assert (gain.value, gain.reason) == (value, reason)


SETTINGS = GridSmoothing(
    kind="grid-smoothing", ramp_w_per_s_max=20e3, grid_power_w_max=2e6, smoothing_time_s=10.0,
    soc_return_power_w_max=0.0,
)  # fmt: skip


def test_application_that_would_do_harm_asks_for_nothing_and_says_why() -> None:
    dispatch = Dispatch([GridSmoothingApplication(SETTINGS)])
    late = Smoothed(load_w=300e3, grid_w=math.nan, left_w=500e3, delay_s=1.0)
    wish = Wish(0.0, 0.0, "", "")
    for number in range(250):
        load_w = 900e3 if number % 20 < 5 else 600e3
        view = SiteView(0.1, load_w, load_w, 0.0, 0.5, 1e6, 1e6, smoothed=late)
        wish = dispatch.step(view, "", "")
    assert (wish.power_w, wish.asked_by, wish.holding) == (0.0, "", None)
    assert wish.refused.startswith("a battery 1000 ms late would leave 500 kW")


@pytest.mark.parametrize(
    ("job_w", "ahead_s", "at_start_w"), [(300e3, 5.0, 700e3), (-300e3, 5.0, 500e3), (0.0, 0.0, 600e3)]
)
def test_announced_job_moves_the_grid_ahead_at_its_ramp(job_w: float, ahead_s: float, at_start_w: float) -> None:
    """20 kW/s for 5 s; when the job starts the grid goes on from there, and nothing is counted twice."""
    dispatch, battery_w = Dispatch([GridSmoothingApplication(SETTINGS)]), 0.0
    grid_w: list[float] = []
    for number in range(700):
        start_in_s = 10.0 - number * 0.1
        load_w = 600e3 + (job_w if start_in_s <= 0.0 else 0.0)
        told = {"job_power_w": job_w, "job_start_in_s": start_in_s} if -1.0 < start_in_s <= ahead_s else {}
        view = SiteView(0.1, load_w - battery_w, load_w, battery_w, 0.5, 1e6, 1e6, inputs=told)
        battery_w = dispatch.step(view, "", "").power_w
        grid_w.append(load_w - battery_w)
    assert grid_w[99] == pytest.approx(at_start_w, abs=3e3)
    steps_w = [math.copysign(1.0, job_w) * (later - earlier) for earlier, later in pairwise(grid_w)]
    assert max(steps_w) <= 2e3 + 1e-6
    assert min(steps_w) >= -100.0, "it does not turn back"
    assert grid_w[-1] == pytest.approx(600e3 + job_w, abs=3e3)
    assert min(600e3, 600e3 + job_w) - 5e3 < min(grid_w)
    assert max(grid_w) < max(600e3, 600e3 + job_w) + 5e3


def test_job_that_is_withdrawn_is_forgotten() -> None:
    dispatch = Dispatch([GridSmoothingApplication(SETTINGS)])
    for number in range(400):
        told = {"job_power_w": 300e3, "job_start_in_s": 5.0} if number < 20 else {}
        wish = dispatch.step(SiteView(0.1, 600e3, 600e3, 0.0, 0.5, 1e6, 1e6, inputs=told), "", "")
    assert wish.power_w == pytest.approx(0.0, abs=1e3)


def repeated(jitter_frac: float, seconds: float = 150.0) -> LearnedPeriod:
    """A load of 10 s: down within 0.5 s, low until 3 s, up within 0.5 s; every other period is longer by 2 jitters."""
    learned, time_s, start_s, period_s = LearnedPeriod(), 0.0, 0.0, 10.0 * (1.0 - jitter_frac)
    while time_s < seconds:
        if time_s - start_s >= period_s:
            start_s += period_s
            period_s = 20.0 - period_s
        phase_s = time_s - start_s
        high_frac = min(max((phase_s - 3.0) / 0.5, 1.0 - phase_s / 0.5, 0.0), 1.0)
        learned.see(100e3 + 200e3 * high_frac, time_s)
        learned.change_w(0.2, 1.0)
        time_s += 0.1
    return learned


@pytest.mark.parametrize("jitter_frac", [0.0, 0.01, 0.02])
def test_period_and_its_jitter_are_measured(jitter_frac: float) -> None:
    learned = repeated(jitter_frac)
    assert learned.period_s == pytest.approx(10.0, rel=2.5 * jitter_frac / 5 + 1e-3)
    assert learned.jitter_frac == pytest.approx(jitter_frac, abs=3e-3)


def test_forecast_is_used_only_below_the_jitter_that_is_allowed() -> None:
    """In the middle of the ramp: 400 kW/s, 80 kW in 0.2 s."""
    for jitter_frac, change_w in ((0.0, 80e3), (0.01, 0.0)):
        learned = repeated(jitter_frac, seconds=150.0 + 3.1)
        assert learned.change_w(0.2, 0.002) == pytest.approx(change_w, abs=20e3 if change_w else 0.0)


def test_jitter_alone_closes_the_gate() -> None:
    """At 0.3 % forecasts would still be clearly better than none."""
    learned = repeated(0.003, seconds=150.0 + 3.1)
    assert learned.change_w(0.2, 0.01) > 40e3
    assert learned.change_w(0.2, 0.001) == 0.0


def test_forecast_reaches_from_the_reading_to_the_effect() -> None:
    """A rise of 200 kW in 0.5 s every 10 s; the reading is 20 or 70 ms old, the power 80 ms away. In the middle of the
    rise the load is led by 150 ms of 400 kW/s."""
    led = Dispatch([GridSmoothingApplication(SETTINGS.model_copy(update={"feed_forward_jitter_frac_max": 0.002}))])
    plain = Dispatch([GridSmoothingApplication(SETTINGS)])
    for number in range(1, 934):
        age_s = 0.02 + 0.05 * (number % 2)
        phase_s = (number * 0.1 - age_s) % 10.0
        load_w = 600e3 + 400e3 * (min(phase_s, 0.5) if phase_s < 5.0 else max(5.5 - phase_s, 0.0))
        view = SiteView(0.1, load_w, load_w, 0.0, 0.5, 1e6, 1e6, load_age_s=age_s, effect_s=0.08)
        led_w, plain_w = (dispatch.step(view, "", "").power_w for dispatch in (led, plain))
        if number == 902:
            assert led_w - plain_w == pytest.approx(400e3 * 0.1, rel=0.05)
        if number == 903:
            assert led_w - plain_w == pytest.approx(400e3 * 0.15, rel=0.05)


def test_load_without_a_period_has_no_forecast() -> None:
    learned = LearnedPeriod()
    for number in range(2000):
        learned.see(500e3 + 1e3 * (number % 7), number * 0.1)
    assert math.isnan(learned.jitter_frac)
    assert learned.change_w(0.2, 0.005) == 0.0
