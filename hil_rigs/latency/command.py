"""`hil latency`: samples in several processes, a table of percentiles, the verdict."""

import argparse
import errno
import json
import logging
import math
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hil_rigs.console import console
from hil_rigs.latency.causes import CAUSES
from hil_rigs.latency.figures import Figures, figures_of
from hil_rigs.latency.page import page
from hil_rigs.latency.sample import Disturbance, Sample, take_samples
from hil_rigs.worker_processes import WorkerProcesses

P999_SAMPLES = 1000
FIGURES = ("stop_ms", "contactor_ms")
WORDS = ("p50", "p99", "p99.9", "max", "limit")


def latency(arguments: argparse.Namespace) -> int:
    """Exit status 1 when a limit is missed, a sample had no stop, or the run was interrupted. FileNotFoundError, before
    anything is measured, for a page in a folder that does not exist."""
    _require_folder(arguments.markdown)
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    samples: dict[str, list[Sample]] = {name: [] for name in CAUSES}
    interrupted = False
    live = not (arguments.plain or arguments.json) and sys.stderr.isatty()
    try:
        with _progress(live) as progress:
            task = progress.add_task("latency", total=len(seeds) * len(CAUSES))
            for fault_class, taken in _taken(seeds, arguments):
                samples[fault_class] += taken
                progress.advance(task)
                if not live and not arguments.json:
                    print(_line(fault_class, taken), flush=True)
    except KeyboardInterrupt:
        print("interrupted; the figures are those of what was measured", file=sys.stderr)
        interrupted = True
    figures = [figures_of(name, taken) for name, taken in samples.items()]
    _report(figures, arguments)
    if arguments.markdown and not interrupted:
        arguments.markdown.write_text(page(figures), encoding="utf-8")
    return 1 if interrupted or not all(each.within for each in figures) else 0


def _require_folder(file: Path | None) -> None:
    if file is not None and not file.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))


def _taken(seeds: Sequence[int], arguments: argparse.Namespace) -> Iterator[tuple[str, list[Sample]]]:
    """A class and its samples of one seed, as they are finished; no more than two a process wait."""
    left = iter([(name, seed) for seed in seeds for name in CAUSES])
    how = arguments.samples, Disturbance(arguments.can_loss, arguments.delay)
    with WorkerProcesses(arguments.jobs) as workers:
        running = {workers.submit(_take, *each, *how): each[0] for each in islice(left, 2 * arguments.jobs)}
        while running:
            for done in workers.finished(running):
                fault_class = running.pop(done)
                running |= {workers.submit(_take, *each, *how): each[0] for each in islice(left, 1)}
                yield fault_class, done.result()


def _take(fault_class: str, seed: int, count: int, disturbance: Disturbance) -> list[Sample]:
    logging.basicConfig(handlers=[logging.NullHandler()])  # drivers report the links that causes cut
    return take_samples(fault_class, seed, count, disturbance)


def _progress(live: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not live)


def _line(fault_class: str, taken: Sequence[Sample]) -> str:
    figures = Figures(fault_class, tuple(taken))
    worst = ", ".join(f"{name.removesuffix('_ms')} {_ms(figures.most(name))} ms at most" for name in FIGURES)
    return f"{fault_class}: seed {taken[0].seed}, {len(taken)} samples, {worst}"


def _report(figures: Sequence[Figures], arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json.dumps({each.fault_class: document(each) for each in figures}, indent=2, allow_nan=False))
    elif arguments.plain:
        for each in figures:
            print("\n".join(_plain_lines(each)))
    else:
        console().print(_table(figures))
    if not arguments.json:
        print(_note(figures))
    for each in figures:
        for line in complaints(each, _again(arguments)):
            print(line, file=sys.stderr)


def _again(arguments: argparse.Namespace) -> list[str]:
    """The words that make the same samples of a seed."""
    words = ["--samples", f"{arguments.samples}"]
    words += ["--can-loss", f"{arguments.can_loss:g}"] if arguments.can_loss else []
    return words + (["--delay", f"{arguments.delay:g}"] if arguments.delay else [])


def complaints(figures: Figures, again: Sequence[str]) -> Iterator[str]:
    """A line for each limit missed and each sample without a stop; `again` are the words beside its seed."""
    for missed in figures.misses():
        yield f"missed: {missed}"
    for sample in figures.errors:
        words = ["hil", "latency", "--seeds", "1", "--first", str(sample.seed), *again]
        where = f"{figures.fault_class}, {sample.cause}, sample {sample.number} of seed {sample.seed}"
        yield f"error: {where}: {sample.error}; replay: {shlex.join(words)}"


def document(figures: Figures) -> dict[str, object]:
    """A class as JSON; figures that nothing was measured for are null."""
    return {
        **{name: _known(figures.percentiles(name)) for name in (*FIGURES, "opening_ms")},
        "max_ms": _known({name.removesuffix("_ms"): figures.most(name) for name in FIGURES}),
        "limit_ms": {name.removesuffix("_ms"): figures.limit_ms(name) for name in FIGURES},
        "samples": len(figures.samples),
        "within": figures.within,
        "misses": list(figures.misses()),
        "errors": [_error_of(sample) for sample in figures.errors],
        "causes": {name: _cause_document(each) for name, each in figures.by_cause()},
    }


def _cause_document(figures: Figures) -> dict[str, object]:
    return {"samples": len(figures.samples), **_known({f"{name}_max": figures.most(name) for name in FIGURES})}


def _known(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else round(value, 3) for name, value in values.items()}


def _error_of(sample: Sample) -> dict[str, object]:
    return {"seed": sample.seed, "number": sample.number, "cause": sample.cause, "error": sample.error}


def _table(figures: Sequence[Figures]) -> Table:
    table = Table("class", "ms", *WORDS, "", box=SIMPLE)
    for column in range(2, 2 + len(WORDS)):
        table.columns[column].justify = "right"
    for each in figures:
        for name in FIGURES:
            verdict = "within" if each.is_within(name) else "MISSED"
            table.add_row(each.fault_class, name.removesuffix("_ms"), *_cells(each, name), verdict)
    return table


def _cells(figures: Figures, name: str) -> list[str]:
    """p50, p99, p99.9, maximum, limit."""
    values = [*figures.percentiles(name).values(), figures.most(name)]
    return [*map(_ms, values), f"{figures.limit_ms(name):g}"]


def _plain_lines(figures: Figures) -> Iterator[str]:
    for name in FIGURES:
        cells = " ".join(f"{word} {cell}" for word, cell in zip(WORDS, _cells(figures, name), strict=True))
        yield f"{figures.fault_class} {name}: {cells} ({len(figures.samples)} samples)"


def _note(figures: Sequence[Figures]) -> str:
    counts = sorted(len(each.samples) for each in figures)
    count = f"{counts[0]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
    few = "; p99.9 of fewer than 1000 samples is the maximum" if counts[0] < P999_SAMPLES else ""
    return (
        f"{count} samples a class{few}.\n"
        "stop: from the cause to 0 W and STOP in the converter; contactor: from there and current below break current\n"
        "to the opening command on the CAN wire."
    )


def _ms(value_ms: float) -> str:
    return "-" if math.isnan(value_ms) else f"{value_ms:.1f}"
