"""What must fit where the contactors of a rack hang on a Modbus I/O block."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drivers.config.settings import Broken, Loc
from drivers.profiles.parts import Reverts

if TYPE_CHECKING:
    from bms.site import Rack, Site

WATCHDOG_S = 4.0
"""What a block is told, where it takes a time: it opens everything so long after the last command."""


def broken_contactor_blocks(site: "Site") -> Iterator[Broken]:
    """Who moves them, who precharges, and that no watchdog opens them under load or where they should stay closed."""
    for i, rack in enumerate(site.racks):
        if rack.contactor_block is None or rack.contactor_block.description.kind != "contactors":
            continue  # said where the profile is
        place: Loc = ("racks", i, "contactor_block")
        yield from _broken_owner(rack, place)
        description = rack.contactor_block.description
        if site.precharge.by == "rack" and description.find("precharge-output") is None:
            wrong, by = "no output precharges", (("precharge", "by"),)
            yield Broken((*place, "profile"), description.name, wrong, "one of role precharge-output", by)
        yield from _broken_watchdog(site, rack, place)
        if site.island is not None and not description.hold:
            wrong = "its watchdog would black out the island of a dead gateway"
            yield Broken((*place, "profile"), description.name, wrong, "one with a sequence hold", (("island",),))


def _broken_owner(rack: "Rack", place: Loc) -> Iterator[Broken]:
    if rack.contactors != "gateway" or rack.monitor in ("foxbms", "low-voltage"):
        owner = f"contactors: {rack.contactors}" if rack.contactors != "gateway" else f"monitor: {rack.monitor}"
        others: tuple[Loc, ...] = ((*place[:2], "contactors"), (*place[:2], "monitor"))
        wrong = f"beside {owner}, which moves the contactors itself"
        yield Broken(place, "a mapping", wrong, "one who moves them", others)


def _broken_watchdog(site: "Site", rack: "Rack", place: Loc) -> Iterator[Broken]:
    assert rack.contactor_block is not None, "the caller has looked"
    profile = rack.contactor_block.description
    silence, drops_s = profile.silence, profile.drops_after_s(WATCHDOG_S)
    if isinstance(silence, Reverts) and not silence.time_s_min <= WATCHDOG_S <= silence.time_s_max:
        wrong = f"its watchdog takes {silence.time_s_min:g} to {silence.time_s_max:g} s"
        yield Broken((*place, "profile"), profile.name, wrong, f"one that takes {WATCHDOG_S:g} s")
    if drops_s <= site.inverter.reversion_s:
        wrong = f"it opens after {drops_s:g} s, before the converter is at 0 W: under load"
        expected, others = f"more than {site.inverter.reversion_s}", (("inverter", "reversion_s"),)
        yield Broken((*place, "profile"), profile.name, wrong, expected, others)
