"""One direction of a TCP connection in memory, and the conditions on its way."""

import asyncio
import errno
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hil_rigs.world.loop import VirtualLoop
    from hil_rigs.world.transport import Link, MemoryTransport

GIVE_UP_S = 924.6
"""A sender gives up on unanswered data after this long: Linux's net.ipv4.tcp_retries2 = 15 (kernel ip-sysctl)."""
SEGMENTS_MAX = 4


class Mark(Enum):
    """What a TCP header says, beside the bytes."""

    FIN = auto()
    RST = auto()

    def __len__(self) -> int:
        """It takes no room."""
        return 0


@dataclass(slots=True, eq=False)
class Path:
    """Conditions on the way to one address, shared by all connections to it; both directions alike."""

    latency_ns_min: int
    latency_ns_max: int
    cut: bool = False
    refused: bool = False
    stalled_until_ns: int = 0
    segment_probability: float = 0.0
    answer_bytes_left: int | None = None
    restored: asyncio.Event = field(default_factory=asyncio.Event)
    links: "dict[Link, None]" = field(default_factory=dict)

    def latency_ns(self, rng: np.random.Generator) -> int:
        return self.latency_ns_min + int((self.latency_ns_max - self.latency_ns_min) * rng.random())


class Pipe:
    """One direction: segments arrive in the order written, each after its own latency and not before the one ahead.
    What cannot arrive (cut path, paused reader) waits and counts as the sender's write buffer; none is ever lost."""

    def __init__(self, loop: "VirtualLoop", path: Path, rng: np.random.Generator, *, answers: bool) -> None:
        self._loop, self._path, self._rng, self._answers = loop, path, rng, answers
        self._queue: deque[tuple[int, bytes | Mark]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.size = 0
        self.sender: MemoryTransport
        self.receiver: MemoryTransport

    def send(self, item: bytes | Mark) -> None:
        for part in self._segments(item):
            self._queue.append((self._loop.now_ns + self._path.latency_ns(self._rng), part))
            self.size += len(part)
        self.arm()

    def arm(self) -> None:
        """Schedules the next arrival, unless one is scheduled."""
        if self._timer is None and self._queue:
            due_ns, stalled_until_ns = self._queue[0][0], self._path.stalled_until_ns
            if due_ns < stalled_until_ns:
                due_ns = stalled_until_ns
            self._timer = self._loop.call_at_ns(due_ns, self._arrive, context=self._loop.wire)

    def resend(self) -> None:
        """The path works again: what waits arrives after one more latency."""
        self._cancel()
        due_ns = self._loop.now_ns + self._path.latency_ns(self._rng)
        self._queue = deque((max(at_ns, due_ns), item) for at_ns, item in self._queue)
        self.arm()

    def drop(self) -> None:
        self._cancel()
        self._queue.clear()
        self.size = 0

    def _arrive(self) -> None:
        self._timer = None
        if self._path.cut:
            self._timer = self._loop.call_later(GIVE_UP_S, self._give_up, context=self._loop.wire)
        elif self._loop.now_ns < self._path.stalled_until_ns:
            self.arm()
        elif self.receiver.readable:
            item = self._take()
            self.sender.sent()
            self.receiver.receive(item)
            self.arm()

    def _take(self) -> bytes | Mark:
        at_ns, item = self._queue.popleft()
        left = self._path.answer_bytes_left
        if self._answers and left is not None and isinstance(item, bytes):
            self._path.answer_bytes_left = max(0, left - len(item))
            if left <= len(item):
                self._path.cut, self._path.answer_bytes_left = True, None
                self._queue.appendleft((at_ns, item[left:]))
                item = item[:left]
        self.size -= len(item)
        return item

    def _give_up(self) -> None:
        self.drop()
        self.sender.lose(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _segments(self, item: bytes | Mark) -> Iterable[bytes | Mark]:
        if isinstance(item, Mark) or len(item) < 2 or self._path.segment_probability <= self._rng.random():
            return (item,)
        count = int(self._rng.integers(1, min(SEGMENTS_MAX, len(item))))
        cuts = sorted(int(at) for at in self._rng.choice(len(item) - 1, size=count, replace=False) + 1)
        return [item[start:end] for start, end in zip([0, *cuts], [*cuts, len(item)], strict=True)]
