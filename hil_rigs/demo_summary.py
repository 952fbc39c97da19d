"""What a demo run came to: the plant's own powers with and without battery, and the controller's record."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from bms.record.files import read_record
from hil_rigs.console import console
from hil_rigs.report.summary import Comparison, GridSummary, compare

TOO_SHORT = "too short to compare the grid with and without battery: the limits rise for the first 20 s"
RIG_DIED = "no comparison of the grid with and without battery: the rig's process died and left no powers of the plant"


def print_summary(truth: Path, record: Path) -> None:
    """Print the figures; says so where there is nothing to compare."""
    out = console()
    rows = read_record(record)
    found = _found(truth, rows)
    out.print(found if isinstance(found, str) else _powers(*found))
    out.print(controller_line(rows))
    out.print(f"record: {record} ({rows.num_rows} rows)")


def summary_document(truth: Path, record: Path, status: int) -> dict[str, Any]:
    """The same as one JSON document; `grid` is null where there is nothing to compare, and
    `grid_reason` then says why."""
    rows = read_record(record)
    found = _found(truth, rows)
    grid = {"grid": None, "grid_reason": found} if isinstance(found, str) else {"grid": _grid(*found)}
    return {"exit_status": status, **grid, "controller": controller_line(rows), "record": str(record)}


def _found(truth: Path, rows: pa.Table) -> tuple[Comparison, float] | str:
    """As `compared`, or why there is nothing: the rig writes its truth when it ends, unless it dies."""
    if not truth.exists():
        return RIG_DIED
    return compared(pq.read_table(truth), rows) or TOO_SHORT


def _grid(comparison: Comparison, since_s: float) -> dict[str, Any]:
    return {
        "from_s": since_s,
        "without_battery": asdict(comparison.without_battery),
        "with_battery": asdict(comparison.with_battery),
    }


def compared(truth: pa.Table, rows: pa.Table) -> tuple[Comparison, float] | None:
    """Both curves from the moment the battery's limits had risen, and that moment in seconds after the start."""
    settled_s = settled_at_s(rows)
    if settled_s is None:
        return None
    clocks_ns = [int(table.schema.metadata[b"clock_start_ns"]) for table in (rows, truth)]
    time_s = truth["time_s"].to_numpy() - (clocks_ns[0] - clocks_ns[1]) / 1e9
    ended_s = running_until_s(rows)
    chosen = (time_s >= settled_s) & (time_s <= ended_s)
    if chosen.sum() < 2:
        return None
    load_w, pv_w, grid_w = (truth[f"{of}_power_w"].to_numpy()[chosen] for of in ("load", "pv", "grid"))
    return compare(time_s[chosen], load_w - pv_w, grid_w), settled_s


def settled_at_s(rows: pa.Table) -> float | None:
    """First time at which the battery ran with limits that no longer rose; None if it never did."""
    running = np.array(rows["mode"].to_pylist()) == "running"
    reasons = (np.array(rows[f"limit_reason_{way}"].to_pylist()) != "recovering" for way in ("charge", "discharge"))
    settled = np.flatnonzero(running & np.logical_and(*reasons))
    return float(rows["time_s"][int(settled[0])].as_py()) if settled.size else None


def running_until_s(rows: pa.Table) -> float:
    running = np.flatnonzero(np.array(rows["mode"].to_pylist()) == "running")
    return float(rows["time_s"][int(running[-1])].as_py())


def controller_line(rows: pa.Table) -> str:
    """Ticks, frames and transactions of a record in one line."""
    tick_ms = rows["tick_ms"].to_numpy()
    tick_ms = tick_ms[np.isfinite(tick_ms)]
    p50, p99 = np.percentile(tick_ms, [50, 99]) if tick_ms.size else (np.nan, np.nan)
    last = {name: rows[name][-1].as_py() for name in ("overruns", "frames", "frames_lost", "transactions")}
    lost = rows["transactions_lost"][-1].as_py()
    return (
        f"ticks {rows.num_rows}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, {last['overruns']} overruns; "
        f"CAN frames {last['frames']} handled, {last['frames_lost']} lost; "
        f"Modbus transactions {last['transactions']} handled, {lost} lost"
    )


def _powers(comparison: Comparison, since_s: float) -> Table:
    table = Table(title=f"Grid power from {since_s:.0f} s on, at the plant", title_justify="left")
    table.add_column("")
    table.add_column("without battery", justify="right")
    table.add_column("with battery", justify="right")
    without, with_battery = comparison.without_battery, comparison.with_battery
    for name, attribute, unit in (
        ("peak", "peak_w", "kW"),
        ("range in any 5 s", "range_5s_w", "kW"),
        ("steepest ramp over 1 s", "ramp_1s_w_per_s", "kW/s"),
        ("steepest ramp over 5 s", "ramp_5s_w_per_s", "kW/s"),
    ):
        table.add_row(name, _kilo(without, attribute, unit), _kilo(with_battery, attribute, unit))
    return table


def _kilo(summary: GridSummary, attribute: str, unit: str) -> str:
    value = float(getattr(summary, attribute))
    return "-" if np.isnan(value) else f"{value / 1e3:.1f} {unit}"
