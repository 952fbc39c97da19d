"""Works through the plans in several processes: a fold's model first, then its cases, each as soon as it can be."""

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hil_rigs.evaluate.cases import Fold, Plan
from hil_rigs.evaluate.measure import Measured, measure, model_of
from kernels.cell_tables import CellTables


def quick(plan: Plan) -> Plan:
    """The plan with its first fold only, and of that the first case of each group."""
    folds = [replace(fold, cases=tuple({case.group: case for case in reversed(fold.cases)}.values())[::-1])
             for fold in plan.folds[:1]]  # fmt: skip
    return replace(plan, folds=tuple(folds))


def steps(plans: Sequence[Plan]) -> int:
    """How often `evaluate` yields."""
    return sum(1 + len(fold.cases) for plan in plans for fold in plan.folds)


def evaluate(plans: Sequence[Plan], jobs: int) -> Iterator[tuple[Plan, Fold, Measured | None]]:
    """What is finished, in no fixed order: a fold's model (None) or a measured case. Closing it, or an interrupt, drops
    what has not begun. Errors of `model_of` and `measure` pass through."""
    with _pool(jobs) as pool:
        running: dict[Future[Any], tuple[Plan, Fold]] = {
            pool.submit(model_of, fold, plan): (plan, fold) for plan in plans for fold in plan.folds
        }
        while running:
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                plan, fold = running.pop(done)
                result: CellTables | Measured = done.result()
                if isinstance(result, CellTables):
                    for each in fold.cases:
                        running[pool.submit(measure, each, result, plan.nominal_ah)] = plan, fold
                yield plan, fold, None if isinstance(result, CellTables) else result


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_leave_interrupts)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C reaches the whole process group; the parent decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
