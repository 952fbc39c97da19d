"""Locks that somebody sets until `bms reset` ends them: `bms maintain` takes a rack out of service, `bms local` the
site out of remote hands. A running controller is asked through the folder of its state; where none runs, the saved
state is changed, and the next start finds it so."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from bms.protect.faults import LOCAL_CONTROL, MAINTENANCE
from bms.state import files as state_files
from bms.state.files import StateFiles
from bms.state.reset import (
    HEARD_S,
    LOOK_S,
    SILENT,
    NoAnswerError,
    ResetError,
    asking,
    require_answer,
    saved_state,
)
from bms.state.saved import LatchedFault, SavedState
from bms.state.wall_time import WallClock, utc_text

ASKED = "asked for by `bms maintain`"
ASKED_LOCAL = "asked for by `bms local`"
SITE = "site"
"""Target of the lock on remote requests."""


@dataclass(frozen=True, slots=True)
class _Lock:
    """A latched fault that somebody asks for, and the request that asks a running controller."""

    fault_id: str
    target: str
    detail: str
    request: Mapping[str, object]


class LockSet(NamedTuple):
    """`since` is the wall-clock time of a lock that was there before, so that nothing changed; empty = it was set now,
    which a running controller has done or the next start finds."""

    running: bool
    since: str


def maintain(files: StateFiles, rack: str, wall_clock: WallClock) -> LockSet:
    """Take a rack out of service. ResetError when nobody answers or nothing can be saved."""
    return _set(files, _Lock(MAINTENANCE, rack, ASKED, {"maintain": [rack]}), wall_clock)


def take_local(files: StateFiles, wall_clock: WallClock) -> LockSet:
    """Likewise for the site: remote requests are refused from now on."""
    return _set(files, _Lock(LOCAL_CONTROL, SITE, ASKED_LOCAL, {"local": True}), wall_clock)


def _set(files: StateFiles, wanted: _Lock, wall_clock: WallClock) -> LockSet:
    since = _since(saved_state(files)[0], wanted)
    try:
        lock = files.lock()
    except BlockingIOError:
        if not since:
            _ask(files, wanted)
        return LockSet(True, since)
    except OSError as error:
        raise ResetError(f"{files.locked}: {error.strerror}") from None
    with lock:
        if not since:
            _change(files, wanted, wall_clock)
        return LockSet(False, since)


def _since(state: SavedState, wanted: _Lock) -> str:
    """When it was set; empty = it is not."""
    places = {(fault.id, fault.target): fault.since for fault in state.latched}
    return places.get((wanted.fault_id, wanted.target), "")


def _change(files: StateFiles, wanted: _Lock, wall_clock: WallClock) -> None:
    """Nobody else writes: the lock is held."""
    state, is_current = saved_state(files)
    at = utc_text(wall_clock())
    fault = LatchedFault(wanted.fault_id, wanted.target, wanted.detail, at)
    event = {"at": at, "event": "tripped", "fault": fault.id, "target": fault.target, "detail": fault.detail}
    try:
        state_files.append_events(files, [json.dumps(event).encode()])
        document = asdict(replace(state, latched=(*state.latched, fault)))
        state_files.replace_both(files, state_files.encode(files.site, document), keep=is_current)
    except OSError as error:
        raise ResetError(f"{files.current}: cannot be saved: {error.strerror}") from None


def _ask(files: StateFiles, wanted: _Lock) -> None:
    """The state itself is the answer."""
    require_answer(files, HEARD_S)
    with asking(files, wanted.request) as end_s:
        while not _since(saved_state(files)[0], wanted):
            if time.monotonic() > end_s:
                raise NoAnswerError(SILENT)
            time.sleep(LOOK_S)
