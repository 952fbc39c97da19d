"""A small power that keeps the SoC at its target, whatever a service's own swings lose in the battery."""

FULL_AWAY_FRAC = 0.1
"""SoC away from the target at which the whole power brings it back."""
INTEGRAL = 2.0
"""Integral time by the loop's own time constant: damped by 0.7, which swings over by 4 %."""


class SocReturn:
    """Proportional to the distance, and integral: what the battery loses all the time would else leave the SoC where
    the proportion makes up for it, off its target by losses / `power_w_max` tenths of the energy.

    The power of `power_w_max` at FULL_AWAY_FRAC moves the SoC with a time constant of its own, by the battery's energy;
    the integral takes INTEGRAL times as long. It stands still while the power is at its end, and where the battery's
    energy is not known (0)."""

    def __init__(self, soc_frac_target: float, power_w_max: float) -> None:
        self._target_frac, self._power_w_max = soc_frac_target, power_w_max
        self.reset()

    def reset(self) -> None:
        self.power_w = self._steady_w = 0.0

    def look(self, soc_frac: float, capacity_wh: float, dt_s: float, *, obeyed: bool) -> None:
        """Once a control tick. `power_w` is then what the battery should be charged with, as a mean over a long time.
        `obeyed`: the battery did as it should; the integral stands still else."""
        most_w = self._power_w_max
        wanted_w = (self._target_frac - soc_frac) / FULL_AWAY_FRAC * most_w
        if obeyed and abs(wanted_w + self._steady_w) < most_w and capacity_wh > 0.0:
            time_s = FULL_AWAY_FRAC * capacity_wh * 3600.0 / most_w
            self._steady_w += wanted_w * dt_s / (INTEGRAL * time_s)
        self.power_w = min(max(wanted_w + self._steady_w, -most_w), most_w)
