"""What was heard on a CAN bus: by id how often, how long, which pages, and the frames themselves."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from drivers.frames import FRAME_BYTES, FrameBatch

FRAME = struct.Struct("<IB3x8s")
KEPT_BYTES_MAX = 16 * 600_000


@dataclass(slots=True)
class Frames:
    """All frames of one id."""

    count: int = 0
    lengths: set[int] = field(default_factory=set)
    first_bytes: set[int] = field(default_factory=set)
    last: bytes = b""


class Heard:
    """Collects batches, up to a bound; protocols `claim` the ids that they know."""

    def __init__(self) -> None:
        self.frames: dict[int, Frames] = {}
        self._batches: list[bytes] = []
        self._bytes = 0
        self._claimed: set[int] = set()

    def take(self, batch: FrameBatch) -> None:
        """A batch from the bus."""
        for can_id, length, data in FRAME.iter_unpack(batch.data):
            of_id = self.frames.setdefault(can_id, Frames())
            of_id.count += 1
            of_id.lengths.add(length)
            of_id.last = data[:length]
            if length:
                of_id.first_bytes.add(data[0])
        if self._bytes < KEPT_BYTES_MAX:
            self._bytes += len(batch.data)
            self._batches.append(batch.data)

    def batch(self, at_ns: int = 0) -> FrameBatch:
        """All of it as one batch."""
        data = b"".join(self._batches)
        return FrameBatch(data[: len(data) // FRAME_BYTES * FRAME_BYTES], at_ns)

    def has(self, *ids: int) -> bool:
        """All of them were heard and belong to nobody yet."""
        return all(can_id in self.frames and can_id not in self._claimed for can_id in ids)

    def claim(self, ids: Iterable[int]) -> None:
        """These ids belong to a known protocol."""
        self._claimed |= set(ids)

    def unclaimed(self) -> list[int]:
        return sorted(set(self.frames) - self._claimed)
