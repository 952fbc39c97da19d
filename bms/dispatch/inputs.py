"""What others tell the site: named numbers, each with an end. Nothing that was told once is believed for ever."""

from collections.abc import Mapping
from typing import NamedTuple


class Input(NamedTuple):
    """A number, until when it holds, and who told it."""

    value: float
    expires_ns: int
    source: str


class Inputs:
    """The newest number of each name; a number that has expired is not there any more."""

    def __init__(self) -> None:
        self._inputs: dict[str, Input] = {}

    def put(self, name: str, value: float, expires_ns: int, source: str) -> None:
        """Replaces what the name had. ValueError if `value` is not finite."""
        if not abs(value) < float("inf"):
            raise ValueError(f"{name}: expected a finite number, got {value}")
        self._inputs[name] = Input(value, expires_ns, source)

    def withdraw(self, name: str) -> None:
        """As if it had expired."""
        self._inputs.pop(name, None)

    def at(self, now_ns: int) -> Mapping[str, float]:
        """What holds now."""
        if not self._inputs:
            return {}
        self._inputs = {name: each for name, each in self._inputs.items() if each.expires_ns > now_ns}
        return {name: each.value for name, each in self._inputs.items()}

    def value(self, name: str) -> float:
        """What was told last; NaN when nobody did."""
        return self._inputs[name].value if name in self._inputs else float("nan")

    def expires_ns(self, name: str) -> int:
        """Until when it holds; 0 when nobody told it."""
        return self._inputs[name].expires_ns if name in self._inputs else 0

    def source(self, name: str) -> str:
        """Who told it; empty when nobody did."""
        return self._inputs[name].source if name in self._inputs else ""
