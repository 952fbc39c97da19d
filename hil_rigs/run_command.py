"""`hil run`: one scenario in virtual time, its verdict, and the line that replays it."""

import argparse
import json
import logging
import shlex
from dataclasses import asdict

from bms.record.schema import new_record_path
from hil_rigs.fault_spec import parse_fault
from hil_rigs.judge import Verdict, judge
from hil_rigs.rig import find_rig
from hil_rigs.run import Outcome, simulate
from hil_rigs.scenario import Scenario, find_scenario


class TooShortError(ValueError):
    """The run would end before anything is judged; the message is one line."""


def run(arguments: argparse.Namespace) -> int:
    """Exit status 1 when a criterion failed, or when a fault given with --fault tripped something."""
    logging.basicConfig(handlers=[logging.NullHandler()])  # drivers report the links that faults cut: the verdict does
    if arguments.record is not None:
        new_record_path(arguments.record)
    scenario = find_scenario(arguments.scenario)
    given = [parse_fault(text) for text in arguments.fault]
    seed = scenario.seed if arguments.seed is None else arguments.seed
    duration_s = arguments.duration or scenario.duration_s
    settle_s = scenario.expect.settle_time_s
    if duration_s <= settle_s:
        raise TooShortError(f"--duration {duration_s:g}: {scenario.name} is judged from {settle_s:g} s on, give more")
    outcome = simulate(
        find_rig(scenario.rig),
        seed=seed,
        duration_s=duration_s,
        faults=[*scenario.faults, *given],
        load=scenario.load,
        record={"scenario": scenario.name},
    )
    if arguments.record is not None:
        outcome.recorder.write(arguments.record)
    verdicts = judge(scenario.expect, outcome)
    replay = _replay(arguments, scenario, seed)
    if arguments.json:
        print(json.dumps(_document(scenario, seed, outcome, verdicts, replay), indent=2))
    else:
        _print(scenario, seed, outcome, verdicts, replay)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _replay(arguments: argparse.Namespace, scenario: Scenario, seed: int) -> str:
    words = ["hil", "run", arguments.scenario, "--seed", str(seed)]
    if arguments.duration:
        words += ["--duration", f"{arguments.duration:g}"]
    for fault in arguments.fault:
        words += ["--fault", fault]
    return shlex.join(words)


def _document(
    scenario: Scenario, seed: int, outcome: Outcome, verdicts: list[Verdict], replay: str
) -> dict[str, object]:
    return {
        "scenario": scenario.name,
        "seed": seed,
        "passed": all(verdict.passed for verdict in verdicts),
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "trips": [asdict(trip) for trip in outcome.trips],
        "replay": replay,
    }


def _print(scenario: Scenario, seed: int, outcome: Outcome, verdicts: list[Verdict], replay: str) -> None:
    print(f"{scenario.name} (seed {seed}): {scenario.says}")
    for trip in outcome.trips:
        print(f"  {trip.at_s:8.3f} s  {trip.fault_id} ({trip.target}: {trip.detail})")
    for verdict in verdicts:
        word = "pass" if verdict.passed else "FAIL"
        print(f"  {word}  {verdict.criterion}: required {verdict.required}, measured {verdict.measured}")
    print(f"replay: {replay}")
