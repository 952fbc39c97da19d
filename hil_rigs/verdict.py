"""One row of a judgement."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """One criterion: what was required, what was measured."""

    criterion: str
    required: str
    measured: str
    passed: bool
