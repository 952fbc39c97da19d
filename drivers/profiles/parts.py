"""Parts of a profile beside its registers: sequences, what the device does in silence, its nameplate."""

from collections.abc import Iterator
from math import nan
from typing import Annotated, Literal

from pydantic import Field

from drivers.config.settings import Broken, Settings, about
from drivers.readings import InverterRating

NAME = {"pattern": r"^[a-z][a-z0-9-]{0,47}$", "shape": "a register's name"}


class Step(Settings):
    """One write of a start, stop or reset sequence."""

    to: Annotated[str, about("", "name of a register with role command", **NAME)]
    raw: Annotated[int, about("", "raw value to write")]


class Reverts(Settings):
    """The device goes to 0 W by itself: a register takes the time after which it does so without a new set-point."""

    kind: Annotated[Literal["timer"], about("", "how it notices silence")]
    time_s_min: Annotated[float, about("s", "shortest time it takes", "any", ge=0, le=3600)] = 0.0
    time_s_max: Annotated[float, about("s", "longest time it takes", "an hour", gt=0, le=3600)] = 3600.0

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.below("time_s_min", "time_s_max", equal=True)


class Listens(Settings):
    """The device goes to 0 W by itself when its heartbeat register has not changed for a time of its own."""

    kind: Annotated[Literal["heartbeat"], about("", "how it notices silence")]
    period_s: Annotated[float, about("s", "a new count is written this often", gt=0, le=60)]
    counts_to: Annotated[
        int, about("", "the count goes from 0 to this and starts again", "16 bit", ge=1, le=65_535)
    ] = 0xFFFF
    time_s: Annotated[float, about("s", "it goes to 0 W after this long without a change", gt=0, le=3600)]

    def broken_relations(self) -> Iterator[Broken]:
        if self.period_s > self.time_s / 2:
            expected = f"at most {self.time_s / 2:g}, half of time_s"
            yield Broken(("period_s",), self.period_s, "one lost count stops the device", expected, (("time_s",),))


class KeepsOn(Settings):
    """The device goes on with its last set-point for ever when nobody speaks to it any more."""

    kind: Annotated[Literal["keeps-on"], about("", "how it notices silence")]


Silence = Annotated[Reverts | Listens | KeepsOn, Field(discriminator="kind")]


class FixedRating(Settings):
    """Nameplate of a device that does not say it."""

    charge_power_w_max: Annotated[float, about("W", "most charging power, a magnitude", gt=0, le=1e9)]
    discharge_power_w_max: Annotated[float, about("W", "most discharging power, a magnitude", gt=0, le=1e9)]
    apparent_power_va_max: Annotated[
        float | None, about("VA", "most apparent power", "it does not say", gt=0, le=1e9)
    ] = None
    reactive_injected_var_max: Annotated[
        float | None, about("var", "most reactive power injected, a magnitude", "it does not say", ge=0, le=1e9)
    ] = None
    reactive_absorbed_var_max: Annotated[
        float | None, about("var", "most reactive power absorbed, a magnitude", "it does not say", ge=0, le=1e9)
    ] = None

    @property
    def rating(self) -> InverterRating:
        """As drivers say it: NaN for what is not told."""
        told = {name: getattr(self, name) for name in type(self).model_fields}
        return InverterRating(**{name: nan if value is None else value for name, value in told.items()})
