"""A leaky bucket decides when a condition has been true for long enough, even if it flickers."""


class LeakyBucket:
    """Fills with the time a condition is true and leaks at a quarter of that rate while it is false.

    A condition that is true 30 % of the time therefore trips in the end, and a lone spike never does (a counter
    that is reset or counts down as fast as it counts up misses a fault at 50 % duty).
    """

    LEAK_RATIO = 0.25
    __slots__ = ("_filled_s", "_trip_s")

    def __init__(self, trip_s: float) -> None:
        self._trip_s = trip_s
        self._filled_s = 0.0

    def step(self, present: bool, dt_s: float) -> bool:
        """True once the bucket is full; `dt_s` is the time since the previous step."""
        if present:
            self._filled_s = min(self._filled_s + dt_s, self._trip_s)
        elif self._filled_s != 0.0:
            self._filled_s = max(self._filled_s - self.LEAK_RATIO * dt_s, 0.0)
        return present and self._filled_s >= self._trip_s - 1e-9

    def overlook(self, time_s: float) -> None:
        """Begin anew; a condition that is true now must last for this long beyond the usual, unless it ends before."""
        self._filled_s = -time_s


class ErrorBucket:
    """Counts bad frames against good ones: fills by one a bad frame, leaks by `tolerated_frac` of the good ones,
    and is full at `trip_frames`."""

    __slots__ = ("_filled", "_seen_accepted", "_seen_bad", "_tolerated_frac", "_trip_frames")

    def __init__(self, trip_frames: float, tolerated_frac: float) -> None:
        self._trip_frames = trip_frames
        self._tolerated_frac = tolerated_frac
        self._filled = 0.0
        self._seen_accepted = 0
        self._seen_bad = 0

    def step(self, accepted: int, bad: int) -> bool:
        """True while full; both counts are totals since start."""
        new_bad, new_good = bad - self._seen_bad, accepted - self._seen_accepted
        self._seen_bad, self._seen_accepted = bad, accepted
        level = self._filled + new_bad - self._tolerated_frac * new_good
        self._filled = min(max(level, 0.0), 2.0 * self._trip_frames)
        return self._filled >= self._trip_frames
