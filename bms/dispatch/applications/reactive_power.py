"""Reactive power at the converter's terminals: volt-var, watt-var, a power factor or a number; and volt-watt bounds."""

from collections.abc import Iterator
from itertools import pairwise
from math import acos, inf, isinf, tan
from typing import Annotated, Literal

from pydantic import Field

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.curves import Lag, Piecewise
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.view import NO_ANSWER, Answer, PowerWindow, SiteView
from drivers.config.settings import Broken, Settings, about

CATEGORY_B = "IEEE 1547-2018, category B"
IEEE_Q_FRAC = 0.44
"""Of nameplate apparent power that category B injects and absorbs (clause 5.2, table 7)."""


class VarPoint(Settings):
    """One point of a volt-var curve."""

    voltage_pu: Annotated[float, about("", "per unit of nominal", ge=0.5, le=1.5)]
    var_frac: Annotated[float, about("", "of the converter's apparent power, injected positive", ge=-1, le=1)]


class WattPoint(Settings):
    """One point of a watt-var curve."""

    power_frac: Annotated[float, about("", "of the converter's active power, discharge positive", ge=-1, le=1)]
    var_frac: Annotated[float, about("", "of the converter's apparent power, injected positive", ge=-1, le=1)]


VOLT_VAR = tuple(
    VarPoint(voltage_pu=voltage_pu, var_frac=var_frac)
    for voltage_pu, var_frac in ((0.92, IEEE_Q_FRAC), (0.98, 0.0), (1.02, 0.0), (1.08, -IEEE_Q_FRAC))
)
WATT_VAR = tuple(
    WattPoint(power_frac=power_frac, var_frac=var_frac)
    for power_frac, var_frac in ((-1.0, IEEE_Q_FRAC), (-0.5, 0.0), (0.5, 0.0), (1.0, -IEEE_Q_FRAC))
)
VOLT_WATT_FULL_PU, VOLT_WATT_NONE_PU = 1.06, 1.10
"""Voltages at which volt-watt begins and ends (clause 5.4.2, table 31)."""


class ReactivePower(ApplicationSettings):
    """What the converter does for the voltage. The defaults are those of IEEE 1547-2018, category B."""

    kind: Annotated[Literal["reactive-power"], about("", "which application this is")]
    mode: Annotated[
        Literal["volt-var", "watt-var", "power-factor", "fixed-var", "none"],
        about("", "what decides the reactive power; none leaves it to the converter"),
    ]
    volt_var: Annotated[
        tuple[VarPoint, ...],
        Field(strict=False),
        about("", "curve of the mode instead of the standard's: voltage_pu and var_frac", max_length=16),
    ] = ()
    watt_var: Annotated[
        tuple[WattPoint, ...],
        Field(strict=False),
        about("", "curve of the mode instead of the standard's: power_frac and var_frac", max_length=16),
    ] = ()
    power_factor: Annotated[float, about("", "of the mode", "the standard's default", gt=0.1, le=1)] = 1.0
    excitation: Annotated[
        Literal["injecting", "absorbing"], about("", "of the mode power-factor", "the standard's default")
    ] = "absorbing"
    fixed_var: Annotated[float, about("var", "of the mode, injected positive", "none", ge=-1e10, le=1e10)] = 0.0
    response_time_s: Annotated[
        float,
        about("s", "open-loop response of volt-var, watt-var and a power factor: 90 % of a step after",
              f"{CATEGORY_B}, table 8: 5 s, less half a second for meter, tick and converter", ge=0, le=90),
    ] = 4.5  # fmt: skip
    volt_watt: Annotated[
        bool, about("", "discharge is bounded from 1.06 pu of voltage on, to nothing at 1.1 pu", "off, as the standard")
    ] = False
    volt_watt_response_time_s: Annotated[
        float, about("s", "open-loop response of volt-watt", f"{CATEGORY_B}, table 31: 10 s, likewise", ge=0, le=60)
    ] = 9.5

    def broken_relations(self) -> Iterator[Broken]:
        for curve, axis in (("volt_var", "voltage_pu"), ("watt_var", "power_frac")):
            values = [getattr(point, axis) for point in getattr(self, curve)]
            for number, (before, after) in enumerate(pairwise(values), start=1):
                if after <= before:
                    expected = f"more than {before:g}"
                    yield Broken((curve, number, axis), after, "not above the point before", expected)


class ReactivePowerApplication:
    """Asks for a reactive power, and with `volt_watt` bounds the discharge. Reactive power gives way to active power:
    what does not fit into the converter's rating is not given. Without the voltage (or the battery's power, or the
    rating) that a mode needs it goes to 0 var, and volt-watt leaves its bound where it was."""

    def __init__(self, settings: ReactivePower) -> None:
        self.name = settings.kind
        self._settings = settings
        self._volt_var = Piecewise([(point.voltage_pu, point.var_frac) for point in settings.volt_var or VOLT_VAR])
        self._watt_var = Piecewise([(point.power_frac, point.var_frac) for point in settings.watt_var or WATT_VAR])
        self._volt_watt = Piecewise([(VOLT_WATT_FULL_PU, 1.0), (VOLT_WATT_NONE_PU, 0.0)])
        self._lag, self._watt_lag = Lag(settings.response_time_s), Lag(settings.volt_watt_response_time_s)
        self._watt_frac = 1.0

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        if view.islanded:
            self.reset()
            return NO_ANSWER
        return Answer(power_w_max=self._power_w_max(view), reactive_var=self._reactive_var(view), reason="volt-watt")

    def reset(self) -> None:
        self._lag.reset()
        self._watt_lag.reset()
        self._watt_frac = 1.0

    def _reactive_var(self, view: SiteView) -> float | None:
        settings, rated_va = self._settings, view.apparent_power_va_max
        if settings.mode == "none":
            return None
        if settings.mode == "fixed-var":
            return settings.fixed_var
        if settings.mode == "power-factor":
            wanted_var = self._at_power_factor_var(view.battery_power_w)
        else:
            wanted_var = 0.0 if isinf(rated_va) else self._frac(view) * rated_va
        return self._lag.follow(wanted_var, view.dt_s)

    def _frac(self, view: SiteView) -> float:
        if self._settings.mode == "volt-var":
            return 0.0 if view.voltage_pu is None else self._volt_var.at(view.voltage_pu)
        return 0.0 if view.battery_power_w is None else self._watt_var.at(view.battery_power_w / view.base_power_w)

    def _at_power_factor_var(self, power_w: float | None) -> float:
        sign = 1.0 if self._settings.excitation == "injecting" else -1.0
        return sign * abs(power_w or 0.0) * tan(acos(self._settings.power_factor))

    def _power_w_max(self, view: SiteView) -> float:
        if not self._settings.volt_watt or isinf(view.base_power_w):
            return inf
        if view.voltage_pu is not None:
            self._watt_frac = self._watt_lag.follow(self._volt_watt.at(view.voltage_pu), view.dt_s)
        return self._watt_frac * view.base_power_w


APPLICATION = ApplicationKind(ReactivePower, ReactivePowerApplication)
