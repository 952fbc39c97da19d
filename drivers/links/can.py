"""CAN links: one supervised bus that reopens itself when its peer falls silent, whatever carries the frames."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from drivers.frames import FrameBatch
from drivers.links.can_library import can
from drivers.links.cancel import heeding_cancellation
from drivers.links.python_can import PythonCanPort
from drivers.readings import LinkHealth

log = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 3.0
PROBE_TIMEOUT_S = 1.0
BACKOFF_S_MIN = 0.2
BACKOFF_S_MAX = 5.0
THREADS_MAX = 8
"""Live threads of one bus: 2 in use, the others are earlier attempts that hang inside their interface."""
SOCKETCAND_GREETING = b"< hi >"

OnBatch = Callable[[FrameBatch], None]


@dataclass(frozen=True, slots=True)
class CanConfig:
    """Which bus: `interface` and the rest as python-can names them; None = not passed on."""

    interface: str
    channel: str
    host: str | None = None
    port: int | None = None
    bitrate: int | None = None


class CanPort(Protocol):
    """An open bus. `alive` is False once it can bring nothing more; `dropped` counts frames it could not send."""

    @property
    def alive(self) -> bool: ...

    @property
    def dropped(self) -> int: ...

    def send(self, frames: bytes) -> None:
        """Send whole frames of 16 bytes (`struct can_frame`); never blocks."""

    def close(self) -> None:
        """Stop delivering and let go of the bus; may be called twice."""


CanOpener = Callable[[CanConfig, OnBatch], Awaitable[CanPort]]
"""Opens a bus or raises OSError (an operating fault, tried again) or ValueError (a wrong configuration)."""


async def open_python_can(config: CanConfig, on_batch: OnBatch) -> CanPort:
    """Open any python-can interface; OSError when the peer does not answer, ValueError when python-can has no such
    interface or it refuses the options."""
    if config.host is not None and config.port is not None:
        await _probe(config.interface, config.host, config.port)
    name = f"can {config.interface} {config.channel} {config.host}:{config.port}"
    if sum(thread.name == name for thread in threading.enumerate()) >= THREADS_MAX:
        raise ConnectionError(f"{name}: earlier attempts still hang inside the interface")
    port = PythonCanPort(_options(config), on_batch, name)
    try:
        with contextlib.ExitStack() as unless_opened:
            unless_opened.callback(port.close)
            await heeding_cancellation(asyncio.wait_for(port.opened, OPEN_TIMEOUT_S))
            unless_opened.pop_all()
    except (NotImplementedError, TypeError) as error:
        raise ValueError(f"{name}: {error}") from error
    except (can.CanError, UnicodeError) as error:
        raise ConnectionError(f"{name}: {error}") from error
    return port


async def _probe(interface: str, host: str, port: int) -> None:
    """Ask with asyncio whether anybody listens: python-can's socketcand spins for 10 s when nobody does, and waits for
    ever for a peer that never greets."""
    async with asyncio.timeout(PROBE_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            if interface == "socketcand":
                await reader.readuntil(SOCKETCAND_GREETING)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise ConnectionError(f"{host}:{port} does not speak socketcand") from error
        finally:
            writer.close()


def _options(config: CanConfig) -> dict[str, Any]:
    options = {
        "interface": config.interface,
        "channel": config.channel,
        "host": config.host,
        "port": config.port,
        "bitrate": config.bitrate,
    }
    return {name: value for name, value in options.items() if value is not None}


class CanLink:
    """Keeps one bus open. `run` for ever: a bus that is silent for `silence_s` or dead is closed and opened again
    after a pause that doubles from BACKOFF_S_MIN to BACKOFF_S_MAX until frames come."""

    def __init__(
        self, config: CanConfig, on_batch: OnBatch, opener: CanOpener = open_python_can, silence_s: float = 1.0
    ) -> None:
        self._config = config
        self._on_batch = on_batch
        self._opener = opener
        self._silence_s = silence_s
        self._port: CanPort | None = None
        self._heard_s = 0.0
        self._connected = False
        self._batches = 0
        self._opens = 0
        self._silences = 0
        self._errors = 0
        self._refusal = ""

    @property
    def health(self) -> LinkHealth:
        """`connected` = open and frames heard within `silence_s`; `transactions` counts batches received, `timeouts`
        silences, `errors` failed opens and frames that could not be sent."""
        dropped = self._port.dropped if self._port else 0
        reconnects = max(self._opens - 1, 0)
        return LinkHealth(self._connected, self._batches, self._silences, self._errors + dropped, reconnects)

    @property
    def open(self) -> bool:
        """Whether frames can be sent now."""
        return self._port is not None

    def send(self, frames: bytes) -> bool:
        """Hand frames to the open bus; False (and nothing sent) while there is none."""
        if self._port is None:
            return False
        self._port.send(frames)
        return True

    async def run(self) -> None:
        """Supervise until cancelled; raises only ValueError, for a configuration that can never work."""
        backoff_s = BACKOFF_S_MIN
        while True:
            batches = self._batches
            await self._session()
            if self._batches > batches:
                backoff_s = BACKOFF_S_MIN
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)

    async def _session(self) -> None:
        """One opening of the bus, from the attempt to its end."""
        try:
            port = await self._opener(self._config, self._received)
        except OSError as error:
            self._errors += 1
            if str(error) != self._refusal:
                log.warning("CAN %s: %s", self._config.channel, error)
            self._refusal = str(error)
            return
        self._refusal = ""
        self._opens += 1
        self._port = port
        try:
            await self._until_silent(port)
        finally:
            self._port = None
            self._connected = False
            self._errors += port.dropped
            port.close()

    async def _until_silent(self, port: CanPort) -> None:
        loop = asyncio.get_running_loop()
        self._heard_s = loop.time()
        while port.alive:
            left_s = self._heard_s + self._silence_s - loop.time()
            if left_s <= 0:
                self._silences += 1
                return
            await asyncio.sleep(min(left_s, self._silence_s / 4))

    def _received(self, batch: FrameBatch) -> None:
        self._heard_s = batch.at_ns / 1e9
        self._connected = True
        self._batches += 1
        self._on_batch(batch)
