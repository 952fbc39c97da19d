"""Where the state goes: what the controller needs of a store, and the store of runs in virtual time."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from bms.state.files import Found, StateRefusedError, decode, encode
from bms.state.saved import SavedState, parse_state


class Reset(NamedTuple):
    """Somebody asks for the end of a latched fault."""

    fault_id: str
    target: str


ANSWER_S = 10.0
"""What is asked for through the folder is answered in this time, or not done: a controller looks within 0.25 s and
saves at once; a slow disk may take its time."""
FOR_S_MAX = 86_400.0
"""Nothing that is told holds longer."""


class Told(NamedTuple):
    """Somebody tells an input, for `for_s` from now."""

    name: str
    value: float
    for_s: float


class StateStore(Protocol):
    """Takes states and events. Nothing here ever waits or raises for a broken disk: `fault` says what is wrong in one
    line (empty = nothing)."""

    @property
    def ready(self) -> bool:
        """Takes a state now, without anything waiting before it."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Hand over the state; without "soc" that of the state before goes on to hold."""

    def log(self, event: Mapping[str, Any]) -> None:
        """Hand over one line of the log of events."""

    def resets(self) -> list[Reset]:
        """What was asked for since the last call."""

    def maintain(self) -> list[str]:
        """Racks that somebody wants out of service since the last call."""

    def told(self) -> list[Told]:
        """Inputs that somebody told since the last call."""

    def local(self) -> bool:
        """Somebody took the site into local control since the last call."""

    @property
    def fault(self) -> str: ...


class NoStore:
    """Keeps nothing."""

    ready = False
    fault = ""

    def save(self, state: Mapping[str, Any]) -> None: ...

    def log(self, event: Mapping[str, Any]) -> None: ...

    def resets(self) -> list[Reset]:
        return []

    def maintain(self) -> list[str]:
        return []

    def told(self) -> list[Told]:
        return []

    def local(self) -> bool:
        return False


class MemoryStore:
    """Keeps the document's bytes, as a file would; for virtual time, where nothing may touch a disk."""

    def __init__(self, site: str) -> None:
        self._site = site
        self.data: bytes | None = None
        self._soc: Any = {}
        self.events: list[dict[str, Any]] = []
        self.asked: list[Reset] = []
        self.asked_out: list[str] = []
        self.asked_in: list[Told] = []
        self.asked_local = False
        self.fault = ""
        self.ready = True

    def save(self, state: Mapping[str, Any]) -> None:
        self._soc = state.get("soc", self._soc)
        self.data = encode(self._site, {**state, "soc": self._soc})

    def log(self, event: Mapping[str, Any]) -> None:
        self.events.append(json.loads(json.dumps(event)))

    def resets(self) -> list[Reset]:
        asked, self.asked = self.asked, []
        return asked

    def maintain(self) -> list[str]:
        asked, self.asked_out = self.asked_out, []
        return asked

    def told(self) -> list[Told]:
        told, self.asked_in = self.asked_in, []
        return told

    def local(self) -> bool:
        asked, self.asked_local = self.asked_local, False
        return asked

    def found(self) -> Found[SavedState]:
        """What the next controller finds."""
        if self.data is None:
            return Found(None, ())
        try:
            return Found(parse_state(decode(self.data, self._site)), ())
        except StateRefusedError as error:
            return Found(None, (f"state refused: {error}",))
