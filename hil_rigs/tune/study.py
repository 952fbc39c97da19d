"""Study files: which settings of which application are searched, on what scenario, and what a trial costs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bms.dispatch.applications.grid_smoothing import GridSmoothing
from drivers.config.settings import Broken, Settings, about
from drivers.config.shipped import Shipped, find
from hil_rigs.rig import known_rig

FOLDER = Path(__file__).parents[1] / "studies"


class Searched(Settings):
    """One setting and the range it is searched in."""

    setting: Annotated[str, about("", "name of a numeric setting of the application", min_length=1, max_length=64)]
    low: Annotated[float, about("", "lower end, in the setting's own unit")]
    high: Annotated[float, about("", "upper end")]
    log: Annotated[bool, about("", "search by ratio rather than by difference", "by difference")] = False

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.below("low", "high")
        if self.log and self.low <= 0:
            yield Broken(("low",), self.low, "cannot be searched by ratio", "more than 0", (("log",),))


class Cost(Settings):
    """What a trial costs: the sum of these, the mean over the seeds."""

    grid_range_5s_per_kw: Annotated[float, about("1/kW", "for the grid's range in any 5 s", ge=0, le=1e6)] = 1.0
    grid_peak_per_kw: Annotated[float, about("1/kW", "for the grid's peak", ge=0, le=1e6)] = 0.0
    throughput_per_kwh: Annotated[
        float, about("1/kWh", "for each kWh through the battery in an hour", ge=0, le=1e6)
    ] = 0.0
    fault: Annotated[float, about("", "for a run in which any fault trips", "ruled out", ge=0, le=1e9)] = 1e6


class Study(Shipped):
    """A study."""

    rig: Annotated[
        str,
        about("", "name or path of the rig", "the demo rig", usable="demo", min_length=1, max_length=500),
        AfterValidator(known_rig),
    ] = "demo"
    application: Annotated[Literal["grid-smoothing"], about("", "which application is tuned")]
    duration_s: Annotated[float, about("s", "virtual time of one run", gt=0, le=1e6)]
    settle_time_s: Annotated[float, about("s", "costs count from here on", ge=0, le=1e6)]
    seeds: Annotated[tuple[int, ...], Field(strict=False), about("", "one run each", min_length=1, max_length=100)]
    searched: Annotated[
        tuple[Searched, ...], Field(strict=False), about("", "settings and ranges", min_length=1, max_length=20)
    ]
    cost: Annotated[Cost, about("", "what is minimised")] = Cost()

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.below("settle_time_s", "duration_s")
        numeric = [name for name, field in GridSmoothing.model_fields.items() if field.annotation is float]
        for index, searched in enumerate(self.searched):
            if searched.setting not in numeric:
                expected = "one of " + ", ".join(numeric)
                wrong = f"no numeric setting of {self.application}"
                yield Broken(("searched", index, "setting"), searched.setting, wrong, expected)


def find_study(name_or_path: str) -> Study:
    """A shipped study or a file. UnknownNameError or ConfigErrors."""
    return find(FOLDER, name_or_path, Study)
