"""`hil tune`: Optuna proposes, virtual time measures, a table and a site-file fragment come out."""

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import optuna
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hil_rigs.tune.study import Study, find_study
from hil_rigs.tune.trial import Measured, measure
from hil_rigs.worker_processes import WorkerProcesses

SAMPLER_SEED = 1
BEST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Trial:
    """One finished trial: its settings and the mean figures over the seeds."""

    number: int
    settings: dict[str, float]
    mean: Measured


def tune(arguments: argparse.Namespace) -> int:
    """Exit status 0 when at least one trial finished without a fault, else 1."""
    study = find_study(arguments.study)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trials: list[Trial] = []
    shown = not arguments.plain and not arguments.json and sys.stderr.isatty()
    try:
        with _progress(shown) as progress:
            task = progress.add_task(study.name, total=arguments.trials)
            for trial in search(study, arguments.trials, arguments.jobs):
                trials.append(trial)
                progress.advance(task)
                if not shown and not arguments.json:
                    print(f"trial {trial.number}: cost {trial.mean.cost:.2f} {_settings(trial)}", flush=True)
    except KeyboardInterrupt:
        print(f"interrupted after {len(trials)} trials", file=sys.stderr)
    return _report(study, trials, arguments)


def search(study: Study, trials: int, jobs: int) -> Iterator[Trial]:
    """Trials as they finish. With the same number of jobs
    the sequence is always the same."""
    sampler = optuna.samplers.TPESampler(seed=SAMPLER_SEED, multivariate=False)
    optimiser = optuna.create_study(direction="minimize", sampler=sampler)
    with WorkerProcesses(jobs) as workers:
        done = 0
        while done < trials:
            asked = [optimiser.ask() for _ in range(min(jobs, trials - done))]
            settings = [_suggest(study, trial) for trial in asked]
            running = [[workers.submit(measure, study, each, seed) for seed in study.seeds] for each in settings]
            for trial, each, futures in zip(asked, settings, running, strict=True):
                mean = _mean([workers.result(future) for future in futures])
                optimiser.tell(trial, mean.cost)
                yield Trial(trial.number, each, mean)
            done += len(asked)


def _suggest(study: Study, trial: optuna.Trial) -> dict[str, float]:
    return {
        each.setting: trial.suggest_float(each.setting, each.low, each.high, log=each.log) for each in study.searched
    }


def _mean(runs: list[Measured]) -> Measured:
    columns = [[getattr(run, name) for run in runs] for name in Measured.__dataclass_fields__]
    cost, range_w, peak_w, throughput, _ = (float(np.mean(column)) for column in columns)
    return Measured(cost, range_w, peak_w, throughput, sum(run.faults for run in runs))


def _progress(shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not shown)


def _report(study: Study, trials: list[Trial], arguments: argparse.Namespace) -> int:
    best = sorted(trials, key=lambda trial: (trial.mean.cost, trial.number))[:BEST_SHOWN]
    if arguments.out is not None and best:
        _write(study, trials, best[0], arguments.out)
    if arguments.json:
        document = {"study": study.name, "trials": len(trials), "best": [asdict(trial) for trial in best]}
        print(json.dumps(document, indent=2))
    elif best:
        Console().print(_table(study, best))
        print(f"fragment for the site file (trial {best[0].number}):\n\n{fragment(study, best[0])}", end="")
    return 0 if best and best[0].mean.faults == 0 else 1


def fragment(study: Study, best: Trial) -> str:
    """YAML to put under `applications:` of a site file; settings not searched keep their values there."""
    rounded = {name: float(f"{value:.4g}") for name, value in best.settings.items()}
    return yaml.safe_dump({"applications": [{"kind": study.application, **rounded}]}, sort_keys=False)


def _table(study: Study, best: list[Trial]) -> Table:
    table = Table(title=f"{study.name}: best of all trials", title_justify="left")
    for name in ("trial", "cost", "grid range in 5 s", "grid peak", "throughput", "faults"):
        table.add_column(name, justify="right")
    for searched in study.searched:
        table.add_column(searched.setting, justify="right")
    for trial in best:
        mean = trial.mean
        table.add_row(
            str(trial.number),
            f"{mean.cost:.2f}",
            f"{mean.grid_range_5s_w / 1e3:.1f} kW",
            f"{mean.grid_peak_w / 1e3:.1f} kW",
            f"{mean.throughput_wh_per_h / 1e3:.1f} kWh/h",
            str(mean.faults),
            *(f"{trial.settings[searched.setting]:.4g}" for searched in study.searched),
        )
    return table


def _settings(trial: Trial) -> str:
    return " ".join(f"{name}={value:.4g}" for name, value in trial.settings.items())


def _write(study: Study, trials: list[Trial], best: Trial, folder: Path) -> None:
    with (folder / "trials.csv").open("w", newline="") as file:
        names = [searched.setting for searched in study.searched]
        writer = csv.writer(file)
        writer.writerow(["trial", *names, *Measured.__dataclass_fields__])
        for trial in trials:
            writer.writerow([trial.number, *(trial.settings[name] for name in names), *asdict(trial.mean).values()])
    (folder / "site-fragment.yaml").write_text(fragment(study, best))
