"""What a service's judgement is made of."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hil_rigs.load_spec import LoadSpec
from hil_rigs.rig import RigFile
from hil_rigs.verdict import Verdict as Row

__all__ = ["Chart", "Judged", "Order", "Row", "Service"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be judged: on which rig, with which load instead of the rig's own, from which seed. `short`: in a few
    seconds, with shorter spans and fewer cases; the criteria are the same."""

    rig: RigFile
    load: LoadSpec | None
    seed: int
    short: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over one time axis: `lines` maps a name for people to `value[n]` at `time_s[n]`, in `unit`."""

    title: str
    unit: str
    time_s: Floats
    lines: dict[str, Floats]


@dataclass(frozen=True, slots=True)
class Judged:
    """Criterion by criterion what was required and what was measured, and charts of what happened."""

    rows: list[Row]
    charts: list[Chart] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.rows)


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `rigs` are the shipped rigs that it can be judged on, the first by default."""

    name: str
    says: str
    rigs: tuple[str, ...]
    judge: Callable[[Order], Judged]
