"""The power set-point of model 704 as registers: one contiguous block that carries its own reversion to 0 W."""

from collections.abc import Mapping
from math import nan, trunc

from drivers.inverters.device import SetPoint, Write
from drivers.readings import InverterRating
from drivers.sunspec import MappedModel, Value
from drivers.sunspec.layout import scaled

READ_BACK = ("WSetEna", "WSetMod", "WSet")
RAW_MAX = 2**31 - 1
"""WSet is an int32 whose lowest value means "not implemented", so that it reaches as far down as up."""


def set_point(controls: MappedModel, power_w: float, rating: InverterRating, reversion_s: int) -> SetPoint:
    """Block WSetEna..WSetRvrtTms: this power (discharge positive) now, 0 W by itself after `reversion_s`.

    The power is held within the rating and the register, and rounded towards zero to the register's resolution, so
    that its magnitude is never more than asked. Percent points keep what the device had in them.
    """
    exponent = _exponent(controls)
    raw = trunc(scaled(rating.clamped_w(power_w), -exponent))
    power_w = scaled(min(max(raw, -RAW_MAX), RAW_MAX), exponent)
    enabled = controls.layout.symbol("WSetEna", "ENABLED")
    values: dict[str, Value] = {
        "WSetEna": enabled,
        "WSetMod": controls.layout.symbol("WSetMod", "WATTS"),
        "WSet": power_w,
        "WSetRvrt": 0.0,
        "WSetPct": controls.values["WSetPct"],
        "WSetPctRvrt": controls.values["WSetPctRvrt"],
        "WSetEnaRvrt": enabled,
        "WSetRvrtTms": reversion_s,
    }
    return SetPoint(power_w, (Write(*controls.encode(values)),))


def release(controls: MappedModel) -> SetPoint:
    """The same block without a set-point and without a reversion: the load decides a grid-forming converter's power,
    and nothing takes it to 0 W when commands end."""
    disabled = controls.layout.symbol("WSetEna", "DISABLED")
    values: dict[str, Value] = {
        "WSetEna": disabled,
        "WSetMod": controls.layout.symbol("WSetMod", "WATTS"),
        "WSet": 0.0,
        "WSetRvrt": 0.0,
        "WSetPct": controls.values["WSetPct"],
        "WSetPctRvrt": controls.values["WSetPctRvrt"],
        "WSetEnaRvrt": disabled,
        "WSetRvrtTms": 0,
    }
    return SetPoint(nan, (Write(*controls.encode(values)),))


def said_power_w(controls: MappedModel, values: Mapping[str, Value]) -> float:
    """What the device itself says it is set to, of points READ_BACK; NaN when it follows no set-point in watts."""
    symbol, power_w = controls.layout.symbol, values["WSet"]
    in_watts = values["WSetEna"] == symbol("WSetEna", "ENABLED") and values["WSetMod"] == symbol("WSetMod", "WATTS")
    return power_w if in_watts and isinstance(power_w, float) else nan


def _exponent(controls: MappedModel) -> int:
    exponent = controls.scales["WSet_SF"]
    assert exponent is not None, "open_device refuses a converter without it"
    return exponent
