"""The driver of a meter that a profile describes as data."""

from collections.abc import Callable

from drivers.clock import now_ns
from drivers.links.modbus import ModbusLink
from drivers.polled import PolledDevice
from drivers.profiles import Profile
from drivers.profiles.reader import POLLED, RoleReader
from drivers.readings import MeterReading


class DescribedMeter(PolledDevice):
    """Polls a meter for ever; `on_reading` gets one MeterReading a poll, a poll that failed gives none. ValueError for
    the profile of something else."""

    def __init__(
        self,
        link: ModbusLink,
        profile: Profile,
        on_reading: Callable[[MeterReading], None],
        poll_period_s: float = 0.05,
    ) -> None:
        profile.must_be("meter")
        super().__init__("meter", link, poll_period_s)
        self._reader = RoleReader(profile, POLLED["meter"])
        self._on_reading = on_reading

    async def _round(self) -> None:
        at_ns = now_ns()
        said = await self._reader.read(self._link)
        self._on_reading(MeterReading(at_ns, said.number("ac-power"), said.number("frequency"), said.number("voltage")))
