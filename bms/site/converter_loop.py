"""Settings of the smoothing loop inside the converter, as the controller uses it."""

from typing import Annotated

from drivers.config.settings import Settings, about

CHOICE = "engineering choice"


class ConverterLoop(Settings):
    """The converter smooths by itself; the controller pushes the parameters, reads them back and verifies them."""

    verify_s: Annotated[float, about("s", "its parameters are read back this often", CHOICE, gt=0, le=10)] = 0.5
    confirm_s_max: Annotated[
        float, about("s", "when it has not shown what it was told for so long the ticks smooth", CHOICE, gt=0, le=60)
    ] = 2.0
    rest_s: Annotated[float, about("s", "and it is not tried again before", CHOICE, gt=0, le=3600)] = 60.0
