"""`bms run` of a fleet file: the controller on real units, with its record and an orderly end on Ctrl-C."""

import asyncio
import json
import logging
import math
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bms.fleet.controller import FleetController, UnitFault
from bms.fleet.settings import Fleet
from bms.record import ProcessRecorder, TickRow
from bms.service_manager import ServiceManager
from drivers.clock import now_ns
from drivers.config.config_yaml import load_strict

PLAIN_PERIOD_S = 1.0


def is_fleet(path: Path) -> bool:
    """The file lists units, so it is no site file. False for one that cannot be read: the site's loader says why."""
    try:
        if not path.is_file():  # a pipe could be awaited for ever
            return False
        return any(line.startswith("units:") for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return False


def load_fleet(path: Path) -> Fleet:
    """The fleet in a file; ConfigErrors with every mistake, one a line."""
    return load_strict(path, Fleet)


def run_fleet(fleet: Fleet, *, duration_s: float | None, record: Path | None, show: str) -> int:
    """Run until Ctrl-C, SIGTERM or `duration_s`; exit status 1 when a unit had a fault. `show` is `json` (one document
    at the end), `quiet` (a line when something happens) or else a line a second. RecordError before anything runs."""
    logging.basicConfig(format="%(message)s", handlers=[logging.NullHandler()] if show == "json" else None)
    with ServiceManager(os.environ, time.monotonic) as systemd:
        return asyncio.run(_run(fleet, duration_s, record, systemd, show))


async def _run(fleet: Fleet, duration_s: float | None, record: Path | None, systemd: ServiceManager, show: str) -> int:
    trips: list[UnitFault] = []

    def on_trip(fault: UnitFault) -> None:
        trips.append(fault)
        if show != "json":
            print(f"TRIP {fault}", flush=True)

    async with _recorder(record, fleet) as recorder:
        controller = FleetController(
            fleet,
            recorder=recorder,
            perf_clock=time.perf_counter,
            on_trip=on_trip,
            wall_clock=time.time,
            beat=systemd.beat,
        )
        systemd.says = lambda: "" if controller.row is None else _line(controller.row, controller)
        await _drive(controller, systemd, duration_s, lines=show not in ("json", "quiet"))
    _say_end(controller, trips, as_json=show == "json")
    if recorder is not None and recorder.fault is not None:
        print(f"record: {recorder.fault} ({recorder.dropped} rows lost)", file=sys.stderr)
    return 1 if trips else 0


async def _drive(
    controller: FleetController, systemd: ServiceManager, duration_s: float | None, *, lines: bool
) -> None:
    def stop() -> None:
        systemd.ending()
        controller.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    if duration_s is not None:
        loop.call_later(duration_s, stop)
    async with asyncio.TaskGroup() as tasks:
        shown = tasks.create_task(_show_for_ever(controller)) if lines else None
        await controller.run()
        if shown is not None:
            shown.cancel()


@asynccontextmanager
async def _recorder(path: Path | None, fleet: Fleet) -> AsyncIterator[ProcessRecorder | None]:
    if path is None:
        yield None
        return
    async with ProcessRecorder(path, {"site": fleet.name, "clock_start_ns": str(now_ns())}) as recorder:
        yield recorder


async def _show_for_ever(controller: FleetController) -> None:
    while True:
        await asyncio.sleep(PLAIN_PERIOD_S)
        if controller.row is not None:
            print(_line(controller.row, controller), flush=True)


def _line(row: TickRow, controller: FleetController) -> str:
    states = row.rack_states.split(",")
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    faults = "; ".join(map(str, controller.faults.values())) or "-"
    return (
        f"{row.time_s:8.1f} s  {counts}  grid {_kw(row.grid_power_w)}  load {_kw(row.load_power_w)}  "
        f"battery {_kw(row.battery_power_w)}  asked {_kw(row.requested_power_w)} by {row.asked_by or '-'}  "
        f"SoC {100 * row.soc_min_frac:.1f}/{100 * row.soc_mean_frac:.1f}/{100 * row.soc_max_frac:.1f} %  "
        f"unmet {row.unmet or '-'}  faults {faults}  overruns {row.overruns}"
    )


def _kw(power_w: float) -> str:
    return "-" if math.isnan(power_w) else f"{power_w / 1e3:.1f} kW"


def _say_end(controller: FleetController, trips: list[UnitFault], *, as_json: bool) -> None:
    if as_json:
        row = controller.row
        known = {} if row is None else row._asdict()
        status = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in known.items()}
        faults = [{"fault": fault.fault_id, "target": fault.unit, "detail": fault.detail} for fault in trips]
        print(json.dumps({"stopped": controller.end_state(), "tripped": faults, "status": status}))
        return
    print(f"stopped: {controller.end_state()}")
    for fault in trips:
        print(f"tripped: {fault}")
