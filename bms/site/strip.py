"""What has to hold between the strip planner and the rest of a site file."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bms.dispatch.applications.strip import Strip
from drivers.config.settings import Broken, Loc

if TYPE_CHECKING:
    from bms.site import Site


def broken_strip(site: "Site") -> Iterator[Broken]:
    """Broken for each strip planner that these racks cannot follow."""
    for number, each in enumerate(site.applications):
        if isinstance(each, Strip):
            yield from _broken(site, each, ("applications", number))


def _broken(site: "Site", strip: Strip, at: Loc) -> Iterator[Broken]:
    count, owners = len(site.racks), [rack.contactors for rack in site.racks]
    if site.limits.chemistry != "zinc":
        wrong = "an empty cell of this chemistry is damaged"
        yield Broken((*at, "kind"), strip.kind, wrong, "no strip, or chemistry zinc", (("limits", "chemistry"),))
    if site.precharge.by != "rack" or "rack" in owners:
        wrong = "an empty rack is refilled through its own precharge contactor, by the gateway's command"
        others: tuple[Loc, ...] = (("precharge", "by"), ("racks", owners.index("rack") if "rack" in owners else 0))
        yield Broken((*at, "kind"), strip.kind, wrong, "precharge by rack, contactors of the gateway", others)
    if strip.racks_out_max > count - site.precharge.racks_online_min:
        wrong = f"{count} racks, of which {site.precharge.racks_online_min} must stay online"
        expected = f"at most {max(count - site.precharge.racks_online_min, 0)}"
        yield Broken((*at, "racks_out_max"), strip.racks_out_max, wrong, expected, (("racks",),))
    turns = -(-count // strip.racks_out_max)
    allowed_h = (1.0 - strip.start_frac) * strip.interval_h / turns
    if allowed_h < strip.duration_h <= turns * allowed_h:
        wrong = (
            f"{count} racks, {strip.racks_out_max} at once, take {turns * strip.duration_h:g} h of an interval's end"
        )
        yield Broken((*at, "duration_h"), strip.duration_h, wrong, f"at most {allowed_h:g}", (("racks",),))
