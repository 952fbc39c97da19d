"""A smoothing loop inside a simulated converter: it sees the grid's power by itself and works at every step."""

from math import exp


class SmoothingLoop:
    """`parameters` as its registers have them; while it is not `enabled` it adds nothing.

    Each step it takes what the site draws without the battery (grid + its own power, both of the step before), filters
    that with `filter_time_s`, lets the filter's outcome move by at most `ramp_w_per_s`, and adds `gain` times the
    difference to the set-point, within its two limits (magnitudes)."""

    def __init__(self) -> None:
        self.enabled = False
        self.filter_time_s = 60.0
        self.ramp_w_per_s = 0.0
        self.gain = 1.0
        self.charge_power_w_max = 0.0
        self.discharge_power_w_max = 0.0
        self._filtered_w: float | None = None
        self._held_w = 0.0

    def wanted_w(self, set_point_w: float, grid_w: float, ac_w: float, dt_s: float) -> float:
        """The power that the converter shall have now, discharge positive."""
        if not self.enabled:
            self._filtered_w = None
            return set_point_w
        site_w = grid_w + ac_w
        if self._filtered_w is None:
            self._filtered_w, self._held_w = site_w, grid_w
        self._filtered_w += (1.0 - exp(-dt_s / max(self.filter_time_s, dt_s))) * (site_w - self._filtered_w)
        step_w = self.ramp_w_per_s * dt_s
        self._held_w += min(max(self._filtered_w - set_point_w - self._held_w, -step_w), step_w)
        wanted_w = set_point_w + self.gain * (site_w - self._held_w - set_point_w)
        bounded_w = min(max(wanted_w, -self.charge_power_w_max), self.discharge_power_w_max)
        if bounded_w != wanted_w:
            self._held_w = site_w - bounded_w
        return bounded_w
