"""Balancing burns less than plain comparison of voltages on the same string, until the same spread is left."""

import json
import math

import pytest

from hil_rigs.balancing.command import savings_frac
from hil_rigs.balancing.compare import Balanced, balanced, least
from hil_rigs.balancing.schemes import SCHEMES
from hil_rigs.cli import main


def test_ours_burns_30_percent_less_and_little_more_than_it_must() -> None:
    """Two strings here; `hil balance` takes five: docs/balancing.md."""
    runs = [balanced(seed, scheme) for seed in (2, 5) for scheme in SCHEMES]
    assert all(saving >= 0.30 for saving in savings_frac(runs).values())
    ours_wh = sum(run.wasted_wh for run in runs if run.scheme == "ours")
    assert 1.0 <= ours_wh / (least(2) + least(5)) < 1.25
    assert max(run.days for run in runs if run.scheme == "ours") < 10.0


def test_saving_counts_what_the_other_balanced_and_demands_that_ours_balances_all() -> None:
    def runs(ours_wh: float, plain_wh: float, rest_wh: float) -> list[Balanced]:
        energies_wh = {"ours": ours_wh, "plain": plain_wh, "plain at rest": rest_wh}
        return [Balanced(1, scheme, wasted_wh, 1.0) for scheme, wasted_wh in energies_wh.items()]

    assert savings_frac(runs(60.0, 100.0, math.nan)) == {"plain": pytest.approx(0.4), "plain at rest": 1.0}
    assert all(math.isnan(saving) for saving in savings_frac(runs(math.nan, 100.0, 100.0)).values())


def test_command_prints_the_runs_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["balance", "--seeds", "1", "--first", "5", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (string,) = document["seeds"]
    assert [run["scheme"] for run in string["schemes"]] == ["ours", "plain", "plain at rest"]
    assert min(document["saving_frac"].values()) >= 0.30
