"""Which known name somebody meant who mistyped it."""

import difflib
from collections.abc import Iterable


def near(name: str, known: Iterable[str]) -> str | None:
    """The one most like it, if any is like it."""
    found = difflib.get_close_matches(name, [*known], n=1)
    return found[0] if found else None


def hint(name: str, known: Iterable[str], expected: str = "") -> str:
    """For the end of a message; `expected` goes before the list of all."""
    known = [*known]
    meant = near(name, known)
    return f"did you mean {meant}?" if meant is not None else f"expected {expected}one of {', '.join(known)}"
