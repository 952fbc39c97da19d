"""Keeps a session with a Modbus device going, whatever happens to the device or the way to it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from drivers.links.modbus import LinkDown, LinkError, ModbusLink

log = logging.getLogger(__name__)

PAUSE_S = 1.0
"""Wait after a device was there but could not be used; the link has its own back-off for one that is not there."""


class UnusableDevice(Exception):  # noqa: N818
    """A device that answers, but is not what the driver needs; the message is one line."""


class Sessions:
    """Runs `session` on each new connection. It ends by LinkError or UnusableDevice, and reports by `opened` once it
    knows the device; `fault` is why there is none now, in one line."""

    def __init__(self, name: str, link: ModbusLink, session: Callable[[], Awaitable[None]]) -> None:
        self._name, self._link, self._session = name, link, session
        self._fault: str | None = "not connected yet"
        link.on_refusal = self._note

    @property
    def fault(self) -> str | None:
        return self._link.refusal or self._fault

    def opened(self) -> None:
        self._fault = None

    async def run(self) -> None:
        """Until cancelled; closes the connection then."""
        try:
            while True:
                await self._link.connect()
                await self._one()
                self._link.close()
        finally:
            self._link.close()

    async def _one(self) -> None:
        pause_s = 0.0
        try:
            await self._session()
        except* LinkDown as errors:
            self._note(str(errors.exceptions[0]))
        except* (LinkError, UnusableDevice) as errors:
            self._note(str(errors.exceptions[0]))
            pause_s = PAUSE_S
        await asyncio.sleep(pause_s)

    def _note(self, fault: str) -> None:
        if fault != self._fault:
            log.warning("%s: %s", self._name, fault)
        self._fault = fault
