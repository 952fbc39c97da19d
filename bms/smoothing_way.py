"""Which of the ways to smooth is true on this site now, and how late it is."""

from enum import StrEnum
from math import nan
from typing import NamedTuple

from bms.estimate.smoothing_watch import NOT_MEASURED, Smoothed
from bms.site import Site


class Way(StrEnum):
    """Who smooths. REFUSED: dispatch would, and measured that it makes things worse."""

    NONE = ""
    TICKS = "ticks"
    LANE = "fast-lane"
    CONVERTER = "converter"
    REFUSED = "refused"


class SmoothingNow(NamedTuple):
    """One tick's word on smoothing. Age and jitter of the fast lane in s, NaN without one."""

    way: Way = Way.NONE
    lane_age_s: float = nan
    lane_jitter_s: float = nan
    measured: Smoothed = NOT_MEASURED


def tick_delay_s(site: Site) -> float:
    """From the load to the battery's power by way of the ticks, in the mean: half a period of meter and loop, and the
    converter's lag."""
    return (site.grid_meter.poll_period_s + site.controller.control_period_s) / 2.0 + site.inverter.response_time_s


def lane_delay_s(site: Site) -> float:
    """By way of the fast lane at its latest, whose lead makes up for a part of it."""
    lane = site.fast_lane
    assert lane is not None, "only asked for where there is one"
    lead_s = site.inverter.response_time_s if lane.lead_s is None else lane.lead_s
    return max(lane.period_s / 2.0 + lane.age_s_max + site.inverter.response_time_s - lead_s, lane.period_s)
