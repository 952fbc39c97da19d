"""The driver of a SunSpec meter: models 201 to 204 (integers) and 211 to 214 (floats) over Modbus TCP.

Sign: the models count energy as exported and imported but leave the sign of W to the maker. Positive is import in this
driver unless `export_positive` says otherwise; some makers (SolarEdge) have it the other way round.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

from drivers.clock import now_ns
from drivers.links.modbus import LinkDown, LinkError, ModbusLink
from drivers.pace import Pace
from drivers.readings import LinkHealth, MeterReading
from drivers.session import Sessions
from drivers.sunspec import ModelLayout, SunSpecError, Value, discover, load_layout

INTEGER_MODELS = (201, 202, 203, 204)
FLOAT_MODELS = (211, 212, 213, 214)


@dataclass(frozen=True, slots=True)
class PowerBlock:
    """The registers from voltage to power, with the scale factors that lie between: one read, nothing torn."""

    layout: ModelLayout
    address: int
    offset: int
    count: int

    def decode(self, registers: list[int]) -> tuple[float, float, float]:
        """Power (sign as on the wire) in W, frequency in Hz, mean phase voltage in V; NaN = not implemented."""
        values = self.layout.decode(registers, ("W", "Hz", "PhV"), at=self.offset)
        return _number(values["W"]), _number(values["Hz"]), _number(values["PhV"])


class SunSpecMeter:
    """Polls a meter for ever; `on_reading` gets one MeterReading a poll, a poll that failed gives none."""

    def __init__(
        self,
        link: ModbusLink,
        on_reading: Callable[[MeterReading], None],
        poll_period_s: float = 0.05,
        export_positive: bool = False,
    ) -> None:
        self._link = link
        self._sessions = Sessions(f"meter {link.name}", self._link, self._session)
        self._on_reading = on_reading
        self._poll_period_s = poll_period_s
        self._sign = -1.0 if export_positive else 1.0

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
        block = await open_block(self._link)
        self._sessions.opened()
        pace = Pace(self._poll_period_s)
        while True:
            try:
                await self._poll(block)
            except LinkDown:
                raise
            except LinkError:
                pass  # counted by the link; the reading gets old, which is what the controller acts on
            await pace.next()

    async def _poll(self, block: PowerBlock) -> None:
        at_ns = now_ns()
        power_w, frequency_hz, voltage_v = block.decode(await self._link.read_holding(block.address, block.count))
        self._on_reading(MeterReading(at_ns, self._sign * power_w, frequency_hz, voltage_v))


async def open_block(link: ModbusLink) -> PowerBlock:
    """Finds the meter's model. SunSpecError when the device has none; link errors pass."""
    where = (await discover(link)).find(*INTEGER_MODELS, *FLOAT_MODELS)
    layout = load_layout(where.model_id)
    if where.length < layout.length:
        raise SunSpecError(f"model {where.model_id} has length {where.length}, its definition {layout.length}")
    offset, count = layout.span("PhV", "W_SF" if where.model_id in INTEGER_MODELS else "W")
    return PowerBlock(layout, where.address + offset, offset, count)


def _number(value: Value) -> float:
    return value if isinstance(value, float | int) else nan
