"""PV as rig files describe it."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drivers.config.settings import Broken, Settings, about, beside_the_file
from hil_rigs.load_spec import SCALE

KIND = about("", "where its power comes from")
RATED = about("W", "rated power of its inverter, and of its modules", gt=0, le=1e10)


class CloudsSpec(Settings):
    """Gaps and clouds that take turns by chance."""

    clear_s: Annotated[float, about("s", "mean length of a gap", "a day of cumulus", gt=0, le=1e5)] = 600.0
    cloudy_s: Annotated[float, about("s", "mean length of a cloud", "a day of cumulus", gt=0, le=1e5)] = 180.0
    through_frac_min: Annotated[float, about("frac", "light through the thickest", "cumulus", ge=0, le=1)] = 0.2
    through_frac_max: Annotated[float, about("frac", "light through the thinnest", "cumulus", ge=0, le=1)] = 0.7
    edge_s: Annotated[float, about("s", "time in which an edge passes", "a small plant", ge=1, le=600)] = 15.0

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.below("through_frac_min", "through_frac_max", equal=True)


class ClearSkyPv(Settings):
    """The sun of one day at one latitude, again and again."""

    kind: Annotated[Literal["clear-sky"], KIND]
    rated_power_w: Annotated[float, RATED]
    latitude_deg: Annotated[float, about("deg", "latitude, north positive", "Tokyo", ge=-90, le=90)] = 35.7
    day_of_year: Annotated[int, about("", "day of the year", "1 July, the rigs' day", ge=1, le=366)] = 182
    performance_frac: Annotated[
        float, about("frac", "what modules and inverter make of the irradiance", "usual", gt=0, le=1)
    ] = 0.85
    clouds: Annotated[CloudsSpec | None, about("", "clouds by chance", "a clear sky")] = None


class PvFile(Settings):
    """A recording: CSV or Parquet with `time_s, power_w`, generation positive."""

    kind: Annotated[Literal["file"], KIND]
    rated_power_w: Annotated[float, RATED]
    path: Annotated[
        str, about("", "the file, relative to this one", min_length=1, max_length=500), AfterValidator(beside_the_file)
    ]
    run: Annotated[int | None, about("", "which of several runs in the file", "the file has one")] = None
    scale: Annotated[float, SCALE] = 1.0


class PvFmu(Settings):
    """A model of another tool: an FMU for co-simulation (FMI 2.0) with a Real output `power_w`, W, what the sun offers.
    Needs FMPy: pip install 'cellward[fmu]'."""

    kind: Annotated[Literal["fmu"], KIND]
    rated_power_w: Annotated[float, RATED]
    path: Annotated[
        str, about("", "the FMU, relative to this file", min_length=1, max_length=500), AfterValidator(beside_the_file)
    ]
    scale: Annotated[float, SCALE] = 1.0


PvSpec = Annotated[ClearSkyPv | PvFile | PvFmu, Field(discriminator="kind")]
