"""What systemd hears of a controller that it runs: ready, still ticking, ending. Nothing where no service manager asks.

Source: sd_notify(3) and sd_watchdog_enabled(3): datagrams of `NAME=VALUE` lines to the socket in NOTIFY_SOCKET.
"""

import contextlib
import math
import os
import socket
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

BEATS_A_TIME = 4
"""Signs of life within the watchdog's time: twice what sd_watchdog_enabled(3) advises, so that one may be lost."""
SAID_S = 1.0
"""The state in words is renewed this often."""
WORDS_MAX = 200


class ServiceManager:
    """`with ServiceManager(os.environ, clock) as systemd:` with a clock in seconds; `says` is the state in a line, for
    whoever is to set it. The first `beat` is READY=1; each is WATCHDOG=1, so call it from what must not hang and from
    nowhere else. Nothing here waits or raises."""

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float]) -> None:
        self.says: Callable[[], str] = str
        self._clock = clock
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._period_s = min(_watchdog_s(environment) / BEATS_A_TIME, SAID_S)
        self._due_s = -math.inf
        self._ready = False
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self._socket.close()

    def beat(self) -> None:
        """A tick is done."""
        if self._socket is None or self._clock() < self._due_s:
            return
        self._due_s = self._clock() + self._period_s
        ready = [] if self._ready else ["READY=1"]
        self._ready = True
        self._tell([*ready, "WATCHDOG=1", f"STATUS={' '.join(self.says().split())[:WORDS_MAX]}"])

    def ending(self) -> None:
        """The orderly end has begun."""
        self._tell(["STOPPING=1"])

    def _tell(self, lines: list[str]) -> None:
        if self._socket is not None and self._address is not None:
            with contextlib.suppress(OSError):  # a manager that is gone or busy is no reason to drop a battery
                self._socket.sendto("\n".join(lines).encode(), self._address)


def _address(name: str) -> str | None:
    """A path, or a name in the kernel's own space, which is written with @; others are not for a local service."""
    if not name.startswith(("/", "@")):
        return None
    return "\0" + name[1:] if name[0] == "@" else name


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """After how long a silence it acts; infinite where it does not, or watches another process."""
    asked, own = environment.get("WATCHDOG_USEC", ""), str(os.getpid())
    if not (asked.isascii() and asked.isdecimal() and int(asked)) or environment.get("WATCHDOG_PID", own) != own:
        return math.inf
    return int(asked) / 1e6
