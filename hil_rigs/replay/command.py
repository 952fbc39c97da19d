"""`hil replay`: what today's controller decides otherwise on the readings of a record."""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bms.record import RecordError
from bms.record.files import read_batches
from bms.record.schema import MDF, record_path
from bms.site import Site, load_site
from drivers.config.config_yaml import in_words
from hil_rigs.console import console
from hil_rigs.replay.compare import POWERS, SHORT_S, Comparison, Difference
from hil_rigs.replay.play import play


def replay(arguments: argparse.Namespace) -> int:
    """Exit status 1 when something is decided otherwise."""
    schema, batches = read_batches(arguments.record)
    if record_path(arguments.record).suffix == MDF:
        raise RecordError(f"{arguments.record}: holds no readings to replay: MDF has none, expected a Parquet record")
    metadata = {name.decode(): value.decode() for name, value in (schema.metadata or {}).items()}
    site = load_site(arguments.site) if arguments.site is not None else _site_of(metadata, arguments.record)
    comparison = Comparison(arguments.tolerance / 100.0, arguments.from_s)
    started = metadata.get("started_unix_ns")
    with _progress(arguments) as on_tick:
        play(
            batches,
            site,
            str(arguments.record),
            comparison,
            started_unix_s=None if started is None else int(started) / 1e9,
            on_tick=on_tick,
        )
    if arguments.json:
        print(json.dumps(_document(comparison, arguments), indent=2))
    else:
        _print(comparison)
    return 0 if comparison.same else 1


def _site_of(metadata: Mapping[str, str], record: Path) -> Site:
    settings = metadata.get("site_settings")
    if settings is None:
        raise RecordError(f"{record}: does not hold its site's settings, give --site SITE")
    try:
        return Site.model_validate_json(settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        wrong = in_words(Site, first)
        raise RecordError(f"{record}: the site that it was made with is none today: {place}: {wrong}") from None


@contextmanager
def _progress(arguments: argparse.Namespace) -> Iterator[Callable[[float], None]]:
    """A bar over the record's time, on a terminal."""
    live = not (arguments.plain or arguments.json) and sys.stderr.isatty()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not live) as progress:
        task = progress.add_task("replay", total=_length_s(arguments.record) if live else None)
        yield lambda at_s: progress.update(task, completed=at_s)


def _length_s(record: Path) -> float | None:
    """From the statistics of the last rows; None of a record that was not finished."""
    if record.suffix != ".parquet" or not record.exists():
        return None
    metadata = pq.read_metadata(record)
    if metadata.num_row_groups == 0:
        return None
    return float(metadata.row_group(metadata.num_row_groups - 1).column(0).statistics.max)


def _print(comparison: Comparison) -> None:
    out = console()
    if comparison.same:
        out.print(f"the same decisions in {comparison.ticks} ticks ({_tolerance(comparison)})")
        return
    table = Table(title=f"{comparison.ticks} ticks, {_tolerance(comparison)}", title_justify="left")
    table.add_column("decision", no_wrap=True)
    for name in ("ticks", "first at", "then", "now", "apart at most"):
        table.add_column(name, overflow="fold")
    for difference in comparison.differences.values():
        table.add_row(*_cells(difference))
    out.print(table)


def _tolerance(comparison: Comparison) -> str:
    since = f" from {comparison.from_s:g} s on" if comparison.from_s else ""
    return f"powers within {comparison.tolerance_frac:.1%} of the rating, for longer than {SHORT_S:g} s{since}"


def _cells(difference: Difference) -> tuple[str, ...]:
    if difference.first_s is None:
        return difference.column, "0", "", "", "", ""
    apart = "" if difference.apart_w_max is None else f"{difference.apart_w_max / 1e3:.1f} kW"
    return (
        difference.column,
        str(difference.ticks),
        f"{difference.first_s:.2f} s",
        _word(difference.column, difference.then),
        _word(difference.column, difference.now),
        apart,
    )


def _word(column: str, value: Any) -> str:
    if column in POWERS:
        return "-" if math.isnan(value) else f"{value / 1e3:.1f} kW"
    return str(value) or "none"


def _document(comparison: Comparison, arguments: argparse.Namespace) -> dict[str, Any]:
    differences = [asdict(each) for each in comparison.differences.values() if each.ticks]
    for each in differences:
        each |= {name: _json(each[name]) for name in ("then", "now", "apart_w_max")}
    return {
        "record": str(arguments.record),
        "same": comparison.same,
        "ticks": comparison.ticks,
        "from_s": comparison.from_s,
        "tolerance_frac": comparison.tolerance_frac,
        "differences": differences,
    }


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
