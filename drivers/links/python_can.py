"""Threads around one python-can bus, because its interfaces block: the event loop gets batches and never waits."""

import asyncio
import contextlib
import logging
import queue
import resource
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from drivers.clock import now_ns
from drivers.frames import EXTENDED_ID_FLAG, FRAME_BYTES, FrameBatch
from drivers.links.can_library import can

BATCH_FRAMES_MAX = 256
INBOX_BATCHES_MAX = 4096
"""Receives that wait for the loop, a second of single frames at full bus load; a longer stall loses the oldest."""
OUTBOX_BATCHES_MAX = 64
RECV_S = 0.1
SPIN_CPU_S = 0.01
"""CPU time of one empty receive above which the interface is taken to spin on a dead peer (idle: below 0.1 ms)."""

_FRAME = struct.Struct("<IB3x8s")
_OPEN_ERRORS = (can.CanError, OSError, ValueError, TypeError, NotImplementedError)

# It warns at every TCP segment that ends inside a frame, several hundred times a second at full bus load.
logging.getLogger("can.interfaces.socketcand.socketcand").setLevel(logging.CRITICAL)


class PythonCanPort:
    """An open python-can bus: `opened` resolves once the bus is up, or fails with python-can's error.

    `on_batch` is called in the loop's thread with everything that came since its last call, stamped there. `send` never
    blocks: past OUTBOX_BATCHES_MAX waiting batches it drops and counts. `alive` turns False when the peer is gone.
    Both threads end within RECV_S of `close`, unless the interface itself hangs; they never keep the process alive.
    """

    def __init__(self, options: dict[str, Any], on_batch: Callable[[FrameBatch], None], thread_name: str) -> None:
        self._options = options
        self._on_batch = on_batch
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[bytes] = deque(maxlen=INBOX_BATCHES_MAX)
        self._outbox: queue.Queue[bytes] = queue.Queue(OUTBOX_BATCHES_MAX)
        self._stop = threading.Event()
        self._closed = False
        self._delivery_due = False
        self.alive = True
        self.dropped = 0
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self._name = thread_name
        threading.Thread(target=self._run, name=thread_name, daemon=True).start()

    def send(self, frames: bytes) -> None:
        """Queue whole frames (16 bytes each) for the writer thread."""
        try:
            self._outbox.put_nowait(frames)
        except queue.Full:
            self.dropped += len(frames) // FRAME_BYTES

    def close(self) -> None:
        """No batch is delivered after this; the bus is shut down by its reader."""
        self._closed = True
        self.alive = False
        self._stop.set()

    def _run(self) -> None:
        try:
            bus = can.Bus(**self._options, ignore_config=True)
        except _OPEN_ERRORS as error:
            self._tell(self._failed, error)
            return
        self._tell(self._opened)
        threading.Thread(target=self._write, args=(bus,), name=self._name, daemon=True).start()
        with contextlib.suppress(can.CanError, OSError, ValueError):
            while not self._stop.is_set() and self._read(bus):
                pass
        self._stop.set()
        with contextlib.suppress(can.CanError, OSError):
            bus.shutdown()
        self._tell(self._gone)

    def _read(self, bus: can.BusABC) -> bool:
        """Take what has come, waiting up to RECV_S for it; False when the interface spins."""
        cpu_s = _thread_cpu_s()
        message = bus.recv(RECV_S)
        if message is None:
            return _thread_cpu_s() - cpu_s < SPIN_CPU_S
        frames = [_pack(message)]
        while len(frames) < BATCH_FRAMES_MAX and (message := bus.recv(0)) is not None:
            frames.append(_pack(message))
        self._inbox.append(b"".join(frames))
        if not self._delivery_due:
            self._delivery_due = True
            self._tell(self._deliver)
        return True

    def _write(self, bus: can.BusABC) -> None:
        while not self._stop.is_set():
            try:
                frames = self._outbox.get(timeout=RECV_S)
            except queue.Empty:
                continue
            for can_id, length, data in _FRAME.iter_unpack(frames):
                try:
                    bus.send(_message(can_id, data[:length]), timeout=RECV_S)
                except (can.CanError, OSError, ValueError):
                    self.dropped += 1

    def _tell(self, callback: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(callback, *args)

    def _deliver(self) -> None:
        self._delivery_due = False  # before draining: what is appended from here on asks for its own call
        batches: list[bytes] = []
        while self._inbox:
            batches.append(self._inbox.popleft())
        frames = b"".join(batches)
        if frames and not self._closed:
            self._on_batch(FrameBatch(frames, now_ns()))

    def _opened(self) -> None:
        if not self.opened.done():
            self.opened.set_result(None)

    def _failed(self, error: Exception) -> None:
        self.alive = False
        if not self.opened.done():
            self.opened.set_exception(error)

    def _gone(self) -> None:
        self.alive = False


def _thread_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return usage.ru_utime + usage.ru_stime


def _pack(message: can.Message) -> bytes:
    """The frame as one `struct can_frame`; nothing for error, remote and FD frames, which carry no classic data."""
    if message.is_error_frame or message.is_remote_frame or message.is_fd:
        return b""
    can_id = message.arbitration_id | (EXTENDED_ID_FLAG if message.is_extended_id else 0)
    return _FRAME.pack(can_id, message.dlc, bytes(message.data))


def _message(can_id: int, data: bytes) -> can.Message:
    extended = bool(can_id & EXTENDED_ID_FLAG)
    return can.Message(arbitration_id=can_id & 0x1FFF_FFFF, is_extended_id=extended, data=data)
