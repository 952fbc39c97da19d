"""PV behind an inverter that follows the grid and can be told to give less."""

from math import exp

from hil_rigs.plant.converter import ConverterState
from hil_rigs.plant.converter_alarm import ConverterAlarm
from hil_rigs.plant.load import Load
from hil_rigs.plant.ride_through import AcTerminals, RideThrough, RideThroughSettings

LAG_S = 0.2
RECONNECT_S = 60.0
"""A grid that is well for so long is fed again. IEEE 1547-2018 allows up to 300 s."""


class PvPlant:
    """Gives what the sun offers, at most `limit_frac` of `rated_power_w`, with a lag. Generation is positive.

    Beyond its ride-through settings, which are a storage converter's, it trips, and it starts again by itself once the
    grid has been well for `reconnect_s`. ValueError for a limit outside 0..1."""

    def __init__(
        self,
        source: Load,
        rated_power_w: float,
        nominal_hz: float = 60.0,
        settings: RideThroughSettings | None = None,
        reconnect_s: float = RECONNECT_S,
    ) -> None:
        self.rated_power_w = rated_power_w
        self.available_power_w = self.ac_power_w = max(min(source.power_w(0.0), rated_power_w), 0.0)
        self.limit_frac = 1.0
        self.alarm: ConverterAlarm | None = None
        self._source = source
        self._ac = AcTerminals(frequency_hz=nominal_hz)
        self._rides = RideThrough(settings or RideThroughSettings(), nominal_hz)
        self._reconnect_s, self._well_s = reconnect_s, 0.0

    @property
    def power_w_max(self) -> float:
        return self.rated_power_w

    @property
    def apparent_power_va(self) -> float:
        """Its rating: it has no reactive power."""
        return self.rated_power_w

    @property
    def reactive_var_max(self) -> float:
        return 0.0

    @property
    def reactive_var(self) -> float:
        return 0.0

    @property
    def state(self) -> ConverterState:
        if self.alarm is not None:
            return ConverterState.FAULT
        return ConverterState.RUNNING if self._ac.voltage_pu > 0.0 else ConverterState.OFF

    @property
    def frequency_hz(self) -> float:
        """As it measures it; 0 without a grid."""
        return self._ac.frequency_hz

    @property
    def ac_voltage_pu(self) -> float:
        """Per unit of nominal."""
        return self._ac.voltage_pu

    def limit(self, limit_frac: float) -> None:
        """New power limit, per unit of rated."""
        if not 0.0 <= limit_frac <= 1.0:
            raise ValueError(f"power limit must be within 0..1, got {limit_frac}")
        self.limit_frac = limit_frac

    def meet_grid(self, voltage_pu: float, frequency_hz: float, jump_deg: float = 0.0) -> None:
        """The grid in the next step."""
        self._ac = AcTerminals(voltage_pu, frequency_hz, jump_deg)

    def step(self, time_s: float, dt_s: float) -> None:
        """To `time_s` of the source, after `dt_s`."""
        self.available_power_w = max(min(self._source.power_w(time_s), self.rated_power_w), 0.0)
        self._bear_grid(dt_s)
        if self.alarm is not None or self._ac.voltage_pu < self._rides.settings.cease_pu:
            self.ac_power_w = 0.0
            return
        wanted_w = min(self.available_power_w, self.limit_frac * self.rated_power_w)
        follow = 1.0 - exp(-dt_s / LAG_S)
        self.ac_power_w += follow * (wanted_w - self.ac_power_w)

    def _bear_grid(self, dt_s: float) -> None:
        if self.alarm is None:
            self.alarm, self._well_s = self._rides.step(self._ac, dt_s), 0.0
        elif self._rides.ready(self._ac):
            self._well_s += dt_s
            if self._well_s >= self._reconnect_s - 1e-9:
                self.alarm = None
                self._rides.reset()
        else:
            self._well_s = 0.0
