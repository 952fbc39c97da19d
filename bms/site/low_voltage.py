"""The part of a site file about the low-voltage battery protocol: which maker's variant a bus speaks."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from drivers.config.settings import Settings, about
from drivers.low_voltage import PROFILES, Profile

BY_VARIANT = "by the variant"


class LowVoltage(Settings):
    """A maker's variant of the protocol, and what differs from it."""

    variant: Annotated[Literal["pylontech", "sma", "victron", "byd"], about("", "maker whose variant it is")]
    alarms: Annotated[Literal["0x359", "0x35A"] | None, about("", "id of the message with the alarms", BY_VARIANT)] = (
        None
    )
    discharge_limit: Annotated[
        Literal["positive", "negative"] | None, about("", "sign of the discharge current limit", BY_VARIANT)
    ] = None
    current: Annotated[
        Literal["charge-positive", "discharge-positive"] | None,
        about("", "which direction of the current is positive", BY_VARIANT),
    ] = None
    fine_soc: Annotated[bool | None, about("", "the SoC is sent in 0.01 % too", BY_VARIANT)] = None
    requests: Annotated[bool | None, about("", "requests are sent in 0x35C", BY_VARIANT)] = None

    @property
    def profile(self) -> Profile:
        """The variant with what was written."""
        names = ("alarms", "discharge_limit", "current", "fine_soc", "requests")
        written: dict[str, Any] = {name: value for name in names if (value := getattr(self, name)) is not None}
        return replace(PROFILES[self.variant], **written)
