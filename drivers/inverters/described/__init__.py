"""Converters that a profile describes as data."""

from collections.abc import Callable
from functools import partial

from drivers.inverters.described.device import open_device
from drivers.inverters.driver import ModbusInverter
from drivers.links.modbus import ModbusLink
from drivers.profiles import Profile
from drivers.readings import InverterReading


class DescribedInverter(ModbusInverter):
    """`reversion_s` is written where the profile has a register for it. ValueError for a time that the profile does not
    allow, and for the profile of something else."""

    def __init__(
        self,
        link: ModbusLink,
        profile: Profile,
        on_reading: Callable[[InverterReading], None],
        poll_period_s: float = 0.1,
        reversion_s: float = 1.0,
    ) -> None:
        profile.must_be("inverter")
        wrong = profile.wrong_reversion(reversion_s)
        if wrong is not None:
            raise ValueError(f"profile {profile.name}: {wrong.wrong}, expected {wrong.expected}")
        opened = partial(open_device, profile=profile, reversion_s=reversion_s)
        super().__init__(link, opened, on_reading, poll_period_s)
