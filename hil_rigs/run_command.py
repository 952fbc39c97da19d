"""`hil run`: scenarios in virtual time, their verdicts, the line that replays each, and a report."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bms.record.schema import new_record_path, require_writable
from hil_rigs.campaign import Job, Result, play, play_all, scenarios_of
from hil_rigs.faults.place import locate
from hil_rigs.faults.spec import parse_fault_before
from hil_rigs.plant.build import build_load
from hil_rigs.rig_plant import load_config
from hil_rigs.scenario import Scenario


class RunError(ValueError):
    """What was asked for does not fit together; the message is one line."""


def run(arguments: argparse.Namespace) -> int:
    """Exit status 1 when a criterion failed, a run broke, or was interrupted."""
    logging.basicConfig(handlers=[logging.NullHandler()])  # drivers report the links that faults cut: the verdict does
    jobs = _jobs(arguments)
    if arguments.report is not None:
        arguments.report.mkdir(parents=True, exist_ok=True)
        require_writable(arguments.report / "index.html")
    if len(jobs) == 1 and arguments.report is None:
        return _run_one(jobs[0], arguments)
    return _run_many(jobs, arguments)


def _jobs(arguments: argparse.Namespace) -> list[Job]:
    named = [pair for name in arguments.scenarios for pair in scenarios_of(name)]
    if arguments.record is not None:
        if len(named) > 1:
            raise RunError("--record writes the record of one scenario: give --report DIR for those of several")
        new_record_path(arguments.record)
    if arguments.report is not None:
        _require_different(named)
    return [_job(name, scenario, arguments) for name, scenario in named]


def _require_different(named: Sequence[tuple[str, Scenario]]) -> None:
    """A report has one place for each name."""
    first: dict[str, str] = {}
    for name, scenario in named:
        twin = first.setdefault(scenario.name, name)
        if twin != name:
            raise RunError(f"{name}: is named {scenario.name} like {twin}, expected a name of its own")
    for name in first.values():
        if [each for each, _ in named].count(name) > 1:
            raise RunError(f"{name}: is given twice, expected each scenario once")


def _job(named: str, scenario: Scenario, arguments: argparse.Namespace) -> Job:
    duration_s = arguments.duration or scenario.duration_s
    settle_s = scenario.expect.settle_time_s
    if duration_s <= settle_s:
        raise RunError(f"--duration {duration_s:g}: {scenario.name} is judged from {settle_s:g} s on, give more")
    _require_long_enough(scenario, duration_s)
    given = tuple(parse_fault_before(text, duration_s) for text in arguments.fault)
    rig = scenario.find_rig()
    build_load(load_config(scenario.load or rig.load), np.random.default_rng(0))  # its file's mistakes before anything
    for fault in (*scenario.faults, *given):
        locate(rig, fault)
    record = arguments.record
    if arguments.report is not None:
        record = arguments.report / f"{scenario.name}.{arguments.record_as}"
    return Job(
        named=named,
        scenario=scenario,
        seed=scenario.seed if arguments.seed is None else arguments.seed,
        duration_s=duration_s,
        given=tuple(arguments.fault),
        faults=given,
        record=record,
        drawn=arguments.report is not None,
    )


def _require_long_enough(scenario: Scenario, duration_s: float) -> None:
    """What the scenario itself brings comes before a shortened run ends; else its verdict would speak of nothing."""
    coming = [(fault.at_s, f"fault {fault.kind}") for fault in scenario.faults]
    coming += [(told.at_s, f"tell {told.name}") for told in scenario.tell]
    at_s, what = max(coming, default=(0.0, ""))
    if duration_s <= at_s:
        raise RunError(
            f"--duration {duration_s:g}: {what} of {scenario.name} comes at {at_s:g} s, give more than {at_s:g} s"
        )


def _run_one(job: Job, arguments: argparse.Namespace) -> int:
    result = play(job)
    if arguments.json:
        print(json.dumps(_document(result), indent=2))
    else:
        _print(result)
    return 0 if result.passed else 1


def _run_many(jobs: Sequence[Job], arguments: argparse.Namespace) -> int:
    live = not (arguments.plain or arguments.json) and sys.stderr.isatty()
    results: list[Result] = []
    interrupted = False
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), disable=not live) as progress:
            task = progress.add_task("scenarios", total=len(jobs))
            for result in play_all(jobs, arguments.jobs):
                results.append(result)
                progress.advance(task)
                if not arguments.json:
                    progress.console.print(_line(result)) if live else print(_line(result), flush=True)
    except KeyboardInterrupt:
        print(f"interrupted; {len(results)} of {len(jobs)} were finished", file=sys.stderr)
        interrupted = True
    results.sort(key=lambda result: jobs.index(result.job))
    failed = [result for result in results if not result.passed]
    finished = [result.job for result in results]
    unfinished = [job for job in jobs if job not in finished]
    if arguments.report is not None:
        _write_report(results, unfinished, arguments.report)
    if arguments.json:
        names = [job.scenario.name for job in unfinished]
        document = {"passed": not failed and not interrupted, "runs": [_document(result) for result in results]}
        print(json.dumps(document | ({"unfinished": names} if names else {}), indent=2))
    else:
        for result in failed:
            _print(result)
        print(f"{len(results) - len(failed)} of {len(jobs)} passed")
        if arguments.report is not None:
            print(f"report: {arguments.report / 'index.html'}")
    return 1 if failed or interrupted else 0


def _write_report(results: Sequence[Result], unfinished: Sequence[Job], folder: Path) -> None:
    from hil_rigs.report.junit import write_junit
    from hil_rigs.report.run_page import write_page

    write_page(results, unfinished, folder / "index.html", datetime.now(UTC))
    write_junit(results, unfinished, folder / "junit.xml")


def _document(result: Result) -> dict[str, object]:
    document: dict[str, object] = {
        "scenario": result.job.scenario.name,
        "seed": result.job.seed,
        "passed": result.passed,
        "verdicts": [asdict(verdict) for verdict in result.verdicts],
        "trips": [asdict(trip) for trip in result.trips],
        "replay": result.job.replay,
    }
    return document | ({"error": result.error} if result.error else {})


def _line(result: Result) -> str:
    word = "pass" if result.passed else "ERROR" if result.error else "FAIL"
    return f"{word:5} {result.job.scenario.name} ({result.job.duration_s:g} s simulated in {result.took_s:.1f} s)"


def _print(result: Result) -> None:
    job = result.job
    print(f"{job.scenario.name} (seed {job.seed}): {job.scenario.says}")
    for trip in result.trips:
        print(f"  {trip.at_s:8.3f} s  {trip.fault_id} ({trip.target}: {trip.detail})")
    for verdict in result.verdicts:
        word = "pass" if verdict.passed else "FAIL"
        print(f"  {word}  {verdict.criterion}: required {verdict.required}, measured {verdict.measured}")
    if result.error:
        print(result.error, file=sys.stderr)
    print(f"replay: {job.replay}")
