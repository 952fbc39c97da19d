"""One rack's contactors as a table-driven state machine: off, standby, precharge, closing, online, opening, locked."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from bms.decision import Contactors
from bms.site import Precharge

FEEDBACK_S = 0.5
"""A contactor's feedback must follow its command within this time."""


ONLINE_FEEDBACK_S = 0.1
"""A closed contactor that says open for so long has opened by itself, or its feedback is lost."""


class RackMode(StrEnum):
    """FOUND_CLOSED: its feedback says closed although nobody here closed it, as after a restart under load."""

    OFF = "off"
    FOUND_CLOSED = "found closed"
    STANDBY = "standby"
    PRECHARGE = "precharge"
    CLOSING = "closing"
    ONLINE = "online"
    OPENING = "opening"
    LOCKED = "locked"


class RackInputs(NamedTuple):
    """What the machine sees in one tick. `join`: this rack may connect now; `open`: it must disconnect now;
    `main_closed`: fresh feedback, None while there is none (a rack that opens then goes on opening, unjudged)."""

    ready: bool
    join: bool
    open: bool
    current_a: float
    rack_voltage_v: float
    link_voltage_v: float
    main_closed: bool | None


CONTACTORS = {
    RackMode.OFF: Contactors(False, False),
    RackMode.FOUND_CLOSED: Contactors(True, False),
    RackMode.STANDBY: Contactors(False, False),
    RackMode.PRECHARGE: Contactors(False, True),
    RackMode.CLOSING: Contactors(True, True),
    RackMode.ONLINE: Contactors(True, False),
    RackMode.OPENING: Contactors(False, False),
    RackMode.LOCKED: Contactors(False, False),
}

CONTRADICTIONS = {RackMode.STANDBY: True, RackMode.ONLINE: False}
"""Feedback of the main contactor that means it does not stand as commanded."""


class RackMachine:
    """Call `step` once a tick, then read `mode` and `contactors`. `fault` is set for one tick when it finds one."""

    def __init__(self, config: Precharge) -> None:
        self._config = config
        self._in_mode_s = 0.0
        self._tries = 0
        self._contradicted_s = 0.0
        self._heard = False
        self.mode = RackMode.OFF
        self.fault: tuple[str, str] | None = None

    @property
    def contactors(self) -> Contactors | None:
        """What to command; None = nothing, as long as nobody ever heard how the contactors stand."""
        return CONTACTORS[self.mode] if self._heard else None

    @property
    def connected(self) -> bool:
        """Its contactors are, or may still be, connected to the DC link."""
        return self.mode not in (RackMode.OFF, RackMode.STANDBY, RackMode.LOCKED)

    def unlock(self) -> None:
        """Somebody reset its fault: begin anew, from how its contactors say they stand."""
        if self.mode is RackMode.LOCKED:
            self.mode, self._in_mode_s, self._tries = RackMode.OFF, 0.0, 0

    def step(self, inputs: RackInputs, dt_s: float) -> None:
        self.fault = None
        self._in_mode_s += dt_s
        self._heard |= inputs.main_closed is not None
        self._contradicted_s = self._contradicted_s + dt_s if self._contradicted(inputs) else 0.0
        following = _STEPS[self.mode](self, inputs)
        if following is not self.mode:
            self.mode = following
            self._in_mode_s = 0.0

    def _contradicted(self, inputs: RackInputs) -> bool:
        """The main contactor says something else than it is commanded."""
        return inputs.main_closed is CONTRADICTIONS.get(self.mode, ...)

    def _off(self, inputs: RackInputs) -> RackMode:
        if inputs.main_closed:
            return RackMode.FOUND_CLOSED
        return RackMode.STANDBY if inputs.ready else RackMode.OFF

    def _found_closed(self, inputs: RackInputs) -> RackMode:
        if inputs.main_closed is False:
            return RackMode.STANDBY
        return RackMode.OPENING if inputs.open else RackMode.FOUND_CLOSED

    def _standby(self, inputs: RackInputs) -> RackMode:
        if self._contradicted_s > FEEDBACK_S:
            return self._lock("contactor_mismatch", "main contactor closed by itself")
        if not inputs.ready:
            return RackMode.OFF
        return RackMode.PRECHARGE if inputs.join and not inputs.open else RackMode.STANDBY

    def _precharge(self, inputs: RackInputs) -> RackMode:
        if inputs.open:
            return RackMode.OPENING
        difference_v = abs(inputs.rack_voltage_v - inputs.link_voltage_v)
        settled = difference_v < self._config.voltage_tolerance_frac * inputs.rack_voltage_v
        if settled and abs(inputs.current_a) < self._config.current_a_max:
            return RackMode.CLOSING
        if self._in_mode_s < self._config.timeout_s:
            return RackMode.PRECHARGE
        self._tries += 1
        if self._tries < self._config.tries:
            return RackMode.STANDBY
        return self._lock("precharge_failed", f"{difference_v:.1f} V short after {self._tries} tries")

    def _closing(self, inputs: RackInputs) -> RackMode:
        if inputs.open:
            return RackMode.OPENING
        if inputs.main_closed:
            self._tries = 0
            return RackMode.ONLINE
        if self._in_mode_s < FEEDBACK_S:
            return RackMode.CLOSING
        return self._lock("contactor_mismatch", "main contactor did not close")

    def _online(self, inputs: RackInputs) -> RackMode:
        if inputs.open:
            return RackMode.OPENING
        if self._contradicted_s > ONLINE_FEEDBACK_S:
            # Not opened here: it may be closed all the same and carry current. The fault opens it in order.
            self.fault = ("contactor_mismatch", "main contactor says open while it should be closed")
        return RackMode.ONLINE

    def _opening(self, inputs: RackInputs) -> RackMode:
        if inputs.main_closed is False:
            return RackMode.STANDBY
        if inputs.main_closed is None or self._in_mode_s < FEEDBACK_S:
            return RackMode.OPENING
        return self._lock("contactor_mismatch", "main contactor did not report open")

    def _locked(self, inputs: RackInputs) -> RackMode:
        return RackMode.LOCKED

    def _lock(self, fault_id: str, detail: str) -> RackMode:
        self.fault = (fault_id, detail)
        return RackMode.LOCKED


_STEPS: dict[RackMode, Callable[[RackMachine, RackInputs], RackMode]] = {
    RackMode.OFF: RackMachine._off,
    RackMode.FOUND_CLOSED: RackMachine._found_closed,
    RackMode.STANDBY: RackMachine._standby,
    RackMode.PRECHARGE: RackMachine._precharge,
    RackMode.CLOSING: RackMachine._closing,
    RackMode.ONLINE: RackMachine._online,
    RackMode.OPENING: RackMachine._opening,
    RackMode.LOCKED: RackMachine._locked,
}
