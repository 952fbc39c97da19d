"""`hil balance`: what balancing wastes, ours beside plain comparison of voltages, on the same strings."""

import argparse
import json
import math
from collections.abc import Iterable
from dataclasses import asdict

from rich.table import Table

from hil_rigs.balancing.compare import SAVING_FRAC_MIN, SPREAD_FRAC, Balanced, balanced, least, saving_frac
from hil_rigs.balancing.schemes import SCHEMES
from hil_rigs.console import console

OURS = "ours"


def balance(arguments: argparse.Namespace) -> int:
    """Exit status 0; 1 when ours saves less than it should over all seeds together, or does not balance a string."""
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    runs = [[balanced(seed, scheme) for scheme in SCHEMES] for seed in seeds]
    savings = savings_frac([run for row in runs for run in row])
    if arguments.json:
        print(json.dumps({"seeds": [_document(row) for row in runs], "saving_frac": savings}, indent=2))
    else:
        console().print(_table(runs))
        print("; ".join(f"{saving:.0%} less than {scheme}" for scheme, saving in savings.items()))
    return 0 if all(saving >= SAVING_FRAC_MIN for saving in savings.values()) else 1


def savings_frac(runs: Iterable[Balanced]) -> dict[str, float]:
    """By which share ours burns less than each other scheme, over the seeds that the other balanced at all; NaN, which
    is less than any demand, where ours left one unbalanced."""
    burnt = {(run.seed, run.scheme): run for run in runs}
    seeds = sorted({seed for seed, _ in burnt})
    if any(math.isnan(burnt[seed, OURS].wasted_wh) for seed in seeds):
        return dict.fromkeys((scheme for scheme in SCHEMES if scheme != OURS), math.nan)
    return {
        scheme: saving_frac([(burnt[seed, OURS].wasted_wh, burnt[seed, scheme].wasted_wh) for seed in seeds])
        for scheme in SCHEMES
        if scheme != OURS
    }


def _document(row: Iterable[Balanced]) -> dict[str, object]:
    first, *_ = row = list(row)
    known = [{name: _known(value) for name, value in asdict(run).items()} for run in row]
    return {"seed": first.seed, "least_wh": round(least(first.seed), 1), "schemes": known}


def _known(value: object) -> object:
    return (None if math.isnan(value) else round(value, 2)) if isinstance(value, float) else value


def _table(runs: Iterable[list[Balanced]]) -> Table:
    spread = f"until {SPREAD_FRAC:.1%} of the capacity is left between fullest and emptiest cell"
    table = Table("seed", "least possible", *SCHEMES, title=f"Burnt {spread}", title_justify="left")
    for row in runs:
        cells = ("never" if math.isnan(run.days) else f"{run.wasted_wh:.0f} Wh, {run.days:.1f} d" for run in row)
        table.add_row(str(row[0].seed), f"{least(row[0].seed):.0f} Wh", *cells)
    return table
