"""The fewest faults that still break the same criterion."""

from collections.abc import Callable

Faults = tuple[str, ...]


def shrunk(faults: Faults, breaks: Callable[[Faults], bool]) -> Faults:
    """Leaves out one fault after the other as long as `breaks` holds; the result breaks, and no single fault of it can
    be left out."""
    smaller = True
    while smaller:
        smaller = False
        for index in range(len(faults)):
            fewer = faults[:index] + faults[index + 1 :]
            if breaks(fewer):
                faults, smaller = fewer, True
                break
    return faults
