"""Learns how a power runs over the day, and says what it will be, and how sure that is."""

import math
from datetime import datetime, timedelta

SLOT_S = 300.0
SLOTS = 288
DAYS_LEARNT = 8
"""The mean over so many days of one kind; older ones fade out."""
DRIFT_DAYS = 4
RISE_TIME_S, FALL_TIME_S = 10.0, 60.0
"""What the power is now: a rise is believed sooner than a fall, which may be a gap."""
WORKING_DAYS = 5


class DailyProfile:
    """One power's mean over each 5 minutes of a working day and of a day at the weekend, the site's own clock, and how
    far it strays from there.

    The forecast is the profile, moved by what the power is away from it now; before anything was learnt it is the
    power now. That distance wanders: the mean of what it moves from one slot to the next is learnt beside the profile,
    and `wander_w` is it at first. Bounded: 576 slots.
    """

    def __init__(self, wander_w: float) -> None:
        self._mean_w: list[list[float | None]] = [[None] * SLOTS, [None] * SLOTS]
        self._days = [[0] * SLOTS, [0] * SLOTS]
        self._drift_w2 = [wander_w**2] * SLOTS
        self._slot: tuple[int, int] | None = None
        self._sum_ws = self._seen_s = 0.0
        self._offset_w: float | None = None
        self._level_w: float | None = None

    def see(self, now: datetime, power_w: float, dt_s: float) -> None:
        """Take the power over the last `dt_s`, which end `now`."""
        if self._level_w is None:
            self._level_w = power_w
        time_s = RISE_TIME_S if power_w > self._level_w else FALL_TIME_S
        self._level_w += (1.0 - math.exp(-dt_s / time_s)) * (power_w - self._level_w)
        slot = slot_of(now)
        if slot != self._slot:
            self._end_slot()
            self._slot = slot
        self._sum_ws += power_w * dt_s
        self._seen_s += dt_s

    def mean_w(self, now: datetime, ahead_s: float) -> float | None:
        """Expected mean of the power over the next `ahead_s`; None before the first reading."""
        if self._level_w is None:
            return None
        here_w = self._expected_w(slot_of(now))
        if here_w is None:
            return self._level_w
        slots = max(1, math.ceil(ahead_s / SLOT_S))
        ahead = [self._expected_w(slot_of(now + timedelta(seconds=SLOT_S * number))) for number in range(slots)]
        known_w = [here_w if each_w is None else each_w for each_w in ahead]
        return sum(known_w) / slots + self._level_w - here_w

    def at_w(self, then: datetime) -> float | None:
        """The profile hours ahead, where what the power is now says little; before it was learnt the power now."""
        expected_w = self._expected_w(slot_of(then))
        return self._level_w if expected_w is None else expected_w

    def sigma_w(self, now: datetime, ahead_s: float) -> float:
        """Standard deviation of the mean over the next `ahead_s`: of the mean of a random walk, a third of the
        variance that it has at its end."""
        slots = max(1, math.ceil(ahead_s / SLOT_S))
        drift_w2 = max(self._drift_w2[slot_of(now + timedelta(seconds=SLOT_S * number))[1]] for number in range(slots))
        return math.sqrt(drift_w2 * ahead_s / SLOT_S / 3.0)

    def _expected_w(self, slot: tuple[int, int]) -> float | None:
        kind, number = slot
        mean_w = self._mean_w[kind][number]
        return self._mean_w[1 - kind][number] if mean_w is None else mean_w

    def _end_slot(self) -> None:
        """Learn from a slot that was seen for most of its time."""
        slot, seen_s, sum_ws = self._slot, self._seen_s, self._sum_ws
        self._seen_s = self._sum_ws = 0.0
        if slot is None or seen_s < 0.8 * SLOT_S or seen_s > 1.2 * SLOT_S:
            self._offset_w = None
            return
        kind, number = slot
        mean_w, expected_w = sum_ws / seen_s, self._expected_w(slot)
        offset_w = mean_w - (mean_w if expected_w is None else expected_w)
        if expected_w is not None and self._offset_w is not None:
            moved_w2 = (offset_w - self._offset_w) ** 2
            self._drift_w2[number] += (moved_w2 - self._drift_w2[number]) / DRIFT_DAYS
        self._offset_w = offset_w
        days = self._days[kind][number] = min(self._days[kind][number] + 1, DAYS_LEARNT)
        learnt_w = self._mean_w[kind][number]
        self._mean_w[kind][number] = mean_w if learnt_w is None else learnt_w + (mean_w - learnt_w) / days


def slot_of(now: datetime) -> tuple[int, int]:
    """Kind of day (0 = Monday to Friday) and number of its 5 minutes."""
    seconds = now.hour * 3600 + now.minute * 60 + now.second
    return int(now.weekday() >= WORKING_DAYS), int(seconds // SLOT_S)
