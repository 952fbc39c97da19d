"""Grid smoothing: the grid sees a slow, capped version of the load and the battery carries the rest."""

import math

from bms.dispatch.view import PowerWindow, SiteView
from bms.site import GridSmoothing

SOC_TAPER_FRAC = 0.02


class GridSmoothingApplication:
    """Holds the grid's power to a target that follows the load slowly, inside a ramp limit and below a peak cap.

    The target is a first-order filter of the load plus a small power that brings the SoC back to its target. What
    the load does faster than the target goes to the battery: set-point = load (led by its own slope over
    `lead_time_s`, the delay from measurement to power) - target. Where the battery cannot follow, the target is
    moved to what the grid really gets, so that the ramp restarts from there.
    """

    def __init__(self, settings: GridSmoothing) -> None:
        self.name: str = settings.kind
        self.requested_power_w: float | None = None
        self._settings = settings
        self._filtered_w: float | None = None
        self._target_w = 0.0
        self._load_w = 0.0
        self._slope_w_per_s = 0.0

    def narrow(self, view: SiteView, window: PowerWindow) -> PowerWindow:
        if view.load_power_w is None or view.grid_power_w is None:
            self.reset()
            return window.to_point(0.0, self.name, "grid power is not known")
        self._follow(view.load_power_w, view.grid_power_w, view.dt_s)
        self._move_target(view)
        ahead_w = view.load_power_w + self._slope_w_per_s * self._settings.lead_time_s
        wish_w = ahead_w - self._target_w
        self.requested_power_w = wish_w
        return self._give(wish_w, ahead_w, self._soc_window(view, window))

    def reset(self) -> None:
        self._filtered_w = None
        self.requested_power_w = None

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

    def _soc_window(self, view: SiteView, window: PowerWindow) -> PowerWindow:
        """Full power inside the band, less and less over its last SOC_TAPER_FRAC: an edge would be a step."""
        low_w, high_w = window.power_w_min, window.power_w_max
        above = (view.soc_frac - self._settings.soc_frac_min) / SOC_TAPER_FRAC
        below = (self._settings.soc_frac_max - view.soc_frac) / SOC_TAPER_FRAC
        if above < 1.0 and high_w > 0.0:
            return PowerWindow(low_w, high_w * max(above, 0.0), self.name, "SoC band")
        if below < 1.0 and low_w < 0.0:
            return PowerWindow(low_w * max(below, 0.0), high_w, self.name, "SoC band")
        return window

    def _give(self, wish_w: float, ahead_w: float, window: PowerWindow) -> PowerWindow:
        given = window.to_point(wish_w, self.name, "")
        if given.power_w_min != wish_w:
            self._target_w = ahead_w - given.power_w_min
        return given
