"""The fleet file: units, grid meter and applications of a site whose batteries look after themselves."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from bms.site import GridMeterDevice
from bms.site.applications import Application
from bms.site.devices import NAME
from bms.site.file import known_zone
from bms.site.links import ModbusDevice
from drivers.config.settings import Broken, Settings, about


class FleetUnit(ModbusDevice):
    """A SunSpec storage unit (701, 702, 704, 713, 715) that protects its battery itself."""

    name: Annotated[str, about("", "name of the unit", **NAME)]
    poll_period_s: Annotated[float, about("s", "it is read and written this often", "control tick", gt=0, le=10)] = 0.1
    reversion_s: Annotated[
        int, about("s", "it goes to 0 W by itself this long after the last command", "shortest in SunSpec", ge=1, le=60)
    ] = 1
    response_time_s: Annotated[
        float, about("s", "lag with which its power follows a set-point", "usual for grid-following PCS", gt=0, le=10)
    ] = 0.03
    energy_wh: Annotated[
        float | None, about("Wh", "energy between empty and full", "what its model 713 says", gt=0, le=1e10)
    ] = None
    soc_frac_min: Annotated[float, about("frac", "it is not discharged further", "usual reserve", ge=0, le=1)] = 0.05
    soc_frac_max: Annotated[float, about("frac", "it is not charged further", "usual reserve", ge=0, le=1)] = 0.95
    efficient_frac: Annotated[
        float,
        about("frac", "below this share of its rating its converter works badly", "usual converters", ge=0, le=0.5),
    ] = 0.05

    def broken_relations(self) -> Iterator[Broken]:
        yield from super().broken_relations()
        yield from self.below("soc_frac_min", "soc_frac_max")
        if self.poll_period_s > self.reversion_s / 2:
            wrong, expected = "too slow to refresh reversion_s", f"at most {self.reversion_s / 2:g}"
            yield Broken(("poll_period_s",), self.poll_period_s, wrong, expected, (("reversion_s",),))


class Fleet(Settings):
    """A fleet. Exists only if every relation between its settings holds."""

    name: Annotated[str, about("", "name of the site", **NAME)]
    units: Annotated[
        tuple[FleetUnit, ...], Field(strict=False), about("", "units in parallel", min_length=1, max_length=400)
    ]
    grid_meter: Annotated[GridMeterDevice, about("", "meter at the grid connection")]
    applications: Annotated[
        tuple[Application, ...],
        Field(strict=False),
        about("", "in order of priority: each acts inside what those before it leave", max_length=16),
    ] = ()
    control_period_s: Annotated[
        float, about("s", "dispatch and set-points", "usual for a plant controller", ge=0.02, le=2)
    ] = 0.1
    answer_age_s_max: Annotated[
        float, about("s", "a unit or meter that is silent for longer counts as lost", "three polls", gt=0, le=10)
    ] = 0.35
    time_zone: Annotated[
        str,
        about("", "of wall-clock times, as Asia/Tokyo", "universal time", min_length=1, max_length=64),
        AfterValidator(known_zone),
    ] = "UTC"

    def broken_relations(self) -> Iterator[Broken]:
        names: dict[str, int] = {}
        places: dict[tuple[str | None, int, int], int] = {}
        for i, unit in enumerate(self.units):
            if (twin := names.setdefault(unit.name, i)) != i:
                wrong = f"same name as units.{twin}"
                yield Broken(("units", i, "name"), unit.name, wrong, "one of its own", (("units", twin, "name"),))
            if unit.serial is None and (twin := places.setdefault((unit.host, unit.port, unit.unit), i)) != i:
                wrong = f"same device as units.{twin}"
                yield Broken(("units", i, "host"), unit.host, wrong, "one of its own", (("units", twin),))
            if unit.poll_period_s >= self.answer_age_s_max:
                wrong, expected = "not below answer_age_s_max", f"less than {self.answer_age_s_max:g}"
                yield Broken(("units", i, "poll_period_s"), unit.poll_period_s, wrong, expected)
        if self.grid_meter.poll_period_s >= self.answer_age_s_max:
            wrong, expected = "not below answer_age_s_max", f"less than {self.answer_age_s_max:g}"
            yield Broken(("grid_meter", "poll_period_s"), self.grid_meter.poll_period_s, wrong, expected)
