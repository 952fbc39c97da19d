"""Storage converters that serve the SunSpec models 701, 702, 704, 714 and 715, or the older 101 to 124."""

from collections.abc import Callable
from functools import partial

from drivers.inverters.driver import ModbusInverter
from drivers.inverters.sunspec.device import open_device
from drivers.links.modbus import ModbusLink
from drivers.readings import InverterReading


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
