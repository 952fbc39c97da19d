"""The battery behind a SunSpec storage converter as its model 713 tells it, charge and energy, and what model 802 lets
flow now, where there is one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan

from drivers.clock import now_ns
from drivers.links.modbus import LinkDown, LinkError, ModbusLink
from drivers.pace import Pace
from drivers.readings import LinkHealth
from drivers.session import Sessions
from drivers.sunspec import MappedModel, discover, open_model
from drivers.sunspec.points import Value

NAMES = ("WHRtg", "SoC")
BANK_NAMES = ("V", "AChaMax", "ADisChaMax")


@dataclass(frozen=True, slots=True)
class StorageReading:
    """One poll; NaN = the device does not say. `energy_wh` is its rating; powers are magnitudes, of the battery's bank
    now."""

    at_ns: int
    soc_frac: float
    energy_wh: float
    charge_power_w_max: float = nan
    discharge_power_w_max: float = nan


class SunSpecStorage:
    """Polls models 713 and 802 for ever over a link of its own; `on_reading` gets one StorageReading a poll."""

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
        models = await discover(self._link)
        model = await open_model(self._link, models.find(713))
        bank = await open_model(self._link, models.find(802)) if 802 in models else None
        self._sessions.opened()
        pace = Pace(self._poll_period_s)
        while True:
            try:
                at_ns = now_ns()
                said = await self._read(model, NAMES)
                flows = {} if bank is None else await self._read(bank, BANK_NAMES)
                self._on_reading(_reading(at_ns, said, flows))
            except LinkDown:
                raise
            except LinkError:
                pass
            await pace.next()

    async def _read(self, model: MappedModel, names: tuple[str, ...]) -> Mapping[str, Value]:
        address, count = model.span(names[0], names[-1])
        return model.decode(await self._link.read_holding(address, count), address, names)


def _reading(at_ns: int, said: Mapping[str, Value], flows: Mapping[str, Value]) -> StorageReading:
    voltage_v, charge_a, discharge_a = (_number(flows.get(name)) for name in BANK_NAMES)
    return StorageReading(
        at_ns, _number(said["SoC"]) / 100.0, _number(said["WHRtg"]), voltage_v * charge_a, voltage_v * discharge_a
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, float | int) else nan
