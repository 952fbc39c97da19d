"""What differs between the makers of low-voltage batteries and inverters, as data."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class Profile:
    """One maker's variant. `alarms`: id of the message with the alarms, 0x359 (one bit each) or 0x35A (two bits each);
    `discharge_limit`: sign of the discharge current limit in 0x351; `current`: which direction is positive in 0x356;
    `fine_soc`: 0x355 has the SoC in 0.01 % as well; `requests`: there is 0x35C."""

    alarms: Literal["0x359", "0x35A"]
    discharge_limit: Literal["positive", "negative"] = "positive"
    current: Literal["charge-positive", "discharge-positive"] = "charge-positive"
    fine_soc: bool = False
    requests: bool = False


PROFILES = MappingProxyType(
    {
        "pylontech": Profile(alarms="0x359", requests=True),
        "sma": Profile(alarms="0x35A", fine_soc=True),
        "victron": Profile(alarms="0x35A", fine_soc=True),
        "byd": Profile(alarms="0x35A"),
    }
)
"""Variants by name. Some Pylontech-compatible batteries send the discharge limit negative; each option can be changed
by itself."""
