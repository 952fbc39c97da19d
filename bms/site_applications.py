"""The part of a site file that says what the battery is used for: one settings class for each application."""

from collections.abc import Iterator
from typing import Annotated, Literal

from drivers.config.settings import Broken, Settings, about


class GridSmoothing(Settings):
    """Holds the grid's power to a slow, capped version of the load."""

    kind: Annotated[Literal["grid-smoothing"], about("", "which application this is")]
    ramp_w_per_s_max: Annotated[float, about("W/s", "fastest change of the grid's power", gt=0, le=1e9)]
    grid_power_w_max: Annotated[float, about("W", "cap of the grid's power (import)", gt=0, le=1e10)]
    smoothing_time_s: Annotated[
        float,
        about(
            "s",
            "time constant of the target that follows the load",
            "3 to 4 training iterations of 17 s",
            gt=0,
            le=86_400,
        ),
    ] = 60.0
    lead_time_s: Annotated[
        float,
        about(
            "s",
            "delay from measurement to power, over which the load's slope is extended",
            "none: no prediction",
            ge=0,
            le=10,
        ),
    ] = 0.0
    soc_frac_min: Annotated[
        float, about("frac", "the application discharges no further", "reserve of 15 % over the limit", ge=0, le=1)
    ] = 0.2
    soc_frac_max: Annotated[
        float, about("frac", "the application charges no further", "reserve of 5 % under the limit", ge=0, le=1)
    ] = 0.9
    soc_frac_target: Annotated[
        float, about("frac", "SoC to which it slowly returns", "middle of the band", ge=0, le=1)
    ] = 0.55
    soc_return_power_w_max: Annotated[
        float, about("W", "most power that brings the SoC back", "10 % of a 500 kW converter", ge=0, le=1e9)
    ] = 50_000.0

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.in_order("soc_frac_min", "soc_frac_target", "soc_frac_max")


Application = GridSmoothing
"""Any application's settings: a union over `kind` as soon as there is a second one."""
