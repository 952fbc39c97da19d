"""How much of the load's changes the battery may take: less where that makes the grid worse, as the site measures."""

from math import isnan

from bms.estimate.smoothing_watch import Smoothed

GAINS = (1.0, 0.5, 0.25, 0.0)
CHECK_S = 20.0
"""As long as ranges are kept: after a step everything is judged anew."""
BETTER = 0.9
"""Share of the load's range: what is predicted must be below it before the gain steps up."""
WORSE = 1.1
"""Share of the load's range: what is predicted must be above it before smoothing is refused. A single step of the load
leaves its whole height for as long as any loop is late, which is no harm."""
HOLD_S = 600.0
"""After the grid was measured to be worse, whatever is predicted."""


class SmoothingGain:
    """`value` is the gain, `reason` why it is below 1 (empty = it is not).

    Every 20 s, unless the load's range is below `quiet_w`: to 0 when a battery that is as late as this one would leave
    a clearly larger range than the load has; down a step when the grid's range is larger than the load's and what the
    grid may move by itself (`own_w`), and not up again for ten minutes; up a step when neither is so.
    """

    def __init__(self, quiet_w: float, own_w: float) -> None:
        self._quiet_w, self._own_w = quiet_w, own_w
        self.reset()

    @property
    def value(self) -> float:
        return GAINS[self._step]

    def reset(self) -> None:
        self._step = 0
        self._since_s = self._held_s = 0.0
        self.reason = ""

    def look(self, seen: Smoothed, dt_s: float) -> None:
        """Once a control tick."""
        self._since_s += dt_s
        self._held_s = max(self._held_s - dt_s, 0.0)
        if self._since_s < CHECK_S or isnan(seen.load_w) or seen.load_w < self._quiet_w:
            return
        if seen.left_w > WORSE * seen.load_w:
            self._refuse(seen)
        elif self.value > 0.0 and seen.grid_w > seen.load_w + self._own_w:
            self._step += 1
            self._held_s = HOLD_S
            self.reason = f"the grid moves by {_kw(seen.grid_w)} in 5 s, the load by {_kw(seen.load_w)}"
            self._since_s = 0.0
        elif self._step > 0 and self._held_s == 0.0 and seen.left_w < BETTER * seen.load_w:
            self._step -= 1
            self.reason = self.reason if self._step else ""
            self._since_s = 0.0

    def _refuse(self, seen: Smoothed) -> None:
        self._step, self._since_s = len(GAINS) - 1, 0.0
        self.reason = (
            f"a battery {seen.delay_s * 1e3:.0f} ms late would leave {_kw(seen.left_w)} in 5 s, the load moves by "
            f"{_kw(seen.load_w)}"
        )


def _kw(power_w: float) -> str:
    return f"{power_w / 1e3:.0f} kW"
