"""`hil evaluate`: regenerates the estimator's accuracy tables and figures."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hil_rigs.evaluate.cases import EvaluateError, Fold, Plan
from hil_rigs.evaluate.judge import Row, rows_of
from hil_rigs.evaluate.measure import ESTIMATORS, OURS, Measured
from hil_rigs.evaluate.plans import plans
from hil_rigs.evaluate.report import Evaluated, write_report
from hil_rigs.evaluate.run import evaluate, quick, steps

DATA_VARIABLE, DATA_USUAL = "CELLWARD_DATA", Path("../shared/data")
REPORT_USUAL = Path("docs")
QUICK_REGULATION_H = 2.0
QUICK_SAYS = (
    "only a few logs of each cell, whose RMSE and median sigma are shown and not judged: their limits are for the "
    "median of all logs, and for two days of regulation"
)
TEXT_ROW = "  {:26}{:>5}{:>9}{:>7}{:>7}{:>7}{:>7}{:>9}{:>10}"
SHORT_NAMES = ("coulomb", "EKF", "SPKF", "ours")

Finished = tuple[Plan, Fold, Measured]


def evaluate_command(arguments: argparse.Namespace) -> int:
    """Exit status 0; 1 when ours misses a target or the run was interrupted. EvaluateError, LogError, OSError for bad
    input."""
    data, folder = _data(arguments), _folder(arguments)
    chosen = plans(data, QUICK_REGULATION_H) if arguments.quick else plans(data)
    chosen = [quick(plan) for plan in chosen] if arguments.quick else chosen
    if all(plan.absent for plan in chosen[:-1]):
        raise EvaluateError(f"{data}: has none of the cells that are evaluated; choose the folder with --data")
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise EvaluateError(f"{folder}: cannot be written to")
    finished, interrupted = _work(chosen, arguments)
    evaluated = _evaluated(chosen, finished)
    document = write_report(evaluated, folder, _note(chosen, finished, arguments.quick)) if finished else None
    missed = any(row.misses for each in evaluated for row in each.rows)
    _show(evaluated, document, arguments)
    return 1 if missed or interrupted else 0


def _data(arguments: argparse.Namespace) -> Path:
    data = Path(arguments.data or os.environ.get(DATA_VARIABLE) or DATA_USUAL)
    if not data.is_dir():
        raise EvaluateError(f"{data}: no such folder; name that of the measurements with --data or {DATA_VARIABLE}")
    return data


def _folder(arguments: argparse.Namespace) -> Path:
    if arguments.report is not None:
        return Path(arguments.report)
    if arguments.quick:
        raise EvaluateError("--quick: needs --report DIR, so that it does not replace the full tables")
    if not REPORT_USUAL.is_dir():
        raise EvaluateError(f"no folder {REPORT_USUAL} here; name one with --report DIR")
    return REPORT_USUAL


def _work(chosen: Sequence[Plan], arguments: argparse.Namespace) -> tuple[list[Finished], bool]:
    """What was finished, and whether it was interrupted."""
    live = not (arguments.plain or arguments.json) and sys.stderr.isatty()
    finished: list[Finished] = []
    try:
        with _progress(live) as progress:
            task = progress.add_task("evaluating", total=steps(chosen))
            for plan, fold, measured in evaluate(chosen, arguments.jobs):
                progress.advance(task)
                if measured is not None:
                    finished.append((plan, fold, measured))
                if not live and not arguments.json:
                    print(_line(plan, fold, measured), flush=True)
    except KeyboardInterrupt:
        print(f"interrupted after {len(finished)} logs", file=sys.stderr)
        return finished, True
    return finished, False


def _progress(live: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not live)


def _line(plan: Plan, fold: Fold, measured: Measured | None) -> str:
    if measured is None:
        return f"{plan.name}: model made, {fold.name}"
    rmse = ", ".join(f"{name} {measured.worse(name).rmse_pct:.2f} %" for name in ESTIMATORS)
    return f"{plan.name}: {measured.case.group}, {measured.case.source.name}: RMSE {rmse}"


def _evaluated(chosen: Sequence[Plan], finished: Sequence[Finished]) -> list[Evaluated]:
    """In the plans' own order, whatever was finished first."""
    by_plan = []
    for plan in chosen:
        found = {(fold.name, each.case): each for which, fold, each in finished if which is plan}
        inside = [found[fold.name, case] for fold in plan.folds for case in fold.cases if (fold.name, case) in found]
        inside.sort(key=lambda each: list(plan.groups).index(each.case.group))
        by_plan.append(Evaluated(plan, tuple(inside), tuple(rows_of(plan, inside))))
    return by_plan


def _note(chosen: Sequence[Plan], finished: Sequence[Finished], is_quick: bool) -> str:
    left = sum(len(fold.cases) for plan in chosen for fold in plan.folds) - len(finished)
    notes = [f"Quick: {QUICK_SAYS}."] if is_quick else []
    return " ".join([*notes, f"Incomplete: {left} logs were not estimated."] if left else notes)


def _show(evaluated: Sequence[Evaluated], document: Path | None, arguments: argparse.Namespace) -> None:
    if arguments.json:
        rows = [_row_document(each.plan, row) for each in evaluated for row in each.rows]
        print(json.dumps({"report": None if document is None else str(document), "rows": rows}, indent=2))
        return
    for each in evaluated:
        print("\n".join(_lines(each)))
    if arguments.quick:
        print(f"quick: {QUICK_SAYS}")
    if document is not None:
        print(f"written: {document}")


def _row_document(plan: Plan, row: Row) -> dict[str, object]:
    return {
        "plan": plan.name,
        "group": row.group,
        "logs": row.cases,
        "rmse_pct": row.rmse_pct,
        "worst_rmse_pct": row.worst_rmse_pct,
        "max_error_pct": row.error_pct,
        "coverage_3sigma_pct": row.coverage_pct,
        "beyond_3sigma_s_max": row.beyond_s,
        "median_sigma_pct": row.sigma_pct,
        "misses": list(row.misses),
    }


def _lines(each: Evaluated) -> list[str]:
    """A plan's rows as text, each followed by what ours misses."""
    if each.plan.absent:
        return [f"{each.plan.name}: not evaluated, {len(each.plan.absent)} files absent"]
    lines = [f"{each.plan.name}: RMSE, % SoC", TEXT_ROW.format("", "logs", *SHORT_NAMES, "limit", "largest", "3 sigma")]
    for row in each.rows:
        rmse = [f"{row.rmse_pct[name]:.2f}" for name in ESTIMATORS]
        limit = "" if row.limits.rmse_pct is None else f"{row.limits.rmse_pct:g}"
        largest, coverage = f"{row.error_pct[OURS]:.1f}", f"{row.coverage_pct[OURS]:.1f} %"
        lines.append(TEXT_ROW.format(row.group, row.cases, *rmse, limit, largest, coverage))
        lines += [f"    misses: {missed}" for missed in row.misses]
    return lines
