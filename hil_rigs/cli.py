"""The command `hil`: run the controller against simulated rigs, in real or virtual time, and tune it."""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bms.closed_pipe import leave_closed_pipe
from bms.command_line import Parser
from bms.install import add_version, require_siblings

BAD_INPUT = {
    "bms.estimate.log_table": "LogError",
    "bms.record.schema": "RecordError",
    "drivers.config.shipped": "UnknownNameError",
    "drivers.config.yaml_nodes": "ConfigErrors",
    "hil_rigs.comply.command": "ComplyError",
    "hil_rigs.evaluate.cases": "EvaluateError",
    "hil_rigs.faults.place": "UnknownTargetError",
    "hil_rigs.faults.spec": "FaultSyntaxError",
    "hil_rigs.identify.runs": "IdentifyError",
    "hil_rigs.plant.load_file": "LoadFileError",
    "hil_rigs.run_command": "RunError",
    "hil_rigs.site_file": "EditedSiteError",
    "hil_rigs.validate.solve": "MissingExtraError",
}
"""The error of each module whose text is one clear line about what was given."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 = fine, 1 = judged failed or something tripped, 2 = bad input, one clear line on stderr."""
    try:
        require_siblings()
        arguments = _parser().parse_args(argv)
        status: int = arguments.does(arguments)
        print(end="", flush=True)  # here, not at the interpreter's end
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 1
    except _bad_input() as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        return leave_closed_pipe(arguments.unread)
    except OSError as error:
        print(f"{error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return 2
    return status


def _bad_input() -> tuple[type[Exception], ...]:
    """Those of the modules that this command has loaded, from which whatever was raised comes: to import the others
    for their names, SciPy among them, takes a second."""
    return tuple(getattr(sys.modules[module], name) for module, name in BAD_INPUT.items() if module in sys.modules)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="hil",
        description="The battery controller against simulated rigs: no hardware needed.",
        epilog="Start with `hil demo`. RIG, SCENARIO and STUDY are a path or a shipped name. Exit status: 0 fine, "
        "1 judged failed or something tripped, 2 bad input.",
    )
    add_version(parser)
    parser.set_defaults(unread=1)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_serve(commands)
    _add_run(commands)
    _add_swarm(commands)
    _add_comply(commands)
    _add_replay(commands)
    _add_tune(commands)
    _add_identify(commands)
    _add_evaluate(commands)
    _add_limits(commands)
    _add_bench(commands)
    _add_latency(commands)
    _add_balance(commands)
    _add_validate_plant(commands)
    for name, does, says in (
        ("rigs", _rigs, "list the shipped rigs"),
        ("scenarios", _scenarios, "list the shipped scenarios"),
        ("faults", _faults, "list the kinds of faults that --fault injects"),
    ):
        listing = commands.add_parser(name, help=says, description=says)
        _add_json(listing)
        listing.set_defaults(does=does, unread=0)
    return parser


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser("demo", help="rig and controller on real sockets, with a live screen",
                               description=_demo.__doc__)  # fmt: skip
    demo.add_argument("--rig", metavar="RIG", default="demo", help="rig to run (default: demo)")
    demo.add_argument("--duration", metavar="S", type=_positive, help="end after S seconds (default: Ctrl-C)")
    _add_load(demo)
    demo.add_argument("--record", metavar="FILE", type=Path, default=Path("demo.parquet"),
                      help="record file, .parquet or .mf4 (default: demo.parquet)")  # fmt: skip
    demo.add_argument("--plain", action="store_true", help="a line a second instead of the live screen")
    demo.add_argument("--seed", metavar="N", type=_seed, default=1, help="seed of the plant (default: 1)")
    _add_fault(demo)
    _add_json(demo)
    demo.set_defaults(does=_demo)


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser("serve", help="simulated devices in real time, for any controller",
                                description=_serve.__doc__)  # fmt: skip
    serve.add_argument("rig", metavar="RIG")
    serve.add_argument("--write-site", metavar="FILE", type=Path, help="write the site file for `bms run`")
    serve.add_argument("--force", action="store_true", help="write it over a file that somebody has edited, too")
    serve.add_argument("--rtu", metavar="NAME", action="append", default=[],
                       help="this Modbus device at a pseudo-terminal (RTU) too; may be repeated")  # fmt: skip
    serve.add_argument("--truth", metavar="FILE", type=Path, help="at the end, write the plant's own powers (.parquet)")
    serve.add_argument("--plain", action="store_true", help="as is: serving has no live screen")
    serve.add_argument("--seed", metavar="N", type=_seed, default=1, help="seed of the plant (default: 1)")
    _add_load(serve)
    _add_fault(serve)
    _add_json(serve)
    serve.set_defaults(does=_serve)


def _add_run(commands: Any) -> None:
    run = commands.add_parser("run", help="scenarios in virtual time, judged", description=_run.__doc__)
    run.add_argument("scenarios", metavar="SCENARIO|DIR", nargs="+",
                     help="shipped name, file, folder of files, or `all` that are shipped")  # fmt: skip
    run.add_argument("--seed", metavar="N", type=_seed, help="seed of everything random (default: the scenario's)")
    run.add_argument("--duration", metavar="S", type=_positive, help="length (default: the scenario's)")
    _add_fault(run)
    run.add_argument("--record", metavar="FILE", type=Path, help="write the record (.parquet or .mf4) of one scenario")
    run.add_argument("--jobs", metavar="N", type=_count, default=os.cpu_count() or 1,
                     help="processes, for several scenarios (default: one for each processor)")  # fmt: skip
    run.add_argument("--report", metavar="DIR", type=Path,
                     help="write index.html with curves, junit.xml and all records there")  # fmt: skip
    run.add_argument("--record-as", choices=("parquet", "mf4"), default="parquet",
                     help="what the report's records are (default: parquet)")  # fmt: skip
    run.add_argument("--plain", action="store_true", help="lines alone, without a progress bar")
    _add_json(run)
    run.set_defaults(does=_run)


def _add_swarm(commands: Any) -> None:
    swarm = commands.add_parser("swarm", help="random faults against what must hold in every run",
                                description=_swarm.__doc__)  # fmt: skip
    swarm.add_argument("--seeds", metavar="N", type=_count, default=100, help="seeds (default: 100)")
    swarm.add_argument("--first", metavar="K", type=_seed, default=1, help="first seed (default: 1)")
    swarm.add_argument("--jobs", metavar="N", type=_count, default=os.cpu_count() or 1,
                       help="processes (default: one for each processor)")  # fmt: skip
    swarm.add_argument("--minutes", metavar="M", type=_half_minute_or_more, default=0.75,
                       help="simulated length of each run, from 0.5 (default: 0.75)")  # fmt: skip
    swarm.add_argument("--plain", action="store_true", help="a line for each finished seed instead of a progress bar")
    _add_json(swarm)
    swarm.set_defaults(does=_swarm)


def _add_comply(commands: Any) -> None:
    comply = commands.add_parser("comply", help="one service against its standard", description=_comply.__doc__)
    comply.add_argument("service", metavar="SERVICE", nargs="?", help="see --list")
    comply.add_argument("--list", action="store_true", help="list the services and the rigs of each")
    comply.add_argument("--rig", metavar="RIG", help="rig to judge it on (default: the first of the service's)")
    comply.add_argument("--seed", metavar="N", type=_seed, default=1, help="seed of everything random (default: 1)")
    comply.add_argument("--short", action="store_true", help="shorter spans and fewer cases, the same criteria")
    comply.add_argument("--report", metavar="DIR", type=Path, help="write index.html with the curves there")
    _add_load(comply)
    _add_json(comply)
    comply.set_defaults(does=_comply)


def _add_replay(commands: Any) -> None:
    replay = commands.add_parser("replay", help="a record through today's controller: what it decides otherwise",
                                 description=_replay.__doc__)  # fmt: skip
    replay.add_argument("record", metavar="RECORD", type=Path, help="record file (.parquet)")
    replay.add_argument("--site", metavar="SITE", type=Path,
                        help="site file to control it with (default: the settings of then)")  # fmt: skip
    replay.add_argument("--from", dest="from_s", metavar="S", type=_positive, default=0.0,
                        help="differences of the first S seconds do not count (default: all do)")  # fmt: skip
    replay.add_argument("--tolerance", metavar="PERCENT", type=_positive, default=0.2,
                        help="powers so much of the converter's rating apart are the same (default: 0.2)")  # fmt: skip
    replay.add_argument("--plain", action="store_true", help="no progress bar")
    _add_json(replay)
    replay.set_defaults(does=_replay)


def _add_tune(commands: Any) -> None:
    tune = commands.add_parser("tune", help="search an application's best settings in virtual time",
                               description=_tune.__doc__)  # fmt: skip
    tune.add_argument("study", metavar="STUDY", help="a path or a shipped name, as ai-smoothing; see docs/tune.md")
    tune.add_argument("--trials", metavar="N", type=_count, default=40, help="trials to add (default: 40)")
    tune.add_argument("--jobs", metavar="N", type=_count, default=1, help="processes (default: 1)")
    tune.add_argument("--out", metavar="DIR", type=Path, help="write trials.csv and site-fragment.yaml there")
    tune.add_argument("--plain", action="store_true", help="no progress bar")
    _add_json(tune)
    tune.set_defaults(does=_tune)


def _add_identify(commands: Any) -> None:
    identify = commands.add_parser("identify", help="cell parameters from measurements",
                                   description=_identify.__doc__)  # fmt: skip
    identify.add_argument("files", metavar="FILE", type=Path, nargs="+",
                          help="CSV or Parquet: time_s, current_a, voltage_v[, temperature_c, soc, ah]")  # fmt: skip
    identify.add_argument("--nominal-ah", metavar="Q", type=_above_zero, required=True, help="nominal capacity, Ah")
    identify.add_argument("--chemistry", required=True, choices=("lfp", "nmc", "nca", "lmo", "zinc"))
    identify.add_argument("--charge-positive", action="store_true",
                          help="the files' current is positive on charge")  # fmt: skip
    identify.add_argument("--out", metavar="CELL.yaml", type=Path, required=True, help="the cell file to write")
    identify.add_argument("--report", metavar="DIR", type=Path, help="write index.html with the curves there")
    _add_json(identify)
    identify.set_defaults(does=_identify)


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser("evaluate", help="regenerate the estimator's accuracy tables and figures",
                                   description=_evaluate.__doc__)  # fmt: skip
    evaluate.add_argument("--data", metavar="DIR", type=Path,
                          help="folder of the measurements (default: $CELLWARD_DATA, else ../shared/data)")  # fmt: skip
    evaluate.add_argument("--report", metavar="DIR", type=Path,
                          help="write accuracy.md and accuracy/*.svg there (default: docs)")  # fmt: skip
    evaluate.add_argument(
        "--quick",
        action="store_true",
        help="only a few logs of each cell, RMSE and median sigma not judged; needs --report",
    )
    evaluate.add_argument("--jobs", metavar="N", type=_count, default=os.cpu_count() or 1,
                          help="processes (default: one for each processor)")  # fmt: skip
    evaluate.add_argument("--plain", action="store_true", help="a line a log instead of a progress bar")
    _add_json(evaluate)
    evaluate.set_defaults(does=_evaluate)


def _add_limits(commands: Any) -> None:
    limits = commands.add_parser("limits", help="the estimator's power limits used in full on simulated strings",
                                 description=_limits.__doc__)  # fmt: skip
    limits.add_argument("--quick", action="store_true", help="at 25 degC only")
    limits.add_argument("--markdown", metavar="FILE", type=Path, help="write the page docs/power-limits.md anew")
    limits.add_argument("--jobs", metavar="N", type=_count, default=os.cpu_count() or 1,
                        help="processes (default: one for each processor)")  # fmt: skip
    _add_json(limits)
    limits.set_defaults(does=_limits)


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser("bench", help="the speed tables, beside the peers", description=_bench.__doc__)
    bench.add_argument("--quick", action="store_true", help="in at most 20 s, with more scatter")
    bench.add_argument("--json", metavar="FILE", type=Path,
                       help='write a list of {"row", "ours", "unit", "peer", "peer_value", "ratio"}')  # fmt: skip
    bench.add_argument("--markdown", metavar="FILE", type=Path, help="write the page docs/benchmarks.md anew")
    bench.set_defaults(does=_bench)


def _add_balance(commands: Any) -> None:
    balance = commands.add_parser("balance", help="what balancing wastes, beside plain comparison of voltages",
                                  description=_balance.__doc__)  # fmt: skip
    balance.add_argument("--seeds", metavar="N", type=_count, default=5, help="strings (default: 5)")
    balance.add_argument("--first", metavar="K", type=_seed, default=1, help="first seed (default: 1)")
    _add_json(balance)
    balance.set_defaults(does=_balance)


def _add_validate_plant(commands: Any) -> None:
    validate = commands.add_parser("validate-plant", help="the plant's cells against PyBaMM's",
                                   description=_validate_plant.__doc__)  # fmt: skip
    validate.add_argument("--markdown", metavar="FILE", type=Path, help="write the page docs/plant.md anew")
    _add_json(validate)
    validate.set_defaults(does=_validate_plant)


def _add_latency(commands: Any) -> None:
    latency = commands.add_parser("latency", help="from a fault's cause to the stop, percentiles by fault class",
                                  description=_latency.__doc__)  # fmt: skip
    latency.add_argument("--seeds", metavar="N", type=_count, default=20, help="seeds (default: 20)")
    latency.add_argument("--first", metavar="K", type=_seed, default=1, help="first seed (default: 1)")
    latency.add_argument("--samples", metavar="N", type=_count, default=50,
                         help="samples of each class and seed (default: 50)")  # fmt: skip
    latency.add_argument("--can-loss", metavar="FRAC", type=_up_to_1, default=0.0,
                         help="share of CAN frames lost from the cause on (default: 0)")  # fmt: skip
    latency.add_argument("--delay", metavar="S", type=_up_to_1, default=0.0,
                         help="network's delay each way to the converter (default: 0.2 to 0.5 ms)")  # fmt: skip
    latency.add_argument("--jobs", metavar="N", type=_count, default=os.cpu_count() or 1,
                         help="processes (default: one for each processor)")  # fmt: skip
    latency.add_argument("--markdown", metavar="FILE", type=Path, help="write the page docs/latency.md anew")
    latency.add_argument("--plain", action="store_true", help="lines instead of a progress bar and a table")
    _add_json(latency)
    latency.set_defaults(does=_latency)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout, nothing else")


def _add_fault(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fault", metavar="KIND@T[:TARGET[:VALUE]]", action="append", default=[],
                        help="inject a fault T seconds after the start; may be repeated; see `hil faults`")  # fmt: skip


def _add_load(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--load", metavar="FILE", type=Path, help="CSV or Parquet with time_s, power_w")
    parser.add_argument("--load-scale", metavar="K", type=_positive, default=1.0, help="multiplies the load")
    parser.add_argument("--run", metavar="N", type=int, help="which of several runs in the load file")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return value


def _half_minute_or_more(text: str) -> float:
    value = _positive(text)
    if value < 0.5:
        raise argparse.ArgumentTypeError(f"expected 0.5 or more, got {text!r}")
    return value


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def _up_to_1(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


def _count(text: str) -> int:
    value = int(text) if text.isascii() and text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return value


def _demo(arguments: argparse.Namespace) -> int:
    """Start a rig and the controller as two processes on 127.0.0.1, show one live screen, end with a summary. Ctrl-C
    ends both: 0 W, converter stopped, contactors open."""
    from hil_rigs.demo import demo
    from hil_rigs.serve import given_load

    given_load(arguments)
    return demo(arguments)


def _serve(arguments: argparse.Namespace) -> int:
    """Serve a rig's devices on 127.0.0.1: one line a device, then `ready`. Ctrl-C ends it."""
    from hil_rigs.serve import serve

    return serve(arguments)


def _run(arguments: argparse.Namespace) -> int:
    """Run rig and controller in virtual time and judge the outcome: one scenario, several, or a folder of them. The
    same seed gives the same record, byte by byte; the line `replay:` repeats a run."""
    from hil_rigs.run_command import run

    return run(arguments)


def _swarm(arguments: argparse.Namespace) -> int:
    """Draw for each seed a rig and one to four faults, run it in virtual time and judge what must hold whatever goes
    wrong (docs/scenarios.md). A violation is shrunk to the fewest faults, and one line replays it."""
    from hil_rigs.swarm.command import swarm

    return swarm(arguments)


def _comply(arguments: argparse.Namespace) -> int:
    """Judge one service on a rig by its own standard, at the plant's truth: rows of criterion, required and measured.
    Exit status 1 when a criterion is missed."""
    from hil_rigs.comply.command import comply

    return comply(arguments)


def _replay(arguments: argparse.Namespace) -> int:
    """Give the readings of a record to the controller once more, tick by tick, and compare what it decides with what
    was decided then: power, converter, contactors, faults, limits. Exit status 1 when something differs. What the
    controller commands changes nothing in the readings."""
    from hil_rigs.replay.command import replay

    return replay(arguments)


def _tune(arguments: argparse.Namespace) -> int:
    """Search the best settings of an application (Optuna) in virtual time, over a few seeds a trial; print the best
    trials and the fragment of a site file to deploy: of the best trial, or of what the rig has now if none is better.
    Ctrl-C keeps what is done."""
    from hil_rigs.tune.command import tune

    return tune(arguments)


def _identify(arguments: argparse.Namespace) -> int:
    """Find a cell's open-circuit voltage, resistances, hysteresis and capacity, with their uncertainties, over SoC and
    temperature, from any mix of slow, pulse, constant-current and dynamic runs at one temperature or many. A run
    without a reference `soc` must reach full or empty."""
    from hil_rigs.identify.command import identify_command

    return identify_command(arguments)


def _evaluate(arguments: argparse.Namespace) -> int:
    """Estimate measured logs with models that were not made from them, beside coulomb counting, a plain EKF and a
    sigma-point filter, and write tables and figures. Exit status 1 when a target is missed. Ctrl-C writes what is
    done."""
    from hil_rigs.evaluate.command import evaluate_command

    return evaluate_command(arguments)


def _limits(arguments: argparse.Namespace) -> int:
    """Ask the estimator for the power limits (1 s, 10 s, 60 s, continuous) of strings that its cell file only
    resembles, hold each in full, and say how far a cell went beyond its voltage and how much of what the string could
    do was left unused. Exit status 1 when a target is missed."""
    from hil_rigs.limits.command import limits_command

    return limits_command(arguments)


def _bench(arguments: argparse.Namespace) -> int:
    """Time the hot paths (each cell's estimate, balancing, CAN frames) beside peers that do the same work in the same
    run: NumPy twins, the memory, cantools. `ratio` is the peer's time by ours: above 1 ours is faster."""
    from hil_rigs.benchmarks.command import bench

    return bench(arguments)


def _balance(arguments: argparse.Namespace) -> int:
    """Balance the same simulated strings with the controller's estimator and balancer and by plain comparison of
    voltages, a load cycle a day, and compare the energy burnt in bleed resistors until the same spread is left. Exit
    status 1 when ours does not save 30 % over all seeds."""
    from hil_rigs.balancing.command import balance

    return balance(arguments)


def _validate_plant(arguments: argparse.Namespace) -> int:
    """Solve one equivalent circuit with the plant's cell and with PyBaMM on common profiles and compare voltage, charge
    and energy. Exit status 1 when a bound is missed. Needs PyBaMM: pip install 'cellward[validation]'."""
    from hil_rigs.validate.command import validate_plant

    return validate_plant(arguments)


def _latency(arguments: argparse.Namespace) -> int:
    """Measure in virtual time how long it takes from a cause on the plant or on the wire to 0 W and STOP in the
    converter's registers, and from current below break current to the contactors' opening command on the CAN wire. The
    same seeds give the same figures. Exit status 1 when p99.9 misses its limit or a stop did not come."""
    from hil_rigs.latency.command import latency

    return latency(arguments)


def _rigs(arguments: argparse.Namespace) -> int:
    from hil_rigs.rig import list_rigs

    return _print_list([(rig.name, rig.says) for rig in list_rigs()], arguments.json, print)


def _scenarios(arguments: argparse.Namespace) -> int:
    from hil_rigs.scenario import list_scenarios

    return _print_list([(scenario.name, scenario.says) for scenario in list_scenarios()], arguments.json, print)


def _faults(arguments: argparse.Namespace) -> int:
    from hil_rigs.faults.spec import FAULT_KINDS

    return _print_list([(kind.name, kind.line) for kind in FAULT_KINDS.values()], arguments.json, print)


def _print_list(rows: list[tuple[str, str]], as_json: bool, out: Callable[[str], None]) -> int:
    if as_json:
        out(json.dumps([{"name": name, "says": says} for name, says in rows], indent=2))
        return 0
    width = max(len(name) for name, _ in rows)
    for name, says in rows:
        out(f"{name:{width}}  {says}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
