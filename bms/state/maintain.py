"""`bms maintain`: takes a rack out of service until `bms reset` gives it back. A running controller is asked through
the folder of its state; where none runs, the saved state is changed, and the next start finds it so."""

import json
import time
from dataclasses import asdict, replace

from bms.protect.faults import MAINTENANCE
from bms.state import files as state_files
from bms.state.files import StateFiles
from bms.state.reset import ANSWER_S, LOOK_S, ResetError, saved_state, write_request
from bms.state.saved import LatchedFault, SavedState
from bms.state.wall_time import WallClock, utc_text

ASKED = "asked for by `bms maintain`"


def maintain(files: StateFiles, rack: str, wall_clock: WallClock) -> bool:
    """True: a running controller took it out; False: the next start finds it so. Nothing changes for a rack that is
    out already. ResetError when nobody answers or nothing can be saved."""
    if _is_out(saved_state(files)[0], rack):
        return False
    try:
        lock = files.lock()
    except BlockingIOError:
        return _ask(files, rack)
    except OSError as error:
        raise ResetError(f"{files.locked}: {error.strerror}") from None
    with lock:
        _change(files, rack, wall_clock)
        return False


def _is_out(state: SavedState, rack: str) -> bool:
    return any((fault.id, fault.target) == (MAINTENANCE, rack) for fault in state.latched)


def _change(files: StateFiles, rack: str, wall_clock: WallClock) -> None:
    """Nobody else writes: the lock is held."""
    state, is_current = saved_state(files)
    at = utc_text(wall_clock())
    fault = LatchedFault(MAINTENANCE, rack, ASKED, at)
    event = {"at": at, "event": "tripped", "fault": fault.id, "target": rack, "detail": ASKED}
    try:
        state_files.append_events(files, [json.dumps(event).encode()])
        document = asdict(replace(state, latched=(*state.latched, fault)))
        state_files.replace(files, state_files.encode(files.site, document), keep=is_current)
    except OSError as error:
        raise ResetError(f"{files.current}: cannot be saved: {error.strerror}") from None


def _ask(files: StateFiles, rack: str) -> bool:
    """The state itself is the answer."""
    write_request(files, {"maintain": [rack]})
    end_s = time.monotonic() + ANSWER_S
    while not _is_out(saved_state(files)[0], rack):
        if time.monotonic() > end_s:
            files.request.unlink(missing_ok=True)
            raise ResetError("the running controller did not answer")
        time.sleep(LOOK_S)
    return True
