"""`bms estimate`: a log through the estimator of a string's mean cell; a table of figures, a file of what it said."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from bms.estimate.absent_current import RATE_PER_H_MAX, Bridged, bridge
from bms.estimate.accuracy import REFERENCE_SIGMA_FRAC, SETTLE_S, Accuracy, accuracy, rmse_pct
from bms.estimate.coarse_rows import coarse, doubted
from bms.estimate.coulomb import CoulombCounter
from bms.estimate.log import TEMPERATURE_DEGC, Log, LogError, read_log
from bms.estimate.log_charge import capacity_doubt, wrong_unit
from bms.estimate.log_sign import contradiction
from bms.estimate.plain_ekf import PlainEkf
from bms.estimate.replay import FIGURES, Replay, SensorError, Start, replay
from bms.estimate.replay_file import ReplayFileError, check_writable, write_replay
from bms.estimate.string import STEP_S_MAX, StringEstimator
from kernels.cell_tables import CellTables
from kernels.parameters import load_tables

START_SIGMA_FRAC = 0.1
"""Of a --start-soc without --start-sigma: a value remembered from before a stop of unknown length."""
PROGRESS_ROWS = 100_000
SOH_MAX = 1.5
"""Of the capacity in the cell file: no cell is so much better than its own file."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the log's reference says of a replay; None = it says nothing after the first 10 min."""

    ours: Accuracy | None
    coulomb_rmse_pct: float | None
    ekf_rmse_pct: float | None


def estimate(arguments: argparse.Namespace) -> int:
    """Exit status 0; 2 for a log, a cell or a combination of options that cannot be used, 1 when interrupted: nothing
    is written then."""
    try:
        return _estimate(arguments)
    except KeyboardInterrupt:
        print("interrupted: nothing written", file=sys.stderr)
        return 1


def _estimate(arguments: argparse.Namespace) -> int:
    try:
        start = _start(arguments)
        if arguments.out is not None:
            check_writable(arguments.out, arguments.log)
        cell = load_tables(arguments.cell)
        bridged = _log(arguments, cell)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    log = bridged.log
    _note_absent(bridged, cell)
    doubts = list(_doubts(log, cell, arguments.charge_positive))
    for doubt in doubts:
        print(f"WARNING: {doubt}", file=sys.stderr)
    estimator = StringEstimator(cell)
    with _watch(len(log.time_s)) as watch:
        done = replay(_sensor_error(arguments).on(log), estimator, start, FIGURES, watch)
    if not doubts and (beyond := _soh_doubt(done, cell) or _capacity_doubted(done, cell, estimator)) is not None:
        print(f"WARNING: {beyond}", file=sys.stderr)
    judged = judge(done, cell, start)
    if arguments.out is not None:
        try:
            write_replay(done, arguments.out)
        except ReplayFileError as error:
            print(error, file=sys.stderr)
            return 2
    print(json.dumps(document(done, judged, bridged), indent=2) if arguments.json else table(done, judged))
    return 0


def _log(arguments: argparse.Namespace, cell: CellTables) -> Bridged:
    log = read_log(arguments.log, charge_positive=arguments.charge_positive, run=arguments.run)
    bridged = bridge(log, cell.capacity_ah)
    wrong = wrong_unit(bridged.log, cell.capacity_ah, f"cell {cell.name}")
    if wrong is not None:
        raise LogError(wrong)
    return replace(bridged, log=doubted(bridged.log, cell.capacity_ah))


def judge(done: Replay, cell: CellTables, start: Start) -> Judged:
    """The same samples and the same start for coulomb counting and a plain EKF, all against the log's reference."""
    log, reference = done.log, done.log.soc_frac
    if reference is None:
        return Judged(None, None, None)
    coulomb, ekf = (replay(log, other, start).soc_frac for other in (CoulombCounter(cell), PlainEkf(cell)))
    return Judged(
        accuracy(log.time_s, done.soc_frac, done.soc_sigma_frac, reference),
        rmse_pct(log.time_s, coulomb, reference),
        rmse_pct(log.time_s, ekf, reference),
    )


def document(done: Replay, judged: Judged, bridged: Bridged) -> dict[str, object]:
    """The figures by name, None where the reference does not say, the rows whose current was absent, and under `final`
    the last estimate."""
    names = Accuracy.__dataclass_fields__
    ours = dict.fromkeys(names) if judged.ours is None else asdict(judged.ours)
    final = {name: float(values[-1]) for name, values in done.figures.items()}
    others = {"coulomb_rmse_pct": judged.coulomb_rmse_pct, "ekf_rmse_pct": judged.ekf_rmse_pct}
    known = {name: value if value == value else None for name, value in final.items()}
    rows = {"rows_without_current": bridged.absent, "rows_bridged": bridged.bridged}
    return {**ours, **others, **rows, "final": known}


def table(done: Replay, judged: Judged) -> str:
    log, final = done.log, {name: float(values[-1]) for name, values in done.figures.items()}
    hours = (log.time_s[-1] - log.time_s[0]) / 3600.0
    lines = [
        f"{log.named}: {len(log.time_s)} rows, {hours:.2f} h",
        f"at the end: SoC {100 * final['soc_frac']:.1f} % (sigma {100 * final['soc_sigma_frac']:.1f} %), current bias "
        f"{final['current_bias_a']:+.4g} A, capacity {final['capacity_ah']:.4g} Ah (sigma "
        f"{final['capacity_ah_sigma']:.2g} Ah), SoH {100 * final['soh_frac']:.1f} %",
    ]
    if log.soc_frac is None:
        return "\n".join([*lines, "no column soc: nothing to compare with"])
    if judged.ours is None:
        return "\n".join([*lines, f"the reference ends within the first {SETTLE_S:g} s: nothing to compare with"])
    return "\n".join([*lines, *_judged_lines(judged.ours, judged)])


def _judged_lines(ours: Accuracy, judged: Judged) -> list[str]:
    with_reference = f"(with {100 * REFERENCE_SIGMA_FRAC:g} % of the reference's own; {ours.coverage_alone_pct:.1f} %"
    rows = (
        ("RMSE", f"{ours.rmse_pct:.2f} %"),
        ("  coulomb counting", f"{judged.coulomb_rmse_pct:.2f} %"),
        ("  plain EKF", f"{judged.ekf_rmse_pct:.2f} %"),
        ("largest error", f"{ours.max_error_pct:.2f} %"),
        ("within 3 sigma", f"{ours.coverage_3sigma_pct:.1f} % of rows {with_reference} without)"),
        ("longest beyond 3 sigma", f"{ours.beyond_3sigma_s_max:g} s"),
        ("median sigma", f"{ours.median_sigma_pct:.2f} %"),
        ("stays within 5 % from", _since(ours.time_to_5pct_s)),
        ("stays within 2 % from", _since(ours.time_to_2pct_s)),
    )
    return [f"against the reference, from {SETTLE_S / 60:g} min on:", *(f"  {name:24}{value}" for name, value in rows)]


def _since(time_s: float | None) -> str:
    return "never" if time_s is None else f"{time_s:g} s after the first row"


def _start(arguments: argparse.Namespace) -> Start:
    if arguments.start_soc is None:
        if arguments.start_sigma is not None:
            raise ValueError("--start-sigma: needs --start-soc; without both the SoC is unknown, with sigma 0.3")
        return Start()
    sigma = arguments.start_sigma
    return Start(arguments.start_soc, START_SIGMA_FRAC if sigma is None else sigma)


def _sensor_error(arguments: argparse.Namespace) -> SensorError:
    sign = -1.0 if arguments.charge_positive else 1.0
    offset_a = sign * arguments.current_offset_a
    return SensorError(arguments.current_gain, offset_a, arguments.noise_v, arguments.seed)


def _doubts(log: Log, cell: CellTables, charge_positive: bool) -> Iterator[str]:
    """A line each about what the log itself says against its sign or the cell."""
    what = contradiction(log, cell.capacity_ah)
    if what is not None:
        told = "no --charge-positive" if charge_positive else "positive on discharge, or --charge-positive"
        yield f"{log.named}: current_a has the other sign: {what}, expected {told}"
    doubt = capacity_doubt(log, cell.capacity_ah, f"cell {cell.name}")
    if doubt is not None:
        yield doubt


def _soh_doubt(done: Replay, cell: CellTables) -> str | None:
    """For a log that does not tell by itself."""
    soh_frac = float(done.figures["soh_frac"][-1])
    if not soh_frac > SOH_MAX:
        return None
    return (
        f"{done.log.named}: SoH {100 * soh_frac:.0f} % is none that a cell can have: the log is not of cell "
        f"{cell.name}, or its current has the other sign"
    )


def _capacity_doubted(done: Replay, cell: CellTables, estimator: StringEstimator) -> str | None:
    """Of a log that is another capacity's; from where it told on, the figures are without the file's."""
    if not estimator.capacity_doubted:
        return None
    return (
        f"{done.log.named}: contradicts the {cell.capacity_ah:g} Ah of cell {cell.name}, and is taken at its own word: "
        f"{estimator.capacity_ah:.3g} Ah (sigma {estimator.capacity_ah_sigma:.2g} Ah)"
    )


def _note_absent(bridged: Bridged, cell: CellTables) -> None:
    log = bridged.log
    if bridged.absent:
        left = bridged.absent - bridged.bridged
        a_max = RATE_PER_H_MAX * cell.capacity_ah
        beyond = f" ({bridged.beyond} of them beyond {a_max:g} A, which counts as none)" if bridged.beyond else ""
        done = f"{bridged.bridged} bridged between samples at most {STEP_S_MAX:g} s apart"
        lost = f", over the other {left} what flowed is unknown" if left else ""
        of_all = f"{bridged.absent} of {len(log.time_s)} rows without a current"
        print(f"{log.named}: {of_all}{beyond}: {done}{lost}", file=sys.stderr)
    apart = coarse(log, cell.capacity_ah)
    if apart is not None:
        print(f"{log.named}: {apart.told}", file=sys.stderr)
    if not log.temperature_measured:
        print(f"{log.path}: no temperature_c, taken as {TEMPERATURE_DEGC:g} degC throughout", file=sys.stderr)


@contextmanager
def _watch(rows: int) -> Iterator[Callable[[int], None] | None]:
    """A progress bar on the terminal for a long log."""
    if rows < PROGRESS_ROWS or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("estimating", total=rows)
        yield lambda done: progress.update(task, completed=done)
