"""`hil tune`: Optuna proposes, virtual time measures, a table and a site-file fragment come out."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import optuna
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bms.site.applications import Application
from hil_rigs.console import console
from hil_rigs.tune.study import Study, find_study
from hil_rigs.tune.trial import Measured, entry, measure
from hil_rigs.worker_processes import WorkerProcesses

SAMPLER_SEED = 1
BEST_SHOWN = 5
FIGURES = ("cost", "grid_range_5s_w", "grid_peak_w", "throughput_wh_per_h")
"""Of which a trial has the mean over its seeds."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One finished trial: its settings and the mean figures over the seeds."""

    number: int
    settings: dict[str, float]
    mean: Measured


def tune(arguments: argparse.Namespace) -> int:
    """Exit status 0 when at least one trial finished without a fault, else 1."""
    study = find_study(arguments.study)
    now = entry(study, {})
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials: list[Trial] = []
    before: Measured | None = None
    shown = not arguments.plain and not arguments.json and sys.stderr.isatty()
    try:
        with _progress(shown) as progress, WorkerProcesses(arguments.jobs) as workers:
            before = _mean([workers.result(future) for future in _started(study, {}, workers)])
            task = progress.add_task(study.name, total=arguments.trials)
            for trial in search(study, arguments.trials, arguments.jobs, workers):
                trials.append(trial)
                progress.advance(task)
                if not shown and not arguments.json:
                    print(f"trial {trial.number}: cost {trial.mean.cost:.2f} {_settings(trial)}", flush=True)
    except KeyboardInterrupt:
        print(f"interrupted after {len(trials)} trials", file=sys.stderr)
    return _report(study, now, before, trials, arguments)


def search(study: Study, trials: int, jobs: int, workers: WorkerProcesses) -> Iterator[Trial]:
    """Trials as they finish. With the same number of jobs
    the sequence is always the same."""
    sampler = optuna.samplers.TPESampler(seed=SAMPLER_SEED, multivariate=False)
    optimiser = optuna.create_study(direction="minimize", sampler=sampler)
    done = 0
    while done < trials:
        asked = [optimiser.ask() for _ in range(min(jobs, trials - done))]
        settings = [_suggest(study, trial) for trial in asked]
        running = [_started(study, each, workers) for each in settings]
        for trial, each, futures in zip(asked, settings, running, strict=True):
            mean = _mean([workers.result(future) for future in futures])
            optimiser.tell(trial, mean.cost)
            yield Trial(trial.number, each, mean)
        done += len(asked)


def _started(study: Study, settings: Mapping[str, float], workers: WorkerProcesses) -> list[Future[Measured]]:
    return [workers.submit(measure, study, settings, seed) for seed in study.seeds]


def _suggest(study: Study, trial: optuna.Trial) -> dict[str, float]:
    return {
        each.setting: trial.suggest_float(each.setting, each.low, each.high, log=each.log) for each in study.searched
    }


def _mean(runs: list[Measured]) -> Measured:
    columns = [[getattr(run, name) for run in runs] for name in FIGURES]
    cost, range_w, peak_w, throughput = (float(np.mean(column)) for column in columns)
    return Measured(cost, range_w, peak_w, throughput, sum(run.faults for run in runs), _tripped(runs))


def _tripped(runs: Iterable[Measured]) -> tuple[str, ...]:
    """The faults of all runs, once each."""
    return tuple(dict.fromkeys(fault for run in runs for fault in run.tripped))


def _progress(shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not shown)


def _report(
    study: Study, now: Application, before: Measured | None, trials: list[Trial], arguments: argparse.Namespace
) -> int:
    best = sorted(trials, key=lambda trial: (trial.mean.cost, trial.number))[:BEST_SHOWN]
    deployed = _better(best, before)
    settings = {each.setting: getattr(now, each.setting) for each in study.searched}
    shown = fragment(study, settings if deployed is None else deployed.settings, tuned=deployed is not None)
    if arguments.out is not None and best:
        _write(study, trials, shown, arguments.out)
    if arguments.json:
        document = {
            "study": study.name,
            "trials": len(trials),
            "now": before and asdict(before),
            "best": [asdict(trial) for trial in best],
            "deploy": deployed and deployed.number,
        }
        print(json.dumps(document, indent=2))
    elif best:
        console().print(_table(study, now, before, best))
        print(_advice(deployed, trials, arguments.trials), shown, sep="\n\n", end="")
    return 0 if best and best[0].mean.faults == 0 else 1


def _better(best: list[Trial], before: Measured | None) -> Trial | None:
    """The best trial if it costs less than the settings as they are, else None: these stay."""
    return best[0] if best and before is not None and best[0].mean.cost < before.cost else None


def _advice(deployed: Trial | None, trials: list[Trial], asked: int) -> str:
    if all(trial.mean.faults for trial in trials):
        tripped = ", ".join(_tripped(trial.mean for trial in trials))
        return (
            f"every trial trips faults: {tripped}; see to their cause first. "
            f"The fragment is {'what the rig has now' if deployed is None else f'that of trial {deployed.number}'}:"
        )
    if deployed is None:
        return (
            "no trial is better than what the rig has now, which is the fragment below; "
            f"search longer with --trials {10 * asked}, or other ranges in the study:"
        )
    return f"fragment for the site file (trial {deployed.number}):"


def fragment(study: Study, settings: Mapping[str, float], *, tuned: bool) -> str:
    """YAML of a whole entry of `applications:`, to be put in place of a site's entry of the same kind. Unless `tuned`
    it says that these are the settings as they were."""
    rounded = {name: float(f"{value:.4g}") for name, value in settings.items()}
    values = entry(study, rounded).model_dump(mode="json", exclude_unset=True, exclude_none=True)
    searched = ", ".join(rounded)
    found = "Tuned" if tuned else "No trial was better than the settings as they were"
    says = (
        f"# In place of the site's {study.application} under `applications:`; its other applications stay.\n"
        f"# {found}: {searched}. The other settings are those of rig {study.rig}: put in the site's own.\n"
    )
    return says + yaml.safe_dump({"applications": [values]}, sort_keys=False)


def _table(study: Study, now: Application, before: Measured | None, best: list[Trial]) -> Table:
    table = Table(title=f"{study.name}: best of all trials, and the rig's settings as they are", title_justify="left")
    for name in ("trial", "cost", "grid range in 5 s", "grid peak", "throughput", "faults"):
        table.add_column(name, justify="right")
    for searched in study.searched:
        table.add_column(searched.setting, justify="right")
    names = [searched.setting for searched in study.searched]
    rows = [(str(trial.number), trial.mean, trial.settings) for trial in best]
    if before is not None:
        rows.append(("as now", before, {name: getattr(now, name) for name in names}))
    for row, mean, settings in rows:
        table.add_row(
            row,
            f"{mean.cost:.2f}",
            f"{mean.grid_range_5s_w / 1e3:.1f} kW",
            f"{mean.grid_peak_w / 1e3:.1f} kW",
            f"{mean.throughput_wh_per_h / 1e3:.1f} kWh/h",
            str(mean.faults),
            *(f"{settings[name]:.4g}" for name in names),
        )
    return table


def _settings(trial: Trial) -> str:
    return " ".join(f"{name}={value:.4g}" for name, value in trial.settings.items())


def _write(study: Study, trials: list[Trial], shown: str, folder: Path) -> None:
    """Replaces what an earlier search left."""
    with (folder / "trials.csv").open("w", newline="") as file:
        names = [searched.setting for searched in study.searched]
        writer = csv.writer(file)
        writer.writerow(["trial", *names, *Measured.__dataclass_fields__])
        for trial in trials:
            figures = asdict(trial.mean) | {"tripped": " ".join(trial.mean.tripped)}
            writer.writerow([trial.number, *(trial.settings[name] for name in names), *figures.values()])
    (folder / "site-fragment.yaml").write_text(shown)
