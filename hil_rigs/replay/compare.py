"""How two runs of a controller on the same readings differ in what they decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any

from bms.record import TickRow

POWERS = ("sent_power_w", "charge_power_w_limit", "discharge_power_w_limit")
DECISIONS = ("sent_power_w", "converter_run", "contactors", "faults", "charge_power_w_limit", "discharge_power_w_limit")
"""Columns of a record that say what was decided."""

TOLERANCE_FRAC = 0.002
"""Powers that are less than this share of the converter's nameplate apart are the same: each cell's voltage is known
once a second, which the estimate of its charge feels a little."""


SHORT_S = 0.1
"""What differs for no longer does not count: the ticks of then did not come at the same moments to the nanosecond, so
that a debounce may end a tick sooner or later."""


@dataclass(slots=True)
class Difference:
    """Of one column: in how many ticks, when it began, what was decided there then and now; how far apart powers are
    at most."""

    column: str
    ticks: int = 0
    first_s: float | None = None
    then: Any = None
    now: Any = None
    apart_w_max: float | None = None

    def add(self, other: "Difference") -> None:
        if self.first_s is None:
            self.first_s, self.then, self.now = other.first_s, other.then, other.now
        self.ticks += other.ticks
        if other.apart_w_max is not None:
            self.apart_w_max = max(self.apart_w_max or 0.0, other.apart_w_max)


class Comparison:
    """Takes pairs of rows; those before `from_s` do not count. Powers may be `tolerance_frac` of the nameplate apart,
    everything else must be the same, and a difference must last for more than SHORT_S."""

    def __init__(self, tolerance_frac: float = TOLERANCE_FRAC, from_s: float = 0.0) -> None:
        self.tolerance_frac, self.from_s = tolerance_frac, from_s
        self.ticks = 0
        self.differences = {column: Difference(column) for column in DECISIONS}
        self._going_on = {column: Difference(column) for column in DECISIONS}

    @property
    def same(self) -> bool:
        return not any(difference.ticks for difference in self.differences.values())

    def see(self, then: Mapping[str, Any], now: TickRow) -> None:
        """`then` is the recorded row of the tick that ended with the row `now`."""
        if then["time_s"] < self.from_s:
            return
        self.ticks += 1
        allowed_w = self.tolerance_frac * _nameplate_w(then["inverter"])
        for column in DECISIONS:
            found = _found(column, then[column], getattr(now, column), allowed_w)
            self._note(column, found, then["time_s"])

    def _note(self, column: str, found: Difference | None, at_s: float) -> None:
        going_on = self._going_on[column]
        if found is None:
            self._going_on[column] = Difference(column)
            return
        found.first_s = at_s
        going_on.add(found)
        if at_s - (going_on.first_s or 0.0) > SHORT_S:
            self.differences[column].add(going_on)
            going_on.ticks = 0


def _nameplate_w(inverter: Mapping[str, Any]) -> float:
    """0 before it is known: no power flows then."""
    known = (inverter["charge_power_w_max"], inverter["discharge_power_w_max"])
    return max(filter(isfinite, known), default=0.0)


def _found(column: str, then: Any, now: Any, allowed_w: float) -> Difference | None:
    """One tick's difference; None where there is none."""
    if then == now:
        return None
    if column not in POWERS:
        return Difference(column, 1, None, then, now)
    apart_w = abs(now - then)
    if apart_w <= allowed_w or (isnan(then) and isnan(now)):
        return None
    return Difference(column, 1, None, then, now, apart_w)
