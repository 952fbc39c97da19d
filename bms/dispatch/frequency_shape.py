"""How much of a product's power a frequency asks for: a curve, a droop, or a trigger."""

from collections.abc import Sequence
from enum import Enum, auto
from math import copysign
from typing import Protocol

from bms.dispatch.curves import Piecewise
from bms.dispatch.product import CurvePoint, Droop, Trigger

TIME_EPS_S = 1e-9
"""Tick lengths do not add up exactly."""
FREQUENCY_EPS_HZ = 1e-6
"""Nor do frequencies: at the threshold counts as beyond."""


class Shape(Protocol):
    """`off_hz` is the frequency's distance from nominal, low positive; None = not known. Once a tick."""

    def power_frac(self, off_hz: float | None, dt_s: float) -> float:
        """Of the contracted power (a droop: of the base power), discharge positive."""

    @property
    def busy(self) -> bool:
        """An event goes on, whatever the frequency is now."""

    def reset(self) -> None: ...


class CurveShape:
    """Straight lines between points; flat before the first and after the last; the same on both sides of nominal."""

    busy = False

    def __init__(self, points: Sequence[CurvePoint]) -> None:
        self._curve = Piecewise([(point.off_hz, point.power_frac) for point in points])

    def power_frac(self, off_hz: float | None, dt_s: float) -> float:
        return 0.0 if off_hz is None else copysign(self._curve.at(abs(off_hz)), off_hz)

    def reset(self) -> None: ...


class DroopShape:
    """In proportion beyond the deadband, as in IEEE 1547-2018, clause 6.5.2.7."""

    busy = False

    def __init__(self, droop: Droop, nominal_hz: float) -> None:
        self._deadband_hz, self._whole_hz = droop.deadband_hz, droop.droop_frac * nominal_hz

    def power_frac(self, off_hz: float | None, dt_s: float) -> float:
        beyond_hz = 0.0 if off_hz is None else max(abs(off_hz) - self._deadband_hz, 0.0)
        return copysign(min(beyond_hz / self._whole_hz, 1.0), off_hz or 0.0)

    def reset(self) -> None: ...


class _Phase(Enum):
    ARMED = auto()
    SUPPORTING = auto()
    FALLING = auto()
    SPENT = auto()


class TriggerShape:
    """Full power on a threshold for `support_s` (after the time that it needs to be there), then a fall at the
    trigger's rate. Armed again once that is over and the frequency is back. A frequency that is beyond for less than
    `confirm_s` (a jump of the phase shows as one for about 0.1 s) is none; what is under way goes on when the
    frequency is not known any more."""

    def __init__(self, trigger: Trigger, off_hz: float, support_s: float) -> None:
        self._trigger, self._off_hz, self._support_s = trigger, off_hz, support_s
        self._phase = _Phase.ARMED
        self._for_s = 0.0
        self._seen = False
        self._frac = 0.0

    @property
    def busy(self) -> bool:
        return self._phase in (_Phase.SUPPORTING, _Phase.FALLING)

    def power_frac(self, off_hz: float | None, dt_s: float) -> float:
        beyond = off_hz is not None and off_hz >= self._off_hz - FREQUENCY_EPS_HZ
        self._for_s += dt_s
        if self._phase is _Phase.ARMED:
            self._watch(beyond)
        elif self._phase is _Phase.SUPPORTING and self._for_s >= self._trigger.rise_s + self._support_s - TIME_EPS_S:
            self._phase = _Phase.FALLING
        if self._phase is _Phase.FALLING:
            self._fall(dt_s)
        if self._phase is _Phase.SPENT and off_hz is not None and not beyond:
            self._phase, self._seen = _Phase.ARMED, False
        return self._frac

    def reset(self) -> None:
        self._phase, self._seen, self._frac = _Phase.ARMED, False, 0.0

    def _watch(self, beyond: bool) -> None:
        if not beyond or not self._seen:
            self._for_s = 0.0
        self._seen = beyond
        if beyond and self._for_s >= self._trigger.confirm_s - TIME_EPS_S:
            self._phase, self._for_s, self._frac = _Phase.SUPPORTING, 0.0, 1.0

    def _fall(self, dt_s: float) -> None:
        self._frac = max(self._frac - self._trigger.deactivation_frac_per_s * dt_s, 0.0)
        if self._frac == 0.0:
            self._phase = _Phase.SPENT
