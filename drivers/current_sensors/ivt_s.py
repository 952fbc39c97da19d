"""Isabellenhütte IVT-S: current, three voltages, temperature, power and counters, one result a frame.

Frames 0x521 to 0x528 of 6 bytes, big-endian: the result's own number, status and a 4-bit counter, 32 bits of value
(IVT-S data sheet V1.01, "CAN protocol"). What the sensor marks with an error of channel, measurement or system is
absent; a repeated counter is a frozen sender and refused.
"""

import math
from pathlib import Path
from typing import Literal, NamedTuple

from drivers.dbc import DbcPlan, build_plan, load_dbc
from drivers.frames import FrameBatch
from drivers.links.can import CanConfig, CanLink, CanOpener, open_python_can
from drivers.readings import NEVER_NS, LinkHealth, MonitorHealth
from kernels.canbits import FrameDecoder

DBC_PATH = Path(__file__).with_name("ivt_s.dbc")
FIRST_ID = 0x521
RESULTS = ("Current", "Voltage1", "Voltage2", "Voltage3", "Temperature", "Power", "Charge", "Energy")
"""In the order of their ids."""
ERRORS = ("ChannelError", "MeasurementError", "SystemError")
PERIOD_S = 0.02
"""Each result as shipped: 20 ms current and voltages, 100 ms the others."""


class IvtReading(NamedTuple):
    """Newest results; NaN and NEVER_NS = not heard, or the sensor says that it cannot tell. Current, power and counters
    are positive in discharge. `over_current`: its own threshold is exceeded, None until it was heard."""

    current_a: float
    current_at_ns: int
    over_current: bool | None
    voltages_v: tuple[float, float, float]
    voltages_at_ns: tuple[int, int, int]
    temperature_degc: float
    temperature_at_ns: int
    power_w: float
    charge_as: float
    energy_wh: float
    health: MonitorHealth


def ivt_plan(first_id: int = FIRST_ID) -> DbcPlan:
    """Plan of all results, whose ids are consecutive."""
    ids = {name: first_id + place for place, name in enumerate(RESULTS)}
    return build_plan(load_dbc(DBC_PATH), RESULTS, ids=ids)


class IvtDecoder:
    """Newest results of one sensor. `positive`: the direction that is positive on the wire, by how it is mounted."""

    def __init__(self, positive: Literal["discharge", "charge"], first_id: int = FIRST_ID) -> None:
        self._sign = 1.0 if positive == "discharge" else -1.0
        self._plan = ivt_plan(first_id)
        self._decoder = FrameDecoder(self._plan.frames)

    def feed(self, batch: FrameBatch) -> int:
        """Take a batch; returns how many frames were accepted."""
        return self._decoder.feed(batch.data, batch.at_ns)

    def reading(self) -> IvtReading:
        """What is known now."""
        voltages = [self._result(name) for name in RESULTS[1:4]]
        current_a, current_ns = self._result("Current")
        degc, degc_ns = self._result("Temperature")
        return IvtReading(
            current_a=self._sign * current_a,
            current_at_ns=current_ns,
            over_current=self._over_current(),
            voltages_v=(voltages[0][0], voltages[1][0], voltages[2][0]),
            voltages_at_ns=(voltages[0][1], voltages[1][1], voltages[2][1]),
            temperature_degc=degc,
            temperature_at_ns=degc_ns,
            power_w=self._sign * self._result("Power")[0],
            charge_as=self._sign * self._result("Charge")[0],
            energy_wh=self._sign * self._result("Energy")[0],
            health=self.health,
        )

    @property
    def health(self) -> MonitorHealth:
        """Frame counts since start."""
        decoder = self._decoder
        return MonitorHealth(decoder.accepted, 0, decoder.counter_errors, decoder.length_errors, decoder.lost,
                             decoder.unknown)  # fmt: skip

    def _value(self, message: str, signal: str) -> float:
        return self._decoder.values.item(self._plan.signal_index[message, signal])

    def _result(self, message: str) -> tuple[float, int]:
        at_ns = self._decoder.at_ns.item(self._plan.frame_index[message])
        if at_ns == NEVER_NS or any(self._value(message, error) != 0.0 for error in ERRORS):
            return math.nan, NEVER_NS
        return self._value(message, "Result"), at_ns

    def _over_current(self) -> bool | None:
        value = self._value("Current", "OverCurrent")
        return None if math.isnan(value) else value > 0.0


class IvtSensor:
    """One IVT-S on a bus; it speaks by itself."""

    def __init__(
        self,
        config: CanConfig,
        opener: CanOpener = open_python_can,
        *,
        positive: Literal["discharge", "charge"],
        first_id: int = FIRST_ID,
    ) -> None:
        self._decoder = IvtDecoder(positive, first_id)
        self._link = CanLink(config, self.on_batch, opener)

    @property
    def health(self) -> LinkHealth:
        """State and counts of the bus."""
        return self._link.health

    def reading(self) -> IvtReading:
        """What is known now."""
        return self._decoder.reading()

    def on_batch(self, batch: FrameBatch) -> None:
        """Take frames from the bus."""
        self._decoder.feed(batch)

    async def run(self) -> None:
        """Keep the bus open until cancelled."""
        await self._link.run()
