"""The wording of mistakes in settings files: what is wrong, what was got, what was expected."""

import re
from typing import Any

from pydantic import BaseModel

from drivers.config.near import near
from drivers.config.settings import RELATION, Loc
from drivers.config.settings_schema import expected_at, known_keys

_WRONG = {
    "missing": "missing",
    "extra_forbidden": "unknown key",
    "float_type": "not a number",
    "int_type": "not a whole number",
    "int_from_float": "not a whole number",
    "string_type": "not text",
    "bool_type": "not true or false",
    "tuple_type": "not a list",
    "model_type": "not a mapping",
    "model_attributes_type": "not a mapping",
    "finite_number": "not a finite number",
    "greater_than": "too small",
    "greater_than_equal": "too small",
    "less_than": "too large",
    "less_than_equal": "too large",
    "literal_error": "unknown choice",
    "union_tag_invalid": "unknown choice",
    "union_tag_not_found": "missing",
    "string_pattern_mismatch": "not in the right form",
    "string_too_short": "too short",
    "string_too_long": "too long",
    "too_short": "too few entries",
    "too_long": "too many entries",
}
"""pydantic's error types in our words; any other keeps pydantic's own message."""


CHOICES_MAX = 8
"""Of more choices only the one that was meant is named, if any is like it."""
_CHOICES = re.compile(r"'([^']+)'")


def in_words(model: type[BaseModel], details: Any) -> str:
    """One of pydantic's errors about `model`: `what is wrong (got VALUE), expected ...`."""
    kind, loc = details["type"], details["loc"]
    return f"{_wrong(details)} (got {_got(kind, details)}), expected {_expected(model, loc, details)}"


def _wrong(details: Any) -> str:
    if details["type"] == RELATION:
        return str(details["ctx"]["wrong"])
    return _WRONG.get(details["type"], str(details["msg"]))


def _got(kind: str, details: Any) -> str:
    if kind in ("missing", "union_tag_not_found"):
        return "nothing"
    if kind == "union_tag_invalid":
        return repr(details["ctx"]["tag"])
    if kind == "extra_forbidden":
        return repr(details["loc"][-1])
    return show(details["input"])


def show(value: object) -> str:
    """A value as an error line shows it: short, on one line."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _expected(model: type[BaseModel], loc: Loc, details: Any) -> str:
    kind = details["type"]
    if kind == RELATION:
        return str(details["ctx"]["expected"])
    if kind == "extra_forbidden":
        known = known_keys(model, loc[:-1])
        meant = near(str(loc[-1]), known)
        return f"{meant!r} perhaps" if meant else "one of " + ", ".join(known)
    expected = expected_at(model, loc)
    choices = _CHOICES.findall(expected) if _WRONG.get(kind) == "unknown choice" else []
    meant = near(str(details["ctx"].get("tag", details["input"])), choices) if len(choices) > CHOICES_MAX else None
    return expected if meant is None else f"{meant!r} perhaps"
