"""Grid smoothing: the grid sees a slow, capped version of the load and the battery carries the rest."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.view import Answer, PowerWindow, SiteView
from drivers.config.settings import Broken, about

SOC_TAPER_FRAC = 0.02


class GridSmoothing(ApplicationSettings):
    """Holds the grid's power to a slow, capped version of the load."""

    kind: Annotated[Literal["grid-smoothing"], about("", "which application this is")]
    ramp_w_per_s_max: Annotated[float, about("W/s", "fastest change of the grid's power", gt=0, le=1e9)]
    grid_power_w_max: Annotated[float, about("W", "cap of the grid's power (import)", gt=0, le=1e10)]
    smoothing_time_s: Annotated[
        float,
        about(
            "s",
            "time constant of the target that follows the load",
            "3 to 4 training iterations of 17 s",
            gt=0,
            le=86_400,
        ),
    ] = 60.0
    lead_time_s: Annotated[
        float,
        about(
            "s",
            "delay from measurement to power, over which the load's slope is extended",
            "none: no prediction",
            ge=0,
            le=10,
        ),
    ] = 0.0
    soc_frac_min: Annotated[
        float, about("frac", "the application discharges no further", "reserve of 15 % over the limit", ge=0, le=1)
    ] = 0.2
    soc_frac_max: Annotated[
        float, about("frac", "the application charges no further", "reserve of 5 % under the limit", ge=0, le=1)
    ] = 0.9
    soc_frac_target: Annotated[
        float, about("frac", "SoC to which it slowly returns", "middle of the band", ge=0, le=1)
    ] = 0.55
    soc_return_power_w_max: Annotated[
        float, about("W", "most power that brings the SoC back", "10 % of a 500 kW converter", ge=0, le=1e9)
    ] = 50_000.0

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.in_order("soc_frac_min", "soc_frac_target", "soc_frac_max")


class GridSmoothingApplication:
    """Holds the grid's power to a target that follows the load slowly, inside a ramp limit and below a peak cap.

    The target is a first-order filter of the load plus a small power that brings the SoC back to its target. What
    the load does faster than the target goes to the battery: set-point = load (led by its own slope over
    `lead_time_s`, the delay from measurement to power) - target. Where the battery cannot follow, the target is
    moved to what the grid really gets, so that the ramp restarts from there.
    """

    def __init__(self, settings: GridSmoothing) -> None:
        self.name = settings.kind
        self._settings = settings
        self._filtered_w: float | None = None
        self._target_w = 0.0
        self._load_w = 0.0
        self._slope_w_per_s = 0.0

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        if view.load_power_w is None or view.grid_power_w is None:
            self.reset()
            return Answer(request_w=0.0, firm=True, reason="grid power is not known")
        self._follow(view.load_power_w, view.grid_power_w, view.dt_s)
        self._move_target(view)
        ahead_w = view.load_power_w + self._slope_w_per_s * self._settings.lead_time_s
        low_w, high_w = self._soc_band(view, window)
        wish_w = ahead_w - self._target_w
        given_w = min(max(wish_w, low_w), high_w)
        if given_w != wish_w:
            self._target_w = ahead_w - given_w
        return Answer(low_w, high_w, wish_w, firm=True, reason="SoC band")

    def reset(self) -> None:
        self._filtered_w = None

    def _follow(self, load_w: float, grid_w: float, dt_s: float) -> None:
        if self._filtered_w is None:
            self._filtered_w, self._target_w, self._load_w = load_w, grid_w, load_w
        self._filtered_w += (1.0 - math.exp(-dt_s / self._settings.smoothing_time_s)) * (load_w - self._filtered_w)
        self._slope_w_per_s = (load_w - self._load_w) / dt_s
        self._load_w = load_w

    def _move_target(self, view: SiteView) -> None:
        settings = self._settings
        wanted_w = self._filtered_w or 0.0
        wanted_w += self._soc_return_w(view.soc_frac)
        step_w = settings.ramp_w_per_s_max * view.dt_s
        wanted_w = min(max(wanted_w, self._target_w - step_w), self._target_w + step_w)
        self._target_w = min(wanted_w, settings.grid_power_w_max)

    def _soc_return_w(self, soc_frac: float) -> float:
        """Power that the grid gives (positive) to bring the SoC back; full at 10 % SoC away from the target."""
        away_frac = self._settings.soc_frac_target - soc_frac
        share = min(max(away_frac / 0.1, -1.0), 1.0)
        return share * self._settings.soc_return_power_w_max

    def _soc_band(self, view: SiteView, window: PowerWindow) -> tuple[float, float]:
        """Full power inside the band, less and less over its last SOC_TAPER_FRAC: an edge would be a step."""
        low_w, high_w = window.power_w_min, window.power_w_max
        above = (view.soc_frac - self._settings.soc_frac_min) / SOC_TAPER_FRAC
        below = (self._settings.soc_frac_max - view.soc_frac) / SOC_TAPER_FRAC
        if above < 1.0 and high_w > 0.0:
            return low_w, max(high_w * max(above, 0.0), low_w)
        if below < 1.0 and low_w < 0.0:
            return min(low_w * max(below, 0.0), high_w), high_w
        return low_w, high_w


APPLICATION = ApplicationKind(GridSmoothing, GridSmoothingApplication)
