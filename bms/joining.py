"""Which rack joins the DC link next, and which has to wait: voltage window, predicted current, back-off."""

from collections.abc import Sequence

from bms.image import Image
from bms.site import Precharge
from drivers.readings import RackReading

REJOIN_S_MIN, REJOIN_S_MAX = 5.0, 1200.0
"""Wait after a fault's end before a rack joins again; four times longer each time."""

QUIET_S = 3600.0
"""After so long online earlier openings are forgotten."""


class Rejoin:
    """When one rack may join again: after each opening by a fault it waits longer. A quiet hour forgets it."""

    def __init__(self) -> None:
        self._wait_s = REJOIN_S_MIN
        self._left_s = 0.0
        self._online_s = 0.0

    @property
    def held(self) -> bool:
        return self._left_s > 0.0

    def step(self, *, faulted: bool, online: bool, dt_s: float) -> None:
        """`faulted`: a fault wants it open; counts once for each time that it was online."""
        if faulted and self._online_s > 0.0:
            self._left_s = self._wait_s
            self._wait_s = min(4.0 * self._wait_s, REJOIN_S_MAX)
            self._online_s = 0.0
        elif not faulted:
            self._left_s = max(self._left_s - dt_s, 0.0)
            self._online_s += dt_s if online else 0.0
        if self._online_s > QUIET_S:
            self._wait_s = REJOIN_S_MIN


class JoinWindow:
    """May a rack be connected to others: their voltages within the window, and the current that would flow between
    them, by the racks' resistances, below its limit."""

    def __init__(self, precharge: Precharge, resistance_ohm: Sequence[float]) -> None:
        self._precharge = precharge
        self._resistance_ohm = tuple(resistance_ohm)

    def next(self, candidates: Sequence[int], online: Sequence[int], image: Image) -> int | None:
        """The first candidate that a live link takes. A dead link takes the one that most others can follow."""
        if online:
            return next((index for index in candidates if self.fits(index, online, image)), None)
        followers = {index: sum(self._pair(index, other, image) for other in candidates) for index in candidates}
        return max(candidates, key=lambda index: followers[index], default=None)

    def fits(self, index: int, online: Sequence[int], image: Image) -> bool:
        """On the live link of the racks that are online; no racks online: on any."""
        if not online:
            return True
        rack: RackReading = image.racks[index]
        others_ohm = 1.0 / sum(1.0 / self._resistance_ohm[other] for other in online)
        return self._close(rack.rack_voltage_v - rack.link_voltage_v, self._resistance_ohm[index] + others_ohm)

    def fits_under_load(self, index: int, online: Sequence[int], image: Image) -> bool:
        """As `fits`, also for the voltage that the live link rises or falls to when its load ends."""
        if not online:
            return False
        rack, others_ohm = image.racks[index], 1.0 / sum(1.0 / self._resistance_ohm[other] for other in online)
        rest_v = rack.rack_voltage_v + rack.current_a * self._resistance_ohm[index]
        loaded_v = rack.link_voltage_v
        unloaded_v = loaded_v + others_ohm * sum(image.racks[other].current_a for other in online)
        loop_ohm = self._resistance_ohm[index] + others_ohm
        return self._close(rest_v - loaded_v, loop_ohm) and self._close(rest_v - unloaded_v, loop_ohm)

    def _pair(self, one: int, other: int, image: Image) -> bool:
        apart_v = image.racks[one].rack_voltage_v - image.racks[other].rack_voltage_v
        return self._close(apart_v, self._resistance_ohm[one] + self._resistance_ohm[other])

    def _close(self, apart_v: float, loop_ohm: float) -> bool:
        within = abs(apart_v) < self._precharge.join_window_v
        return within and abs(apart_v) / loop_ohm < self._precharge.circulating_current_a_max
