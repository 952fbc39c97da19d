"""Storage converters that serve the SunSpec models 701, 702, 704, 714 and 715, or the older 101 to 124."""

from collections.abc import Callable
from functools import partial

from drivers.inverters.driver import ModbusInverter
from drivers.inverters.sunspec.device import open_device
from drivers.links.modbus import ModbusLink
from drivers.readings import InverterReading
from drivers.sunspec import curves, discover
from drivers.sunspec.curves import Curve, Droop, FunctionKind


class SunSpecInverter(ModbusInverter):
    """`reversion_s` are the whole seconds after which the converter goes to 0 W by itself when nothing is written any
    more; ValueError below 1."""

    def __init__(
        self,
        link: ModbusLink,
        on_reading: Callable[[InverterReading], None],
        poll_period_s: float = 0.1,
        reversion_s: int = 1,
    ) -> None:
        if reversion_s < 1:
            raise ValueError(f"SunSpec counts the reversion in whole seconds from 1, got {reversion_s}")
        super().__init__(link, partial(open_device, reversion_s=reversion_s), on_reading, poll_period_s)
        self._functions_link = link

    async def adopt(self, function: Curve | Droop, reversion_s: int = 0) -> None:
        """Makes the converter perform a grid function of its own: in force and read back when this returns. After
        `reversion_s` it goes back to its default set, 0 = never. FunctionRefused or SunSpecError when it does not; link
        errors pass."""
        await curves.adopt(self._functions_link, await discover(self._functions_link), function, reversion_s)

    async def release(self, kind: FunctionKind) -> None:
        """Ends a grid function; errors as of `adopt`."""
        await curves.release(self._functions_link, await discover(self._functions_link), kind)

    async def in_force(self, kind: FunctionKind) -> Curve | Droop | None:
        """The grid function that the converter says it performs, None = not; errors as of `adopt`."""
        return await curves.in_force(self._functions_link, await discover(self._functions_link), kind)
