"""All racks on one DC link together: they join one by one, the converter starts last and stops first."""

from dataclasses import dataclass
from enum import StrEnum

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


class Mode(StrEnum):
    """State of the battery as a whole."""

    OFF = "off"
    STANDBY = "standby"
    CONNECTING = "connecting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class BatteryState:
    """Outcome of one tick: contactors per rack, converter run and whether power may flow."""

    mode: Mode
    rack_modes: tuple[RackMode, ...]
    contactors: tuple[Contactors, ...]
    run: bool
    power_allowed: bool
    faults: tuple[tuple[str, str, str], ...]
    """(fault id, rack, detail) that the machines found in this tick."""


class Battery:
    """Joins and parts the racks of a site. `wanted` False takes it to open contactors in the safe order."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._machines = [RackMachine(site.precharge) for _ in site.racks]
        self._stopping_s = 0.0
        self.wanted = True

    @property
    def open(self) -> bool:
        """Every contactor is open and says so."""
        return not any(machine.connected for machine in self._machines)

    def step(self, image: Image, summary: Summary, protected: Protected, dt_s: float) -> BatteryState:
        stop = protected.opens or not self.wanted
        self._stopping_s = self._stopping_s + dt_s if stop else 0.0
        wait_s = OPEN_PROVEN_WAIT_S if protected.proven_only else OPEN_WAIT_S
        joining = None if stop else self._next_to_join(image)
        for index, machine in enumerate(self._machines):
            rack = image.racks[index]
            may_open = stop and self._may_open(index, image, summary, wait_s, dt_s)
            ready = self._ready(rack, summary.racks[index], protected)
            fresh = summary.racks[index].io_age_s < self._site.limits.cell_data_age_s_max
            machine.step(_inputs(rack, fresh=fresh, ready=ready, join=index == joining, open=may_open), dt_s)
        return self._state(image, protected, stop)

    def _ready(self, rack: RackReading, summary: RackSummary, protected: Protected) -> bool:
        limits = self._site.limits
        fresh = summary.voltage_age_s < limits.cell_data_age_s_max and summary.current_age_s < limits.current_age_s_max
        return summary.complete and fresh and rack.main_closed is not None and not protected.opens

    def _may_open(self, index: int, image: Image, summary: Summary, wait_s: float, dt_s: float) -> bool:
        """Below break current, proven by the rack's own sensor or else by the converter's DC current; or waited
        long enough. Never in the first tick, so that zero power and stop are on the wire before."""
        if self._machines[index].mode is RackMode.PRECHARGE or self._stopping_s > wait_s:
            return True
        if self._stopping_s <= dt_s:
            return False
        limits, break_a = self._site.limits, self._site.racks[index].contactor_break_current_a
        rack = summary.racks[index]
        if rack.current_age_s < limits.current_age_s_max:
            return abs(rack.current_a) < break_a
        fresh = summary.inverter_age_s < limits.inverter_age_s_max
        return fresh and image.inverter is not None and abs(image.inverter.dc_current_a) < break_a

    def _next_to_join(self, image: Image) -> int | None:
        """One rack at a time; the first charges the DC link, the others must lie inside the voltage window."""
        modes = [machine.mode for machine in self._machines]
        if RackMode.PRECHARGE in modes or RackMode.CLOSING in modes or not self._converter_answers(image):
            return None
        link_is_live = RackMode.ONLINE in modes
        for index, mode in enumerate(modes):
            rack = image.racks[index]
            difference_v = abs(rack.rack_voltage_v - rack.link_voltage_v)
            inside = not link_is_live or difference_v < self._site.precharge.join_window_v
            if mode is RackMode.STANDBY and inside:
                return index
        return None

    def _converter_answers(self, image: Image) -> bool:
        return image.inverter is not None and image.rating is not None

    def _state(self, image: Image, protected: Protected, stop: bool) -> BatteryState:
        modes = tuple(machine.mode for machine in self._machines)
        online = all(mode is RackMode.ONLINE for mode in modes)
        run = online and not stop
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
            ),
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


def _inputs(rack: RackReading, *, fresh: bool, ready: bool, join: bool, open: bool) -> RackInputs:
    return RackInputs(
        ready=ready,
        join=join,
        open=open,
        current_a=rack.current_a,
        rack_voltage_v=rack.rack_voltage_v,
        link_voltage_v=rack.link_voltage_v,
        main_closed=rack.main_closed if fresh else None,
    )
