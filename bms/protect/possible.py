"""Cell values that no cell can have: the sensor is at fault, and they say nothing about the cells' limits."""

from collections.abc import Iterator

import numpy as np

from bms.protect.levels import Condition, cell
from bms.site import Limits
from bms.summary import RackSummary
from drivers.readings import Floats, RackReading


class PossibleValues:
    """The range of one site's cells."""

    def __init__(self, limits: Limits) -> None:
        self._voltage_v = limits.cell_voltage_v_min_possible, limits.cell_voltage_v_max_possible
        self._temperature_degc_min = limits.temperature_degc_min_possible

    def all_possible(self, summary: RackSummary) -> bool:
        """No value of the rack is outside: `conditions` has none, and `within` nothing to leave out."""
        least_v, most_v = self._voltage_v
        return not (
            summary.voltage_v_max > most_v
            or summary.voltage_v_min < least_v
            or summary.temperature_degc_min < self._temperature_degc_min
        )

    def conditions(self, summary: RackSummary) -> Iterator[Condition]:
        """Nothing for what is absent: that is a fault of its own."""
        least_v, most_v = self._voltage_v
        if summary.voltage_v_max > most_v:
            where = cell(summary.highest_cell)
            yield Condition("cell_voltage_out_of_range", summary.voltage_v_max, most_v, where)
        elif summary.voltage_v_min < least_v:
            yield Condition("cell_voltage_out_of_range", summary.voltage_v_min, least_v, cell(summary.lowest_cell))
        if summary.temperature_degc_min < self._temperature_degc_min:
            where = cell(summary.coldest_cell)
            yield Condition(
                "cell_temperature_out_of_range", summary.temperature_degc_min, self._temperature_degc_min, where
            )

    def within(self, summary: RackSummary, reading: RackReading) -> RackSummary:
        """The same with the extremes of the possible values only: NaN when none is."""
        least_v, most_v = self._voltage_v
        if summary.voltage_v_max > most_v or summary.voltage_v_min < least_v:
            volt = reading.voltage_v
            lowest, highest = _extremes(np.where((volt >= least_v) & (volt <= most_v), volt, np.nan))
            summary = summary._replace(
                voltage_v_min=float(volt[lowest]) if lowest is not None else np.nan,
                voltage_v_max=float(volt[highest]) if highest is not None else np.nan,
                lowest_cell=lowest or 0,
                highest_cell=highest or 0,
            )
        if summary.temperature_degc_min < self._temperature_degc_min:
            degc = reading.temperature_degc
            coldest, hottest = _extremes(np.where(degc >= self._temperature_degc_min, degc, np.nan))
            summary = summary._replace(
                temperature_degc_min=float(degc[coldest]) if coldest is not None else np.nan,
                temperature_degc_max=float(degc[hottest]) if hottest is not None else np.nan,
                coldest_cell=coldest or 0,
                hottest_cell=hottest or 0,
            )
        return summary


def _extremes(values: Floats) -> tuple[int | None, int | None]:
    """Places of the lowest and the highest number, None where all are NaN."""
    if np.isnan(values).all():
        return None, None
    return int(np.nanargmin(values)), int(np.nanargmax(values))
