"""The process that writes a site's state: python -m bms.state.writer FOLDER SITE. It outlives a killed controller.

Standard input: lines of JSON, `{"event": …}` for the log and `{"state": …}` for the document, of which only the
newest that waits is written; a state without `soc` keeps the one before. Standard output: lines of JSON, first
`{"ready": true}` or `{"refused": why}` (status 2), then `{"fault": why}` after each document and whenever it changes
(empty = all is saved) and `{"reset": [[fault id, target], …], "maintain": [rack, …], "set": [[name, value, s], …],
"local": true, "asked_s": s}` when somebody put a request into the folder, with the time of the monotonic clock at which
it was put there. Ends at the end of input only.
"""

import contextlib
import json
import math
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from bms.priority import step_back
from bms.state.files import StateFiles, append_events, encode, read, replace
from bms.state.store import FOR_S_MAX

LOOK_MS = 250
"""How often it looks for a request."""
LOCK_WAIT_S = 10.0
"""The writer of a controller that was just killed is given this long to finish."""
EVENTS_MAX = 10_000
"""Events that wait for a disk; older ones are then dropped."""
REQUEST_BYTES_MAX = 8192
READ_BYTES = 1 << 20


def main(argv: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    step_back()
    writer = Writer(StateFiles(Path(argv[1]), argv[2]))
    try:
        writer.claim(LOCK_WAIT_S)
    except (BlockingIOError, FileExistsError, NotADirectoryError) as error:
        _say({"refused": f"{Path(argv[1]).absolute()}: {_why(error)}"})
        return 2
    except OSError as error:
        writer.blame(error)
    _say({"ready": True})
    for lines in _line_batches(sys.stdin.fileno()):
        writer.take(lines)
        writer.look_for_request()
    writer.release()
    return 0


def _input(name: object, value: float, for_s: float) -> list[object]:
    """What can be told; ValueError or TypeError for anything else: JSON has NaN and Infinity in Python."""
    value, for_s = float(value), float(for_s)
    if not (math.isfinite(value) and 0.0 < for_s <= FOR_S_MAX):
        raise ValueError(f"{name}: {value} for {for_s} s")
    return [str(name), value, for_s]


def _finite(value: float) -> float:
    """ValueError or TypeError for anything else."""
    if not math.isfinite(float(value)):
        raise ValueError(f"{value}")
    return float(value)


class Writer:
    """Keeps what a broken disk does not take, and tries again with whatever comes next."""

    def __init__(self, files: StateFiles) -> None:
        self._files = files
        self._lock: BinaryIO | None = None
        self._believable = False
        self._latched: Any = None
        self._soc: Any = {}
        self._events: deque[bytes] = deque(maxlen=EVENTS_MAX)
        self._state: dict[str, Any] | None = None
        self._fault = ""

    def claim(self, wait_s: float) -> None:
        """The folder made and the lock held. BlockingIOError when another controller has it; OSError."""
        self._files.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._files, wait_s)
        found = read(self._files, lambda document: document)
        self._believable = found.document is not None and not found.refusals
        self._soc = (found.document or {}).get("soc", self._soc)
        self._files.request.unlink(missing_ok=True)

    def release(self) -> None:
        """Another may have the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def take(self, lines: list[bytes]) -> None:
        """Events first, so that the log never lacks what the document knows."""
        answers = False
        for line in lines:
            said = json.loads(line)
            if "event" in said:
                self._events.append(json.dumps(said["event"]).encode())
            if "state" in said:
                self._soc = said["state"].get("soc", self._soc)
                self._state = {**said["state"], "soc": self._soc}
            answers |= "state" in said
        try:
            if self._lock is None:
                self.claim(0.0)
            self._write()
        except OSError as error:
            self.blame(error, always=answers)
        else:
            self._tell("", always=answers)

    def _write(self) -> None:
        if self._events:
            append_events(self._files, self._events)
            self._events.clear()
        if self._state is None:
            return
        data, latched = encode(self._files.site, self._state), self._state["latched"]
        # The previous copy must not know fewer latched faults than the current one: it may have to replace it.
        for _ in range(1 if latched == self._latched else 2):
            replace(self._files, data, keep=self._believable)
            self._believable = True
        self._latched, self._state = latched, None

    def look_for_request(self) -> None:
        """A request is taken out of the folder and passed on; what cannot be read is nobody's request."""
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
            with self._files.request.open("rb") as request:
                data = request.read(REQUEST_BYTES_MAX)
            self._files.request.unlink()
            asked = json.loads(data)
            resets = [[str(fault_id), str(target)] for fault_id, target in asked.get("reset", [])]
            racks = [str(rack) for rack in asked.get("maintain", [])]
            inputs = [_input(*told) for told in asked.get("set", [])]
            local = asked.get("local") is True
            requests = ("reset", resets), ("maintain", racks), ("set", inputs), ("local", local)
            said: dict[str, Any] = {key: value for key, value in requests if value}
            if said and "asked_s" in asked:
                said["asked_s"] = _finite(asked["asked_s"])
            if said:
                _say(said)

    def blame(self, error: OSError, *, always: bool = False) -> None:
        self._tell(f"{self._files.current}: cannot be saved: {error.strerror or error}", always=always)

    def _tell(self, fault: str, *, always: bool) -> None:
        if always or fault != self._fault:
            self._fault = fault
            _say({"fault": fault})


def _locked(files: StateFiles, wait_s: float) -> BinaryIO:
    end_s = time.monotonic() + wait_s
    while True:
        try:
            return files.lock()
        except BlockingIOError:
            if time.monotonic() > end_s:
                raise
        time.sleep(0.02)


def _why(error: OSError) -> str:
    if isinstance(error, BlockingIOError):
        return "another controller keeps the state of this site there"
    return "not a folder"


def _line_batches(source: int) -> Iterator[list[bytes]]:
    """Whole lines as they come, and no lines every LOOK_MS; an unfinished last line is dropped."""
    arrival = select.poll()
    arrival.register(source, select.POLLIN)
    rest = b""
    while True:
        if not arrival.poll(LOOK_MS):
            yield []
            continue
        data = os.read(source, READ_BYTES)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            yield lines


def _say(what: dict[str, Any]) -> None:
    """To a controller that may be dead."""
    with contextlib.suppress(OSError):
        print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
