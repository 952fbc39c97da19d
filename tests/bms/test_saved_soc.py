"""SoC over a restart: the same value, a sigma as wide as the time that passed, and nothing taken from damaged words."""

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bms.estimate.soc import RackSoc
from bms.estimate.string import StringEstimator
from bms.summary import summarise_rack
from drivers.readings import RackReading
from kernels.parameters import load_tables

CELLS = 4
NOW_NS = 1_000_000_000_000


def estimator() -> RackSoc:
    return RackSoc(load_tables("lfp-280ah"), CELLS, 0.1)


def at_work(rack: Callable[..., RackReading]) -> RackSoc:
    """Cells apart at the steep end, charged until the estimators of mean and ends agree."""
    soc = estimator()
    for second in range(600):
        reading = rack(current_a=-100.0, cells={cell: 3.05 + 0.01 * cell for cell in range(CELLS)})
        soc.step(reading, summarise_rack(reading, NOW_NS), 1.0 if second else 0.0)
    return soc


def _packed(values: list[float]) -> str:
    return base64.b64encode(np.array(values, "<f4").tobytes()).decode()


def test_unknown_soc_is_not_saved() -> None:
    assert estimator().save() is None


def test_what_was_saved_comes_back_through_json(rack: Callable[..., RackReading]) -> None:
    before, after = at_work(rack), estimator()
    after.restore(json.loads(json.dumps(before.save())), 0.0)
    assert after.known
    assert after.soc_frac == pytest.approx(before.soc_frac, abs=1e-6)
    assert after.sigma_frac == pytest.approx(before.sigma_frac, abs=1e-6)


def test_what_was_restored_goes_on_as_if_nothing_had_been(rack: Callable[..., RackReading]) -> None:
    before, after = at_work(rack), estimator()
    after.restore(before.save() or {}, 0.0)
    reading = rack(current_a=-100.0, cells={cell: 3.06 + 0.01 * cell for cell in range(CELLS)})
    for each in (before, after):
        each.step(reading, summarise_rack(reading, NOW_NS), 0.0)
        for _ in range(60):
            each.step(reading, summarise_rack(reading, NOW_NS), 1.0)
    assert after.soc_frac == pytest.approx(before.soc_frac, abs=2e-3)
    assert after.sigma_frac == pytest.approx(before.sigma_frac, rel=0.1)
    assert after.usable_frac == pytest.approx(before.usable_frac, abs=2e-3)


def test_doubts_about_the_capacity_outlast_a_restart(rack: Callable[..., RackReading]) -> None:
    """What the cell file says of it has been taken back once; to do so again would take more than it ever said."""
    saved = json.loads(json.dumps(at_work(rack).save()))
    assert [saved["capacity_doubted"], *[end["capacity_doubted"] for end in saved["ends"]]] == [False] * 3
    for each in (saved, *saved["ends"]):
        each["capacity_doubted"] = True
    after = estimator()
    after.restore(saved, 0.0)
    again = after.save() or {}
    assert [again["capacity_doubted"], *[end["capacity_doubted"] for end in again["ends"]]] == [True] * 3


def test_state_of_a_version_without_doubts_is_taken(rack: Callable[..., RackReading]) -> None:
    saved, after = at_work(rack).save() or {}, estimator()
    for each in (saved, *saved["ends"]):
        del each["capacity_doubted"]
    after.restore(saved, 0.0)
    assert (after.save() or {})["capacity_doubted"] is False
    with pytest.raises(ValueError, match="capacity_doubted is no bool"):
        estimator().restore({**saved, "capacity_doubted": "yes"}, 0.0)


@pytest.mark.parametrize(("age_s", "grown_frac"), [(0.0, 0.0), (3.6, 0.0005), (5.0, 0.0007), (36_005.0, 0.02)])
def test_sigma_grows_with_the_time_that_passed(
    rack: Callable[..., RackReading], age_s: float, grown_frac: float
) -> None:
    before, after = at_work(rack), estimator()
    after.restore(before.save() or {}, age_s)
    assert after.sigma_frac.min() == pytest.approx(np.hypot(before.sigma_frac.min(), grown_frac), rel=0.08)
    assert after.soc_frac == pytest.approx(before.soc_frac, abs=1e-6)


@pytest.mark.parametrize(("age_s", "grown_frac"), [(0.0, 0.0), (3.6, 0.0005), (5.0, 0.0007), (36_005.0, 0.02)])
def test_sigma_of_a_string_grows_by_what_may_have_flowed(age_s: float, grown_frac: float) -> None:
    before, after = (StringEstimator(load_tables("lfp-280ah")) for _ in range(2))
    before.start(0.05, 0.01)
    after.restore(before.save(), age_s)
    assert after.soc_sigma_frac == pytest.approx(np.hypot(0.01, grown_frac), rel=0.04)
    assert after.soc_frac == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("age_s", [14 * 86400.0, math.inf])
def test_after_weeks_or_nobody_knows_how_long_it_is_nearly_unknown(
    rack: Callable[..., RackReading], age_s: float
) -> None:
    after = estimator()
    after.restore(at_work(rack).save() or {}, age_s)
    assert after.sigma_frac.min() > 0.15


def test_first_reading_after_a_restart_does_not_move_it(rack: Callable[..., RackReading]) -> None:
    before, after = at_work(rack), estimator()
    after.restore(before.save() or {}, 2.0)
    reading = rack(cells={0: 3.5, 1: 3.0})
    after.step(reading, summarise_rack(reading, NOW_NS), 0.0)
    assert after.soc_frac == pytest.approx(before.soc_frac, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"soc_frac": None}, "soc_frac is no list of numbers"),
        ({"soc_frac": "?"}, "soc_frac is no list of numbers"),
        ({"soc_frac": "AAAA"}, "soc_frac is no list of numbers"),
        ({"soc_frac": 0.5}, "soc_frac is no list of numbers"),
        ({"soc_frac": _packed([0.5] * 5)}, "soc_frac has 5 cells, expected 4"),
        ({"soc_frac": _packed([0.5, 0.5, 0.5, 1.01])}, "soc_frac is not within 0 to 1"),
        ({"difference_sigma_frac": _packed([0.1, 0.1, 0.1, math.nan])}, "difference_sigma_frac is not within 0 to 1"),
        ({"difference_sigma_frac": _packed([0.1, 0.1, 0.1, -0.1])}, "difference_sigma_frac is not within 0 to 1"),
        ({"mean": _packed([0.5] * 7)}, "mean has 7 values, expected rows of"),
        ({"mean": _packed([math.nan] * 73)}, "expected finite values"),
        ({"cells": _packed([0.5] * 4)}, "state: got float32 of shape"),
        ({"ends": "none"}, "ends is no list"),
        ({"ends": ["none"]}, "entry is no dict"),
        ({"ends": [{"members": base64.b64encode(b"\x09\x00").decode()}]}, "members are not cells of the rack"),
    ],
)
def test_damaged_words_are_named_and_change_nothing(
    rack: Callable[..., RackReading], change: dict[str, Any], wrong: str
) -> None:
    after = estimator()
    with pytest.raises(ValueError, match=wrong):
        after.restore({**(at_work(rack).save() or {}), **change}, 0.0)
    assert not after.known
