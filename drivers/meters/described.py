"""The driver of a meter that a profile describes as data."""

from collections.abc import Callable

from drivers.clock import now_ns
from drivers.links.modbus import LinkDown, LinkError, ModbusLink
from drivers.pace import Pace
from drivers.profiles import Profile
from drivers.profiles.reader import POLLED, RoleReader
from drivers.readings import LinkHealth, MeterReading
from drivers.session import Sessions


class DescribedMeter:
    """Polls a meter for ever; `on_reading` gets one MeterReading a poll, a poll that failed gives none. ValueError for
    the profile of something else."""

    def __init__(
        self,
        link: ModbusLink,
        profile: Profile,
        on_reading: Callable[[MeterReading], None],
        poll_period_s: float = 0.05,
    ) -> None:
        if profile.kind != "meter":
            raise ValueError(f"profile {profile.name} describes an {profile.kind}, expected a meter")
        self._link = link
        self._sessions = Sessions(f"meter {link.name}", link, self._session)
        self._reader = RoleReader(profile, POLLED["meter"])
        self._on_reading = on_reading
        self._poll_period_s = poll_period_s

    @property
    def health(self) -> LinkHealth:
        return self._link.health

    @property
    def fault(self) -> str | None:
        """Why there is no working session with the meter, one line; None while there is one."""
        return self._sessions.fault

    async def run(self) -> None:
        """Until cancelled; reconnects by itself and closes the connection at the end."""
        await self._sessions.run()

    async def _session(self) -> None:
        self._sessions.opened()
        pace = Pace(self._poll_period_s)
        while True:
            try:
                await self._poll()
            except LinkDown:
                raise
            except LinkError:
                pass  # counted by the link; the reading gets old, which is what the controller acts on
            await pace.next()

    async def _poll(self) -> None:
        at_ns = now_ns()
        said = await self._reader.read(self._link)
        self._on_reading(MeterReading(at_ns, said.number("ac-power"), said.number("frequency"), said.number("voltage")))
