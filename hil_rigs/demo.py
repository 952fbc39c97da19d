"""`hil demo`: a rig and the deployed controller as two processes on real sockets, then figures from both."""

import argparse
import asyncio
import contextlib
import ctypes
import json
import math
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bms.child_python import module_command
from bms.record.schema import new_record_path
from bms.state.files import StateFiles
from bms.state.saved import find_state
from hil_rigs.demo_summary import print_summary, summary_document
from hil_rigs.faults.spec import parse_fault_before
from hil_rigs.rig import find_rig

BAD_INPUT = 2
READY_S = 30.0
END_S = 20.0
PR_SET_PDEATHSIG = 1


class DemoError(RuntimeError):
    """The demo cannot go on; the message is one line."""


def demo(arguments: argparse.Namespace) -> int:
    """The controller's exit status: 1 when a fault tripped, or when it was interrupted before the controller began; 2
    when the rig could not be served."""
    find_rig(arguments.rig)
    for text in arguments.fault:
        parse_fault_before(text, arguments.duration or math.inf)
    new_record_path(arguments.record)
    with tempfile.TemporaryDirectory(prefix="cellward-demo-") as folder:
        try:
            return asyncio.run(_demo(arguments, Path(folder)))
        except KeyboardInterrupt:  # later on the controller is told, and ends in order
            return _never_began()
        except DemoError as error:
            if str(error):
                print(error, file=sys.stderr)
            return 2


async def _demo(arguments: argparse.Namespace, folder: Path) -> int:
    site, truth = folder / "site.yaml", folder / "truth.parquet"
    earlier = _file_at(arguments.record)
    async with _rig(arguments, site, truth) as rig:
        status = await _control(arguments, site, rig)
    if status == BAD_INPUT:
        raise DemoError  # the controller has said why
    if status == -signal.SIGTERM:
        return _never_began()
    if _file_at(arguments.record) in (None, earlier):
        print(f"no record: {arguments.record} was not written", file=sys.stderr)
        return status or 1
    if arguments.json:
        print(json.dumps(summary_document(truth, arguments.record, status), indent=2))
    else:
        print_summary(truth, arguments.record)
        if _left_latched(folder, find_rig(arguments.rig).name):
            print("every demo has a new battery: nothing of it stays latched")
    return status


def _left_latched(folder: Path, name: str) -> bool:
    """The controller's state, which goes with the demo's folder, holds a latched fault."""
    state = find_state(StateFiles(folder, name)).document
    return state is not None and bool(state.latched)


def _never_began() -> int:
    print("interrupted before it began", file=sys.stderr)
    return 1


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file lies there: a record is always written as a new one. None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


@asynccontextmanager
async def _rig(arguments: argparse.Namespace, site: Path, truth: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The rig's process from `ready` on; told to end, and waited for, at the end."""
    options = ["--write-site", str(site), "--truth", str(truth), "--seed", str(arguments.seed)]
    if arguments.load is not None:
        options += ["--load", str(arguments.load), "--load-scale", str(arguments.load_scale)]
        options += ["--run", str(arguments.run)] if arguments.run is not None else []
    for fault in arguments.fault:
        options += ["--fault", fault]
    rig = await _start("hil_rigs.cli", "serve", arguments.rig, *options, stdout=asyncio.subprocess.PIPE)
    try:
        await _until_ready(rig)
        yield rig
    finally:
        await _end(rig)


async def _until_ready(rig: asyncio.subprocess.Process) -> None:
    assert rig.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            while (line := await rig.stdout.readline()) not in (b"ready\n", b""):
                print(line.decode().rstrip(), file=sys.stderr)
    except TimeoutError:
        raise DemoError(f"the rig was not ready within {READY_S:g} s") from None
    if not line:
        raise DemoError  # the rig itself has said why


async def _control(arguments: argparse.Namespace, site: Path, rig: asyncio.subprocess.Process) -> int:
    """Run the controller to its end. Signals to the demo reach it once each, as SIGTERM: its orderly end, and in the
    moments before it has begun a death without a word. A rig that dies ends it. Its state is beside the site file, in
    the demo's own folder: every demo has a new battery."""
    options = ["--record", str(arguments.record)]
    options += ["--duration", str(arguments.duration)] if arguments.duration else []
    options += ["--plain"] if arguments.plain else []
    options += ["--json"] if arguments.json else []
    quiet = asyncio.subprocess.DEVNULL if arguments.json else None
    controller = await _start("bms.cli", "run", str(site), *options, stdout=quiet)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _send, controller, signal.SIGTERM)
    watch = asyncio.create_task(_end_with(rig, controller))
    status = await controller.wait()
    watch.cancel()
    return status


async def _end_with(rig: asyncio.subprocess.Process, controller: asyncio.subprocess.Process) -> None:
    await rig.wait()
    print("the rig's process ended: stopping the controller", file=sys.stderr)
    _send(controller, signal.SIGTERM)


async def _start(module: str, *options: str, stdout: int | None = None) -> asyncio.subprocess.Process:
    """A child of its own process group (Ctrl-C is ours to pass on) that gets SIGTERM should the demo be killed."""
    return await asyncio.create_subprocess_exec(
        *module_command(module, *options), stdout=stdout, process_group=0, preexec_fn=_die_with_parent
    )


def _die_with_parent() -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


async def _end(process: asyncio.subprocess.Process) -> None:
    _send(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
