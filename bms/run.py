"""`bms run`: the controller on real devices, with its record, its screen and an orderly end on Ctrl-C."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from bms.background import BackgroundThread
from bms.controller import Controller
from bms.north.child import ChildSink
from bms.north.gateway import Gateway
from bms.north.reset_words import ResetWords
from bms.north.screen import plain_line
from bms.north.status_socket import StatusSocket
from bms.protect.protection import ActiveFault
from bms.record import ProcessRecorder
from bms.service_manager import ServiceManager
from bms.site import Site, site_settings
from bms.state.memory import SiteMemory
from bms.state.process import ProcessStore
from bms.state.saved import find_state
from bms.status import status_document
from drivers.clock import now_ns
from drivers.links.can import open_python_can

SCREEN_PERIOD_S = 0.25
PLAIN_PERIOD_S = 1.0


def run_site(
    site: Site, *, duration_s: float | None, record: Path | None, state: Path, resets: ResetWords, show: str
) -> int:
    """Run until Ctrl-C, SIGTERM or `duration_s`; exit status 1 when a fault tripped or was still latched, else 0.
    `state` is the folder of what survives a restart, `resets` how people end a latched fault; `show` is `screen`,
    `plain` (a line a second), `quiet` (a line for what happens) or `json` (one document at the end). RecordError and
    StateError before anything runs."""
    # The live screen shows what drivers have to say as faults; lines in between would tear it apart.
    logging.basicConfig(format="%(message)s", handlers=None if show in ("plain", "quiet") else [logging.NullHandler()])
    sys.setswitchinterval(0.0005)  # the CAN reader threads must not hold up a tick for 5 ms
    with ServiceManager(os.environ, time.monotonic) as systemd:
        return asyncio.run(_run(site, duration_s, record, state, resets, show, systemd))


async def _run(
    site: Site,
    duration_s: float | None,
    record: Path | None,
    state: Path,
    resets: ResetWords,
    show: str,
    systemd: ServiceManager,
) -> int:
    trips: list[ActiveFault] = []
    async with ProcessStore(state, site.name) as store, _recorder(record, site) as recorder:
        found = find_state(store.files)

        def on_end(how: str, fault: ActiveFault) -> None:
            if show in ("plain", "quiet"):
                _say(f"{how.upper()} {fault.kind.id} ({fault.target})")

        memory = SiteMemory(site, store, found, time.time, on_end)
        for line in memory.said:
            _say(f"state: {line}", sys.stderr)
        for latched in found.document.latched if found.document is not None else ():
            _say(f"  reset: {resets.of(latched.id, latched.target)}", sys.stderr)

        def on_trip(fault: ActiveFault) -> None:
            trips.append(fault)
            if show in ("plain", "quiet"):
                _say(f"TRIP {fault}")
                if fault.kind.latched:
                    _say(f"  reset: {resets.of(fault.kind.id, fault.target)}")

        controller = Controller(
            site,
            can_opener=open_python_can,
            recorder=recorder,
            perf_clock=time.perf_counter,
            on_trip=on_trip,
            memory=memory,
            wall_clock=time.time,
            background=BackgroundThread(),
            beat=systemd.beat,
        )
        systemd.says = lambda: _in_short(controller)
        stop = _stop_on_signals(controller, systemd)
        async with (
            _shown(show, memory, resets) as draw,
            Gateway(site, controller.requests, controller.report.status) as gateway,
            StatusSocket(store.files, controller.report) as asked,
        ):
            controller.report.north_faults += [lambda: gateway.fault, lambda: asked.fault]
            if recorder is not None:
                controller.report.record_fault = lambda: recorder.fault or ""
            if duration_s is not None:
                asyncio.get_running_loop().call_later(duration_s, stop)
            await _drive(controller, draw, SCREEN_PERIOD_S if show == "screen" else PLAIN_PERIOD_S)
    if show == "json":
        _say(_document(controller, trips))
    else:
        _say_end(controller, trips, memory, resets, recorder)
    return 1 if trips or memory.latched else 0


async def _drive(controller: Controller, show: Callable[[Controller], None], period_s: float) -> None:
    gc.collect()
    gc.freeze()  # start-up objects live for ever: a full collection would walk them in the middle of a tick
    async with asyncio.TaskGroup() as tasks:
        shown = tasks.create_task(_show_for_ever(controller, show, period_s))
        await controller.run()
        shown.cancel()
    show(controller)


async def _show_for_ever(controller: Controller, show: Callable[[Controller], None], period_s: float) -> None:
    while True:
        await asyncio.sleep(period_s)
        show(controller)


@asynccontextmanager
async def _recorder(path: Path | None, site: Site) -> AsyncIterator[ProcessRecorder | None]:
    if path is None:
        yield None
        return
    started = {"clock_start_ns": str(now_ns()), "started_unix_ns": str(time.time_ns())}
    async with ProcessRecorder(path, {"site": site.name, "site_settings": site_settings(site), **started}) as recorder:
        yield recorder


@asynccontextmanager
async def _shown(show: str, memory: SiteMemory, resets: ResetWords) -> AsyncIterator[Callable[[Controller], None]]:
    """How the status is shown: one line a second, nothing, or the live screen in a process of its own."""
    if show != "screen":
        yield _print_line if show == "plain" else lambda _: None
        return
    async with ChildSink("bms.north.screen") as screen:
        yield lambda controller: _draw(controller, screen, [resets.of(each.id, each.target) for each in memory.latched])


def _print_line(controller: Controller) -> None:
    status = controller.report.status()
    if status is not None:
        _say(plain_line(asdict(status)))


def _draw(controller: Controller, screen: ChildSink, resets: list[str]) -> None:
    status = controller.report.status()
    if status is not None:
        screen.put(json.dumps({**asdict(status), "resets": resets}).encode() + b"\n")


def _stop_on_signals(controller: Controller, systemd: ServiceManager) -> Callable[[], None]:
    """Any of them asks for the orderly end, which is bounded; asking again changes nothing, so that an impatient
    Ctrl-C or a closed terminal (which sends several) never leaves contactors closed under load. Returned is what they
    do."""

    def stop() -> None:
        systemd.ending()
        controller.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    return stop


def _in_short(controller: Controller) -> str:
    """For `systemctl status`."""
    tick = controller.report.newest
    if tick is None:
        return ""
    power_w = tick.powers.battery_w
    power = "" if power_w is None else f", battery {power_w / 1e3:.1f} kW"
    return (
        f"{tick.battery.mode}{power}; faults: {', '.join(sorted({fault.kind.id for fault in tick.faults})) or 'none'}"
    )


def _say_end(
    controller: Controller,
    trips: list[ActiveFault],
    memory: SiteMemory,
    resets: ResetWords,
    recorder: ProcessRecorder | None,
) -> None:
    _say(f"stopped: {controller.end_state()}")
    for fault in trips:
        _say(f"tripped: {fault}")
    for latched in memory.latched:
        _say(f"latched until `bms reset`: {latched}")
        _say(f"  reset: {resets.of(latched.id, latched.target)}")
    if memory.fault:
        _say(f"state: {memory.fault}")
    if recorder is not None and recorder.fault is not None:
        _say(f"record: {recorder.fault} ({recorder.dropped} rows lost)")


def _document(controller: Controller, trips: list[ActiveFault]) -> str:
    status = controller.report.status()
    tripped = [{"fault": fault.kind.id, "target": fault.target, "detail": fault.detail} for fault in trips]
    known = status_document(status) if status else None
    return json.dumps({"stopped": controller.end_state(), "tripped": tripped, "status": known})


def _say(line: str, to: TextIO | None = None) -> None:
    """A closed terminal or a broken pipe is no reason to drop a battery under load."""
    with contextlib.suppress(OSError):
        print(line, flush=True, file=to)
