"""Contactors whose feedback goes to and fro."""

CHATTER_EDGES = 3.0
"""More changes of a feedback that nobody commanded, within seconds, are chatter."""

FORGET_PER_S = 0.2


class EdgeCount:
    """Counts changes of a feedback and forgets them in time. What is not known changes nothing, and what is
    `commanded` counts not."""

    def __init__(self) -> None:
        self._last: bool | None = None
        self._edges = 0.0

    def step(self, closed: bool | None, commanded: bool, dt_s: float) -> float:
        self._edges = max(self._edges - FORGET_PER_S * dt_s, 0.0)
        if closed is not None:
            self._edges += not commanded and self._last is not None and closed != self._last
            self._last = closed
        return self._edges
