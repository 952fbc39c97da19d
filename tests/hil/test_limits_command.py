"""`hil limits`: what a limit in full use does to the plant, and what is said of it. Figures: docs/power-limits.md."""

from dataclasses import replace

import numpy as np
import pytest

from hil_rigs.limits.command import tables
from hil_rigs.limits.course import HORIZONS_S, KINDS, Moment
from hil_rigs.limits.hold import Held, Hold, held_limits
from hil_rigs.plant.spread import spread_cells
from kernels.limits_model import Limit


def moment(current_a: float, power_w: float) -> Moment:
    """Half full at rest, with the same limit at every horizon in both directions."""
    kind, n = KINDS[0], len(HORIZONS_S)
    pack = spread_cells(kind.plant, 8, 0.5, 25.0, np.random.default_rng(3))
    limit = Limit(np.full(n, current_a), np.full(n, power_w), np.zeros(n, np.intp), np.zeros(n, np.intp))
    return Moment(kind, 25.0, True, 0.5, pack, (limit, limit))


def test_greatest_power_is_the_last_that_no_cell_forbids() -> None:
    hold = Hold(moment(0.0, 0.0), charge=True, horizon_s=10.0)
    true_w, free = hold.most_w()
    assert not free
    assert hold.beyond_v(hold.at_power(true_w)) <= 0.0 < hold.beyond_v(hold.at_power(1.01 * true_w))
    assert hold.at_power(true_w).current_a_max <= 1400.0


def test_a_hold_leaves_the_moment_as_it_was() -> None:
    here = moment(280.0, 7000.0)
    before = here.pack.soc_frac.tolist()
    list(held_limits(here))
    assert here.pack.soc_frac.tolist() == before


def test_a_limit_too_high_is_beyond_and_one_too_low_leaves_power_unused() -> None:
    high = {(each.charge, each.horizon_s): each for each in held_limits(moment(1400.0, 39_000.0))}
    assert high[True, 60.0].beyond_v > 0.005
    assert high[True, 60.0].pessimism < 0.0
    low = {(each.charge, each.horizon_s): each for each in held_limits(moment(140.0, 3_900.0))}
    assert low[True, 60.0].beyond_v < -0.05
    assert 0.7 < low[True, 60.0].pessimism < 0.9


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "All together: beyond -20 mV, left unused 5 % (8: 5 %)."),
        ({"beyond_v": 0.006}, "All together: beyond 6 mV ✗, left unused 5 % (8: 5 %)."),
        ({"limit_w": 800.0}, "All together: beyond -20 mV, left unused 20 % (8: 20 %) ✗."),
        ({"limit_w": 1200.0}, "All together: beyond -20 mV, left unused 0 % (8: 0 %)."),
        ({"free": True}, "All together: beyond -20 mV, left unused 5 % (0: -)."),
    ],
)
def test_what_misses_is_marked(changed: dict[str, object], said: str) -> None:
    one = Held("LFP", 25.0, True, 0.5, True, 1.0, 950.0, 1000.0, False, -0.02, -0.1)
    held = [
        replace(one, **{"charge": charge, "horizon_s": horizon_s, **changed})  # type: ignore[arg-type]
        for charge in (False, True)
        for horizon_s in HORIZONS_S
    ]
    assert said in tables(held)
