"""Counts how often power was tried again in vain: a fault that shows only while power flows ends at 0 W, and comes back
with it."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from bms.protect.fault_kind import FaultKind

RETRIED = ("inverter_not_following", "dc_current_mismatch")
"""Faults whose cause cannot be seen at 0 W."""
IN_VAIN = "power_retried_in_vain"
TRIES_MAX, WINDOW_S = 3, 120.0
"""The first time and two retries within two minutes; the retries are 8 to 20 s apart."""


class Retries:
    """`step` it with what tripped in a tick; it names the fault and the place that have come back too often."""

    def __init__(self) -> None:
        self._tripped_s: dict[tuple[str, str], deque[float]] = defaultdict(lambda: deque(maxlen=TRIES_MAX))

    def step(self, tripped: Iterable[tuple[FaultKind, str]], now_s: float) -> Iterator[tuple[str, str]]:
        """Place and words of each; it begins to count anew then."""
        for kind, target in tripped:
            if kind.id not in RETRIED:
                continue
            tripped_s = self._tripped_s[kind.id, target]
            tripped_s.append(now_s)
            if len(tripped_s) == TRIES_MAX and now_s - tripped_s[0] <= WINDOW_S:
                tripped_s.clear()
                yield target, f"{kind.id} came back {TRIES_MAX - 1} times within {WINDOW_S:g} s"
