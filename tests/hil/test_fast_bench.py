"""The bench of 1 ms steps: rest, energy, and the figures of another model of the same waveform: ticks of 1 s are worse
than no battery, a lane of 10 ms takes nine tenths away."""

import numpy as np
import pytest

from bms.dispatch.applications.grid_smoothing import GridSmoothing
from hil_rigs.comply.fast_bench import FastCurves, FastSite, Smoother, run_fast
from hil_rigs.plant.ai_load import AiJitter, AiTrainingLoad
from hil_rigs.report.summary import summarise_power

SETTINGS = GridSmoothing(
    kind="grid-smoothing", ramp_w_per_s_max=1.2e6, grid_power_w_max=200e6, smoothing_time_s=180.0,
    soc_return_power_w_max=0.0,
)  # fmt: skip


def played(smoother: Smoother, lag_s: float = 0.03, control_period_s: float = 0.1, load_w: float = 0.0) -> FastCurves:
    """45 s of the table at 150 MW from where it passes its mean, or of a constant load."""
    load = AiTrainingLoad(150e6, np.random.default_rng(1), jitter=AiJitter(0.0, 0.0, 0.0), horizon_s=90.0)
    powers_w = [load_w or load.power_w(14.2 + number * 1e-3) for number in range(45_000)]
    return run_fast(
        FastSite(np.array(powers_w), SETTINGS, smoother, 120e6, 300e6, lag_s, control_period_s=control_period_s)
    )


def range_mw(curves: FastCurves) -> tuple[float, float]:
    judged = curves.time_s >= 20.0
    time_s = curves.time_s[judged]
    grid, load = (summarise_power(time_s, power_w[judged]) for power_w in (curves.grid_w, curves.load_w))
    return grid.range_5s_w / 1e6, load.range_5s_w / 1e6


@pytest.mark.parametrize("smoother", list(Smoother))
def test_constant_load_leaves_the_battery_at_rest(smoother: Smoother) -> None:
    curves = played(smoother, load_w=100e6)
    assert np.abs(curves.battery_w).max() < 1.0
    assert curves.soc_frac == pytest.approx(0.55)


@pytest.mark.parametrize(
    ("smoother", "lag_s", "period_s", "low_mw", "high_mw"),
    [
        (Smoother.TICKS, 0.03, 0.1, 80.0, 90.0),
        (Smoother.LANE, 0.03, 0.1, 8.0, 12.0),
        (Smoother.CONVERTER, 0.01, 0.1, 5.0, 8.0),
    ],
)
def test_ranges_are_those_of_another_model(
    smoother: Smoother, lag_s: float, period_s: float, low_mw: float, high_mw: float
) -> None:
    """83 MW for ticks of 100 ms, 98 MW without battery."""
    grid_mw, load_mw = range_mw(played(smoother, lag_s, period_s))
    assert load_mw == pytest.approx(98.2, abs=0.5)
    assert low_mw < grid_mw < high_mw


def test_ticks_of_1_s_are_worse_than_no_battery_until_that_is_measured() -> None:
    """177 MW by another model; after 20 s of it the smoothing is refused, and the grid sees the load."""
    curves = played(Smoother.TICKS, control_period_s=1.0)
    spans = curves.time_s < 20.0, curves.time_s >= 30.0
    before, after = (summarise_power(curves.time_s[span], curves.grid_w[span]).range_5s_w for span in spans)
    assert before > 1.5 * 98.2e6
    assert after == pytest.approx(98.2e6, abs=0.5e6)


def test_energy_balances() -> None:
    curves = played(Smoother.LANE)
    stored_w = np.where(curves.battery_w < 0, -curves.battery_w * 0.96, -curves.battery_w / 0.96)
    assert curves.soc_frac == pytest.approx(0.55 + stored_w.sum() * 1e-3 / 3600 / 300e6)
