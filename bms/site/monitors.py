"""The part of a site file about monitors that need more than a bus, and about sensors beside them."""

from collections.abc import Iterator
from typing import Annotated, Literal

from drivers.config.settings import Broken, Settings, about


class FoxBms(Settings):
    """How a rack's foxBMS 2 sends its cells."""

    cells_from: Annotated[
        Literal["master", "front-end"],
        about("", "who sends the cells: the foxBMS 2 master (0x250, 0x260) or a CAN front end (0x270, 0x280)", "usual"),
    ] = "master"
    sensors_per_module: Annotated[
        int, about("", "temperature sensors of each module", "foxBMS 2 as shipped", ge=1, le=16)
    ] = 8


class CurrentSensor(Settings):
    """A second current sensor on a rack's bus."""

    kind: Annotated[Literal["ivt-s"], about("", "which sensor: Isabellenhütte IVT-S")]
    positive: Annotated[
        Literal["discharge", "charge"], about("", "direction that is positive on its wire, by how it is mounted")
    ]
    first_id: Annotated[int, about("", "id of its current; the other results follow", "as shipped", ge=1, le=0x7F8)] = (
        0x521
    )


class InsulationMonitor(Settings):
    """An insulation monitor of its own on a rack's bus, in the place of the cell monitor's."""

    kind: Annotated[Literal["iso165c"], about("", "which monitor: Bender iso165C")]
    warning_kohm: Annotated[
        int, about("kOhm", "its warning level, which is written to it", "as shipped", ge=40, le=2000)
    ] = 300
    error_kohm: Annotated[
        int, about("kOhm", "its fault level, which is written to it", "as shipped", ge=30, le=1000)
    ] = 100

    self_test_period_s: Annotated[
        float,
        about("s", "it tests itself at the start and then so often; 3 s each without a measurement", "a day", ge=60,
              le=2_592_000),
    ] = 86_400.0  # fmt: skip

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.below("error_kohm", "warning_kohm")
