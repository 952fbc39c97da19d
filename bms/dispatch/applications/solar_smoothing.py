"""Solar smoothing: what a PV plant gives to the grid changes no faster than allowed."""

from collections.abc import Iterator
from typing import Annotated, Literal

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.net_load import net_load_w
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.taper import taper
from bms.dispatch.view import Answer, PowerWindow, SiteView
from drivers.config.settings import Broken, about

RETURN_FRAC = 0.1
"""So far from the target SoC the whole return power is used."""
USED_FRAC = 0.95
"""Share of the allowed ramp that is used: the rest is for delays and the meter's steps."""


class SolarSmoothing(ApplicationSettings):
    """Holds the ramp of a PV plant's output."""

    kind: Annotated[Literal["solar-smoothing"], about("", "which application this is")]
    pv_power_w_rated: Annotated[float, about("W", "that the ramp is a share of", gt=0, le=1e10)]
    ramp_frac_per_min: Annotated[
        float, about("frac/min", "fastest change of the output, in shares of rated", "islands' grid codes", gt=0, le=10)
    ] = 0.1
    soc_frac_min: Annotated[float, about("frac", "it discharges no further", "reserve over the limit", ge=0, le=1)] = (
        0.2
    )
    soc_frac_max: Annotated[float, about("frac", "it charges no further", "reserve under the limit", ge=0, le=1)] = 0.9
    soc_frac_target: Annotated[float, about("frac", "SoC to which it slowly returns", "middle of it", ge=0, le=1)] = (
        0.55
    )
    soc_return_frac: Annotated[
        float, about("frac", "most power that brings the SoC back, in shares of rated", "a tenth", ge=0, le=1)
    ] = 0.1

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.in_order("soc_frac_min", "soc_frac_target", "soc_frac_max")


class SolarSmoothingApplication:
    """Follows PV less load with a target that has the ramp limit; the battery gives the difference. The target
    leans towards what brings the SoC back inside the same ramp. Where the battery cannot charge what PV rises by, PV is
    capped; where it cannot give what PV falls by, the target goes on from what the grid really gets.
    """

    def __init__(self, settings: SolarSmoothing) -> None:
        self.name = settings.kind
        self._settings = settings
        self._target_w: float | None = None

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        settings, net_w = self._settings, net_load_w(view)
        if net_w is None or view.grid_power_w is None:
            self.reset()
            return Answer(request_w=0.0, firm=True, reason="grid power is not known")
        out_w = -net_w
        step_w = USED_FRAC * settings.ramp_frac_per_min * settings.pv_power_w_rated / 60.0 * view.dt_s
        before_w = -view.grid_power_w if self._target_w is None else self._target_w
        wanted_w = out_w + self._return_w(view.soc_frac)
        target_w = min(max(wanted_w, before_w - step_w), before_w + step_w)
        low_w = window.power_w_min * taper(settings.soc_frac_max - view.soc_frac)
        high_w = window.power_w_max * taper(view.soc_frac - settings.soc_frac_min)
        given_w = min(max(target_w - out_w, min(low_w, window.power_w_max)), max(high_w, window.power_w_min))
        self._target_w = target_w
        if out_w + given_w < target_w - step_w:
            self._target_w = out_w + given_w
        return Answer(
            request_w=given_w,
            firm=True,
            pv_power_w_max=max(target_w + max(-low_w, 0.0) + (view.pv_power_w or 0.0) - out_w, 0.0),
            reason="ramp of the PV plant",
        )

    def reset(self) -> None:
        self._target_w = None

    def _return_w(self, soc_frac: float) -> float:
        """What the output is moved by (up discharges) to bring the SoC back."""
        share = min(max((soc_frac - self._settings.soc_frac_target) / RETURN_FRAC, -1.0), 1.0)
        return share * self._settings.soc_return_frac * self._settings.pv_power_w_rated


APPLICATION = ApplicationKind(SolarSmoothing, SolarSmoothingApplication)
