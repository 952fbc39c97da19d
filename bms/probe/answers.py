"""What a probe found, the same for every kind of link."""

from dataclasses import asdict, dataclass, field
from typing import Any


class UrlError(ValueError):
    """The URL is none, or not of this kind; the message is one line."""


class NothingAnswers(Exception):  # noqa: N818
    """Nothing is there, or nothing that speaks the protocol; the message is one line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One device. `says` is what it is in words, a line each; `fragment` the part of a site file that names it, empty
    when none can; `details` what was found out, for programs."""

    says: tuple[str, ...]
    fragment: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """YAML that a site file takes: the words as comments, then the fragment."""
        return [f"# {line}" for line in self.says] + ([self.fragment] if self.fragment else [])

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
