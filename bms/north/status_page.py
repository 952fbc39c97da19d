"""`bms status`: what a running controller does now, for people and scripts. It only reads."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console

from bms.north.reset_words import ResetWords
from bms.north.screen import picture
from bms.north.status_socket import FaultSaid, SilentError, ask_status
from bms.protect.faults import FAULTS
from bms.state.files import Found, StateFiles
from bms.state.saved import SavedState, find_state

ANSWER_S = 2.0
OLD_S = 1.0
"""A tick that is older than this is no tick of a controller that works."""
FINE, FAULTY, NOT_RUNNING = 0, 1, 3
"""Exit status; that of none that runs is systemctl's and the LSB's."""


def show_status(files: StateFiles, resets: ResetWords, *, as_json: bool) -> int:
    """Print it. Exit status FINE, FAULTY (a fault is active, state or record is not saved, or it runs and does not
    answer) or NOT_RUNNING. `resets` is how a fault is reset there. PermissionError when it may not be asked."""
    try:
        said = ask_status(files, ANSWER_S)
    except SilentError as silent:
        return _show_silent(str(silent), as_json=as_json)
    if said is None and _held(files):
        return _show_silent(f"{files.folder}: a controller of {files.site} starts or ends there", as_json=as_json)
    if said is None:
        return _show_none(files, resets, as_json=as_json)
    faults = [FaultSaid(**each) for each in said["faults"]]
    well = _well(said, faults)
    if as_json:
        print(json.dumps({"running": True, "ok": well, **said, "faults": [_full(each, resets) for each in faults]}))
    else:
        _print(said, faults, resets)
    return FINE if well else FAULTY


def _well(said: dict[str, Any], faults: list[FaultSaid]) -> bool:
    status = said["status"]
    if status is None or faults or said["tick_age_s"] > OLD_S:
        return False
    return not status["state_fault"] and not status.get("record_fault")


def _held(files: StateFiles) -> bool:
    """Somebody keeps this state. A lock that nobody may look at is nobody's."""
    try:
        with files.locked.open("rb"):
            files.lock().close()
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _show_silent(why: str, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"running": True, "ok": False, "error": why, "status": None, "faults": []}))
    else:
        print(why)
    return FAULTY


def _show_none(files: StateFiles, resets: ResetWords, *, as_json: bool) -> int:
    """No controller runs; what is latched is in its files."""
    found = find_state(files)
    saved_at, latched = None, []
    if found.document is not None:
        saved_at = found.document.saved_at
        latched = [FaultSaid(fault.id, fault.target, fault.detail, latched=True) for fault in found.document.latched]
    said = {"saved_at": saved_at, "refused": found.refusals}
    if as_json:
        faults = [_full(each, resets) for each in latched]
        print(json.dumps({"running": False, "ok": False, **said, "status": None, "faults": faults}))
    else:
        print(f"{files.site}: not running" + ("" if saved_at is None else f", state of {saved_at}"))
        for line in (*_refusals(found), *_advice(latched, resets)):
            print(line)
    return NOT_RUNNING


def _refusals(found: Found[SavedState]) -> Iterator[str]:
    """Why a file of the state is not believed, and what counts in its place."""
    yield from (f"state: {refusal}" for refusal in found.refusals)
    if found.lost:
        yield "state: which faults were latched is not known"
    elif found.refusals:
        yield "state: this is the previous copy"


def _full(fault: FaultSaid, resets: ResetWords) -> dict[str, Any]:
    """`do` is what to do; `reset` the command, of a latched one."""
    advice = FAULTS[fault.fault].advice if fault.fault in FAULTS else None
    reset = resets.of(fault.fault, fault.target) if fault.latched else None
    return {**asdict(fault), "do": advice, "reset": reset}


def _print(said: dict[str, Any], faults: list[FaultSaid], resets: ResetWords) -> None:
    status = said["status"]
    if status is None:
        print("the controller starts")
        return
    console = Console()
    known = {name: math.nan if value is None else value for name, value in status.items()}
    console.print(picture(known, console.width))
    if said["tick_age_s"] > OLD_S:
        print(f"its newest tick is {said['tick_age_s']:.1f} s old")
    for line in _advice(faults, resets):
        print(line)


def _advice(faults: list[FaultSaid], resets: ResetWords) -> Iterator[str]:
    for fault in faults:
        full = _full(fault, resets)
        yield f"{fault}" + (", latched" if fault.latched else "")
        if full["do"]:
            yield f"  do:    {full['do']}"
        if full["reset"]:
            yield f"  reset: {full['reset']}"
