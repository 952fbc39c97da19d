"""Many scenarios in virtual time, side by side: what each came to, and what a report needs of it."""

import logging
import shlex
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from drivers.config.shipped import UnknownNameError
from hil_rigs.faults.spec import FaultSpec
from hil_rigs.judge import judge
from hil_rigs.run import Keep, Trip, simulate
from hil_rigs.scenario import FOLDER, Scenario, find_scenario
from hil_rigs.signals import DRAWN
from hil_rigs.thin import Curve, thinned
from hil_rigs.verdict import Verdict
from hil_rigs.worker_processes import WorkerProcesses

ALL = "all"
"""In place of a folder: the shipped scenarios."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run. `named` is how the command line called the scenario; `record` is where its record goes, `drawn` says
    whether curves for a report are kept."""

    named: str
    scenario: Scenario
    seed: int
    duration_s: float
    given: tuple[str, ...] = ()
    faults: tuple[FaultSpec, ...] = ()
    record: Path | None = None
    drawn: bool = False

    @property
    def replay(self) -> str:
        """The command line that repeats it."""
        words = ["hil", "run", self.named, "--seed", str(self.seed)]
        if self.duration_s != self.scenario.duration_s:
            words += ["--duration", f"{self.duration_s:g}"]
        for fault in self.given:
            words += ["--fault", fault]
        return shlex.join(words)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to. `error` is the traceback of a run that broke; its verdicts are then empty. `took_s` is real
    time, `curves` are for drawing only."""

    job: Job
    verdicts: tuple[Verdict, ...]
    trips: tuple[Trip, ...]
    took_s: float
    error: str = ""
    curves: tuple[Curve, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.error and all(verdict.passed for verdict in self.verdicts)


def scenarios_of(named: str) -> list[tuple[str, Scenario]]:
    """One scenario, the YAML files below a folder, or all shipped ones, each with the name that finds it again.

    UnknownNameError, also for a folder without any; ConfigErrors of the first broken file."""
    if named == ALL:
        return [(path.stem, find_scenario(path.stem)) for path in sorted(FOLDER.glob("*.yaml"))]
    folder = Path(named)
    if not folder.is_dir():
        return [(named, find_scenario(named))]
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml"))
    if not paths:
        raise UnknownNameError(f"{folder}: no scenario in this folder, expected files that end in .yaml")
    return [(str(path), find_scenario(str(path))) for path in paths]


def play(job: Job) -> Result:
    """Run and judge. Errors of a record that cannot be written pass through; whatever breaks in the run itself is
    the result."""
    started_s = time.perf_counter()
    scenario = job.scenario
    try:
        rig = scenario.find_rig()
        outcome = simulate(
            rig,
            seed=job.seed,
            duration_s=job.duration_s,
            faults=[*scenario.faults, *job.faults],
            load=scenario.load,
            record={"scenario": scenario.name},
            tell=scenario.told,
            signals=scenario.expect.signals | (DRAWN if job.drawn else frozenset()),
            keep=_kept(job),
        )
    except Exception:  # one broken run must not take the others' results with it
        return Result(job, (), (), time.perf_counter() - started_s, error=traceback.format_exc())
    if job.record is not None:
        outcome.recorder.write(job.record)
    curves = thinned(outcome.curves.time_s, outcome.signals) if job.drawn else ()
    verdicts = tuple(judge(rig, scenario.expect, outcome))
    return Result(job, verdicts, outcome.trips, time.perf_counter() - started_s, curves=curves)


def _kept(job: Job) -> Keep:
    if job.record is not None:
        return Keep.READINGS
    return Keep.ROWS if job.scenario.expect.invariants else Keep.NOTHING


def play_all(jobs: Sequence[Job], processes: int) -> Iterator[Result]:
    """Results as they are finished, in no fixed order; Ctrl-C ends what runs."""
    left = iter(jobs)
    with WorkerProcesses(processes) as workers:
        running: set[Future[Result]] = {workers.submit(_play_quietly, job) for job in islice(left, 2 * processes)}
        while running:
            for done in workers.finished(running):
                running.discard(done)
                running |= {workers.submit(_play_quietly, job) for job in islice(left, 1)}
                yield done.result()


def _play_quietly(job: Job) -> Result:
    logging.basicConfig(handlers=[logging.NullHandler()])  # drivers report the links that faults cut: the verdict does
    return play(job)
