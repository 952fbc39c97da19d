"""What all Modbus devices that are polled have in common: a session that reconnects, a pace, and health."""

from abc import ABC, abstractmethod

from drivers.links.modbus import LinkDown, LinkError, ModbusLink
from drivers.pace import Pace
from drivers.readings import LinkHealth
from drivers.session import Sessions


class PolledDevice(ABC):
    """Calls `_round` once a period for ever. A round that fails with a link error is left out: the link counts it, and
    the reading gets old, which is what the controller acts on. `_begin` is called on each new connection."""

    def __init__(self, name: str, link: ModbusLink, poll_period_s: float) -> None:
        self._link = link
        self._sessions = Sessions(f"{name} {link.name}", link, self._session)
        self._poll_period_s = poll_period_s

    @property
    def health(self) -> LinkHealth:
        return self._link.health

    @property
    def fault(self) -> str | None:
        """Why there is no working session with the device, one line; None while there is one."""
        return self._sessions.fault

    async def run(self) -> None:
        """Until cancelled; reconnects by itself and closes the connection at the end."""
        await self._sessions.run()

    async def _begin(self) -> None:  # noqa: B027  # most devices need no beginning
        """LinkError or UnusableDevice: there is no session with it."""

    @abstractmethod
    async def _round(self) -> None:
        """One poll. Link errors pass."""

    async def _session(self) -> None:
        await self._begin()
        self._sessions.opened()
        pace = Pace(self._poll_period_s)
        while True:
            try:
                await self._round()
            except LinkDown:
                raise
            except LinkError:
                pass
            await pace.next()
