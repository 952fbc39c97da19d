"""Counts what flowed through a rack and how often its main contactor closed."""

from bms.state.saved import RackCounters
from drivers.readings import RackReading

COUNTED_S_MAX = 1.0
"""A longer time between two looks saw too little of the current to be counted."""


class RackMeter:
    """Adds to `counters`, which never fall."""

    def __init__(self, counters: RackCounters) -> None:
        self.counters = counters
        self._main_closed: bool | None = None

    def flow(self, rack: RackReading, elapsed_s: float) -> None:
        """The newest current and voltage held for `elapsed_s`; absent ones (NaN) are not counted."""
        charge_ah = rack.current_a * elapsed_s / 3600
        energy_wh = charge_ah * rack.rack_voltage_v
        if elapsed_s > COUNTED_S_MAX or energy_wh != energy_wh:
            return
        counters = self.counters
        if charge_ah > 0.0:
            counters.discharged_ah += charge_ah
            counters.discharged_wh += energy_wh
        else:
            counters.charged_ah -= charge_ah
            counters.charged_wh -= energy_wh

    def closed(self, main_closed: bool | None) -> bool:
        """True when the feedback of the main contactor went from open to closed; None = not heard."""
        closed = main_closed is True and self._main_closed is False
        self._main_closed = self._main_closed if main_closed is None else main_closed
        self.counters.contactor_closings += closed
        return closed
