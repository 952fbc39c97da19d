"""What every kind of converter on Modbus is to the driver: how it is polled, set, started and kept awake."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from drivers.links.modbus import ModbusLink
from drivers.readings import InverterRating, InverterReading

WRITE_MANY = 16
"""Modbus function that writes a block of registers."""


@dataclass(frozen=True, slots=True)
class Write:
    """One message to a device: `registers` from `address` by Modbus function 16, or one register by function 6."""

    address: int
    registers: list[int]
    function: int = WRITE_MANY


@dataclass(frozen=True, slots=True)
class ReactiveSetPoint:
    """As it goes to the device: `reactive_var` (injected positive) is what the registers say, NaN = it does what it
    does of its own."""

    reactive_var: float
    writes: tuple[Write, ...]


@dataclass(frozen=True, slots=True)
class SetPoint:
    """A set-point as it goes to the device: `power_w` (discharge positive) is exactly what the registers say. It is in
    force with the last of `writes`."""

    power_w: float
    writes: tuple[Write, ...]


class SaidSetPoints(NamedTuple):
    """Set-points that a device itself says it is at: NaN while it follows none in watts or vars, None when it cannot
    say."""

    power_w: float | None
    reactive_var: float | None


class InverterDevice(Protocol):
    """One converter as a connection found it. Link errors pass through everything that takes the link."""

    @property
    def rating(self) -> InverterRating: ...

    @property
    def heartbeat_period_s(self) -> float | None:
        """How often it wants a heartbeat; None = it has none."""

    @property
    def set_point_when_running(self) -> bool:
        """It ignores set-points while it does not run: until then it gets 0 W."""

    @property
    def silence(self) -> str | None:
        """Why nothing takes it to 0 W when nobody speaks to it any more; None = it goes there by itself."""

    def prepare(self) -> Sequence[Write]:
        """What must be written once a connection; until all of it was taken the device gets 0 W."""

    def set_point(self, power_w: float) -> SetPoint:
        """The set-point nearest to `power_w` (discharge positive) that is not larger and that it can take."""

    @property
    def takes_reactive(self) -> bool:
        """It can be told a reactive power."""

    def reactive(self, reactive_var: float | None) -> ReactiveSetPoint:
        """The set-point nearest to `reactive_var` that is not larger and that it can take; None = without one. It ends
        by itself when nothing is written any more, with the active power."""

    @property
    def opened_forming(self) -> bool:
        """It was in grid-forming mode when it was opened."""

    def release(self) -> SetPoint:
        """No set-point and no reversion, for a grid-forming converter that shall run; nothing to write where the
        device never says that it forms."""

    def operate(self, run: bool) -> Sequence[Write]:
        """What starts or stops it, in this order."""

    def reset_alarms(self) -> Sequence[Write]:
        """What makes it forget a fault whose cause is gone; nothing where only its panel can do that."""

    def heartbeat(self, count: int) -> Write:
        """The heartbeat number `count`."""

    async def poll(self, link: ModbusLink, at_ns: int) -> InverterReading:
        """One reading in which nothing is older than `at_ns`, the present time."""

    async def read_back(self, link: ModbusLink) -> SaidSetPoints:
        """What the device itself says it is set to."""
