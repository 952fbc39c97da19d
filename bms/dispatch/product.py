"""Grid services as data: the rules of a product, without the power that a site sells of it."""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo

from drivers.config.settings import Broken, Settings, about
from drivers.config.shipped import Shipped, find, known_name

FOLDER = Path(__file__).parent / "products"

Direction = Literal["up", "down"]
"""`up` answers to a low frequency (discharge), `down` to a high one (charge)."""


class CurvePoint(Settings):
    """One point of a curve; straight lines between."""

    off_hz: Annotated[float, about("Hz", "distance from nominal frequency, a magnitude", ge=0, le=10)]
    power_frac: Annotated[float, about("frac", "of the contracted power", ge=0, le=1)]


class Span(Settings):
    """From where to where a site may choose."""

    least: Annotated[float, about("", "smallest that the product allows", ge=0, le=3600)]
    most: Annotated[float, about("", "largest that it allows", ge=0, le=3600)]

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.below("least", "most", equal=True)


class Droop(Settings):
    """Power in proportion to the distance beyond a deadband: the whole base power at `droop_frac` of nominal."""

    deadband_hz: Annotated[float, about("Hz", "no response within", ge=0, le=2)]
    droop_frac: Annotated[float, about("frac", "of nominal frequency, for the whole base power", gt=0, le=1)]
    deadband_hz_span: Annotated[Span, about("", "deadbands in Hz that a site may choose from", "any")] = Span(
        least=0.0, most=2.0
    )
    droop_frac_span: Annotated[Span, about("", "droops that a site may choose from", "any")] = Span(
        least=0.001, most=1.0
    )


class Trigger(Settings):
    """Full power once the frequency has crossed a threshold, for a while, whatever it does meanwhile."""

    off_hz: Annotated[
        tuple[Annotated[float, Field(gt=0, le=10)], ...],
        Field(strict=False),
        about("Hz", "thresholds that a site may choose from, the first by default", min_length=1, max_length=8),
    ]
    support_s: Annotated[
        tuple[Annotated[float, Field(gt=0, le=3600)], ...],
        Field(strict=False),
        about("s", "durations that a site may choose from, the first by default", min_length=1, max_length=8),
    ]
    rise_s: Annotated[float, about("s", "what the power needs to be there; the support begins after it", ge=0, le=10)]
    confirm_s: Annotated[float, about("s", "beyond the threshold before it counts", ge=0, le=10)]
    deactivation_frac_per_s: Annotated[float, about("frac/s", "fall of the power after the support", gt=0, le=100)]


class Recovery(Settings):
    """How the state of energy may be brought back: as a change of the baseline under the response."""

    power_frac: Annotated[float, about("frac", "of the contracted power", gt=0, le=1)]
    ramp_frac_per_min: Annotated[float, about("frac/min", "fastest change of the baseline", gt=0, le=1e4)]
    off_hz_max: Annotated[
        float, about("Hz", "the baseline moves only while the frequency is so near to nominal", gt=0, le=10)
    ]
    wait_s: Annotated[
        float, about("s", "after the response has ended, or the frequency has come near", ge=0, le=86_400)
    ]
    withdraws: Annotated[
        bool, about("", "while it may not move the baseline goes back to zero, instead of standing still", "stands")
    ] = False


class ProductFile(Shipped):
    """A product. What it answers to: frequency by exactly one of curve, droop and trigger (none: the site gives a
    curve), or a signal."""

    source: Annotated[str, about("", "where its rules stand", min_length=1, max_length=500)]
    answers: Annotated[Literal["frequency", "signal"], about("", "what it answers to")]
    nominal_hz: Annotated[
        tuple[Annotated[float, Field(ge=40, le=70)], ...],
        Field(strict=False),
        about("Hz", "of the grids that have it, the first by default", min_length=1, max_length=2),
    ]
    directions: Annotated[
        tuple[Direction, ...], Field(strict=False), about("", "what can be sold", min_length=1, max_length=2)
    ]
    curve: Annotated[
        tuple[CurvePoint, ...],
        Field(strict=False),
        about("", "flat before the first and after the last", max_length=16),
    ] = ()
    droop: Annotated[Droop | None, about("", "instead of a curve")] = None
    trigger: Annotated[Trigger | None, about("", "instead of a curve")] = None
    response_time_s: Annotated[
        float, about("s", "open-loop response: 90 % of a step after", "as fast as it can", ge=0, le=3600)
    ] = 0.0
    response_time_s_span: Annotated[
        Span | None, about("", "response times in s that a site may choose from", "none")
    ] = None
    reserved: Annotated[bool, about("", "the whole contracted power is kept free for it", "a sold service")] = True
    hold_s: Annotated[float, about("s", "full power for so long has to be in store", ge=0, le=86_400)]
    recovery: Annotated[Recovery, about("", "of the state of energy")]

    def broken_relations(self) -> Iterator[Broken]:
        shapes = [name for name in ("curve", "droop", "trigger") if getattr(self, name)]
        if len(shapes) > (1 if self.answers == "frequency" else 0):
            expected = "one of curve, droop and trigger" if self.answers == "frequency" else "none of them"
            yield Broken((shapes[-1],), shapes[-1], f"too many: {', '.join(shapes)}", expected)
        yield from broken_curve(self.curve)


def broken_curve(curve: tuple[CurvePoint, ...]) -> Iterator[Broken]:
    """Its points must move away from nominal."""
    for number, (before, after) in enumerate(pairwise(curve), start=1):
        if after.off_hz <= before.off_hz:
            expected = f"more than {before.off_hz:g}"
            yield Broken(("curve", number, "off_hz"), after.off_hz, "not above the point before", expected)


@cache
def find_product(name_or_path: str) -> ProductFile:
    """A shipped product or a file. UnknownNameError or ConfigErrors."""
    return find(FOLDER, name_or_path, ProductFile)


def known_product(name: str, info: ValidationInfo) -> str:
    """Validator: a product, found and read when a settings file is loaded."""
    return known_name(name, info, find_product, "product", "a right product")
