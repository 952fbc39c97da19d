"""`hil swarm`: seeds in several processes; of each violation the line that replays it with the fewest faults."""

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hil_rigs.campaign import Job, Result, play
from hil_rigs.faults.spec import parse_fault
from hil_rigs.scenario import find_scenario
from hil_rigs.swarm.draw import Draw, draw
from hil_rigs.swarm.shrink import Faults, shrunk
from hil_rigs.worker_processes import WorkerProcesses


@dataclass(frozen=True, slots=True)
class Violation:
    """What was broken, and the fewest faults that break it."""

    seed: int
    broken: tuple[str, ...]
    replay: str


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One seed's run; `violation` None = every invariant held."""

    drawn: Draw
    violation: Violation | None


def swarm(arguments: argparse.Namespace) -> int:
    """Exit status 1 when an invariant was broken, a run broke, or on an interrupt."""
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    duration_s = 60.0 * arguments.minutes
    live = not (arguments.plain or arguments.json) and sys.stderr.isatty()
    violations: list[Violation] = []
    done, interrupted, started_s = 0, False, time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), disable=not live) as progress:
            task = progress.add_task("seeds", total=len(seeds))
            for result in _results(seeds, duration_s, arguments.jobs):
                done += 1
                progress.advance(task)
                if not (live or arguments.json):
                    print(_line(result), flush=True)
                if result.violation is not None:
                    violations.append(result.violation)
                    if not arguments.json:
                        progress.console.print(_words(result.violation), markup=False, highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        print(f"interrupted; {done} of {len(seeds)} seeds were finished", file=sys.stderr)
        interrupted = True
    simulated_s, took_s = done * duration_s, time.perf_counter() - started_s
    if arguments.json:
        rows = [{"seed": each.seed, "broken": each.broken, "replay": each.replay} for each in violations]
        print(
            json.dumps(
                {"seeds": done, "simulated_h": simulated_s / 3600.0, "took_s": took_s, "violations": rows}, indent=2
            )
        )
    else:
        spans = f"{_span(simulated_s)} simulated in {_span(took_s)}"
        print(f"{_counted(done, 'seed')}, {spans}: {_counted(len(violations), 'violation')}")
    return 1 if violations or interrupted else 0


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _results(seeds: range, duration_s: float, processes: int) -> Iterator[SeedResult]:
    left = iter(seeds)
    with WorkerProcesses(processes) as workers:
        running: set[Future[SeedResult]] = {
            workers.submit(run_seed, seed, duration_s) for seed in islice(left, 2 * processes)
        }
        while running:
            for finished in workers.finished(running):
                running.discard(finished)
                running |= {workers.submit(run_seed, seed, duration_s) for seed in islice(left, 1)}
                yield finished.result()


def run_seed(seed: int, duration_s: float) -> SeedResult:
    """Draw, run, judge; shrink what breaks. Deterministic."""
    logging.basicConfig(handlers=[logging.NullHandler()])
    return run_drawn(draw(seed, duration_s))


def run_drawn(drawn: Draw) -> SeedResult:
    """Run and judge what was drawn; shrink what breaks."""
    played: dict[Faults, Result] = {}

    def breaks(faults: Faults) -> bool:
        played[faults] = play(_job(drawn, faults))
        return broken[0] in _broken(played[faults])

    played[drawn.faults] = play(_job(drawn, drawn.faults))
    broken = _broken(played[drawn.faults])
    if not broken:
        return SeedResult(drawn, None)
    result = played[shrunk(drawn.faults, breaks)]
    return SeedResult(drawn, Violation(drawn.seed, _told(result), result.job.replay))


def _job(drawn: Draw, faults: tuple[str, ...]) -> Job:
    specs = tuple(parse_fault(text) for text in faults)
    return Job(drawn.base, find_scenario(drawn.base), drawn.seed, drawn.duration_s, given=faults, faults=specs)


def _broken(result: Result) -> tuple[str, ...]:
    """Names of the criteria that failed, or of the error."""
    if result.error:
        return (result.error.splitlines()[-1],)
    return tuple(verdict.criterion for verdict in result.verdicts if not verdict.passed)


def _told(result: Result) -> tuple[str, ...]:
    if result.error:
        return (result.error.splitlines()[-1],)
    failed = [verdict for verdict in result.verdicts if not verdict.passed]
    return tuple(f"{each.criterion}: required {each.required}, measured {each.measured}" for each in failed)


def _line(result: SeedResult) -> str:
    drawn, word = result.drawn, "clean" if result.violation is None else "BROKEN"
    return f"{word:6} seed {drawn.seed} ({drawn.base}: {' '.join(drawn.faults)})"


def _span(seconds: float) -> str:
    """In the largest unit of which there is one."""
    if seconds >= 3600.0:
        return f"{seconds / 3600.0:.1f} h"
    return f"{seconds / 60.0:.1f} min" if seconds >= 60.0 else f"{seconds:.0f} s"


def _words(violation: Violation) -> str:
    return "\n".join([*(f"violation: {broken}" for broken in violation.broken), f"replay: {violation.replay}"])
