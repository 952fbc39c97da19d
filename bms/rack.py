"""One rack's contactors as tables: from which mode, on what, into which mode. Start at TABLE."""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from bms.decision import Contactors
from bms.feedback import CHATTER_EDGES, EdgeCount
from bms.site import Precharge, Rack
from drivers.readings import RackOwnFault

FEEDBACK_S = 0.5
"""A contactor's feedback must follow its command within this time."""

ONLINE_FEEDBACK_S = 0.1
"""A closed contactor that says open for so long has opened by itself, or its feedback is lost."""

CONVERTER_FRAC = 0.03
"""Share by which the converter's own DC voltage may differ from the rack's before the main contactor closes."""

REFILL_CURRENT_A_MAX, REFILL_S_MAX = 40.0, 24.0 * 3600.0
"""More never flows through a precharge resistor into an empty rack, and no refill takes longer."""

SHORT_S, SHORT_FRAC = 0.5, 0.05
"""A link that is still below this share of the rack's voltage after so long is shorted, or not connected at all."""


class RackMode(StrEnum):
    """FOUND_CLOSED: its feedback says closed although nobody here closed it, as after a restart under load. LINK: the
    converter precharges the DC link, the rack's contactors are open. REQUESTED: the rack's own BMS was asked to connect
    it, and precharges and closes by itself. DERATED: online, while a fault of its own narrows what it may carry.
    MAINTENANCE and STRIP: out of service. REFILL: of zinc, empty after its strip, it takes charge from the live link
    through its precharge resistor until it fits there. ENTERING: it then closes, while power goes on flowing.

    `online`: carries current. `connected`: the contactors are, or may still be, connected to the DC link."""

    online: bool
    joining: bool
    connected: bool

    OFF = "off"
    FOUND_CLOSED = "found closed"
    STANDBY = "standby"
    PRECHARGE = "precharge"
    LINK = "link precharge"
    REQUESTED = "requested"
    CLOSING = "closing"
    ONLINE = "online"
    DERATED = "derated"
    OPENING = "opening"
    LOCKED = "locked"
    MAINTENANCE = "maintenance"
    STRIP = "strip"
    REFILL = "refill"
    ENTERING = "entering"

    def __init__(self, word: str) -> None:
        self.online = word in ("online", "derated")
        self.joining = word in ("precharge", "link precharge", "requested", "closing")
        self.connected = self.online or self.joining or word in ("found closed", "opening", "refill", "entering")


class RackInputs(NamedTuple):
    """What the machine sees in one tick. `join`: this rack may connect now; `open`: it must disconnect now;
    `out_of_service`: the mode that somebody wants it to stay in. `main_closed` and `precharge_closed`: fresh feedback,
    None while there is none (a rack that opens then goes on opening, unjudged). `converter_voltage_v` and
    `converter_current_a` are the converter's at the DC link, NaN where it does not say; `own_fault` is what the rack's
    own BMS says; `forming`: the converter makes the grid from what is connected; `refill`: it may take
    charge from the live link beside the others, and `enter` beside them as soon as it fits."""

    ready: bool
    join: bool
    open: bool
    current_a: float
    rack_voltage_v: float
    link_voltage_v: float
    main_closed: bool | None
    precharge_closed: bool | None = None
    derated: bool = False
    out_of_service: RackMode | None = None
    converter_voltage_v: float = math.nan
    converter_current_a: float = math.nan
    own_fault: RackOwnFault = RackOwnFault.NONE
    forming: bool = False
    refill: bool = False
    enter: bool = False


OPEN, MAIN = Contactors(False, False), Contactors(True, False)
CONTACTORS = {
    RackMode.FOUND_CLOSED: MAIN,
    RackMode.PRECHARGE: Contactors(False, True),
    RackMode.CLOSING: Contactors(True, True),
    RackMode.ONLINE: MAIN,
    RackMode.DERATED: MAIN,
    RackMode.REFILL: Contactors(False, True),
    RackMode.ENTERING: Contactors(True, True),
}
"""What each mode commands where the rack precharges by the gateway's command; the others: both open."""

NO_PRECHARGE = {**CONTACTORS, RackMode.PRECHARGE: OPEN, RackMode.CLOSING: MAIN, RackMode.REQUESTED: MAIN}
"""Where somebody else precharges. To a rack that owns its contactors, the main contactor's command is the request."""


class RackMachine:
    """Call `step` once a tick, then read `mode` and `contactors`. `fault` is set for one tick when it finds one."""

    def __init__(self, config: Precharge, way: "Way | None" = None) -> None:
        """`way`: how it joins, by the gateway's precharge unless given."""
        self.config = config
        self.way: Way = way or BY_GATEWAY
        self.inputs: RackInputs = RackInputs(False, False, False, 0.0, 0.0, 0.0, None)
        self.in_mode_s: float = 0.0
        self.tries: int = 0
        self.contradicted_s: float = 0.0
        self.mode: RackMode = RackMode.OFF
        self.fault: tuple[str, str] | None = None
        self.seen_open: bool = False
        self.seen_precharge: bool = False
        self._heard = False
        self._edges = EdgeCount()

    @property
    def contactors(self) -> Contactors | None:
        """What to command; None = nothing: as long as nobody ever heard how the contactors stand, and to a rack that
        has opened by itself, which closed again would meet the DC link without a precharge."""
        return self.way.contactors.get(self.mode, OPEN) if self._heard and not self._opened_itself else None

    @property
    def _opened_itself(self) -> bool:
        """Its contactor says so, and no current says that it does not."""
        it = self.inputs
        return self.mode.online and it.main_closed is False and abs(it.current_a) < self.config.current_a_max

    @property
    def connected(self) -> bool:
        return self.mode.connected

    @property
    def may_carry(self) -> bool:
        """Connected, or closed by its own word although it should not be."""
        return self.connected or (self.inputs.main_closed is True and self.contradicted_s > ONLINE_FEEDBACK_S)

    def unlock(self) -> None:
        """Somebody reset its fault: begin anew, from how its contactors say they stand."""
        if self.mode is RackMode.LOCKED:
            self.mode, self.in_mode_s, self.tries = RackMode.OFF, 0.0, 0

    def step(self, inputs: RackInputs, dt_s: float) -> None:
        """One tick: the first rule of the mode that applies is followed."""
        self.inputs, self.fault = inputs, None
        self.in_mode_s += dt_s
        self._heard |= inputs.main_closed is not None
        self.seen_open = not self.connected and (self.seen_open or inputs.main_closed is False)
        self.seen_precharge = self.mode is RackMode.REQUESTED and (
            self.seen_precharge or inputs.precharge_closed is True
        )
        wrong = (self.mode.online and inputs.main_closed is False) or (
            not self.connected and inputs.main_closed is True
        )
        self.contradicted_s = self.contradicted_s + dt_s if wrong else 0.0
        edges = self._edges.step(inputs.main_closed, self.mode in COMMANDED, dt_s)
        for rule in self.way.table[self.mode]:
            if rule.when(self):
                self._follow(rule)
                break
        if edges > CHATTER_EDGES and self.fault is None:
            self.fault = ("contactor_chatter", f"main contactor changed {edges:.0f} times within seconds")
            self._edges = EdgeCount()

    def _follow(self, rule: "Rule") -> None:
        self.tries = 0 if rule.then.online else self.tries + rule.counts_try
        if rule.fault:
            self.fault = (rule.fault, rule.detail.format(self=self, inputs=self.inputs))
        if rule.then is not self.mode:
            self.mode, self.in_mode_s, self.contradicted_s = rule.then, 0.0, 0.0


COMMANDED = (RackMode.REQUESTED, RackMode.CLOSING, RackMode.ENTERING, RackMode.OPENING)
"""Modes in which the main contactor is told to move."""


class Rule(NamedTuple):
    """`then`: the next mode. `fault`, `detail`: what is reported with it. `counts_try`: a precharge came to nothing."""

    when: Callable[[RackMachine], bool]
    then: RackMode
    fault: str = ""
    detail: str = ""
    counts_try: bool = False


def _open(it: RackMachine) -> bool:
    return it.inputs.open or it.inputs.out_of_service is not None


def _is_closed(it: RackMachine) -> bool:
    return it.inputs.main_closed is True


def _is_open(it: RackMachine) -> bool:
    return it.inputs.main_closed is False


def _all_open(it: RackMachine) -> bool:
    return it.inputs.main_closed is False and it.inputs.precharge_closed is not True


def _overdue(it: RackMachine) -> bool:
    return it.in_mode_s > FEEDBACK_S


def _open_overdue(it: RackMachine) -> bool:
    return it.in_mode_s > it.way.open_s


def _request_overdue(it: RackMachine) -> bool:
    return it.in_mode_s > it.way.connect_s


def _closed_by_itself(it: RackMachine) -> bool:
    return it.seen_open and it.contradicted_s > FEEDBACK_S


def _link_is_flat(it: RackMachine) -> bool:
    return it.in_mode_s > SHORT_S and it.inputs.link_voltage_v < SHORT_FRAC * it.inputs.rack_voltage_v


def _shorted(it: RackMachine) -> bool:
    return _link_is_flat(it) and abs(it.inputs.current_a) > it.config.current_a_max


def _precharged(it: RackMachine) -> bool:
    apart_v = abs(it.inputs.rack_voltage_v - it.inputs.link_voltage_v)
    close = apart_v < it.config.voltage_tolerance_frac * it.inputs.rack_voltage_v
    return close and abs(it.inputs.current_a) < it.config.current_a_max


def _link_takes_current(it: RackMachine) -> bool:
    """From the converter that precharges it, without its voltage."""
    return _link_is_flat(it) and abs(it.inputs.converter_current_a) > it.config.current_a_max


def _link_ready(it: RackMachine) -> bool:
    """As `_precharged`, and the converter's own measurements, where it has any, say the same."""
    off_v = abs(it.inputs.converter_voltage_v - it.inputs.rack_voltage_v)
    disagrees = off_v > CONVERTER_FRAC * it.inputs.rack_voltage_v
    feeds = abs(it.inputs.converter_current_a) > it.config.current_a_max
    return _precharged(it) and not disagrees and not feeds


def _ignored(it: RackMachine) -> bool:
    """Neither a precharge nor a word of its own BMS."""
    return _request_overdue(it) and not it.seen_precharge


def _refill_too_strong(it: RackMachine) -> bool:
    return abs(it.inputs.current_a) > REFILL_CURRENT_A_MAX


def _refill_overdue(it: RackMachine) -> bool:
    return it.in_mode_s > REFILL_S_MAX


def _given_up(it: RackMachine) -> bool:
    return it.in_mode_s > it.config.timeout_s


def _last_try(it: RackMachine) -> bool:
    return _given_up(it) and it.tries + 1 >= it.config.tries


M = RackMode
CLOSED_BY_ITSELF = Rule(_closed_by_itself, M.LOCKED, "contactor_closed_itself", "main contactor says closed")
LEAVE = Rule(_open, M.OPENING)
GO_OUT = (
    Rule(lambda it: it.inputs.out_of_service is M.MAINTENANCE, M.MAINTENANCE),
    Rule(lambda it: it.inputs.out_of_service is M.STRIP, M.STRIP),
)
TOO_FAR_V = "link {inputs.link_voltage_v:.1f} V of {inputs.rack_voltage_v:.1f} V, {inputs.current_a:.1f} A"
OPENED_ITSELF = "main contactor says open while it should be closed"
NOT_MATCHED = TOO_FAR_V + ", converter {inputs.converter_voltage_v:.1f} V"


def _stand_by(joins: RackMode, *more: Rule) -> tuple[Rule, ...]:
    """STANDBY; `joins`: the mode in which joining begins."""
    return (
        CLOSED_BY_ITSELF,
        *GO_OUT,
        Rule(lambda it: not it.inputs.ready, M.OFF),
        *more,
        Rule(lambda it: it.inputs.join and not it.inputs.open, joins),
    )


def _link(then: RackMode) -> tuple[Rule, ...]:
    """LINK; `then`: the mode that follows once the link has the rack's voltage."""
    return (
        LEAVE,
        Rule(_is_closed, M.LOCKED, "contactor_closed_itself", "main contactor says closed"),
        Rule(_link_takes_current, M.LOCKED, "precharge_short", NOT_MATCHED),
        Rule(_link_ready, then),
        Rule(lambda it: _last_try(it) and _link_is_flat(it), M.LOCKED, "precharge_open", NOT_MATCHED),
        Rule(_last_try, M.LOCKED, "precharge_timeout", NOT_MATCHED),
        Rule(_given_up, M.STANDBY, counts_try=True),
    )


def _says(own: RackOwnFault, fault_id: str) -> Rule:
    """The rack's own BMS gave up."""
    return Rule(lambda it: it.inputs.own_fault is own, M.LOCKED, fault_id, f"its own BMS says: {own}")


OWN_FAULTS = (
    _says(RackOwnFault.PRECHARGE_SHORT, "precharge_short"),
    _says(RackOwnFault.PRECHARGE_OPEN, "precharge_open"),
    _says(RackOwnFault.PRECHARGE_TIMEOUT, "precharge_timeout"),
    _says(RackOwnFault.MAIN_STUCK_OPEN, "contactor_stuck_open"),
    _says(RackOwnFault.MAIN_WELDED, "contactor_welded"),
    _says(RackOwnFault.PRECHARGE_WELDED, "precharge_welded"),
    _says(RackOwnFault.REFUSED, "contactor_request_refused"),
)
"""Most are the same faults that the gateway finds where the contactors are its own."""

TABLE: dict[RackMode, tuple[Rule, ...]] = {
    M.OFF: (
        Rule(lambda it: _is_closed(it) and not it.seen_open, M.FOUND_CLOSED),
        CLOSED_BY_ITSELF,
        *GO_OUT,
        Rule(lambda it: it.inputs.ready, M.STANDBY),
    ),
    M.FOUND_CLOSED: (
        Rule(_is_open, M.STANDBY),
        # An island whose controller came back: opening would black it out.
        Rule(lambda it: it.inputs.forming and it.inputs.ready and _is_closed(it) and not _open(it), M.ONLINE),
        LEAVE,
    ),
    M.STANDBY: _stand_by(M.PRECHARGE, Rule(lambda it: it.inputs.refill and not it.inputs.open, M.REFILL)),
    M.PRECHARGE: (
        LEAVE,
        Rule(_shorted, M.LOCKED, "precharge_short", TOO_FAR_V),
        Rule(_precharged, M.CLOSING),
        Rule(lambda it: _last_try(it) and _link_is_flat(it), M.LOCKED, "precharge_open", TOO_FAR_V),
        Rule(_last_try, M.LOCKED, "precharge_timeout", TOO_FAR_V),
        Rule(_given_up, M.STANDBY, counts_try=True),
    ),
    M.LINK: _link(M.CLOSING),
    M.REQUESTED: (
        LEAVE,
        Rule(_is_closed, M.ONLINE),
        *OWN_FAULTS,
        Rule(_ignored, M.LOCKED, "contactor_request_ignored", TOO_FAR_V),
        Rule(
            lambda it: _request_overdue(it) and _precharged(it),
            M.LOCKED, "contactor_stuck_open", "main contactor did not close",
        ),
        Rule(lambda it: _request_overdue(it) and _shorted(it), M.LOCKED, "precharge_short", TOO_FAR_V),
        Rule(lambda it: _request_overdue(it) and _link_is_flat(it), M.LOCKED, "precharge_open", TOO_FAR_V),
        Rule(_request_overdue, M.LOCKED, "precharge_timeout", TOO_FAR_V),
    ),
    M.CLOSING: (
        LEAVE,
        Rule(_is_closed, M.ONLINE),
        Rule(_overdue, M.LOCKED, "contactor_stuck_open", "main contactor did not close"),
    ),
    M.ONLINE: (
        LEAVE,
        # Not opened here: it may be closed all the same and carry current. The fault opens it in order.
        Rule(lambda it: it.contradicted_s > ONLINE_FEEDBACK_S, M.ONLINE, "contactor_opened_itself", OPENED_ITSELF),
        Rule(lambda it: it.inputs.derated, M.DERATED),
    ),
    M.DERATED: (
        LEAVE,
        Rule(lambda it: it.contradicted_s > ONLINE_FEEDBACK_S, M.DERATED, "contactor_opened_itself", OPENED_ITSELF),
        Rule(lambda it: not it.inputs.derated, M.ONLINE),
    ),
    M.OPENING: (
        Rule(_all_open, M.STANDBY),
        Rule(
            lambda it: _open_overdue(it) and _is_closed(it),
            M.LOCKED, "contactor_welded", "main contactor still says closed",
        ),
        Rule(
            lambda it: _open_overdue(it) and it.inputs.precharge_closed is True,
            M.LOCKED, "precharge_welded", "precharge contactor still says closed",
        ),
    ),
    M.LOCKED: (CLOSED_BY_ITSELF,),
    M.MAINTENANCE: (
        CLOSED_BY_ITSELF,
        Rule(lambda it: it.inputs.out_of_service is not M.MAINTENANCE, M.OFF),
    ),
    M.STRIP: (
        CLOSED_BY_ITSELF,
        Rule(lambda it: it.inputs.out_of_service is not M.STRIP, M.OFF),
    ),
    M.REFILL: (
        LEAVE,
        Rule(lambda it: not it.inputs.refill or not it.inputs.ready, M.OPENING),
        Rule(_is_closed, M.LOCKED, "contactor_closed_itself", "main contactor says closed"),
        Rule(_refill_too_strong, M.LOCKED, "precharge_short", TOO_FAR_V),
        Rule(_refill_overdue, M.LOCKED, "precharge_timeout", TOO_FAR_V),
        Rule(lambda it: it.inputs.enter, M.ENTERING),
    ),
    M.ENTERING: (
        LEAVE,
        Rule(_is_closed, M.ONLINE),
        Rule(_overdue, M.LOCKED, "contactor_stuck_open", "main contactor did not close"),
    ),
}  # fmt: skip
"""The first rule that applies is followed; none = stay. As it is where the gateway owns contactors and precharge."""


class Way(NamedTuple):
    """How one rack joins and leaves: its rules, what each mode commands, and how long the contactors may take:
    `connect_s` from a request to closed, `open_s` to open."""

    table: Mapping[RackMode, tuple[Rule, ...]] = TABLE
    contactors: Mapping[RackMode, Contactors] = CONTACTORS
    connect_s: float = FEEDBACK_S
    open_s: float = FEEDBACK_S


BY_GATEWAY = Way()
LINK_TABLE = {**TABLE, M.STANDBY: _stand_by(M.LINK)}
REQUEST_TABLE = {**TABLE, M.STANDBY: _stand_by(M.REQUESTED)}
LINK_REQUEST_TABLE = {**TABLE, M.STANDBY: _stand_by(M.LINK), M.LINK: _link(M.REQUESTED)}


ALWAYS_THERE: dict[RackMode, tuple[Rule, ...]] = {
    **TABLE,
    M.OFF: (*GO_OUT, Rule(lambda it: it.inputs.ready, M.STANDBY)),
    M.STANDBY: (
        *GO_OUT,
        Rule(lambda it: not it.inputs.ready, M.OFF),
        Rule(lambda it: it.inputs.join and not it.inputs.open, M.ONLINE),
    ),
    M.ONLINE: (LEAVE, Rule(lambda it: it.inputs.derated, M.DERATED)),
    M.DERATED: (LEAVE, Rule(lambda it: not it.inputs.derated, M.ONLINE)),
    M.OPENING: (Rule(lambda it: True, M.STANDBY),),
}
"""A battery that moves its contactors when it thinks fit and does not say how they stand: it is online as long as it is
used, and left once the converter stands."""
BY_ITSELF = Way(ALWAYS_THERE)


def way_of(rack: Rack, precharge: Precharge) -> Way:
    """As the site file says who owns the rack's contactors and who precharges."""
    if rack.monitor == "low-voltage":
        return BY_ITSELF
    if rack.contactors == "rack":
        table = LINK_REQUEST_TABLE if precharge.by == "inverter" else REQUEST_TABLE
        return Way(table, NO_PRECHARGE, rack.connect_s_max, rack.disconnect_s_max)
    return Way(LINK_TABLE, NO_PRECHARGE) if precharge.by == "inverter" else BY_GATEWAY
