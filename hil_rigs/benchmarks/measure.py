"""Ours and a peer take turns, so that what disturbs the machine disturbs both; medians of the turns."""

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter

TURN_S = 0.01
"""A turn repeats its work until it takes about this long: far above what the clock resolves."""
TURNS_MIN = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: times, so that `ratio` = peer_value / ours says how many times faster ours is."""

    row: str
    ours: float
    unit: str
    peer: str
    peer_value: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Work:
    """Something to time: `run` does `count` pieces of it (steps of cells, frames)."""

    run: Callable[[], object]
    count: int = 1


def compared(row: str, ours: Work, unit: str, peer: str, theirs: Work, budget_s: float) -> Row:
    """Times both for about `budget_s`; `unit` is ms, us or ns, each by piece ("ns/frame")."""
    scale = {"ms": 1e3, "us": 1e6, "ns": 1e9}[unit.split("/")[0]]
    with _undisturbed():
        ours_s, theirs_s = _turns(ours, theirs, budget_s)
    return Row(row, ours_s * scale, unit, peer, theirs_s * scale, theirs_s / ours_s)


def _turns(ours: Work, theirs: Work, budget_s: float) -> tuple[float, float]:
    """Median seconds by piece."""
    repeats = _repeats(ours), _repeats(theirs)
    times: tuple[list[float], list[float]] = ([], [])
    end_s = perf_counter() + budget_s
    while len(times[0]) < TURNS_MIN or perf_counter() < end_s:
        for work, repeat, taken in zip((ours, theirs), repeats, times, strict=True):
            taken.append(_timed_s(work, repeat) / (repeat * work.count))
    return median(times[0]), median(times[1])


def _repeats(work: Work) -> int:
    """How often to do it in one turn; doing it once also warms it up."""
    _timed_s(work, 1)
    return max(1, math.ceil(TURN_S / _timed_s(work, 1)))


def _timed_s(work: Work, repeat: int) -> float:
    run = work.run
    start_s = perf_counter()
    for _ in range(repeat):
        run()
    return perf_counter() - start_s


@contextmanager
def _undisturbed() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
