"""What a tick decides, as types: from the applications' wish to what the devices are told."""

from typing import NamedTuple

from drivers.readings import Flags


class Contactors(NamedTuple):
    """Wanted contactor states of one rack."""

    main_closed: bool
    precharge_closed: bool


class Decision(NamedTuple):
    """Set-point (discharge positive), converter run, contactors and bleed per rack (None = no command).
    `hold`: contactors stay as they are if the gateway dies, since the converter makes the grid. `clipped_by` names the
    last one who narrowed the wish (empty = nobody) and `clip_reason` why. `by_lane`: the fast lane writes the
    set-point, and `power_w` is its newest. `reactive_var` (injected positive): None = as the converter does of its
    own. `by_loop`: the converter's own loop adds to the power, or may."""

    power_w: float
    run: bool
    contactors: tuple[Contactors | None, ...]
    bleed: tuple[Flags | None, ...]
    clipped_by: str
    clip_reason: str
    hold: bool = False
    by_lane: bool = False
    reactive_var: float | None = None
    by_loop: bool = False
