"""Settings of the fast lane, the loop between two ticks."""

from collections.abc import Iterator
from typing import Annotated

from drivers.config.settings import Broken, Settings, about

CHOICE = "engineering choice"


class FastLane(Settings):
    """A loop from the grid meter to the converter that is faster than the controller's ticks."""

    period_s: Annotated[float, about("s", "it reads the meter and writes a set-point this often", CHOICE, gt=0, le=0.1)]
    lead_s: Annotated[
        float | None,
        about("s", "time over which the load's slope is extended", "the converter's response_time_s", ge=0, le=1),
    ] = None
    age_s_max: Annotated[
        float,
        about("s", "a tenth of its set-points may be acknowledged later after the reading that they follow", CHOICE,
              gt=0, le=1),
    ] = 0.03  # fmt: skip
    jitter_s_max: Annotated[
        float, about("s", "a tenth of its readings may be further off their period", CHOICE, gt=0, le=1)
    ] = 0.01
    silence_s_max: Annotated[
        float, about("s", "it gives up this long after the last reading or acknowledgement", CHOICE, gt=0, le=1)
    ] = 0.05
    rest_s: Annotated[float, about("s", "and does not try again before", CHOICE, gt=0, le=3600)] = 10.0

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.below("period_s", "age_s_max")
        yield from self.below("period_s", "silence_s_max")
