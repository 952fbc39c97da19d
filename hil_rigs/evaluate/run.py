"""Works through the plans in several processes: a fold's model first, then its cases, each as soon as it can be."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from hil_rigs.evaluate.cases import Fold, Limits, Plan
from hil_rigs.evaluate.measure import Measured, measure, model_of
from hil_rigs.worker_processes import WorkerProcesses
from kernels.cell_tables import CellTables


def quick(plan: Plan) -> Plan:
    """The plan with its first fold only, and of that the first case of each group. Limits of a group's medians go: what
    is left of it may be its worst log."""
    folds = [replace(fold, cases=tuple({case.group: case for case in reversed(fold.cases)}.values())[::-1])
             for fold in plan.folds[:1]]  # fmt: skip
    groups = {group: Limits(error_pct=limits.error_pct) for group, limits in plan.groups.items()}
    return replace(plan, folds=tuple(folds), groups=groups, whole=False)


def steps(plans: Sequence[Plan]) -> int:
    """How often `evaluate` yields."""
    return sum(1 + len(fold.cases) for plan in plans for fold in plan.folds)


def evaluate(plans: Sequence[Plan], jobs: int) -> Iterator[tuple[Plan, Fold, Measured | None]]:
    """What is finished, in no fixed order: a fold's model (None) or a measured case. Closing it, or an interrupt, drops
    the rest. Errors of `model_of` and `measure` pass through."""
    with WorkerProcesses(jobs) as workers:
        running: dict[Future[Any], tuple[Plan, Fold]] = {
            workers.submit(model_of, fold, plan): (plan, fold) for plan in plans for fold in plan.folds
        }
        while running:
            for done in workers.finished(running):
                plan, fold = running.pop(done)
                result: CellTables | Measured = done.result()
                if isinstance(result, CellTables):
                    for each in fold.cases:
                        running[workers.submit(measure, each, result, plan.nominal_ah)] = plan, fold
                yield plan, fold, None if isinstance(result, CellTables) else result
