"""Settings of a curve that the converter follows of its own for the grid."""

from collections.abc import Iterator
from itertools import pairwise
from math import nan
from typing import Annotated, Literal

from pydantic import Field

from bms.dispatch.applications.reactive_power import CATEGORY_B, VOLT_VAR, WATT_VAR
from drivers.config.settings import Broken, Settings, about
from drivers.sunspec.curves import Curve

CHOICE = "engineering choice"


class CurvePoint(Settings):
    """One point."""

    at: Annotated[
        float, about("", "voltage per unit of nominal; of watt-var active power per unit, discharge positive", ge=-1.5,
                     le=1.5)
    ]  # fmt: skip
    var_frac: Annotated[float, about("", "of the converter's apparent power, injected positive", ge=-1, le=1)]


class OwnFunction(Settings):
    """Reactive power by voltage (SunSpec model 705) or by active power (712)."""

    kind: Annotated[Literal["volt-var", "watt-var"], about("", "which")]
    points: Annotated[
        tuple[CurvePoint, ...], Field(strict=False), about("", "its curve", CATEGORY_B, max_length=16)
    ] = ()
    response_time_s: Annotated[
        float, about("s", "open-loop response of volt-var: 90 % of a step after", CATEGORY_B, ge=0.1, le=90)
    ] = 5.0
    verify_s: Annotated[
        float, about("s", "it is read back this often, and handed over again if it is another", CHOICE, ge=1, le=3600)
    ] = 10.0

    @property
    def curve(self) -> Curve:
        """As the driver takes it."""
        of_standard = {
            "volt-var": tuple((point.voltage_pu, point.var_frac) for point in VOLT_VAR),
            "watt-var": tuple((point.power_frac, point.var_frac) for point in WATT_VAR),
        }
        points = tuple((point.at, point.var_frac) for point in self.points) or of_standard[self.kind]
        return Curve(self.kind, points, "VA_MAX_PCT", self.response_time_s if self.kind == "volt-var" else nan)

    def broken_relations(self) -> Iterator[Broken]:
        if len(self.points) == 1:
            yield Broken(("points",), "one point", "no curve", "at least 2 points, or none")
        for number, (before, after) in enumerate(pairwise(point.at for point in self.points), start=1):
            if after <= before:
                yield Broken(("points", number, "at"), after, "not above the point before", f"more than {before:g}")
