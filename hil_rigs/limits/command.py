"""`hil limits`: the estimator's power limits used in full on simulated strings, as tables."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hil_rigs.limits.course import HORIZONS_S, KINDS, Course
from hil_rigs.limits.hold import Held, held_limits
from hil_rigs.worker_processes import WorkerProcesses

DEGC = (0.0, 25.0, 40.0)
QUICK_DEGC = (25.0,)
SEED = 50
BEYOND_V_MAX, PESSIMISM_MAX = 0.005, 0.10
MISSED = "✗"

INTRODUCTION = """# Power limits used in full

Made by `hil limits --markdown docs/power-limits.md`; again on your machine: `hil limits`, sooner: `hil limits --quick`.

A string of 24 cells that differ as a rig's do in capacity, resistance and SoC, with their own OCV, two RC pairs and
laws of temperature and SoC that the estimator's cell file does not know of. The sensors are wrong too: 1 mV lasting and
0.5 mV of noise a cell, current 0.2 % and C/2000. The estimator begins knowing nothing; the string is charged until its
highest cell is full, then goes down and up again in pulses of 1C. At 90, 70, 50, 30 and 10 % each limit is asked for as
a controller asks, and held in full, once as a current and once as a power. Then the greatest power that the plant could
have held from the very same state is found by bisection; it may take no cell beyond its window (LFP 2.5-3.65 V, NMC
2.8-4.2 V, SoC 0-100 %) and no more than the string's current (NMC 6C, LFP 5C and 6C).

- *Beyond*: how far the worst cell went beyond its voltage; negative = room that was left. At most 5 mV.
- *Left unused*: 1 - limit / greatest power, at least 0: the mean over all limits, of which the number in brackets were
  bound by cells. At most 10 %. The second figure is the mean over those that were bound by cells alone.

A limit that no cell binds is the string's bound of current. "Continuous" is half an hour, which the SoC mostly binds:
an error of 3 % SoC is a third of what lies between 90 % and full, or between 10 % and empty.
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of some limits; `unused_bound_frac` over those that cells bind alone, None without any."""

    bound: int
    beyond_v: float
    unused_frac: float
    unused_bound_frac: float | None


def limits_command(arguments: argparse.Namespace) -> int:
    """Exit status 1 when a target is missed. OSError where the document cannot be written."""
    held = list(_work(QUICK_DEGC if arguments.quick else DEGC, arguments.jobs))
    if arguments.json:
        print(json.dumps([{**asdict(each), "pessimism": each.pessimism} for each in held], indent=2))
    else:
        print("\n".join(tables(held)))
    if arguments.markdown is not None:
        Path(arguments.markdown).write_text("\n".join([INTRODUCTION, *tables(held), ""]), encoding="utf-8")
    return 1 if any(_misses(_figures(_of(held, kind))) for kind in _kinds(held)) else 0


def course(kind: int, degc: float) -> list[Held]:
    """All limits of one course; the kind by its place in KINDS, for the way to another process."""
    moments = Course(KINDS[kind], degc, SEED + round(degc)).moments()
    return [held for moment in moments for held in held_limits(moment)]


def _work(degrees_c: Sequence[float], jobs: int) -> Iterator[Held]:
    courses = [(kind, degc) for kind in range(len(KINDS)) for degc in degrees_c]
    done: dict[tuple[int, float], list[Held]] = {}
    with WorkerProcesses(jobs) as workers:
        running = {workers.submit(course, *each): each for each in courses}
        while running:
            for future in workers.finished(running):
                each = running.pop(future)
                done[each] = future.result()
                print(f"{KINDS[each[0]].name} at {each[1]:g} °C: done", file=sys.stderr)
    for each in courses:
        yield from done[each]


def _kinds(held: Sequence[Held]) -> list[str]:
    return list(dict.fromkeys(each.kind for each in held))


def _of(held: Sequence[Held], kind: str) -> list[Held]:
    return [each for each in held if each.kind == kind]


def _figures(held: Sequence[Held]) -> Figures:
    unused = [max(each.pessimism, 0.0) for each in held]
    bound = [frac for frac, each in zip(unused, held, strict=True) if not each.free]
    beyond_v = max(each.beyond_v for each in held)
    return Figures(len(bound), beyond_v, float(np.mean(unused)), float(np.mean(bound)) if bound else None)


def _misses(figures: Figures) -> bool:
    return figures.beyond_v > BEYOND_V_MAX or figures.unused_frac > PESSIMISM_MAX


def tables(held: Sequence[Held]) -> list[str]:
    lines: list[str] = []
    for kind in _kinds(held):
        of_kind = _of(held, kind)
        lines += [f"## {kind}", "", *_by_horizon(of_kind), "", *_by_place(of_kind), ""]
    return lines


def _by_horizon(held: Sequence[Held]) -> list[str]:
    degrees_c = sorted({each.degc for each in held})
    heads = [f"{degc:g} °C: {what}" for degc in degrees_c for what in ("beyond", "left unused")]
    rows = []
    for charge in (False, True):
        for horizon_s in HORIZONS_S:
            name = f"{'charge' if charge else 'discharge'}, {_horizon(horizon_s)}"
            rows.append((name, [each for each in held if each.charge == charge and each.horizon_s == horizon_s]))
    rows.append(("all", list(held)))
    texts = [
        [name, *(text for degc in degrees_c for text in _texts([each for each in row if each.degc == degc]))]
        for name, row in rows
    ]
    beyond, unused = _texts(held, PESSIMISM_MAX)
    return [*_table(["limit", *heads], texts), "", f"All together: beyond {beyond}, left unused {unused}."]


def _by_place(held: Sequence[Held]) -> list[str]:
    stops = sorted({each.stop_frac for each in held})
    rows = []
    for upwards in (False, True):
        at = [[each for each in held if each.upwards == upwards and each.stop_frac == stop] for stop in stops]
        rows.append(["going up" if upwards else "going down", *("; ".join(_texts(each)) for each in at)])
    return _table(["", *(f"{100 * stop:g} % SoC" for stop in stops)], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]


def _texts(held: Sequence[Held], unused_frac_max: float = np.inf) -> tuple[str, str]:
    """Beyond, and left unused; dashes where there is no limit."""
    if not held:
        return "-", "-"
    figures = _figures(held)
    beyond = f"{1000 * figures.beyond_v:.0f} mV" + (f" {MISSED}" if figures.beyond_v > BEYOND_V_MAX else "")
    missed = f" {MISSED}" if figures.unused_frac > unused_frac_max else ""
    bound = "-" if figures.unused_bound_frac is None else f"{100 * figures.unused_bound_frac:.0f} %"
    return beyond, f"{100 * figures.unused_frac:.0f} % ({figures.bound}: {bound}){missed}"


def _horizon(horizon_s: float) -> str:
    return "continuous" if horizon_s == HORIZONS_S[-1] else f"{horizon_s:g} s"
