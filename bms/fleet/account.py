"""What each unit is doing, also one that cannot be heard: its power is never issued a second time while it may still
flow, and never counted once the grid meter shows that it does not."""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from bms.estimate.site_power import BatteryPower
from drivers.readings import InverterReading, InverterState, SentPower

WORKING = (InverterState.RUNNING, InverterState.THROTTLED)
FOLLOW_S = 1.0
"""A unit whose power is off its set-points for so long ignores them."""
RETRY_S = 60.0
"""A unit that ignored its set-points is asked again once it was at what it is told, 0 W, for so long."""
SETTLE_S = 0.5
"""Its power may be that of any set-point of so long ago."""
OFF_FRAC = 0.05
"""Of the rating: a power further off its set-point is not the set-point's."""
AFTER_REVERSION_S = 0.5
"""Past the reversion time a silent unit has stopped, or it never will."""


class UnitState(StrEnum):
    """What the fleet can do with a unit."""

    UNHEARD = "unheard"
    """Never heard yet: it may do anything, and the meter counts it as load."""
    READY = "ready"
    STOPPED = "stopped"
    IGNORING = "ignoring"
    """It answers, and its power is not what it was told."""
    LOST = "lost"
    """Not heard any more; it goes to 0 W by its own timer."""
    GONE = "gone"
    """Lost, and at 0 W by now."""
    RUNAWAY = "runaway"
    """Lost, and the grid meter shows that it still gives what it last did."""


@dataclass(slots=True)
class _Silence:
    since_ns: int
    last_w: float
    load_w: float | None
    """Of the site when the unit was last heard."""


class UnitAccount:
    """One unit's. `counted_w` is its power as far as anybody can tell."""

    def __init__(
        self, rated_power_w: float, *, reversion_s: float, response_time_s: float, age_s_max: float, period_s: float
    ) -> None:
        """`period_s`: how often `see` is called."""
        self._track = BatteryPower(response_time_s)
        self.rated_power_w = rated_power_w
        self._reversion_ns = int((reversion_s + AFTER_REVERSION_S) * 1e9)
        self._age_ns_max = int(age_s_max * 1e9)
        self._silence: _Silence | None = None
        self._off_s = self._follows_s = 0.0
        self._told_w: deque[float] = deque([0.0], maxlen=max(round(SETTLE_S / period_s), 2))
        self.state = UnitState.UNHEARD
        self.counted_w = 0.0

    def see(
        self, reading: InverterReading | None, sent: SentPower | None, at_ns: int, dt_s: float, power_w: float
    ) -> None:
        """Take the newest reading and acknowledged set-point, None = none yet, and the set-point `power_w` that it was
        given `dt_s` ago."""
        self._told_w.append(power_w)
        self._track.see(reading, sent)
        if reading is None:
            return
        if at_ns - reading.at_ns > self._age_ns_max:
            if self._silence is None:
                self._silence = _Silence(reading.at_ns, self.counted_w, None)
                self.state = UnitState.LOST
            return
        self._silence = None
        self.counted_w = reading.ac_power_w if reading.ac_power_w == reading.ac_power_w else 0.0
        room_w = OFF_FRAC * self.rated_power_w
        follows = min(self._told_w) - room_w <= self.counted_w <= max(self._told_w) + room_w
        self._off_s, self._follows_s = (0.0, self._follows_s + dt_s) if follows else (self._off_s + dt_s, 0.0)
        if self._off_s >= FOLLOW_S or (self.state is UnitState.IGNORING and self._follows_s < RETRY_S):
            self.state = UnitState.IGNORING
        else:
            self.state = UnitState.READY if reading.state in WORKING and reading.remote_control else UnitState.STOPPED

    def weigh(self, load_w: float | None, load_before_w: float | None, at_ns: int) -> None:
        """Of a silent unit: hold the site's load, reckoned with the power that the unit last had, against the load
        before it fell silent. What the load seems to have risen by is what the unit does not give any more."""
        silence = self._silence
        if silence is None or self.state in SETTLED:
            return
        if silence.load_w is None:
            silence.load_w = load_before_w
        over = at_ns - silence.since_ns > self._reversion_ns
        if load_w is None or silence.load_w is None:
            if over:
                self.state, self.counted_w = UnitState.GONE, 0.0
            return
        missing_w = load_w - silence.load_w
        gives_w = silence.last_w - missing_w
        low_w, high_w = min(silence.last_w, 0.0), max(silence.last_w, 0.0)
        near = abs(missing_w) <= OFF_FRAC * self.rated_power_w
        self.counted_w = silence.last_w if near else min(max(gives_w, low_w), high_w)
        if over:
            gone = abs(self.counted_w) < abs(silence.last_w) / 2.0 or silence.last_w == 0.0
            self.state = UnitState.GONE if gone else UnitState.RUNAWAY
            self.counted_w = 0.0 if gone else silence.last_w

    def reckoned_w(self, at_ns: int) -> float:
        """Its power at a recent time; of a unit that is being weighed the last that it had."""
        if self._silence is not None:
            return self.counted_w if self.state in SETTLED else self._silence.last_w
        if self._track.newest is None:
            return 0.0
        return self._track.at_w(at_ns)

    def counted_at_w(self, at_ns: int) -> float:
        """As far as anybody can tell, at a recent time."""
        return self.counted_w if self._silence is not None else self.reckoned_w(at_ns)


SETTLED = (UnitState.GONE, UnitState.RUNAWAY)
