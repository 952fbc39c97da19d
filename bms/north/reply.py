"""What the controller says to a request that came through the gateway process, and how such a request looks in JSON."""

import json
from typing import Any, NamedTuple

from bms.requests import Why

BYTES_MAX = 4096
ANSWER_S = 2.0
"""A request that is older is not taken: who asked was told that nobody answered."""
SILENT = "the controller did not answer"


class Reply(NamedTuple):
    """`why` is None where the request was taken, or where nobody answered; `words` are one sentence, empty if taken."""

    ok: bool
    why: Why | None
    words: str


class Asked(NamedTuple):
    """A value for so many seconds; None withdraws."""

    value: float | None
    for_s: float


def parse_asked(data: bytes) -> Asked:
    """Of `{"value": NUMBER, "for_s": NUMBER}`, or `{"value": null}`. ValueError with one sentence for anything else."""
    if len(data) > BYTES_MAX:
        raise ValueError(f"expected at most {BYTES_MAX} bytes")
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError('expected JSON as {"value": 50000, "for_s": 60}') from None
    if not isinstance(document, dict) or not {"value"} <= document.keys() <= {"value", "for_s"}:
        raise ValueError('expected {"value": NUMBER, "for_s": NUMBER} and nothing else')
    if document["value"] is None:
        return Asked(None, 0.0)
    return Asked(_number(document, "value"), _number(document, "for_s"))


def _number(document: dict[str, Any], name: str) -> float:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, float | int):
        raise ValueError(f"{name}: expected a number (got {json.dumps(value)[:40]})")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: expected a number (got one that is too large)") from None
