"""A CAN bus between simulated nodes, on any event loop: bit-rate timing, priority and faults, one timer a batch."""

import asyncio
import contextvars
import struct
from collections import deque
from collections.abc import Callable

import numpy as np

from drivers.clock import loop_ns
from drivers.frames import EXTENDED_ID_FLAG, FRAME_BYTES, FrameBatch
from kernels.canbits import frames_bits as frames_bits

Loop = asyncio.AbstractEventLoop
OnBatch = Callable[[FrameBatch], None]

LATE_S = 0.025
UNREAD_FRAMES_MAX = 277
"""Linux's net.core.rmem_default = 212992 (kernel sysctl/net) in sk_buffs of 768 bytes, one a CAN frame."""


class BusPort:
    """One node's place on the bus; frames come to every other port. Satisfies drivers.links.can.CanPort."""

    def __init__(self, bus: "CanBus", on_batch: OnBatch) -> None:
        self._bus = bus
        self.on_batch = on_batch
        self.alive = True
        self.dropped = 0
        self.queue: deque[bytes] = deque()
        self.queued_frames = 0
        self._unread: list[FrameBatch] | None = None
        self._reader = on_batch

    def send(self, frames: bytes) -> None:
        """Put whole frames (16 bytes each) on the bus; dropped and counted when `queue_frames_max` frames wait here.
        ValueError for a piece of a frame."""
        if self.alive:
            self._bus.transmit(self, frames)

    def hold(self) -> None:
        """The node's process is paused: what comes waits in its socket, up to UNREAD_FRAMES_MAX frames; the rest is
        lost. Frames in the queue still go out."""
        if self._unread is None:
            self._unread, self._reader = [], self.on_batch
            self.on_batch = self._keep

    def release(self) -> None:
        """It reads again: what waited comes at once, stamped now."""
        unread, self._unread = self._unread, None
        if unread is None:
            return
        self.on_batch = self._reader
        for batch in unread:
            self.on_batch(FrameBatch(batch.data, loop_ns(asyncio.get_running_loop())))

    def _keep(self, batch: FrameBatch) -> None:
        assert self._unread is not None, "only while held"
        if sum(len(each.data) for each in self._unread) < UNREAD_FRAMES_MAX * FRAME_BYTES:
            self._unread.append(batch)

    def close(self) -> None:
        """Leave the bus; what still waits is gone."""
        if self.alive:
            self.alive = False
            self._bus.waiting_batches -= len(self.queue)
            self.queue.clear()
            self._bus.ports.remove(self)


class CanBus:
    """Carries batches one after another. Each port's batches go in its own order, as from a controller's queue; of the
    ports that wait, the one whose next batch holds the lowest id wins. A batch is not interrupted, and all other ports
    get it at the end of its last frame: what arbitration would do inside it is its sender's order.

    Faults, to be set at any time: `open` (a broken wire: nothing is delivered), `corrupt_frac` (share of frames that
    get one payload bit flipped past the wire's own CRC), `loss_frac` (share of frames that nobody gets), `delay_s`
    (later delivery), `repeat_frac` (share of batches that come twice) and `late_frac` (share of batches that come
    LATE_S later, behind others, as through a gateway with several queues). `delivered` and `lost` count frames,
    `waiting_batches` what is in the ports' queues.
    """

    def __init__(self, rng: np.random.Generator, bitrate_bps: int = 500_000, queue_frames_max: int = 1024) -> None:
        self.ports: list[BusPort] = []
        self.open = False
        self.corrupt_frac = 0.0
        self.loss_frac = 0.0
        self.delay_s = self.repeat_frac = self.late_frac = 0.0
        self.delivered = 0
        self.lost = 0
        self._rng = rng
        self.bit_s = 1.0 / bitrate_bps
        self._queue_frames_max = queue_frames_max
        self._busy = False
        self.waiting_batches = 0
        self._loop: Loop | None = None
        self._wire = contextvars.Context()  # what is on the wire arrives whatever becomes of its sender's process

    def attach(self, on_batch: OnBatch) -> BusPort:
        """A new node whose `on_batch` gets what the others send."""
        port = BusPort(self, on_batch)
        self.ports.append(port)
        return port

    def transmit(self, sender: BusPort, frames: bytes) -> None:
        """Called by a port."""
        if len(frames) % FRAME_BYTES:
            raise ValueError(f"{len(frames)} bytes are not whole frames of {FRAME_BYTES}")
        if not self._busy:
            self._loop = loop = self._loop or asyncio.get_running_loop()
            self._start(loop, loop.time(), sender, frames)
            return
        count = len(frames) // FRAME_BYTES
        if sender.queued_frames + count > self._queue_frames_max:
            sender.dropped += count
        else:
            sender.queued_frames += count
            sender.queue.append(frames)
            self.waiting_batches += 1

    def _start(self, loop: Loop, start_s: float, sender: BusPort, frames: bytes) -> None:
        self._busy = True
        end_s = start_s + frames_bits(frames) * self.bit_s
        loop.call_at(end_s, self._end, loop, end_s, sender, frames, context=self._wire)

    def _end(self, loop: Loop, end_s: float, sender: BusPort, frames: bytes) -> None:
        self._busy = False
        if self.waiting_batches:
            waiting = [port for port in self.ports if port.queue]
            self._next(loop, end_s, waiting[0] if len(waiting) == 1 else min(waiting, key=_next_priority))
        if self.delay_s > 0.0 or self.repeat_frac > 0.0 or self.late_frac > 0.0:
            self._deliver_disturbed(loop, end_s + self.delay_s, sender, frames)
        else:
            self._deliver(loop, sender, frames)

    def _deliver_disturbed(self, loop: Loop, at_s: float, sender: BusPort, frames: bytes) -> None:
        if self.late_frac > 0.0 and self._rng.random() < self.late_frac:
            at_s += LATE_S
        times = 2 if self.repeat_frac > 0.0 and self._rng.random() < self.repeat_frac else 1
        for _ in range(times):
            loop.call_at(at_s, self._deliver, loop, sender, frames, context=self._wire)

    def _next(self, loop: Loop, start_s: float, sender: BusPort) -> None:
        frames = sender.queue.popleft()
        self.waiting_batches -= 1
        sender.queued_frames -= len(frames) // FRAME_BYTES
        self._start(loop, start_s, sender, frames)

    def _deliver(self, loop: Loop, sender: BusPort, frames: bytes) -> None:
        if self.loss_frac > 0.0:
            frames = self._left(frames)
        count = len(frames) // FRAME_BYTES
        if self.open or not count:
            self.lost += count
            return
        self.delivered += count
        batch = FrameBatch(self._corrupted(frames) if self.corrupt_frac > 0.0 else frames, loop_ns(loop))
        for port in tuple(self.ports):
            if port is not sender and port.alive:
                port.on_batch(batch)

    def _left(self, frames: bytes) -> bytes:
        """The frames without those that are lost."""
        each = np.frombuffer(frames, np.uint8).reshape(-1, FRAME_BYTES)
        kept = self._rng.random(len(each)) >= self.loss_frac
        self.lost += len(each) - int(kept.sum())
        return each[kept].tobytes()

    def _corrupted(self, frames: bytes) -> bytes:
        """The frames with one random payload bit of a random share of them flipped."""
        damaged = bytearray(frames)
        hit = np.flatnonzero(self._rng.random(len(frames) // FRAME_BYTES) < self.corrupt_frac)
        for start in (hit * FRAME_BYTES).tolist():
            if length := damaged[start + 4]:
                bit = int(self._rng.integers(8 * length))
                damaged[start + 8 + bit // 8] ^= 1 << bit % 8
        return bytes(damaged)


def _next_priority(port: BusPort) -> int:
    """The lowest identifier in the port's next batch, as arbitration sees it: base id first, then standard before
    extended."""
    return min([_arbitration(can_id) for (can_id,) in struct.iter_unpack("<I12x", port.queue[0])])


def _arbitration(can_id: int) -> int:
    return (can_id & 0x1FFF_FFFF) * 2 + 1 if can_id & EXTENDED_ID_FLAG else can_id << 19
