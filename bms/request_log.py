"""The log of who asked: bounded for each source, so that nobody from outside can push faults out of the log."""

from collections.abc import Callable
from dataclasses import dataclass

Note = Callable[..., None]
"""Writes one line of the log of events: the event's word, and what belongs to it by name."""

BURST, LINE_S = 20, 10.0
"""Lines that a source may fill at once, and the time in which it earns another one: 10 MB in a year."""


@dataclass(slots=True)
class _Account:
    lines: float
    at_ns: int
    left_out: int = 0


class RequestLog:
    """Lines that are left out are counted in the next one (`left_out`)."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._accounts: dict[str, _Account] = {}

    def write(self, at_ns: int, event: str, *, by: str, **what: object) -> None:
        account = self._accounts.setdefault(by, _Account(BURST, at_ns))
        account.lines = min(account.lines + (at_ns - account.at_ns) / 1e9 / LINE_S, BURST)
        account.at_ns = at_ns
        if account.lines < 1.0:
            account.left_out += 1
            return
        account.lines -= 1.0
        more = {"left_out": account.left_out} if account.left_out else {}
        account.left_out = 0
        self._note(event, by=by, **what, **more)
