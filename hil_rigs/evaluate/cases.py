"""What is evaluated: which logs a cell's model is made from, which other ones it is judged on, and how those start."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from bms.estimate.log import Log, read_log
from bms.estimate.replay import Start

OFF_FRAC, OFF_SIGMA_FRAC = 0.3, 0.3
TOLD_SIGMA_FRAC = 0.02


class EvaluateError(ValueError):
    """Something that cannot be evaluated, or nowhere to write it; one line."""


class Begin(Enum):
    """What the estimator is told at the first row."""

    OFF = "30 % off, sigma 30 %"
    UNKNOWN = "nothing"
    TOLD = "the truth, sigma 2 %"

    def start(self, true_frac: float) -> Start:
        """OFF is low, but high where that would lie below empty."""
        if self is Begin.OFF:
            low = true_frac - OFF_FRAC
            return Start(low if low >= 0.0 else true_frac + OFF_FRAC, OFF_SIGMA_FRAC)
        return Start() if self is Begin.UNKNOWN else Start(true_frac, TOLD_SIGMA_FRAC)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run of a file, or the part of it from the first row at `soc_frac_max` to the first below `soc_frac_min`."""

    path: Path
    run: str | None = None
    soc_frac_max: float | None = None
    soc_frac_min: float | None = None

    @property
    def name(self) -> str:
        return self.path.stem + (f" run {self.run}" if self.run else "")

    @property
    def there(self) -> bool:
        return self.path.is_file()

    def log(self) -> Log:
        """Current is positive on charge in all files of the data folder."""
        log = read_log(self.path, charge_positive=True, run=self.run)
        if log.soc_frac is None:
            return log
        first, end = 0, len(log.time_s)
        if self.soc_frac_max is not None:
            first = int(np.argmax(log.soc_frac <= self.soc_frac_max))
        if self.soc_frac_min is not None and (log.soc_frac[first:] < self.soc_frac_min).any():
            end = first + int(np.argmax(log.soc_frac[first:] < self.soc_frac_min))
        return part(log, slice(first, end))


@dataclass(frozen=True, slots=True)
class Simulated:
    """A log that a plant makes: `make(*arguments)`; both must survive the way to another process."""

    name: str
    make: Callable[..., Log]
    arguments: tuple[Any, ...]
    there: bool = True

    def log(self) -> Log:
        return self.make(*self.arguments)


Source = Recorded | Simulated


@dataclass(frozen=True, slots=True)
class Case:
    """One log to estimate; `group` is the row of the table that it counts in; `plotted` ones get a figure."""

    group: str
    source: Source
    begin: Begin
    plotted: bool = False


@dataclass(frozen=True, slots=True)
class Fold:
    """One model, from `sources` or the cell file `shipped`, and the cases that it is judged on. None of the cases' logs
    is among the sources."""

    name: str
    cases: tuple[Case, ...]
    sources: tuple[Source, ...] = ()
    shipped: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one group, in % SoC; None = none is set. `goal_pct` is the best RMSE known on these logs."""

    rmse_pct: float | None = None
    goal_pct: float | None = None
    error_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One cell type. `says` tells what is left out of the model; `groups` are the rows of its table in order. Not
    `whole`: of some groups only a part of the logs, or of a log, is there."""

    name: str
    says: str
    chemistry: str
    nominal_ah: float
    groups: dict[str, Limits]
    folds: tuple[Fold, ...]
    absent: tuple[Path, ...] = field(default=())
    whole: bool = True


def part(log: Log, rows: slice) -> Log:
    """Some rows of a log, its times unchanged."""
    return replace(
        log,
        time_s=log.time_s[rows],
        current_a=log.current_a[rows],
        voltage_v=log.voltage_v[rows],
        temperature_degc=log.temperature_degc[rows],
        soc_frac=None if log.soc_frac is None else log.soc_frac[rows],
        ah=None if log.ah is None else log.ah[rows],
    )
