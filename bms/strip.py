"""A zinc rack's strip: every cell is bled until it is empty, and rests so, with its contactors open."""

from collections.abc import Iterator

import numpy as np

from bms.dispatch.applications.strip import Strip
from bms.rack import RackMode
from bms.site import Site
from bms.summary import RackSummary
from drivers.readings import Flags, RackReading


class StripCycle:
    """One rack's. Call `step` once a control tick; `stripped` is set in the tick in which it is done.

    A shunt across each cell, not one across the rack: that would drive the weakest cells into reversal."""

    def __init__(self, settings: Strip, temperature_degc_max: float) -> None:
        self._empty_voltage_v, self._rest_s = settings.cell_voltage_v_empty, settings.rest_min * 60.0
        self._degc_max = temperature_degc_max
        self._rested_s = 0.0
        self._done = False
        self.stripped = False

    def step(
        self, mode: RackMode, reading: RackReading, summary: RackSummary, faulted: bool, dt_s: float
    ) -> Flags | None:
        """Cells that shall bleed (1); None while the rack is not in its strip: then others choose. Cells that are too
        hot pause, and all do under a fault or while a value is missing."""
        self.stripped = False
        if mode is not RackMode.STRIP:
            self._rested_s, self._done = 0.0, False
            return None
        able = not faulted and summary.complete
        empty = able and summary.voltage_v_max < self._empty_voltage_v
        self._rested_s = self._rested_s + dt_s if empty else 0.0
        self.stripped = self._rested_s >= self._rest_s and not self._done
        self._done |= self.stripped
        return (able & (reading.temperature_degc < self._degc_max)).astype(np.uint8)


def strip_cycles(site: Site) -> Iterator[StripCycle]:
    """One for each rack of a site that strips its racks, else none."""
    settings = next((each for each in site.applications if isinstance(each, Strip)), None)
    for _ in site.racks if settings is not None else ():
        assert settings is not None
        yield StripCycle(settings, site.balancing.temperature_degc_max)
