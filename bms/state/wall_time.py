"""Wall-clock time, as the state's files say it. It comes in as a `WallClock`: nothing here asks the machine."""

import math
from collections.abc import Callable
from datetime import UTC, datetime

WallClock = Callable[[], float]
"""Seconds since 1970, UTC."""

AGE_S_MAX = 10 * 365 * 86400.0
"""Older than this is a clock that was not set."""


def utc_text(at_s: float) -> str:
    """As 2026-07-01T12:00:00.250Z."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age_s(text: str, now_s: float) -> float:
    """How long ago that was; infinite where nobody can say: no time, or a clock that went back or was not set."""
    try:
        passed_s = now_s - datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return math.inf
    # Texts are cut to whole milliseconds.
    return passed_s if 0.0 <= passed_s <= AGE_S_MAX else math.inf
