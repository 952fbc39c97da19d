"""The battery behind a SunSpec storage converter as its model 713 tells it: charge and energy."""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

from drivers.clock import now_ns
from drivers.links.modbus import LinkDown, LinkError, ModbusLink
from drivers.pace import Pace
from drivers.readings import LinkHealth
from drivers.session import Sessions
from drivers.sunspec import discover, open_model

NAMES = ("WHRtg", "SoC")


@dataclass(frozen=True, slots=True)
class StorageReading:
    """One poll; NaN = the device does not say. `energy_wh` is its rating."""

    at_ns: int
    soc_frac: float
    energy_wh: float


class SunSpecStorage:
    """Polls model 713 for ever over a link of its own; `on_reading` gets one StorageReading a poll."""

    def __init__(
        self, link: ModbusLink, on_reading: Callable[[StorageReading], None], poll_period_s: float = 1.0
    ) -> None:
        self._link = link
        self._on_reading = on_reading
        self._poll_period_s = poll_period_s
        self._sessions = Sessions(f"storage {link.name}", link, self._session)

    @property
    def health(self) -> LinkHealth:
        return self._link.health

    async def run(self) -> None:
        """Until cancelled; reconnects by itself and closes the connection at the end."""
        await self._sessions.run()

    async def _session(self) -> None:
        model = await open_model(self._link, (await discover(self._link)).find(713))
        self._sessions.opened()
        pace = Pace(self._poll_period_s)
        while True:
            try:
                address, count = model.span(*NAMES)
                at_ns = now_ns()
                values = model.decode(await self._link.read_holding(address, count), address, NAMES)
                percent, energy_wh = values["SoC"], values["WHRtg"]
                self._on_reading(StorageReading(at_ns, _number(percent) / 100.0, _number(energy_wh)))
            except LinkDown:
                raise
            except LinkError:
                pass
            await pace.next()


def _number(value: object) -> float:
    return float(value) if isinstance(value, float | int) else nan
