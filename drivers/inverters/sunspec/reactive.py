"""The reactive set-point of model 704 as registers: one contiguous block that ends by itself."""

from collections.abc import Mapping
from math import nan, trunc

from drivers.inverters.device import ReactiveSetPoint, Write
from drivers.inverters.sunspec.set_point import RAW_MAX
from drivers.readings import InverterRating
from drivers.sunspec import MappedModel, Value
from drivers.sunspec.layout import scaled

READ_BACK = ("VarSetEna", "VarSetMod", "VarSet")


def takes_reactive(controls: MappedModel) -> bool:
    """It has a reactive set-point in vars."""
    return controls.scales["VarSet_SF"] is not None and controls.values["VarSetEna"] is not None


def reactive(
    controls: MappedModel, reactive_var: float | None, rating: InverterRating, reversion_s: int
) -> ReactiveSetPoint:
    """Block VarSetEna..VarSetRvrtTms: this reactive power (injected positive) now, behind active power; after
    `reversion_s`, or at once for None, what the converter does of its own.

    Held within the rating and the register, and rounded towards zero. Percent points, and a priority that it does not
    have, keep what they had in them.
    """
    exponent, symbol = controls.scales["VarSet_SF"], controls.layout.symbol
    assert exponent is not None, "only asked of a converter that takes it"
    disabled = symbol("VarSetEna", "DISABLED")
    raw = trunc(scaled(rating.clamped_var(reactive_var or 0.0), -exponent))
    told_var = scaled(min(max(raw, -RAW_MAX), RAW_MAX), exponent)
    values: dict[str, Value] = {
        "VarSetEna": disabled if reactive_var is None else symbol("VarSetEna", "ENABLED"),
        "VarSetMod": symbol("VarSetMod", "VARS"),
        "VarSetPri": None if controls.values["VarSetPri"] is None else symbol("VarSetPri", "ACTIVE"),
        "VarSet": told_var,
        "VarSetRvrt": 0.0,
        "VarSetPct": controls.values["VarSetPct"],
        "VarSetPctRvrt": controls.values["VarSetPctRvrt"],
        "VarSetEnaRvrt": disabled,
        "VarSetRvrtTms": 0 if reactive_var is None else reversion_s,
    }
    return ReactiveSetPoint(nan if reactive_var is None else told_var, (Write(*controls.encode(values)),))


def said_reactive_var(controls: MappedModel, values: Mapping[str, Value]) -> float:
    """What the device itself says it is set to, of points READ_BACK; NaN when it follows no set-point in vars."""
    symbol, reactive_var = controls.layout.symbol, values["VarSet"]
    follows = values["VarSetEna"] == symbol("VarSetEna", "ENABLED")
    in_vars = values["VarSetMod"] == symbol("VarSetMod", "VARS")
    return reactive_var if follows and in_vars and isinstance(reactive_var, float) else nan
