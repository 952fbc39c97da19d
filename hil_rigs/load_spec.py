"""A load as rig and scenario files describe it."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drivers.config.settings import Settings, about, beside_the_file

RATED_POWER = about("W", "rated power of the load", gt=0, le=1e10)
SCALE = about("", "factor on the load's power", "as it is", gt=0, le=1e4)


class GpuSmoothingSpec(Settings):
    """Power smoothing inside the servers."""

    floor_frac: Annotated[float, about("frac", "power never falls below this share of rated", ge=0, le=0.9)]
    ramp_frac_per_s: Annotated[float, about("frac/s", "power changes no faster, in shares of rated", gt=0, le=100)]


class AiTraining(Settings):
    """Synchronised training of one large model: iterations of about 17 s."""

    kind: Annotated[Literal["ai-training"], about("", "which load this is")]
    rated_power_w: Annotated[float, RATED_POWER]
    scale: Annotated[float, SCALE] = 1.0
    smoothing: Annotated[GpuSmoothingSpec | None, about("", "smoothing inside the servers", "raw swings")] = None


class ConstantPower(Settings):
    """The same power for ever."""

    kind: Annotated[Literal["constant"], about("", "which load this is")]
    rated_power_w: Annotated[float, RATED_POWER]
    scale: Annotated[float, SCALE] = 1.0


class AiInference(Settings):
    """Servers that answer requests: the users' day, with bursts within seconds."""

    kind: Annotated[Literal["ai-inference"], about("", "which load this is")]
    rated_power_w: Annotated[float, RATED_POWER]
    scale: Annotated[float, SCALE] = 1.0


class Industry(Settings):
    """Machines that start and stop by themselves, most of them from 6 to 22 h."""

    kind: Annotated[Literal["industry"], about("", "which load this is")]
    rated_power_w: Annotated[float, RATED_POWER]
    scale: Annotated[float, SCALE] = 1.0


class Factory(Settings):
    """Two shifts with breaks: motors that are switched on directly, presses, and the rest."""

    kind: Annotated[Literal["factory"], about("", "which load this is")]
    rated_power_w: Annotated[float, RATED_POWER]
    scale: Annotated[float, SCALE] = 1.0


class Home(Settings):
    """Appliances of a household; `rated_power_w` sizes it against one of 8 kW."""

    kind: Annotated[Literal["home"], about("", "which load this is")]
    rated_power_w: Annotated[float, RATED_POWER]
    scale: Annotated[float, SCALE] = 1.0


class LoadFile(Settings):
    """A recording: CSV or Parquet with `time_s, power_w`, consumption positive."""

    kind: Annotated[Literal["file"], about("", "which load this is")]
    path: Annotated[
        str, about("", "the file, relative to this one", min_length=1, max_length=500), AfterValidator(beside_the_file)
    ]
    run: Annotated[int | None, about("", "which of several runs in the file", "the file has one")] = None
    scale: Annotated[float, SCALE] = 1.0


class LoadFmu(Settings):
    """A model of another tool: an FMU for co-simulation (FMI 2.0) with an output `power_w`, consumption positive. Needs
    FMPy: pip install 'cellward[fmu]'."""

    kind: Annotated[Literal["fmu"], about("", "which load this is")]
    path: Annotated[
        str, about("", "the FMU, relative to this file", min_length=1, max_length=500), AfterValidator(beside_the_file)
    ]
    power_w_max: Annotated[float, about("W", "largest magnitude that it ever says", gt=0, le=1e10)]
    scale: Annotated[float, SCALE] = 1.0


LoadSpec = Annotated[
    AiTraining | ConstantPower | AiInference | Industry | Factory | Home | LoadFile | LoadFmu,
    Field(discriminator="kind"),
]
