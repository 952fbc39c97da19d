"""Export limit: the grid is never given more than allowed; what PV has too much is charged first and curtailed then."""

from math import floor, inf
from typing import Annotated, Literal

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.taper import taper
from bms.dispatch.view import NO_ANSWER, Answer, PowerWindow, SiteView
from drivers.config.settings import about

OUTPUT_INPUT = "pv_output_frac"
"""Name of the input with which a grid operator controls the output."""
OUTPUT_STEPS = 100
"""Output control goes in steps of 1 %; a share between two is the lower one."""


class ExportLimit(ApplicationSettings):
    """Bounds what the site gives to the grid."""

    kind: Annotated[Literal["export-limit"], about("", "which application this is")]
    export_power_w_max: Annotated[float, about("W", "most that the grid is given; 0 is zero export", ge=0, le=1e10)]
    margin_w: Annotated[
        float, about("W", "it aims so far below", "the meter's error and a tick's delay", ge=0, le=1e9)
    ] = 0.0
    pv_power_w_rated: Annotated[
        float, about("W", "that the shares of output control are of", "output control is not used", ge=0, le=1e10)
    ] = 0.0
    soc_frac_max: Annotated[
        float, about("frac", "it charges no further: the rest is curtailed", "full", ge=0, le=1)
    ] = 0.95

    @property
    def inputs(self) -> tuple[str, ...]:
        return (OUTPUT_INPUT,)


class ExportLimitApplication:
    """Bounds the battery at load - PV + limit, which makes it charge when PV gives too much, and caps PV at what
    load, limit and the battery's charge together can take, before there is too much: a load that drops needs no
    time to find the cap. The input `pv_output_frac` (0 to 1) bounds the export to that share of the rated PV as well.
    Without a reading of the site nothing is discharged, and PV is capped at the limit, as if nobody took anything.
    """

    def __init__(self, settings: ExportLimit) -> None:
        self.name = settings.kind
        self._settings = settings

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        if view.islanded:
            return NO_ANSWER
        limit_w = self._limit_w(view)
        if view.load_power_w is None or view.grid_power_w is None:
            return Answer(power_w_max=0.0, pv_power_w_max=max(limit_w, 0.0), reason="grid power is not known")
        room_w = max(-window.power_w_min, 0.0) * taper(self._settings.soc_frac_max - view.soc_frac)
        free_w = view.load_power_w - (view.pv_power_w or 0.0) + limit_w
        return Answer(
            power_w_max=max(free_w, -room_w, -self._from_pv_w(view)),
            pv_power_w_max=max(view.load_power_w + limit_w + room_w, 0.0),
            reason="export limit",
        )

    def reset(self) -> None:
        pass

    def _from_pv_w(self, view: SiteView) -> float:
        """Most that it makes the battery charge: a margin is none that the grid should fill."""
        return inf if view.pv_power_w is None else max(view.pv_power_w, 0.0)

    def _limit_w(self, view: SiteView) -> float:
        """What it aims at, less than nothing with a margin below zero export."""
        limit_w = self._settings.export_power_w_max
        allowed = view.inputs.get(OUTPUT_INPUT)
        if allowed is not None:
            share = floor(min(max(allowed, 0.0), 1.0) * OUTPUT_STEPS + 1e-9) / OUTPUT_STEPS
            limit_w = min(limit_w, share * self._settings.pv_power_w_rated)
        return limit_w - self._settings.margin_w


APPLICATION = ApplicationKind(ExportLimit, ExportLimitApplication)
