"""All racks on one DC link together: they join one by one, the converter starts last and stops first."""

from enum import StrEnum
from typing import NamedTuple

from bms.decision import Contactors
from bms.image import Image
from bms.protect.protection import Protected
from bms.rack import RackInputs, RackMachine, RackMode
from bms.site import Site
from bms.summary import RackSummary, Summary
from drivers.readings import InverterState, RackReading

OPEN_WAIT_S = 2.0
"""Bounded wait for the current to fall below break current; then the contactors open anyway."""

OPEN_PROVEN_WAIT_S = 10.0
"""The same for a lost converter, whose reversion timer needs 1-2 s to stop it."""


REJOIN_S_MIN, REJOIN_S_MAX = 5.0, 1200.0
"""Wait after a fault's end before the racks join again; four times longer each time."""

CANNOT_JOIN_S = 60.0

STOPPED = (InverterState.OFF, InverterState.SLEEPING, InverterState.STANDBY, InverterState.FAULT)
"""States of a converter whose power stage is blocked."""


class Mode(StrEnum):
    """State of the battery as a whole."""

    OFF = "off"
    STANDBY = "standby"
    CONNECTING = "connecting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FAULT = "fault"


class BatteryState(NamedTuple):
    """Outcome of one tick: contactors per rack, converter run and whether power may flow."""

    mode: Mode
    rack_modes: tuple[RackMode, ...]
    contactors: tuple[Contactors | None, ...]
    run: bool
    power_allowed: bool
    faults: tuple[tuple[str, str, str], ...]
    """(fault id, rack, detail) that the machines found in this tick."""


class Battery:
    """Joins and parts the racks of a site. `wanted` False takes it to open contactors in the safe order."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._machines = [RackMachine(site.precharge) for _ in site.racks]
        self._stop_ticks = 0
        self._stopping_s = 0.0
        self._hold_s = 0.0
        self._rejoin_s = REJOIN_S_MIN
        self._online_s = 0.0
        self._apart_s = 0.0
        self._closed = [False] * len(site.racks)
        self.wanted = True

    @property
    def open(self) -> bool:
        """No contactor is connected, and none says that it is closed."""
        return not any(machine.connected for machine in self._machines) and not any(self._closed)

    def unlock(self, rack: str) -> None:
        """A latched fault of this rack was reset."""
        for config, machine in zip(self._site.racks, self._machines, strict=True):
            if config.name == rack:
                machine.unlock()

    def step(self, image: Image, summary: Summary, protected: Protected, dt_s: float) -> BatteryState:
        self._closed = [rack.main_closed is True for rack in image.racks]
        found = any(machine.mode is RackMode.FOUND_CLOSED for machine in self._machines)
        stop = protected.opens or not self.wanted or found
        self._count_stop(stop, dt_s)
        self._count_rejoin(protected, dt_s)
        joining = None if stop else self._next_to_join(image, summary)
        for index, machine in enumerate(self._machines):
            rack, rack_summary = image.racks[index], summary.racks[index]
            machine.step(
                RackInputs(
                    ready=self._ready(rack, rack_summary, protected),
                    join=index == joining,
                    open=stop and self._may_open(index, image, summary, protected),
                    current_a=rack.current_a,
                    rack_voltage_v=rack.rack_voltage_v,
                    link_voltage_v=rack.link_voltage_v,
                    main_closed=rack.main_closed if rack_summary.io_age_s < self._age_s_max else None,
                ),
                dt_s,
            )
        return self._state(image, protected, stop, dt_s)

    @property
    def _age_s_max(self) -> float:
        return self._site.limits.cell_data_age_s_max

    def _count_stop(self, stop: bool, dt_s: float) -> None:
        self._stop_ticks = self._stop_ticks + 1 if stop else 0
        self._stopping_s = self._stopping_s + dt_s if stop else 0.0

    def _count_rejoin(self, protected: Protected, dt_s: float) -> None:
        """After each opening by a fault the racks wait twice as long before they join again; an hour's third opening
        therefore waits minutes, not seconds. A quiet hour forgets it."""
        if protected.opens and self._online_s > 0.0:
            self._hold_s = self._rejoin_s
            self._rejoin_s = min(4.0 * self._rejoin_s, REJOIN_S_MAX)
            self._online_s = 0.0
        elif not protected.opens:
            self._hold_s = max(self._hold_s - dt_s, 0.0)
        if self._online_s > 3600.0:
            self._rejoin_s = REJOIN_S_MIN

    def _ready(self, rack: RackReading, summary: RackSummary, protected: Protected) -> bool:
        limits = self._site.limits
        fresh = summary.voltage_age_s < limits.cell_data_age_s_max and summary.current_age_s < limits.current_age_s_max
        known = summary.complete and summary.voltages_known and rack.main_closed is not None
        return known and fresh and not protected.opens

    def _may_open(self, index: int, image: Image, summary: Summary, protected: Protected) -> bool:
        """The converter has stopped by its own word, and the rack's current is below break current by its own sensor
        or else by the converter's; or it was waited long enough. Never in the first tick, so that zero power and stop
        are on the wire before."""
        wait_s = OPEN_PROVEN_WAIT_S if protected.proven_only else OPEN_WAIT_S
        if self._stopping_s > max(wait_s, self._site.inverter.reversion_s + 1.0):
            return True
        if self._stop_ticks < 2 or not self._converter_stopped(image, summary):
            return False
        limits, break_a = self._site.limits, self._site.racks[index].contactor_break_current_a
        rack = summary.racks[index]
        if rack.current_age_s < limits.current_age_s_max:
            return abs(rack.current_a) < break_a
        return image.inverter is not None and abs(image.inverter.dc_current_a) < break_a

    def _converter_stopped(self, image: Image, summary: Summary) -> bool:
        """A converter that does not answer cannot say; its reversion timer stops it, and the current is the proof."""
        if image.inverter is None or summary.inverter_age_s > self._site.limits.inverter_age_s_max:
            return True
        return image.inverter.state in STOPPED

    def _next_to_join(self, image: Image, summary: Summary) -> int | None:
        """One rack at a time, once all are ready and inside the voltage window; the first charges the DC link."""
        modes = [machine.mode for machine in self._machines]
        if RackMode.STANDBY not in modes:
            return None
        under_way = RackMode.PRECHARGE in modes or RackMode.CLOSING in modes
        all_there = all(mode in (RackMode.STANDBY, RackMode.ONLINE) for mode in modes)
        if under_way or not all_there or self._hold_s > 0.0 or not self._converter_answers(image):
            return None
        window_v, link_is_live = self._site.precharge.join_window_v, RackMode.ONLINE in modes
        if not link_is_live and self._spread_v(image) > window_v:
            return None
        for index, rack in enumerate(image.racks):
            inside = not link_is_live or abs(rack.rack_voltage_v - rack.link_voltage_v) < window_v
            if modes[index] is RackMode.STANDBY and inside:
                return index
        return None

    def _spread_v(self, image: Image) -> float:
        voltages_v = [rack.rack_voltage_v for rack in image.racks]
        return max(voltages_v) - min(voltages_v)

    def _converter_answers(self, image: Image) -> bool:
        return image.inverter is not None and image.rating is not None and image.rating.known

    def _cannot_join(self, image: Image, dt_s: float) -> tuple[tuple[str, str, str], ...]:
        """Racks that stand by but lie too far apart for a minute: somebody must equalise them."""
        standing_by = all(machine.mode is RackMode.STANDBY for machine in self._machines)
        spread_v = self._spread_v(image) if standing_by else 0.0
        apart = spread_v > self._site.precharge.join_window_v
        self._apart_s = self._apart_s + dt_s if apart else 0.0
        if self._apart_s < CANNOT_JOIN_S:
            return ()
        return (("racks_unequal", "racks", f"rack voltages are {spread_v:.1f} V apart"),)

    def _state(self, image: Image, protected: Protected, stop: bool, dt_s: float) -> BatteryState:
        modes = tuple(machine.mode for machine in self._machines)
        online = all(mode is RackMode.ONLINE for mode in modes)
        run = online and not stop
        self._online_s += dt_s if run else 0.0
        running = image.inverter is not None and image.inverter.state in (
            InverterState.RUNNING,
            InverterState.THROTTLED,
        )
        return BatteryState(
            mode=self._mode(modes, protected, stop, run, running),
            rack_modes=modes,
            contactors=tuple(machine.contactors for machine in self._machines),
            run=run,
            power_allowed=run and running,
            faults=tuple(
                (*machine.fault[:1], rack.name, machine.fault[1])
                for machine, rack in zip(self._machines, self._site.racks, strict=True)
                if machine.fault is not None
            )
            + self._cannot_join(image, dt_s),
        )

    def _mode(self, modes: tuple[RackMode, ...], protected: Protected, stop: bool, run: bool, running: bool) -> Mode:
        if stop and not self.open:
            return Mode.STOPPING
        if protected.opens or RackMode.LOCKED in modes:
            return Mode.FAULT
        if run:
            return Mode.RUNNING if running else Mode.STARTING
        if all(mode is RackMode.OFF for mode in modes):
            return Mode.OFF
        if any(machine.connected for machine in self._machines):
            return Mode.CONNECTING
        return Mode.STANDBY
