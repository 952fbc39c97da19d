"""The command `bms`: run a site's controller, check its site file, list its faults, replay a log."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bms.closed_pipe import leave_closed_pipe
from bms.command_line import Parser
from bms.install import add_version, require_siblings
from bms.protect.faults import FAULTS


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 = fine, 1 = something tripped, 2 = bad input."""
    try:
        require_siblings()
        arguments = _parser().parse_args(argv)
        status: int = arguments.does(arguments)
        print(end="", flush=True)  # here, not at the interpreter's end
    except KeyboardInterrupt:  # before a run has begun: from there on it ends in order
        print("interrupted", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return leave_closed_pipe(arguments.unread)
    except OSError as error:
        print(f"{error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="bms",
        description="Battery management controller for a site's edge gateway.",
        epilog="Exit status: 0 fine, 1 something tripped, 2 bad input. Simulated rigs: see `hil --help`.",
    )
    add_version(parser)
    parser.set_defaults(unread=1)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the controller of a site", description=_run.__doc__)
    run.add_argument(
        "site",
        metavar="SITE",
        type=Path,
        help="site file (YAML), see docs/site-file.md, or a fleet file, see docs/fleet.md",
    )
    run.add_argument("--duration", metavar="S", type=_positive, help="stop in order after S seconds")
    run.add_argument("--record", metavar="FILE", type=Path, help="write a record, one row a tick (.parquet or .mf4)")
    run.add_argument("--state", metavar="DIR", type=Path,
                     help="folder of what survives a restart (default: that of SITE); see docs/state.md")  # fmt: skip
    run.add_argument("--plain", action="store_true", help="a line a second instead of the live screen")
    run.add_argument("--quiet", action="store_true", help="a line when something happens, none a second: for a service")
    run.add_argument("--json", action="store_true", help="nothing on stdout but one JSON document at the end")
    run.set_defaults(does=_run)
    check = commands.add_parser("check", help="check a site file", description=_check.__doc__)
    check.add_argument("site", metavar="SITE", type=Path)
    check.add_argument("--json", action="store_true", help="print the errors as one JSON document")
    check.set_defaults(does=_check)
    reset = commands.add_parser("reset", help="end latched faults", description=_reset.__doc__)
    reset.add_argument("site", metavar="SITE", type=Path, help="site file, as the controller was given it")
    reset.add_argument("fault", metavar="FAULT_ID|all", help="which fault; `bms faults` lists them")
    reset.add_argument("--target", metavar="NAME", help="only there, as `rack-1` (default: wherever it is latched)")
    reset.add_argument("--state", metavar="DIR", type=Path, help="as the controller was given it")
    reset.add_argument("--json", action="store_true", help="print one JSON document")
    reset.set_defaults(does=_reset)

    status = commands.add_parser("status", help="what the running controller does now", description=_status.__doc__)
    status.add_argument("site", metavar="SITE", type=Path, nargs="?", default=Path("site.yaml"),
                        help="site file, as the controller was given it (default: site.yaml)")  # fmt: skip
    status.add_argument("--state", metavar="DIR", type=Path, help="as the controller was given it")
    status.add_argument("--json", action="store_true", help="print one JSON document")
    status.set_defaults(does=_status)
    maintain = commands.add_parser("maintain", help="take a rack out of service", description=_maintain.__doc__)
    maintain.add_argument("site", metavar="SITE", type=Path, help="site file, as the controller was given it")
    maintain.add_argument("rack", metavar="RACK", help="its name in the site file")
    maintain.add_argument("--state", metavar="DIR", type=Path, help="as the controller was given it")
    maintain.add_argument("--json", action="store_true", help="print one JSON document")
    maintain.set_defaults(does=_maintain)
    local = commands.add_parser("local", help="refuse remote requests until a reset", description=_local.__doc__)
    local.add_argument("site", metavar="SITE", type=Path, help="site file, as the controller was given it")
    local.add_argument("--state", metavar="DIR", type=Path, help="as the controller was given it")
    local.add_argument("--json", action="store_true", help="print one JSON document")
    local.set_defaults(does=_local)
    told = commands.add_parser("set", help="tell a running controller an input, for a while", description=_set.__doc__)
    told.add_argument("asked", metavar="inputs.NAME=VALUE", help="an input that an application of the site listens to")
    told.add_argument("--for", metavar="S", dest="for_s", type=_positive, required=True, help="for so many seconds")
    told.add_argument("--site", metavar="SITE", type=Path, default=Path("site.yaml"),
                      help="site file, as the controller was given it (default: site.yaml)")  # fmt: skip
    told.add_argument("--state", metavar="DIR", type=Path, help="as the controller was given it")
    told.add_argument("--json", action="store_true", help="print one JSON document")
    told.set_defaults(does=_set)
    faults = commands.add_parser("faults", help="list every fault", description=_faults.__doc__)
    faults.add_argument("--json", action="store_true", help="print one JSON document")
    faults.set_defaults(does=_faults, unread=0)
    _add_estimate(commands)
    _add_profile(commands)
    probe = commands.add_parser("probe", help="find out what answers on a link", description=_probe.__doc__)
    probe.add_argument("url", metavar="URL", help="tcp://HOST:PORT, tcp://HOST:PORT/UNIT or "
                       "can://INTERFACE/CHANNEL[?host=HOST&port=PORT&seconds=S]")  # fmt: skip
    probe.add_argument("--json", action="store_true", help="print one JSON document")
    probe.set_defaults(does=_probe)
    return parser


def _add_profile(commands: Any) -> None:
    profile = commands.add_parser("profile", help="check a device described as data",
                                  description="Devices described as data: see docs/profiles.md.")  # fmt: skip
    does = profile.add_subparsers(required=True, metavar="WHAT")
    check = does.add_parser("check", help="check a profile", description=_check_profile.__doc__)
    check.add_argument("file", metavar="FILE", type=Path, help="profile (YAML)")
    check.add_argument("--json", action="store_true", help="print one JSON document")
    check.set_defaults(does=_check_profile)


def _add_estimate(commands: Any) -> None:
    estimate = commands.add_parser("estimate", help="replay a measured log through the estimator",
                                   description=_estimate.__doc__)  # fmt: skip
    estimate.add_argument("--cell", metavar="CELL.yaml", type=Path, required=True,
                          help="cell file, or a shipped cell's name")  # fmt: skip
    estimate.add_argument("--log", metavar="FILE", type=Path, required=True,
                          help="CSV or Parquet: time_s, current_a, voltage_v[, temperature_c, soc, ah]")  # fmt: skip
    estimate.add_argument("--run", metavar="N", help="which run of a log with a column run, cycle or cell_no")
    estimate.add_argument("--start-soc", metavar="X", type=_share, help="SoC told at the start, 0 to 1 (default: none)")
    estimate.add_argument("--start-sigma", metavar="S", type=_positive_share,
                          help="its standard deviation, up to 1 (default: 0.1 with --start-soc)")  # fmt: skip
    estimate.add_argument("--charge-positive", action="store_true", help="the log's current is positive on charge")
    estimate.add_argument("--current-gain", metavar="G", type=_finite, default=1.0,
                          help="of a worse sensor, on the log's own current: measured = G x true + offset")  # fmt: skip
    estimate.add_argument("--current-offset-a", metavar="A", type=_finite, default=0.0, help="offset of that sensor")
    estimate.add_argument("--noise-v", metavar="SIGMA", type=_not_negative, default=0.0,
                          help="white noise added to the voltage, V")  # fmt: skip
    estimate.add_argument("--seed", metavar="N", type=_seed, default=0, help="of the noise (default: 0)")
    estimate.add_argument("--out", metavar="OUT.parquet", type=Path, help="write what it said, one row for each row")
    estimate.add_argument("--json", action="store_true", help="print one JSON document on stdout, nothing else")
    estimate.set_defaults(does=_estimate)


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number of seconds, got {text!r}")
    return value


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return value


def _not_negative(text: str) -> float:
    if _finite(text) < 0.0:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, got {text!r}")
    return float(text)


def _share(text: str) -> float:
    if not 0.0 <= _finite(text) <= 1.0:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return float(text)


def _positive_share(text: str) -> float:
    if _share(text) == 0.0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, up to 1, got {text!r}")
    return float(text)


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def _run(arguments: argparse.Namespace) -> int:
    """Connect to the site's devices, close contactors and run its applications until Ctrl-C: then 0 W, converter
    stopped, contactors open. SoC, counters and latched faults are those of the run before; exit status 1 when a fault
    tripped or is still latched."""
    from bms.fleet.run import is_fleet, load_fleet, run_fleet
    from bms.north.reset_words import ResetWords
    from bms.record import RecordError
    from bms.run import run_site
    from bms.site import load_site
    from bms.state.process import StateError
    from drivers.config.config_yaml import ConfigErrors

    try:
        if is_fleet(arguments.site):
            fleet = load_fleet(arguments.site)
            return run_fleet(fleet, duration_s=arguments.duration, record=arguments.record, show=_show(arguments))
        site = load_site(arguments.site)
        return run_site(
            site,
            duration_s=arguments.duration,
            record=arguments.record,
            state=arguments.state or arguments.site.parent,
            resets=ResetWords(arguments.site, arguments.state),
            show=_show(arguments),
        )
    except (ConfigErrors, RecordError, StateError) as error:
        return _refused(error, as_json=arguments.json)


def _refused(error: Exception, *, as_json: bool, **more: object) -> int:
    """Bad input, said in its own words: exit status 2; of a controller that does not answer 1. `more` is for the JSON
    document."""
    from bms.state.reset import NoAnswerError

    if as_json:
        print(json.dumps({"ok": False, "errors": str(error).splitlines(), **more}))
    else:
        print(error, file=sys.stderr)
    return 1 if isinstance(error, NoAnswerError) else 2


def _show(arguments: argparse.Namespace) -> str:
    if arguments.json:
        return "json"
    if arguments.quiet:
        return "quiet"
    return "plain" if arguments.plain or not sys.stdout.isatty() else "screen"


def _check(arguments: argparse.Namespace) -> int:
    """Check a site or fleet file and print all errors at once, each with file, line and column; of a right one what is
    worth a second look."""
    from bms.fleet.run import is_fleet
    from bms.site import load_site
    from bms.site.warnings import site_warnings
    from drivers.config.config_yaml import ConfigErrors

    if is_fleet(arguments.site):
        return _check_fleet(arguments)
    try:
        site = load_site(arguments.site)
    except ConfigErrors as errors:
        return _refused(errors, as_json=arguments.json, warnings=[])
    cells = sum(rack.cells for rack in site.racks)
    warnings = site_warnings(site)
    if arguments.json:
        print(json.dumps({"ok": True, "errors": [], "warnings": warnings}))
    else:
        print(f"{arguments.site}: fine ({site.name}: {len(site.racks)} racks, {cells} cells)", *warnings, sep="\n")
    return 0


def _check_fleet(arguments: argparse.Namespace) -> int:
    from bms.fleet.run import load_fleet
    from drivers.config.config_yaml import ConfigErrors

    try:
        fleet = load_fleet(arguments.site)
    except ConfigErrors as errors:
        return _refused(errors, as_json=arguments.json, warnings=[])
    if arguments.json:
        print(json.dumps({"ok": True, "errors": [], "warnings": []}))
    else:
        print(f"{arguments.site}: fine ({fleet.name}: {len(fleet.units)} units)")
    return 0


def _probe(arguments: argparse.Namespace) -> int:
    """Ask a link what is there and print it as the fragment of a site file. It only reads. Exit status 1 when nothing
    answers, or nothing that a site file can name."""
    from bms.probe import probe

    return probe(arguments.url, as_json=arguments.json)


def _check_profile(arguments: argparse.Namespace) -> int:
    """Check a profile and print all errors at once, each with file, line and column; of a right one, which reads the
    driver will make and what the device does in silence."""
    from bms.profile_check import check_profile

    return check_profile(arguments.file, as_json=arguments.json)


def _reset(arguments: argparse.Namespace) -> int:
    """End latched faults, once their cause is known and gone. A running controller does it at once, and its contactors
    may close; else it counts from the next start on. Exit status 1: a fault trips again, because its cause is still
    there, or the running controller does not answer."""
    import time

    from bms.site import load_site
    from bms.state.files import StateFiles
    from bms.state.reset import ResetError, reset
    from drivers.config.config_yaml import ConfigErrors

    try:
        site = load_site(arguments.site)
        files = StateFiles(arguments.state or arguments.site.parent, site.name)
        done = reset(files, arguments.fault, arguments.target, time.time)
    except (ConfigErrors, ResetError) as error:
        return _refused(error, as_json=arguments.json)
    if arguments.json:
        print(json.dumps({"ok": not done.again, **done._asdict()}, default=asdict))
        return 1 if done.again else 0
    if not done.reset:
        print("no fault is latched")
    for fault in done.reset:
        print(f"reset: {fault}{'' if done.running else '; the controller does not run, its next start finds it so'}")
    if not done.running and any(fault.id == "inverter_fault" for fault in done.reset):
        print("the converter may hold its fault: a reset while the controller runs asks it to forget that")
    for fault in done.again:
        print(f"tripped again: {fault}")
    return 1 if done.again else 0


def _status(arguments: argparse.Namespace) -> int:
    """What the running controller of a site does now: mode, powers, limits and what binds them, SoC, faults and what to
    do about them, times of its ticks. It only reads. Exit status 0: it runs, and nothing is wrong; 1: a fault is active
    or latched, its state or record is not saved, or it does not answer; 2: bad input, or not allowed to ask; 3: it does
    not run."""
    from bms.fleet.run import is_fleet
    from bms.north.reset_words import ResetWords
    from bms.north.status_page import show_status
    from bms.site import load_site
    from bms.state.files import StateFiles
    from drivers.config.config_yaml import ConfigErrors

    if is_fleet(arguments.site):
        why = ValueError(f"{arguments.site}: a fleet is not asked; ask its units, each on its own gateway")
        return _refused(why, as_json=arguments.json)
    try:
        site = load_site(arguments.site)
        files = StateFiles(arguments.state or arguments.site.parent, site.name)
        if not files.folder.is_dir():
            why = ValueError(f"{files.folder}: {'not a folder' if files.folder.exists() else 'no such folder'}")
            return _refused(why, as_json=arguments.json)
        return show_status(files, ResetWords(arguments.site, arguments.state), as_json=arguments.json)
    except ConfigErrors as error:
        return _refused(error, as_json=arguments.json)
    except PermissionError as error:
        denied = PermissionError(f"{files.status}: {error.strerror}: ask as the user that runs the controller")
        return _refused(denied, as_json=arguments.json)


def _maintain(arguments: argparse.Namespace) -> int:
    """Take a rack out of service: it opens in the safe order and stays open over restarts; the others go on. `bms reset
    SITE rack_maintenance --target RACK` gives it back."""
    import time

    from bms.site import load_site
    from bms.state.files import StateFiles
    from bms.state.maintain import maintain
    from bms.state.reset import ResetError
    from drivers.config.config_yaml import ConfigErrors

    try:
        site = load_site(arguments.site)
        names = [rack.name for rack in site.racks]
        if arguments.rack not in names:
            raise ResetError(f"no rack {arguments.rack!r}, expected one of {', '.join(names)}")
        done = maintain(StateFiles(arguments.state or arguments.site.parent, site.name), arguments.rack, time.time)
    except (ConfigErrors, ResetError) as error:
        return _refused(error, as_json=arguments.json)
    if arguments.json:
        print(json.dumps({"ok": True, "running": done.running, "since": done.since or None}))
    elif done.running and not done.since:
        print(f"{arguments.rack} is leaving")
    else:
        print(f"{arguments.rack} is out of service{_lock_words(done.since, running=done.running)}")
    return 0


def _lock_words(since: str, *, running: bool) -> str:
    """What came of asking for a lock; `since` it was set before, empty = it was not."""
    if since:
        return f" already, since {since}: nothing changed"
    return "" if running else "; the controller does not run, its next start finds it so"


def _local(arguments: argparse.Namespace) -> int:
    """Take a site into local control: remote requests (Modbus, MQTT, REST) end and are refused, over restarts too; `bms
    set` still works. `bms reset SITE local_control` gives it back."""
    import time

    from bms.site import load_site
    from bms.state.files import StateFiles
    from bms.state.maintain import take_local
    from bms.state.reset import ResetError
    from drivers.config.config_yaml import ConfigErrors

    try:
        site = load_site(arguments.site)
        done = take_local(StateFiles(arguments.state or arguments.site.parent, site.name), time.time)
    except (ConfigErrors, ResetError) as error:
        return _refused(error, as_json=arguments.json)
    if arguments.json:
        print(json.dumps({"ok": True, "running": done.running, "since": done.since or None}))
    else:
        print(f"{site.name} is under local control{_lock_words(done.since, running=done.running)}")
    return 0


def _set(arguments: argparse.Namespace) -> int:
    """Tell the running controller of a site an input (a remote power request, a signal, a job that is announced), which
    ends by itself. It is logged; protection and the application's own bounds hold. Exit status 1: the controller does
    not answer, and will not take it later."""
    from bms.site import load_site
    from bms.state.files import StateFiles
    from bms.state.reset import ResetError
    from bms.state.store import FOR_S_MAX
    from bms.state.tell import parse_input, tell
    from drivers.config.config_yaml import ConfigErrors

    try:
        site = load_site(arguments.site)
        name, value = parse_input(site, arguments.asked)
        if arguments.for_s > FOR_S_MAX:
            raise ResetError(f"--for {arguments.for_s:g}: expected at most {FOR_S_MAX:g} s")
        tell(StateFiles(arguments.state or arguments.site.parent, site.name), name, value, arguments.for_s)
    except (ConfigErrors, ResetError) as error:
        return _refused(error, as_json=arguments.json)
    if arguments.json:
        print(json.dumps({"ok": True}))
    else:
        print(f"inputs.{name} = {value:g} for {arguments.for_s:g} s")
    return 0


def _faults(arguments: argparse.Namespace) -> int:
    """List every fault: level, action per mode (following the grid, making it), latch, meaning and what to do."""
    if arguments.json:
        print(json.dumps([asdict(fault) for fault in FAULTS.values()], indent=2))
        return 0
    for fault in FAULTS.values():
        latch = "latched" if fault.latched else f"clears {fault.clear_s:g} s after its cause"
        print(f"{fault.id}  [{fault.level}, {latch}]")
        print(f"  does:  {fault.action}\n  while the converter makes the grid: {fault.action_forming}")
        print(f"  means: {fault.meaning}\n  do:    {fault.advice}")
    return 0


def _estimate(arguments: argparse.Namespace) -> int:
    """Replay a log through the estimator of a string's mean cell. Without --start-soc the SoC is unknown (0.5, sigma
    0.3). Where the log has a reference `soc`, print how far the estimate is from it after the first 10 min, beside
    coulomb counting and a plain EKF from the same samples and start."""
    from bms.estimate.command import estimate

    return estimate(arguments)


if __name__ == "__main__":
    sys.exit(main())
