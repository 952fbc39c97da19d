"""What a grid-following converter bears of its grid before it trips: voltage, frequency and jumps of phase."""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from hil_rigs.plant.converter_alarm import ConverterAlarm

EXACT = 1e-9
"""Rounding of times and of distances from nominal."""
Curve = tuple[tuple[float, float], ...]


class AcTerminals(NamedTuple):
    """The grid at the converter: voltage per unit of nominal, frequency as it measures it (0 = no grid), and by how
    much the phase has jumped since it looked last."""

    voltage_pu: float = 1.0
    frequency_hz: float = 60.0
    jump_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class RideThroughSettings:
    """Each curve is pairs of a bound and the time (s) beyond it after which the converter trips.

    The defaults are those of IEEE 1547-2018, category III (clause 6, tables of default settings); they include the
    sags of SEMI F47 (0.5 pu for 0.2 s, 0.7 pu for 0.5 s, 0.8 pu for 1 s). Frequencies are distances from nominal: the
    standard's from 60 Hz. Below `cease_pu` it delivers nothing, and goes on as soon as the voltage is back; a jump of
    the phase of all three phases up to `jump_deg_max` is borne."""

    under_voltage_pu: Curve = ((0.88, 21.0), (0.50, 2.0))
    over_voltage_pu: Curve = ((1.10, 13.0), (1.20, 0.16))
    under_frequency_off_hz: Curve = ((1.5, 300.0), (3.5, 0.16))
    over_frequency_off_hz: Curve = ((1.2, 300.0), (2.0, 0.16))
    cease_pu: float = 0.50
    jump_deg_max: float = 20.0


class RideThrough:
    """Counts how long the grid has been beyond each bound without a break."""

    def __init__(self, settings: RideThroughSettings, nominal_hz: float) -> None:
        self.settings = settings
        self._nominal_hz = nominal_hz
        self._innermost = self._innermost_bounds()
        self._calm: AcTerminals | None = None
        self._beyond_s: dict[tuple[ConverterAlarm, float], float] = {}

    def ready(self, ac: AcTerminals) -> bool:
        """A grid to start on: inside the innermost bounds."""
        return not any(off > bound + EXACT for _, off, ((bound, _), *_) in self._quantities(ac))

    def step(self, ac: AcTerminals, dt_s: float) -> ConverterAlarm | None:
        """Why it trips in this step, None as long as it bears the grid."""
        if ac is self._calm:
            return None
        if abs(ac.jump_deg) > self.settings.jump_deg_max:
            return ConverterAlarm.GRID_PHASE
        self._calm = ac if self._inside(ac) else None
        if self._calm is not None:
            self._beyond_s = {}
            return None
        beyond_s = {
            (alarm, bound): self._beyond_s.get((alarm, bound), 0.0) + dt_s
            for alarm, off, curve in self._quantities(ac)
            for bound, _ in curve
            if off > bound + EXACT
        }
        self._beyond_s = beyond_s
        if not beyond_s:
            return None
        trips_s = {(alarm, bound): after_s for alarm, _, curve in self._quantities(ac) for bound, after_s in curve}
        return next((key[0] for key, seconds in beyond_s.items() if seconds >= trips_s[key] - EXACT), None)

    def reset(self) -> None:
        """Nothing counts any more."""
        self._beyond_s = {}

    def _inside(self, ac: AcTerminals) -> bool:
        """Inside every bound, as nearly always."""
        under_pu, over_pu, under_hz, over_hz = self._innermost
        off_hz = ac.frequency_hz - self._nominal_hz if ac.frequency_hz > 0.0 else 0.0
        return -ac.voltage_pu <= under_pu and ac.voltage_pu <= over_pu and -off_hz <= under_hz and off_hz <= over_hz

    def _innermost_bounds(self) -> tuple[float, float, float, float]:
        """Of each quantity in the order of `_quantities`; nothing is beyond a curve without points."""
        curves = [curve for _, _, curve in self._quantities(AcTerminals())]
        under_pu, over_pu, under_hz, over_hz = [min([bound for bound, _ in curve], default=inf) for curve in curves]
        return under_pu + EXACT, over_pu + EXACT, under_hz + EXACT, over_hz + EXACT

    def _quantities(self, ac: AcTerminals) -> tuple[tuple[ConverterAlarm, float, Curve], ...]:
        """Alarm, value and curve, each so that more is worse. Without voltage there is no frequency to judge."""
        settings, off_hz = self.settings, ac.frequency_hz - self._nominal_hz if ac.frequency_hz > 0.0 else 0.0
        under_pu = tuple((-bound, after_s) for bound, after_s in settings.under_voltage_pu)
        return (
            (ConverterAlarm.AC_UNDER_VOLTAGE, -ac.voltage_pu, under_pu),
            (ConverterAlarm.AC_OVER_VOLTAGE, ac.voltage_pu, settings.over_voltage_pu),
            (ConverterAlarm.UNDER_FREQUENCY, -off_hz, settings.under_frequency_off_hz),
            (ConverterAlarm.OVER_FREQUENCY, off_hz, settings.over_frequency_off_hz),
        )
