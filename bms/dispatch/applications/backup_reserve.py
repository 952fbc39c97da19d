"""Backup reserve: a part of the battery that only an island may use."""

from typing import Annotated, Literal

from bms.dispatch.applications import ApplicationKind
from bms.dispatch.settings import ApplicationSettings
from bms.dispatch.taper import taper
from bms.dispatch.view import NO_ANSWER, Answer, PowerWindow, SiteView
from drivers.config.settings import about

HYSTERESIS_FRAC = 0.01


class BackupReserve(ApplicationSettings):
    """Keeps energy for an outage."""

    kind: Annotated[Literal["backup-reserve"], about("", "which application this is")]
    soc_frac_min: Annotated[
        float, about("frac", "with the grid there, nothing after it discharges further", "a third", ge=0, le=1)
    ] = 0.35
    recharge_power_w_max: Annotated[
        float,
        about("W", "most power from the grid that fills a reserve that is short", "left to others", ge=0, le=1e10),
    ] = 0.0


class BackupReserveApplication:
    """Ends discharge at the reserve while the site is on the grid, and recharges what an outage took. On an island it
    has nothing to say."""

    def __init__(self, settings: BackupReserve) -> None:
        self.name = settings.kind
        self._settings = settings
        self._recharging = False

    def look(self, view: SiteView, window: PowerWindow) -> Answer:
        settings = self._settings
        if view.islanded:
            return NO_ANSWER
        above_frac = view.soc_frac - settings.soc_frac_min
        self._recharging = above_frac < (0.0 if self._recharging else -HYSTERESIS_FRAC)
        request_w = -settings.recharge_power_w_max if self._recharging and settings.recharge_power_w_max else None
        return Answer(
            power_w_max=max(window.power_w_max, 0.0) * taper(above_frac), request_w=request_w, reason="backup reserve"
        )

    def reset(self) -> None:
        self._recharging = False


APPLICATION = ApplicationKind(BackupReserve, BackupReserveApplication)
