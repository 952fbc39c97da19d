"""The BMS of a simulated rack that moves its contactors itself: asked to connect, it precharges, checks and closes."""

from dataclasses import dataclass
from typing import Protocol

from drivers.readings import RackOwnFault

PRECHARGE_S_MAX, OPEN_S_MAX = 5.0, 0.3
MATCH_FRAC, CURRENT_A_MAX = 0.01, 5.0
FLAT_FRAC, FLAT_S = 0.05, 0.5
"""A link below this share of the rack's voltage after so long is shorted if current flows, else not connected."""


class Contactors(Protocol):
    """What it senses and drives; hil_rigs.plant.RackPlant is one."""

    @property
    def main_closed(self) -> bool: ...
    @property
    def precharge_closed(self) -> bool: ...
    @property
    def voltage_v(self) -> float: ...
    @property
    def link_voltage_v(self) -> float: ...
    def command(self, main: bool, precharge: bool) -> None: ...
    def measured_current_a(self) -> float: ...


@dataclass(slots=True)
class RackControlFaults:
    """Set at any time. `ignores`: requests to connect have no effect; `refuses`: it says so."""

    ignores: bool = False
    refuses: bool = False


class RackControl:
    """`request` what the controller wants, `step` it every few ms. `fault` stays until the request is withdrawn.
    `precharges` False: somebody else brings the link to the rack's voltage, which it awaits."""

    def __init__(self, rack: Contactors, *, precharges: bool) -> None:
        self.faults = RackControlFaults()
        self.fault = RackOwnFault.NONE
        self._rack = rack
        self._precharges = precharges
        self._wanted = False
        self._since_ns: int | None = None

    def request(self, connect: bool, now: int) -> None:
        """`now` in ns; the same request again changes nothing."""
        if connect != self._wanted and not (connect and self.faults.ignores):
            self._wanted, self._since_ns = connect, now
            self.fault = RackOwnFault.REFUSED if connect and self.faults.refuses else RackOwnFault.NONE

    def step(self, now: int) -> None:
        """Move on; gives up after its bounded times."""
        if self._since_ns is None or self.fault is not RackOwnFault.NONE:
            return
        waited_s = (now - self._since_ns) / 1e9
        found = self._connect(waited_s) if self._wanted else self._disconnect(waited_s)
        if found is not RackOwnFault.NONE:
            self.fault = found
            self._rack.command(False, False)

    def _connect(self, waited_s: float) -> RackOwnFault:
        rack = self._rack
        if rack.main_closed:
            rack.command(True, False)
            self._since_ns = None
            return RackOwnFault.NONE
        if self._matched():
            rack.command(True, self._precharges)
        elif self._precharges:
            rack.command(False, True)
        return self._gave_up(waited_s)

    def _gave_up(self, waited_s: float) -> RackOwnFault:
        rack = self._rack
        flat = rack.link_voltage_v < FLAT_FRAC * rack.voltage_v
        if waited_s > FLAT_S and flat and abs(rack.measured_current_a()) > CURRENT_A_MAX:
            return RackOwnFault.PRECHARGE_SHORT
        if waited_s <= PRECHARGE_S_MAX:
            return RackOwnFault.NONE
        if self._matched():
            return RackOwnFault.MAIN_STUCK_OPEN
        return RackOwnFault.PRECHARGE_OPEN if flat else RackOwnFault.PRECHARGE_TIMEOUT

    def _disconnect(self, waited_s: float) -> RackOwnFault:
        self._rack.command(False, False)
        if not self._rack.main_closed and not self._rack.precharge_closed:
            self._since_ns = None
        elif waited_s > OPEN_S_MAX:
            return RackOwnFault.MAIN_WELDED if self._rack.main_closed else RackOwnFault.PRECHARGE_WELDED
        return RackOwnFault.NONE

    def _matched(self) -> bool:
        rack = self._rack
        close = abs(rack.voltage_v - rack.link_voltage_v) < MATCH_FRAC * rack.voltage_v
        return close and abs(rack.measured_current_a()) < CURRENT_A_MAX
