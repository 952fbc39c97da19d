"""The part of a site file about monitors that need more than a bus: what each driver wants to know."""

from typing import Annotated, Literal

from bms.settings import Settings, about


class FoxBms(Settings):
    """How a rack's foxBMS 2 sends its cells."""

    cells_from: Annotated[
        Literal["master", "front-end"],
        about("", "who sends the cells: the foxBMS 2 master (0x250, 0x260) or a CAN front end (0x270, 0x280)", "usual"),
    ] = "master"
    sensors_per_module: Annotated[
        int, about("", "temperature sensors of each module", "foxBMS 2 as shipped", ge=1, le=16)
    ] = 8
