"""The line that a run ends with: where the devices stand by their own word, and how old that word is."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from bms.controller import Controller
from bms.image import Image
from bms.site import Site
from drivers.clock import now_ns
from drivers.links.can import open_python_can
from drivers.readings import RackReading

FRESH, OLD = "fresh", "old"


def end_state(site: Site, image: Image) -> str:
    """What a controller says that sees this."""
    controller = Controller(
        site,
        can_opener=open_python_can,
        recorder=None,
        perf_clock=lambda: math.nan,
        on_trip=lambda _: None,
        seen=lambda _: image,
    )
    return controller.end_state()


@pytest.mark.parametrize(
    ("converter", "first", "says"),
    [
        (FRESH, FRESH, "converter running at -41600 W; rack1 CLOSED, rack2 open"),
        (OLD, FRESH, "converter last heard 20 s ago: running at -41600 W; rack1 CLOSED, rack2 open"),
        (FRESH, OLD, "converter running at -41600 W; rack1 last heard 20 s ago: CLOSED, rack2 open"),
    ],
)
async def test_word_that_is_too_old_to_be_believed_has_its_age(
    site: Site,
    rack: Callable[..., RackReading],
    image: Callable[..., Image],
    converter: str,
    first: str,
    says: str,
) -> None:
    heard_ns = {FRESH: now_ns() + 60_000_000_000, OLD: now_ns() - 20_000_000_000}
    seen = image(rack(io_at_ns=heard_ns[first]), rack(io_at_ns=heard_ns[FRESH], main_closed=False))
    assert seen.inverter is not None
    inverter = replace(seen.inverter, ac_power_w=-41.6e3, at_ns=heard_ns[converter])
    assert end_state(site, Image(seen.at_ns, seen.racks, inverter, seen.rating, seen.meter)) == says


async def test_contactors_that_were_never_heard_have_no_age(
    site: Site, rack: Callable[..., RackReading], image: Callable[..., Image]
) -> None:
    seen = image(*[rack(io_at_ns=0, main_closed=None) for _ in range(2)])
    nothing = Image(seen.at_ns, seen.racks, None, seen.rating, seen.meter)
    assert end_state(site, nothing) == "converter never heard; rack1 unknown, rack2 unknown"
