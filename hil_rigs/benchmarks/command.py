"""`hil bench`: runs the benchmarks, prints their table, writes JSON and the page of the documentation."""

import argparse
import errno
import json
import logging
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from hil_rigs.benchmarks import balancing, buses, cells, frames, links, virtual_time
from hil_rigs.benchmarks.cells import Sizes
from hil_rigs.benchmarks.measure import Row
from hil_rigs.console import console
from kernels.series import variants

QUICK = Sizes(budget_s=0.6)
PAGE = """\
# How fast it is

Made by `hil bench --markdown docs/benchmarks.md`; again on your machine: `hil bench`, in 20 s: `hil bench --quick`.

Ours and the peer do the same work in the same process and take turns; each figure is the median of the turns, `ratio`
is the peer's time by ours: 10 means ten times faster. The figures depend on the machine, the ratios much less. Rows of
2 threads need both cores for themselves: beside other work they come out as one thread's.

Where the peer is the memory, it reads and writes as many bytes as one step must ({bytes_per_cell} a cell: 15 float32 of
state, of which 12 are written, a voltage, SoC and its sigma) with a single addition: a ratio of 0.7 means 70 % of the
speed that the memory allows. The large size is {strings:,} strings of {cells} cells, about 1 GWh; its slowest step is
one in which every string carries the charge of a minute into its cells and looks at the voltage curve anew. `plain` is
what any x86-64 processor runs, `x86-64-v3` and `-v4` need AVX2 and AVX-512; the best is chosen at run time.

A row of a Modbus transaction is the processor time of the client, its server being another process; a ratio of 0.9
is an overhead of a ninth of pymodbus's own. The rows of 8 buses and of a dead peer are processor time of one core for
a second.

A row of virtual time is the processor time of one core for a simulated second, the quickest of many half seconds:
plant, sensors, every CAN frame and the Modbus devices; with the controller, all of its ticks, links and record besides.
That of a day is of the plant alone.

{table}

{machine}
"""


def bench(arguments: argparse.Namespace) -> int:
    """Exit status 0. FileNotFoundError, before anything is timed, for a file in a folder that does not exist."""
    _require_folders(arguments.json, arguments.markdown)
    logging.basicConfig(handlers=[logging.NullHandler()])  # drivers report the links that benchmarks cut
    sizes = QUICK if arguments.quick else Sizes()
    rows = _shown(all_rows(sizes), sys.stderr.isatty())
    console().print(_table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    if arguments.markdown:
        arguments.markdown.write_text(page(rows, sizes), encoding="utf-8")
    return 0


def _require_folders(*files: Path | None) -> None:
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))


def all_rows(sizes: Sizes) -> Iterator[Row]:
    yield from cells.rows(sizes)
    yield from balancing.rows(sizes)
    yield from frames.rows(sizes.budget_s / 4)
    yield from buses.rows(sizes.budget_s / 4)
    yield from links.rows(sizes.budget_s / 4)
    yield from virtual_time.rows(sizes.budget_s / 4)


def page(rows: Iterable[Row], sizes: Sizes) -> str:
    """The page of the documentation, with this machine's figures."""
    lines = ["| what | ours | peer | its time | ratio |", "|---|---:|---|---:|---:|"]
    lines += [f"| {' | '.join(_columns(row))} |" for row in rows]
    return PAGE.format(
        bytes_per_cell=cells.bytes_of_a_step(1), strings=sizes.strings, cells=sizes.cells, table="\n".join(lines),
        machine=machine(),
    )  # fmt: skip


def machine() -> str:
    """Processor, cores, instruction set in use and Python, in one line."""
    return (
        f"Measured on {_processor()}, {os.cpu_count()} cores, instruction set {variants()[-1]}, "
        f"Python {platform.python_version()}, {platform.system()}."
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _shown(rows: Iterator[Row], on_terminal: bool) -> list[Row]:
    done: list[Row] = []
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not on_terminal) as progress:
        task = progress.add_task("warming up", total=None)
        for row in rows:
            done.append(row)
            progress.update(task, description=f"{len(done)} rows; last: {row.row}")
    return done


def _table(rows: Iterable[Row]) -> Table:
    table = Table("what", "ours", "peer", "its time", "ratio")
    for column in (1, 3, 4):
        table.columns[column].justify = "right"
    for row in rows:
        table.add_row(*_columns(row))
    return table


def _columns(row: Row) -> tuple[str, ...]:
    ours, theirs = f"{_figure(row.ours)} {row.unit}", f"{_figure(row.peer_value)} {row.unit}"
    return row.row, ours, row.peer, theirs, _figure(row.ratio)


def _figure(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
