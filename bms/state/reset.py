"""`bms reset`: ends latched faults. A running controller is asked through the folder of its state; where none runs, the
saved state is changed, and the next start finds it so."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import NamedTuple

from bms.north.status_socket import SilentError, ask_status
from bms.protect.faults import FAULTS
from bms.state import files as state_files
from bms.state.files import StateFiles
from bms.state.saved import LatchedFault, SavedState, find_state
from bms.state.store import ANSWER_S
from bms.state.wall_time import WallClock, utc_text
from drivers.config.near import near

HEARD_S = 2.0
"""A controller that says nothing for so long hangs."""
SILENT = "the running controller does not answer"
TRIPS_AGAIN_S = 1.5
"""A cause that is still there trips within its debounce, or when a converter has not forgotten its fault in time."""
LOOK_S = 0.05


class ResetError(Exception):
    """Nothing was reset; the text is one line."""


class NoAnswerError(ResetError):
    """A controller runs and does not answer: nothing was done, and it will not do it later."""


class ResetDone(NamedTuple):
    """`again` tripped anew, because their cause is still there; `running`: a controller did it."""

    reset: tuple[LatchedFault, ...]
    again: tuple[LatchedFault, ...]
    running: bool


def reset(files: StateFiles, fault_id: str, target: str | None, wall_clock: WallClock) -> ResetDone:
    """Reset the latched faults of this id (`all` = each), at this target (None = each). Takes up to ANSWER_S, and
    TRIPS_AGAIN_S more. `all` of none is done at once. ResetError when a named one is not latched, or nobody answers."""
    state, _ = saved_state(files)
    chosen = [fault for fault in state.latched if fault_id in (fault.id, "all") and target in (fault.target, None)]
    if fault_id == "all" and target is None and not chosen:
        require_answer(files, HEARD_S)
        return ResetDone((), (), running=False)
    if not chosen:
        latched = ", ".join(f"{fault.id} ({fault.target})" for fault in state.latched) or "nothing"
        meant = near(fault_id, [fault.id for fault in state.latched]) or near(fault_id, FAULTS)
        told = f"; did you mean {meant}?" if meant is not None and fault_id not in FAULTS else ""
        raise ResetError(f"no such fault is latched (got {_wanted(fault_id, target)}), latched: {latched}{told}")
    try:
        lock = files.lock()
    except BlockingIOError:
        return _ask(files, chosen)
    except OSError as error:
        raise ResetError(f"{files.locked}: {error.strerror}") from None
    with lock:
        return _change(files, chosen, wall_clock)


def _wanted(fault_id: str, target: str | None) -> str:
    return fault_id if target is None else f"{fault_id} at {target}"


def saved_state(files: StateFiles) -> tuple[SavedState, bool]:
    """The newest believable state, and whether it is the current file. ResetError when there is none."""
    found = find_state(files)
    if found.document is not None:
        return found.document, not found.refusals
    why = "; ".join(found.refusals) or f"{files.current}: there is no saved state"
    raise ResetError(f"{why}; start the controller first")


def _change(files: StateFiles, chosen: Sequence[LatchedFault], wall_clock: WallClock) -> ResetDone:
    """Nobody else writes: the lock is held."""
    state, is_current = saved_state(files)
    chosen = [fault for fault in chosen if fault in state.latched]
    left = replace(state, latched=tuple(fault for fault in state.latched if fault not in chosen))
    at = utc_text(wall_clock())
    events = [
        {"at": at, "event": "reset", "fault": fault.id, "target": fault.target, "detail": fault.detail}
        for fault in chosen
    ]
    try:
        state_files.append_events(files, [json.dumps(event).encode() for event in events])
        state_files.replace(files, state_files.encode(files.site, asdict(left)), keep=is_current)
    except OSError as error:
        raise ResetError(f"{files.current}: cannot be saved: {error.strerror}") from None
    return ResetDone(tuple(chosen), (), running=False)


def _ask(files: StateFiles, chosen: Sequence[LatchedFault]) -> ResetDone:
    """The state itself is the answer: a fault that was reset is gone from it, or has tripped since."""
    require_answer(files, HEARD_S)
    with asking(files, {"reset": [[fault.id, fault.target] for fault in chosen]}) as end_s:
        while set(chosen) & set(saved_state(files)[0].latched):
            if time.monotonic() > end_s:
                raise NoAnswerError(SILENT)
            time.sleep(LOOK_S)
    time.sleep(TRIPS_AGAIN_S)
    places = {(fault.id, fault.target) for fault in chosen}
    again = [fault for fault in saved_state(files)[0].latched if (fault.id, fault.target) in places]
    return ResetDone(tuple(chosen), tuple(again), running=True)


def require_answer(files: StateFiles, within_s: float) -> None:
    """NoAnswerError when a controller is there and hangs. One whose socket cannot be asked may still do what is asked
    through the folder."""
    try:
        with contextlib.suppress(PermissionError):
            ask_status(files, within_s)
    except SilentError:
        raise NoAnswerError(SILENT) from None


@contextlib.contextmanager
def asking(files: StateFiles, request: Mapping[str, object]) -> Iterator[float]:
    """The request is in the folder, and nobody else's takes its place before the block has seen what came of it. Gives
    the monotonic time of the end: the controller does nothing of it later. Whoever asks meanwhile waits for his turn.
    ResetError when the folder takes nothing; a NoAnswerError takes the request back."""
    end_s = time.monotonic() + ANSWER_S
    turn = _turn(files, end_s - HEARD_S)
    try:
        _write(files, {**request, "asked_s": end_s - ANSWER_S})
        yield end_s
    except NoAnswerError:
        files.request.unlink(missing_ok=True)
        raise
    finally:
        os.close(turn)


def _turn(files: StateFiles, end_s: float) -> int:
    """The folder itself, locked until it is closed: whoever may write there may ask, with no further file."""
    try:
        folder = os.open(files.folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ResetError(f"{files.folder}: {error.strerror}") from None
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end_s:
                os.close(folder)
                raise NoAnswerError(SILENT) from None
        else:
            return folder
        time.sleep(LOOK_S)


def _write(files: StateFiles, request: Mapping[str, object]) -> None:
    """Whole or not at all."""
    unfinished = files.request.with_suffix(".tmp")
    try:
        unfinished.write_text(json.dumps(request))
        unfinished.replace(files.request)
    except OSError as error:
        raise ResetError(f"{files.request}: cannot be written: {error.strerror}") from None
