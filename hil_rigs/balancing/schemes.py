"""Who chooses the cells that bleed: the controller's own estimator and balancer, or a plain comparison of voltages."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from bms.balance import Balancer
from bms.estimate.soc import RackSoc
from bms.site import Balancing
from bms.summary import summarise_rack
from drivers.readings import Flags, RackReading
from hil_rigs.balancing.string import CELL, CELLS, CELLS_PER_MODULE
from kernels.parameters import load_cell, load_tables

PLAIN_ABOVE_V, PLAIN_VOLTAGE_V_MIN = 0.010, 3.30
PLAIN_REST_S, PLAIN_REST_A = 1800.0, 2.8
"""As open BMS firmware has them for LFP (Libre Solar bms-firmware, bms_init_config: 10 mV, 3.30 V, half an hour of
rest). Rest is a hundredth of the capacity in amperes here."""


class Scheme(Protocol):
    def choose(self, reading: RackReading, dt_s: float) -> Flags:
        """Cells that bleed until the next reading."""


class Ours:
    """The controller's classes with the settings that a site file has by default."""

    def __init__(self) -> None:
        self._soc = RackSoc(load_tables(CELL), CELLS, current_age_s_max=1.0)
        self._balancer = Balancer(Balancing(), load_cell(CELL).capacity_ah, CELLS, CELLS_PER_MODULE)

    def choose(self, reading: RackReading, dt_s: float) -> Flags:
        summary = summarise_rack(reading, 0)
        self._soc.step(reading, summary, dt_s)
        return self._balancer.choose(reading, summary, self._soc, False, dt_s)


class Plain:
    """The usual kind: bleed every cell that is 10 mV above the lowest and above 3.30 V, after `rest_s` without load."""

    def __init__(self, rest_s: float) -> None:
        self._rest_s = rest_s
        self._rested_s = 0.0

    def choose(self, reading: RackReading, dt_s: float) -> Flags:
        self._rested_s = self._rested_s + dt_s if abs(reading.current_a) < PLAIN_REST_A else 0.0
        voltage_v = reading.voltage_v
        high = (voltage_v > PLAIN_VOLTAGE_V_MIN) & (voltage_v - voltage_v.min() > PLAIN_ABOVE_V)
        chosen: Flags = (high & (self._rested_s >= self._rest_s)).astype(np.uint8)
        return chosen


SCHEMES: dict[str, Callable[[], Scheme]] = {
    "ours": Ours,
    "plain": lambda: Plain(0.0),
    "plain at rest": lambda: Plain(PLAIN_REST_S),
}
