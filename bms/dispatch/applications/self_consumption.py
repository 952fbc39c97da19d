"""Self-consumption: the battery takes what PV gives too much and gives it back later, and the grid gives nothing."""

from collections.abc import Iterator
from math import copysign
from typing import Annotated, Literal

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.net_load import net_load_w
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.taper import taper
from bms.dispatch.view import NO_ANSWER, Answer, PowerWindow, SiteView
from drivers.config.settings import Broken, about


class SelfConsumption(ApplicationSettings):
    """Holds the grid's power at a set-point."""

    kind: Annotated[Literal["self-consumption"], about("", "which application this is")]
    grid_power_w_target: Annotated[
        float, about("W", "the grid's power that it aims at, import positive", "no exchange", ge=-1e10, le=1e10)
    ] = 0.0
    deadband_w: Annotated[
        float, about("W", "it starts only for what is further off than this", "a home's meter", ge=0, le=1e9)
    ] = 50.0
    turn_s: Annotated[
        float,
        about("s", "the other direction must be wanted for so long before it turns", "a kettle's thermostat",
              ge=0, le=3600),
    ] = 5.0  # fmt: skip
    soc_frac_min: Annotated[float, about("frac", "it discharges no further", "reserve over the limit", ge=0, le=1)] = (
        0.2
    )
    soc_frac_max: Annotated[float, about("frac", "it charges no further", "reserve under the limit", ge=0, le=1)] = 0.9

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.in_order("soc_frac_min", "soc_frac_max")


class SelfConsumptionApplication:
    """Asks for load - PV - target: what the meter would show without the battery, which the battery's own power cannot
    excite. From charging to discharging and back it goes through rest and waits there."""

    def __init__(self, settings: SelfConsumption) -> None:
        self.name = settings.kind
        self._settings = settings
        self._direction = 0.0
        self._last = 0.0
        self._wanted_s = 0.0

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        net_w = net_load_w(view)
        if net_w is None or view.islanded:
            self.reset()
            return NO_ANSWER if view.islanded else Answer(request_w=0.0, reason="grid power is not known")
        wanted_w = net_w - self._settings.grid_power_w_target
        self._turn(wanted_w, view.dt_s)
        return Answer(request_w=self._within(wanted_w, view, window) if self._direction else 0.0, reason="SoC band")

    def reset(self) -> None:
        self._direction = self._last = self._wanted_s = 0.0

    def _turn(self, wanted_w: float, dt_s: float) -> None:
        """Stop at once where the direction is not wanted any more; start beyond the deadband, turn after a while."""
        wanted = copysign(1.0, wanted_w)
        if self._direction and wanted != self._direction:
            self._direction = 0.0
        if self._direction:
            return
        if abs(wanted_w) <= self._settings.deadband_w:
            self._wanted_s = 0.0
            return
        self._wanted_s += dt_s
        if wanted == self._last or not self._last or self._wanted_s >= self._settings.turn_s:
            self._direction = self._last = wanted
            self._wanted_s = 0.0

    def _within(self, wanted_w: float, view: SiteView, window: PowerWindow) -> float:
        if wanted_w > 0.0:
            left = taper(view.soc_frac - self._settings.soc_frac_min)
            return min(wanted_w, max(window.power_w_max, 0.0) * left)
        left = taper(self._settings.soc_frac_max - view.soc_frac)
        return max(wanted_w, min(window.power_w_min, 0.0) * left)


APPLICATION = ApplicationKind(SelfConsumption, SelfConsumptionApplication)
