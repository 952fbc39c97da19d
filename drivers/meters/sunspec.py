"""The driver of a SunSpec meter: models 201 to 204 (integers) and 211 to 214 (floats) over Modbus TCP.

Sign: the models count energy as exported and imported but leave the sign of W to the maker. Positive is import in this
driver unless `export_positive` says otherwise; some makers (SolarEdge) have it the other way round.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

from drivers.clock import now_ns
from drivers.links.modbus import ModbusLink
from drivers.polled import PolledDevice
from drivers.readings import MeterReading
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


class SunSpecMeter(PolledDevice):
    """Polls a meter for ever; `on_reading` gets one MeterReading a poll, a poll that failed gives none."""

    def __init__(
        self,
        link: ModbusLink,
        on_reading: Callable[[MeterReading], None],
        poll_period_s: float = 0.05,
        export_positive: bool = False,
    ) -> None:
        super().__init__("meter", link, poll_period_s)
        self._on_reading = on_reading
        self._sign = -1.0 if export_positive else 1.0
        self._block: PowerBlock | None = None

    async def _begin(self) -> None:
        self._block = await open_block(self._link)

    async def _round(self) -> None:
        block = self._block
        assert block is not None, "a session has begun"
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
    return nan if value is None or isinstance(value, str) else value
