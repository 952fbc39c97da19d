"""Grid smoothing: the grid sees a slow, capped version of the load and the battery carries the rest."""

from collections.abc import Iterator
from math import exp, isnan, nan
from typing import Annotated, Literal

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.learned_period import LearnedPeriod
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.smoothing_gain import SmoothingGain
from bms.dispatch.soc_return import SocReturn
from bms.dispatch.view import Answer, HeldGridPower, PowerWindow, SiteView
from bms.estimate.smoothing_watch import WINDOW_S
from drivers.config.settings import Broken, about

SOC_TAPER_FRAC = 0.02
QUIET_FRAC = 0.01
"""Of the cap: below this range of the load there is nothing to judge."""


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
    feed_forward_jitter_frac_max: Annotated[
        float,
        about(
            "frac",
            "a load that repeats itself is led by its last period while its periods differ by no more than this",
            "0: never; at 1 % it would do more harm than good",
            ge=0,
            le=0.005,
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

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("job_power_w", "job_start_in_s")


class GridSmoothingApplication:
    """Holds the grid's power to a target that follows the load slowly, inside a ramp limit and below a peak cap.

    The target is a first-order filter of the load plus a small power that brings the SoC back (SocReturn). What the
    load does faster than the target goes to the battery: set-point = load (led by its own slope over `lead_time_s`,
    the delay from measurement to power) - target. Where the battery cannot follow, the target is moved to what the
    grid really gets, so that the ramp restarts from there.

    Inputs: `job_power_w` is a change of the load that is announced, `job_start_in_s` how long it still takes; the
    target goes there at its ramp already, and counts the job as started when that is 0 or less.

    Where the site measures that this makes the grid worse it holds back, down to nothing (SmoothingGain).
    """

    def __init__(self, settings: GridSmoothing) -> None:
        self.name = settings.kind
        self._settings = settings
        self._filtered_w: float | None = None
        self._target_w = 0.0
        self._load_w = 0.0
        self._slope_w_per_s = 0.0
        self._gain = SmoothingGain(QUIET_FRAC * settings.grid_power_w_max, WINDOW_S * settings.ramp_w_per_s_max)
        self._soc_return = SocReturn(settings.soc_frac_target, settings.soc_return_power_w_max)
        self._obeyed = True
        self._clock_s = 0.0
        self._period = LearnedPeriod() if settings.feed_forward_jitter_frac_max > 0.0 else None
        self._job_w: float | None = None

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        if view.load_power_w is None or view.grid_power_w is None:
            self.reset()
            return Answer(request_w=0.0, firm=True, reason="grid power is not known")
        self._gain.look(view.smoothed, view.dt_s)
        self._soc_return.look(view.soc_frac, view.energy_capacity_wh, view.dt_s, obeyed=self._obeyed)
        self._follow(view.load_power_w, view.grid_power_w, view.dt_s)
        self._move_target(view)
        ahead_w = self._ahead_w(view, view.load_power_w)
        if self._gain.value == 0.0:
            self._target_w, self._obeyed = view.load_power_w, False
            return Answer(held=self._held(view))
        low_w, high_w = self._soc_band(view, window)
        wish_w = self._gain.value * (ahead_w - self._target_w)
        given_w = min(max(wish_w, low_w), high_w)
        self._obeyed = given_w == wish_w and self._target_w < self._settings.grid_power_w_max
        if given_w != wish_w:
            self._target_w = ahead_w - given_w / self._gain.value
        held = self._held(view)
        return Answer(low_w, high_w, wish_w, firm=True, reason="SoC band", held=held)

    def reset(self) -> None:
        self._filtered_w = None
        self._job_w = None
        self._gain.reset()
        self._soc_return.reset()

    def _ahead_w(self, view: SiteView, load_w: float) -> float:
        """The load when the battery's power will be there."""
        led_w = load_w + self._slope_w_per_s * self._settings.lead_time_s
        if self._period is None:
            return led_w
        self._clock_s += view.dt_s
        self._period.see(load_w, self._clock_s - view.load_age_s)
        ahead_s, jitter_frac_max = view.load_age_s + view.effect_s, self._settings.feed_forward_jitter_frac_max
        change_w = 0.0 if isnan(ahead_s) else self._period.change_w(ahead_s, jitter_frac_max)
        return load_w + change_w if change_w else led_w

    def _follow(self, load_w: float, grid_w: float, dt_s: float) -> None:
        if self._filtered_w is None:
            self._filtered_w, self._target_w, self._load_w = load_w, grid_w, load_w
        self._filtered_w += (1.0 - exp(-dt_s / self._settings.smoothing_time_s)) * (load_w - self._filtered_w)
        self._slope_w_per_s = (load_w - self._load_w) / dt_s
        self._load_w = load_w

    def _move_target(self, view: SiteView) -> None:
        settings = self._settings
        wanted_w = self._filtered_w or 0.0
        wanted_w += self._soc_return.power_w + self._announced_w(view)
        step_w = settings.ramp_w_per_s_max * view.dt_s
        wanted_w = min(max(wanted_w, self._target_w - step_w), self._target_w + step_w)
        self._target_w = min(wanted_w, settings.grid_power_w_max)

    def _announced_w(self, view: SiteView) -> float:
        """Change of the load that is still to come; once it has started the filter starts from there."""
        job_w, start_in_s = view.inputs.get("job_power_w"), view.inputs.get("job_start_in_s", nan)
        if job_w is None or isnan(start_in_s):
            self._job_w = None
            return 0.0
        if start_in_s > 0.0:
            self._job_w = job_w
            return job_w
        started_w, self._job_w = self._job_w or 0.0, 0.0
        self._filtered_w = (self._filtered_w or 0.0) + started_w
        return started_w

    def _held(self, view: SiteView) -> HeldGridPower:
        settings = self._settings
        base_w = -self._soc_return.power_w
        over_w = (self._filtered_w or 0.0) - base_w - settings.grid_power_w_max
        return HeldGridPower(
            grid_power_w=self._target_w - (view.pv_power_w or 0.0),
            filter_time_s=settings.smoothing_time_s,
            ramp_w_per_s=settings.ramp_w_per_s_max,
            base_w=base_w + max(over_w, 0.0),
            gain=self._gain.value,
            refused=self._gain.reason,
        )

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


APPLICATION = ApplicationKind(GridSmoothing, GridSmoothingApplication, holds_grid=True)
