"""All racks on one DC link: they join one by one and leave alone, the converter starts last and stops first."""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from bms.decision import Contactors
from bms.image import Image
from bms.joining import REJOIN_S_MIN, JoinWindow, Rejoin
from bms.protect.conditions import COMMAND_AGE_S_MAX
from bms.protect.faults import MAINTENANCE
from bms.protect.protection import Protected
from bms.rack import RackInputs, RackMachine, RackMode, way_of
from bms.site import Site
from bms.summary import RackSummary, Summary
from drivers.readings import InverterState, RackOwnFault, RackReading

OPEN_WAIT_S = 2.0
"""Bounded wait for the current to fall below break current; then the contactors open anyway."""

OPEN_PROVEN_WAIT_S = 10.0
"""The same for a lost converter, whose reversion timer needs 1-2 s to stop it."""

CURRENT_PROOF_AGE_S = 0.05
"""An older current of a rack's own sensor, which speaks every 10 ms, proves nothing: the converter's counts then."""

CURRENT_LATE_S = 0.02
"""A current that is not so much younger than the converter's word that it stands may be what flowed before, or while
the DC link settled (three time constants of 20 mF behind 0.3 ohm), when racks that are unequal begin to feed each
other."""

WAIT_FOR_OTHERS_S = 30.0
"""The converter starts without racks that neither join nor have a fault for so long."""

CANNOT_JOIN_S = 60.0

PART_S = 0.3
"""A rack that leaves beside a running converter is out of the limits so long before it opens."""

UNPROVEN_S = 1.0
"""A rack that is overdue in opening for so long and does not say that it did: the others leave it alone."""

HEAR_S = 2.0
"""So long after the start racks that are found closed wait for the converter's word: it may be making the grid."""

STOPPED = (InverterState.OFF, InverterState.SLEEPING, InverterState.STANDBY, InverterState.FAULT)
"""States of a converter whose power stage is blocked."""

REFILLING = (RackMode.REFILL, RackMode.ENTERING)

WORKING = (InverterState.RUNNING, InverterState.THROTTLED)


class Mode(StrEnum):
    """State of the battery as a whole."""

    OFF = "off"
    STANDBY = "standby"
    CONNECTING = "connecting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FAULT = "fault"
    MAINTENANCE = "maintenance"
    """Nothing but that somebody took every rack out of service keeps them open."""


class BatteryState(NamedTuple):
    """Outcome of one tick: contactors per rack, converter run and whether power may flow."""

    mode: Mode
    rack_modes: tuple[RackMode, ...]
    contactors: tuple[Contactors | None, ...]
    run: bool
    power_allowed: bool
    faults: tuple[tuple[str, str, str], ...]
    """(fault id, rack, detail) that the machines found in this tick."""
    parting: tuple[bool, ...] = ()
    """Racks that are to leave while the others go on: nobody counts on them any more."""

    def counts(self, index: int) -> bool:
        """This rack is online, and to stay so."""
        return self.rack_modes[index].online and not (self.parting and self.parting[index])


class Battery:
    """Joins and parts the racks of a site. `wanted` False takes it to open contactors in the safe order;
    `out_of_service` maps the names of racks that are to stay away to MAINTENANCE or STRIP; unless `converter_allowed`
    the converter does not start. `stripping` names the racks that are to leave for their strip, and `refills` says that
    racks may be refilled: both happen while the others go on. `resistance_ohm`: each rack's."""

    def __init__(self, site: Site, resistance_ohm: Sequence[float]) -> None:
        self._site = site
        self._names = [rack.name for rack in site.racks]
        self._machines = [RackMachine(site.precharge, way_of(rack, site.precharge)) for rack in site.racks]
        self._window = JoinWindow(site.precharge, resistance_ohm)
        self._rejoins = [Rejoin() for _ in site.racks]
        self._stop_ticks = 0
        self._stopping_s = 0.0
        self._stood_s: float | None = None
        self._pause_s = 0.0
        self._running_s = 0.0
        self._waited_s = [0.0 for _ in site.racks]
        self._run = False
        self._closed = [False] * len(site.racks)
        self._by_inverter = site.precharge.by == "inverter"
        self.wanted = True
        self.converter_allowed = True
        self.out_of_service: dict[str, RackMode] = {}
        self.stripping: frozenset[str] = frozenset()
        self.refills = False
        self._parting_s = [0.0 for _ in site.racks]
        self._behind_resistor = [False for _ in site.racks]

    @property
    def open(self) -> bool:
        """No contactor is connected, and none says that it is closed."""
        return not any(machine.connected for machine in self._machines) and not any(self._closed)

    @property
    def online(self) -> bool:
        """A rack carries current, or may."""
        return bool(self._online())

    @property
    def apart(self) -> frozenset[str]:
        """Names of the racks that are not connected to the DC link, also by their own word, but for what a precharge
        resistor lets through."""
        racks = zip(self._names, self._machines, strict=True)
        return frozenset([name for name, it in racks if not it.may_carry or it.mode is RackMode.REFILL])

    @property
    def emptied(self) -> frozenset[str]:
        """Names of the racks that are empty on purpose, or are about to be."""
        racks = zip(self._names, self._machines, strict=True)
        return frozenset([name for name, it in racks if it.mode is RackMode.STRIP or it.mode in REFILLING])

    def unlock(self, rack: str) -> None:
        """A latched fault of this rack was reset."""
        self._machines[self._names.index(rack)].unlock() if rack in self._names else None

    def step(self, image: Image, summary: Summary, protected: Protected, dt_s: float) -> BatteryState:
        self._closed = [rack.main_closed is True for rack in image.racks]
        self._running_s += dt_s
        leaving = [self._must_open(index, image, protected) for index in range(len(self._machines))]
        stops = [self._stops(index) and must for index, must in enumerate(leaving)]
        stop = any(stops)
        self._count(stop, leaving, protected, dt_s)
        self._stood_s = self._stands_for(image, summary, dt_s) if stop else None
        joining = None if stop else self._next_to_join(image, leaving)
        parting = [self._parts(index, leaving[index], dt_s) for index in range(len(self._machines))]
        for index, machine in enumerate(self._machines):
            if parting[index] or self._behind_resistor[index]:
                may_open = (parting[index] or leaving[index]) and self._may_part(index, summary)
            else:
                may_open = leaving[index] and self._may_open(index, image, summary, protected, leaving)
            machine.step(self._inputs(index, image, summary, protected, index == joining, may_open), dt_s)
        return self._state(image, protected, stop, leaving, parting)

    def _must_open(self, index: int, image: Image, protected: Protected) -> bool:
        name = self._names[index]
        island = protected.forming or (image.inverter is None and self._running_s < HEAR_S)
        found = self._machines[index].mode is RackMode.FOUND_CLOSED and not island
        away = name in self.out_of_service or name in protected.open_racks
        return found or away or protected.opens or not self.wanted

    def _stops(self, index: int) -> bool:
        """Its leaving stops the converter; not that of a rack behind its precharge resistor."""
        mode = self._machines[index].mode
        self._behind_resistor[index] = mode is RackMode.REFILL or (
            mode is RackMode.OPENING and self._behind_resistor[index]
        )
        return mode.connected and not self._behind_resistor[index]

    def _parts(self, index: int, leaving: bool, dt_s: float) -> bool:
        """It is to leave for its strip, and the others carry on without it. Where they cannot, it stays."""
        mode = self._machines[index].mode
        shall = self._names[index] in self.stripping and mode.connected and not mode.joining and not leaving
        parts = shall and self._others_carry_on(index)
        self._parting_s[index] = self._parting_s[index] + dt_s if parts else 0.0
        return parts

    def _others_carry_on(self, index: int) -> bool:
        others = [other for other in self._online() if other != index and self._names[other] not in self.stripping]
        return len(others) >= self._site.precharge.racks_online_min and len(others) > 0

    def _may_part(self, index: int, summary: Summary) -> bool:
        """Nobody counts on it any more, and its contactors break what it carries by its own fresh word. Else it waits:
        nothing is wrong with it."""
        rack, break_a = summary.racks[index], self._site.racks[index].contactor_break_current_a
        counted = self._machines[index].mode.online and self._parting_s[index] < PART_S
        return not counted and rack.current_age_s < CURRENT_PROOF_AGE_S and abs(rack.current_a) < break_a

    def _may_refill(self, index: int, protected: Protected) -> bool:
        """From a link that others hold and the converter uses; one rack at a time."""
        if not self.refills or not self._run:
            return False
        name, modes = self._names[index], [machine.mode for machine in self._machines]
        busy = any(mode.joining or mode in REFILLING for other, mode in enumerate(modes) if other != index)
        wanted = not busy and not self._rejoins[index].held
        away = name in self.stripping or name in self.out_of_service or name in protected.open_racks
        return wanted and not away and any(other != index for other in self._online())

    def _inputs(
        self, index: int, image: Image, summary: Summary, protected: Protected, join: bool, may_open: bool
    ) -> RackInputs:
        rack, rack_summary, name = image.racks[index], summary.racks[index], self._names[index]
        limits = self._site.limits
        heard = rack_summary.io_age_s < limits.cell_data_age_s_max
        # A rack that this controller has not told anything yet is not deaf: its command is a dead controller's.
        told = self._machines[index].contactors is not None
        deaf = told and rack.main_closed and rack_summary.command_age_s > COMMAND_AGE_S_MAX
        stripped = RackMode.STRIP if name in self.stripping else None
        away = None if self._machines[index].connected else self.out_of_service.get(name, stripped)
        refill = self._may_refill(index, protected)
        converter = image.inverter if summary.inverter_age_s < limits.inverter_age_s_max else None
        ready = self._ready(rack, rack_summary) and name not in protected.open_racks and not protected.opens
        # In the order of the fields: to match as many names costs more than the rest of this.
        return RackInputs(
            ready, join, may_open, rack.current_a, rack.rack_voltage_v, rack.link_voltage_v,
            rack.main_closed if heard and not deaf else None, rack.precharge_closed if heard else None,
            name in protected.derated_racks, away,
            converter.dc_voltage_v if converter else math.nan, converter.dc_current_a if converter else math.nan,
            rack.own_fault if heard else RackOwnFault.NONE, protected.forming,
            refill, refill and self._window.fits_under_load(index, self._online(), image),
        )  # fmt: skip

    def _count(self, stop: bool, leaving: Sequence[bool], protected: Protected, dt_s: float) -> None:
        self._stop_ticks = self._stop_ticks + 1 if stop else 0
        self._stopping_s = self._stopping_s + dt_s if stop else 0.0
        faulted = protected.opens or (bool(protected.open_racks) and not protected.open_racks <= self.apart)
        self._pause_s = REJOIN_S_MIN if faulted and stop else max(self._pause_s - dt_s, 0.0)
        for index, rejoin in enumerate(self._rejoins):
            own = protected.opens or self._names[index] in protected.open_racks
            rejoin.step(faulted=own, online=self._machines[index].mode.online, dt_s=dt_s)
            gone = leaving[index] or self._strips(index)
            waiting = not gone and not rejoin.held and not self._machines[index].mode.online and not stop
            self._waited_s[index] = self._waited_s[index] + dt_s if waiting else 0.0

    def _ready(self, rack: RackReading, summary: RackSummary) -> bool:
        limits = self._site.limits
        fresh = summary.voltage_age_s < limits.cell_data_age_s_max and summary.current_age_s < limits.current_age_s_max
        says = rack.battery
        there = rack.main_closed is not None
        if says is not None:
            there = says.charge_current_a_max > 0.0 or says.discharge_current_a_max > 0.0
        return summary.complete and summary.voltages_known and there and fresh

    def _may_open(
        self, index: int, image: Image, summary: Summary, protected: Protected, leaving: Sequence[bool]
    ) -> bool:
        """The converter has stopped by its own word, and since then the rack's current is below break current by its
        own sensor or else by the converter's; or it was waited long enough, and for the fuse too where the contactors
        cannot break the current. Never in the first tick, so that zero power and stop are on the wire before. Without
        haste one rack leaves after the other."""
        wait_s = OPEN_PROVEN_WAIT_S if protected.proven_only else OPEN_WAIT_S
        overdue_s = self._stopping_s - max(wait_s, self._site.inverter.reversion_s + 1.0)
        if overdue_s > 0.0:
            return overdue_s > self._site.racks[index].fuse_trip_s or not self._beyond_breaking(index, summary)
        if self._stop_ticks < 2 or not self._converter_stopped(image, summary):
            return False
        hasty = protected.opens or self._names[index] in protected.open_racks
        if not hasty and any(self._machines[other].connected for other in range(index) if leaving[other]):
            return False
        limits, break_a = self._site.limits, self._site.racks[index].contactor_break_current_a
        rack = summary.racks[index]
        if rack.current_age_s < min(limits.current_age_s_max, CURRENT_PROOF_AGE_S):
            before = self._stood_s is not None and rack.current_age_s + CURRENT_LATE_S > self._stood_s
            return not before and abs(rack.current_a) < break_a
        return image.inverter is not None and abs(image.inverter.dc_current_a) < break_a

    def _beyond_breaking(self, index: int, summary: Summary) -> bool:
        """More current flows, as far as is known, than the contactors can break."""
        most_a, rack = self._site.racks[index].contactor_current_a_max, summary.racks[index]
        known = rack.current_age_s < self._site.limits.current_age_s_max
        return most_a is not None and known and abs(rack.current_a) > most_a

    def _stands_for(self, image: Image, summary: Summary, dt_s: float) -> float | None:
        """The age of its first word in this stop that it stands; None of one that says no such thing, or nothing."""
        inverter = image.inverter
        if inverter is None or summary.inverter_age_s > self._site.limits.inverter_age_s_max:
            return None
        if inverter.state not in STOPPED:
            return None
        return summary.inverter_age_s if self._stood_s is None else self._stood_s + dt_s

    def _converter_stopped(self, image: Image, summary: Summary) -> bool:
        """A converter that does not answer cannot say; its reversion timer stops it, and the current is the proof."""
        if image.inverter is None or summary.inverter_age_s > self._site.limits.inverter_age_s_max:
            return True
        return image.inverter.state in STOPPED

    def _next_to_join(self, image: Image, leaving: Sequence[bool]) -> int | None:
        """One rack at a time, as soon as all that can are ready; beside a running converter as soon as it is."""
        modes = [machine.mode for machine in self._machines]
        if RackMode.STANDBY not in modes or any(mode.joining for mode in modes) or not self._converter_answers(image):
            return None
        can = [
            index
            for index, gone in enumerate(leaving)
            if not gone and not self._rejoins[index].held and not self._strips(index)
        ]
        candidates = [index for index in can if modes[index] is RackMode.STANDBY]
        late = any(modes[index] is RackMode.OFF and self._waited_s[index] < WAIT_FOR_OTHERS_S for index in can)
        if not candidates or (late and not self._run) or self._awaits_pause() or (self.refills and self._run):
            return None  # beside a running converter racks that may be refilled enter without a pause of power
        return self._window.next(candidates, self._online(), image)

    def _awaits_pause(self) -> bool:
        """A converter that shall precharge the link must be allowed to run."""
        return self._by_inverter and self._pause_s > 0.0 and not self._online()

    def _strips(self, index: int) -> bool:
        return self._names[index] in self.stripping

    def _online(self) -> list[int]:
        return [index for index, machine in enumerate(self._machines) if machine.mode.online]

    def _converter_answers(self, image: Image) -> bool:
        """One that the DC link feeds cannot before a rack has joined."""
        if self._site.inverter.supply == "link":
            return True
        return image.inverter is not None and image.rating is not None and image.rating.known

    def _state(
        self, image: Image, protected: Protected, stop: bool, leaving: Sequence[bool], parting: Sequence[bool]
    ) -> BatteryState:
        modes = tuple([machine.mode for machine in self._machines])
        under_way = True in [mode.joining for mode in modes]
        island = protected.forming and any(rack.main_closed is not False for rack in image.racks)
        may_run = island or self._may_run(image, modes, leaving)
        self._run = may_run and not stop
        working = image.inverter is not None and image.inverter.state in WORKING
        return BatteryState(
            mode=self._mode(modes, protected, stop, working),
            rack_modes=modes,
            contactors=tuple([machine.contactors for machine in self._machines]),
            run=self._run,
            power_allowed=self._run and working and not under_way,
            faults=(*self._found(), *self._unequal(image), *self._not_known()),
            parting=tuple(parting),
        )

    def _may_run(self, image: Image, modes: Sequence[RackMode], leaving: Sequence[bool]) -> bool:
        """Enough racks are online. The first start waits for the others, which join at 0 W beside it later."""
        online = self._online()
        if self._pause_s > 0.0 or not self.converter_allowed:
            return False
        if self._by_inverter and self._converter_precharges(modes, leaving):
            return True
        if len(online) < self._site.precharge.racks_online_min:
            return False
        return self._run or not any(
            self._waited_s[index] < WAIT_FOR_OTHERS_S and not self._rejoins[index].held
            and (modes[index] is not RackMode.STANDBY or self._window.fits(index, online, image))
            for index, mode in enumerate(modes)
            if not leaving[index] and not mode.online and mode is not RackMode.LOCKED and not self._strips(index)
        )  # fmt: skip

    def _converter_precharges(self, modes: Sequence[RackMode], leaving: Sequence[bool]) -> bool:
        """A rack joins, or will soon join the others that are too few: the link must stay charged meanwhile."""
        if any(mode.joining for mode in modes):
            return True
        soon = any(
            not leaving[index]
            and mode in (RackMode.OFF, RackMode.STANDBY)
            and self._waited_s[index] < WAIT_FOR_OTHERS_S
            for index, mode in enumerate(modes)
        )
        return self._run and bool(self._online()) and soon

    def _found(self) -> list[tuple[str, str, str]]:
        named = zip(self._names, self._machines, strict=True)
        return [(machine.fault[0], name, machine.fault[1]) for name, machine in named if machine.fault is not None]

    def _not_known(self) -> list[tuple[str, str, str]]:
        """Racks that were told to open, and nobody can say whether they did."""
        told = "told to open {:.1f} s ago, and does not say that it did"
        return [
            ("contactor_unproven", name, told.format(machine.in_mode_s))
            for name, machine in zip(self._names, self._machines, strict=True)
            if machine.mode is RackMode.OPENING and machine.in_mode_s > machine.way.open_s + UNPROVEN_S
        ]

    def _unequal(self, image: Image) -> list[tuple[str, str, str]]:
        """Racks that stand by and do not fit beside those online for a minute: somebody may have to equalise them."""
        online = self._online()
        return [
            ("racks_unequal", self._names[index], self._apart(image.racks[index]))
            for index, machine in enumerate(self._machines)
            if machine.mode is RackMode.STANDBY and self._waited_s[index] > CANNOT_JOIN_S
            and not self._window.fits(index, online, image)
        ]  # fmt: skip

    def _apart(self, rack: RackReading) -> str:
        return f"rack {rack.rack_voltage_v:.1f} V, link {rack.link_voltage_v:.1f} V"

    def _mode(self, modes: Sequence[RackMode], protected: Protected, stop: bool, working: bool) -> Mode:
        if stop:
            return Mode.STOPPING
        if self._run:
            return Mode.RUNNING if working else Mode.STARTING
        if not self.wanted and not self.open:
            return Mode.STOPPING
        if protected.opens or RackMode.LOCKED in modes or set(self._names) <= protected.open_racks:
            return Mode.MAINTENANCE if self._maintained(modes, protected) else Mode.FAULT
        if all(mode is RackMode.OFF for mode in modes):
            return Mode.OFF
        return Mode.CONNECTING if any(mode.connected for mode in modes) else Mode.STANDBY

    def _maintained(self, modes: Sequence[RackMode], protected: Protected) -> bool:
        """Every rack stands open by order, and no fault asks for that beside."""
        away = all(mode is RackMode.MAINTENANCE for mode in modes) and not protected.opens
        return away and {fault.kind.id for fault in protected.faults if fault.kind.action.opens} <= {MAINTENANCE}
