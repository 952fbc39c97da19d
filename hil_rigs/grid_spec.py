"""A grid as rig files describe it."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drivers.config.settings import Broken, Settings, about, beside_the_file

KIND = about("", "which grid this is")
FREQUENCY = about("Hz", "frequency", "nominal", ge=40, le=70)
VOLTAGE = about("", "voltage per unit of nominal", "nominal", ge=0, le=2)
SIGMA = "like a large grid on a quiet day"


class NoiseSpec(Settings):
    """A small random walk around the grid's frequency and voltage."""

    frequency_hz_sigma: Annotated[float, about("Hz", "standard deviation of the frequency", SIGMA, ge=0, le=1)] = 0.02
    voltage_pu_sigma: Annotated[float, about("", "standard deviation of the voltage", SIGMA, ge=0, le=0.1)] = 0.003
    time_s: Annotated[float, about("s", "time over which it forgets where it was", SIGMA, gt=0, le=1e5)] = 60.0


class AnyGrid(Settings):
    """What all grids have."""

    nominal_hz: Annotated[Literal[50, 60], about("Hz", "nominal frequency", "60 Hz")] = 60
    noise: Annotated[NoiseSpec | None, about("", "random walk beside it", "none")] = None


class SteadyGrid(AnyGrid):
    """The same for ever."""

    kind: Annotated[Literal["constant"], KIND]
    frequency_hz: Annotated[float | None, FREQUENCY] = None
    voltage_pu: Annotated[float, VOLTAGE] = 1.0


class GridPoint(Settings):
    """Where the grid is at one time."""

    time_s: Annotated[float, about("s", "from the start", ge=0, le=1e9)]
    frequency_hz: Annotated[float | None, FREQUENCY] = None
    voltage_pu: Annotated[float, VOLTAGE] = 1.0


class Generator(Settings):
    """A standby generator that the points are between two times: they say what it is unloaded, and it slows down under
    the site's load."""

    from_s: Annotated[float, about("s", "it is there from here", ge=0, le=1e9)]
    to_s: Annotated[float, about("s", "it is gone from here", ge=0, le=1e9)]
    rated_power_w: Annotated[float, about("W", "what it can do", gt=0, le=1e10)]
    droop_frac: Annotated[
        float, about("frac", "fall of its frequency from no load to full", "ISO 8528-5, class G3: at most 3 %",
                     ge=0.005, le=0.2)
    ] = 0.03  # fmt: skip
    inertia_s: Annotated[
        float, about("s", "H: stored energy over rated power", "diesel sets of a few MW", ge=0.2, le=30)
    ] = 1.5
    governor_time_s: Annotated[float, about("s", "lag with which it follows", "diesel engines", ge=0.05, le=60)] = 0.3

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.below("from_s", "to_s")


class GridPoints(AnyGrid):
    """Steps and ramps: straight lines between points; two points of the same time are a step."""

    kind: Annotated[Literal["points"], KIND]
    generator: Annotated[Generator | None, about("", "a standby generator on the grid's side", "none")] = None
    points: Annotated[
        tuple[GridPoint, ...], Field(strict=False), about("", "in order of time", min_length=1, max_length=10_000)
    ]

    def broken_relations(self) -> Iterator[Broken]:
        for i, (before, after) in enumerate(pairwise(self.points), 1):
            if after.time_s < before.time_s:
                at, earlier = ("points", i, "time_s"), (("points", i - 1, "time_s"),)
                yield Broken(at, after.time_s, "before the point above", f"at least {before.time_s:g}", earlier)


class GridFile(AnyGrid):
    """A recording: CSV or Parquet with `time_s, frequency_hz` and perhaps `voltage_pu`."""

    kind: Annotated[Literal["file"], KIND]
    path: Annotated[
        str, about("", "the file, relative to this one", min_length=1, max_length=500), AfterValidator(beside_the_file)
    ]
    run: Annotated[int | None, about("", "which of several runs in the file", "the file has one")] = None


class GridFmu(AnyGrid):
    """A model of another tool: an FMU for co-simulation (FMI 2.0) with a Real output `frequency_hz`, perhaps one
    `voltage_pu`, and perhaps an input `import_w`. Needs FMPy: pip install 'cellward[fmu]'."""

    kind: Annotated[Literal["fmu"], KIND]
    path: Annotated[
        str, about("", "the FMU, relative to this file", min_length=1, max_length=500), AfterValidator(beside_the_file)
    ]


class LoadStep(Settings):
    """Other load of the network that comes (positive) or goes, for good."""

    time_s: Annotated[float, about("s", "from the start", ge=0, le=1e9)]
    power_w: Annotated[float, about("W", "how much", ge=-1e11, le=1e11)]


class SmallNetwork(AnyGrid):
    """A weak or islanded network that answers to the site's own power."""

    kind: Annotated[Literal["network"], KIND]
    base_power_w: Annotated[float, about("W", "what its generators can do together", gt=0, le=1e12)]
    inertia_s: Annotated[float, about("s", "H: stored energy over base power", "gas turbines", ge=0.2, le=30)] = 5.0
    damping_pu: Annotated[
        float, about("", "the load's own answer: power per frequency, both per unit", "usual for loads", ge=0, le=10)
    ] = 1.0
    droop_frac: Annotated[
        float, about("frac", "generators' fall of frequency from no load to full", "usual", ge=0.005, le=1)
    ] = 0.05
    governor_time_s: Annotated[
        float, about("s", "lag with which the generators follow", "gas turbines", ge=0.05, le=60)
    ] = 0.5
    voltage_drop_pu: Annotated[
        float, about("", "fall of the voltage at an import of base power", "a stiff line", ge=0, le=0.5)
    ] = 0.0
    load_steps: Annotated[
        tuple[LoadStep, ...], Field(strict=False), about("", "disturbances", "none", max_length=1000)
    ] = ()


GridSpec = Annotated[SteadyGrid | GridPoints | GridFile | SmallNetwork | GridFmu, Field(discriminator="kind")]
