"""Turns images into active faults: condition, debounce, latch and what the faults together forbid."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from bms.image import Image
from bms.protect.battery_checks import battery_conditions
from bms.protect.conditions import (
    inverter_conditions,
    meter_conditions,
    rack_data_conditions,
)
from bms.protect.debounce import ErrorBucket, LeakyBucket
from bms.protect.faults import FAULTS, LEVELLED, MAINTENANCE, Action, FaultKind
from bms.protect.inverter_checks import GridRange, Runaway, forms_grid, inverter_checks, serves_unheard
from bms.protect.levels import Condition, PackLevels, RackLevels
from bms.protect.outputs import Outputs, RackOutputs
from bms.protect.plausibility import CurrentsAgree, RackPlausibility
from bms.protect.possible import PossibleValues
from bms.protect.retries import IN_VAIN, Retries
from bms.protect.safety_inputs import InsulationMonitors, RackSafetyInputs, beside, said
from bms.site import Site
from bms.summary import RackSummary, Summary

NEVER_S = 1e6
"""An age above this belongs to something that never spoke."""

OPENING = {action for action in Action if action.opens}
NARROWING = {Action.BLOCK_CHARGE, Action.BLOCK_DISCHARGE, Action.ZERO_POWER}

EMPTIED = frozenset(
    {
        "cell_voltage_low_operating",
        "cell_voltage_low_recommended",
        "cell_voltage_frozen",
        "cell_voltage_spread",
        "open_wire",
    }
)
"""No faults of a rack that is emptied on purpose: its cells come to their end one after the other, and stay there."""

STARTUP_S = 10.0
"""A device that has not spoken for this long after the start is reported as lost."""


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """One fault that is active now: where, since when (loop clock) and what was seen when it tripped."""

    kind: FaultKind
    target: str
    since_ns: int
    detail: str

    def __str__(self) -> str:
        return f"{self.kind.id} ({self.target}: {self.detail})"


class Protected(NamedTuple):
    """What the active faults forbid together, and those that tripped in this very tick. A rack that is apart from the
    others blocks no power by its own faults."""

    faults: tuple[ActiveFault, ...]
    tripped: tuple[ActiveFault, ...]
    blocks_charge: bool
    blocks_discharge: bool
    zero_power: bool
    opens: bool
    """All racks must open."""
    proven_only: bool
    """Only faults that wait for a proven low current ask for opening."""
    open_racks: frozenset[str] = frozenset()
    """Racks that must open, or stay open, for faults of their own."""
    derated_racks: frozenset[str] = frozenset()
    """Racks whose own faults narrow the power."""
    maintained: frozenset[str] = frozenset()
    """Racks that somebody took out of service."""
    outputs: tuple[RackOutputs, ...] = ()
    """What the racks' outputs beside the contactors shall do."""
    forming: bool = False
    """The converter makes the grid, as far as anybody says: all this is what the faults forbid then."""

    def faulted(self, rack: str) -> bool:
        """A fault that does more than warn is at this rack, or at what all racks share."""
        others = self.open_racks | self.derated_racks
        return (
            self.opens
            or rack in others
            or any(fault.kind.action is not Action.WARN for fault in self.faults if fault.target not in others)
        )


NOTHING_FORBIDDEN = Protected((), (), False, False, False, False, False)


class FaultMonitor:
    """Debounce, clearing and latch of one fault at one place."""

    __slots__ = ("_absent_s", "_bucket", "_kind", "_target", "active")

    def __init__(self, kind: FaultKind, target: str) -> None:
        self._kind = kind
        self._target = target
        self._bucket = LeakyBucket(kind.debounce_s)
        self._absent_s = 0.0
        self.active: ActiveFault | None = None

    def step(self, condition: Condition | None, dt_s: float, now_ns: int) -> ActiveFault | None:
        """The fault if it tripped in this step; `condition` is its cause, None while that is absent."""
        full = self._bucket.step(condition is not None, dt_s)
        if self.active is not None:
            self._clear(condition is not None, dt_s)
            return None
        if condition is None or not full:
            return None
        return self.trip(_detail(condition), now_ns)

    def trip(self, detail: str, now_ns: int) -> ActiveFault:
        self.active = ActiveFault(self._kind, self._target, now_ns, detail)
        self._absent_s = 0.0
        return self.active

    def reset(self, overlook_s: float) -> ActiveFault | None:
        """What was active and is no more."""
        fault, self.active = self.active, None
        if overlook_s > 0.0:
            self._bucket.overlook(overlook_s)
        return fault

    def still_there(self) -> None:
        """Its cause was seen by somebody else in this tick."""
        self._absent_s = 0.0

    def _clear(self, present: bool, dt_s: float) -> None:
        self._absent_s = 0.0 if present else self._absent_s + dt_s
        if not self._kind.latched and self._absent_s >= self._kind.clear_s:
            self.active = None


class Protection:
    """All faults of a site. One `step` a protection tick; `report` takes faults that others found, `restore` those of
    an earlier run, `reset` ends a latched one."""

    def __init__(self, site: Site) -> None:
        self._limits = site.limits
        self._island = site.island
        self._kinds = fault_kinds(site)
        self._rack_levels = RackLevels(site.limits)
        self._possible = PossibleValues(site.limits)
        self._pack_levels = PackLevels(site.limits, len(site.racks))
        self._plausibility = [
            RackPlausibility(site.limits, rack.cells, len(site.racks), rack.safety_inputs) for rack in site.racks
        ]
        self._safety = [RackSafetyInputs(rack, site.safety, beside(site, rack)) for rack in site.racks]
        self._insulation, self._outputs = InsulationMonitors(site), Outputs(site)
        self._runaway = Runaway()
        self._grid = GridRange(site.grid_meter)
        self._currents_agree = CurrentsAgree(site.limits, len(site.racks))
        self._racks = frozenset(rack.name for rack in site.racks)
        self._names = [rack.name for rack in site.racks]
        self._monitors: dict[str, dict[str, FaultMonitor]] = defaultdict(dict)
        self._crc = [ErrorBucket(10.0, 0.02) for _ in site.racks]
        self._counter = [ErrorBucket(10.0, 0.02) for _ in site.racks]
        self._rack_seen = [False] * len(site.racks)
        self._heard_s = [0.0] * len(site.racks)
        self._running_s = self._fed_s = 0.0
        self._boot_s = site.inverter.boot_s_max if site.inverter.supply == "link" else 0.0
        self._tripped: list[ActiveFault] = []
        self._retries = Retries()
        self._quiet = NOTHING_FORBIDDEN

    def step(
        self,
        image: Image,
        summary: Summary,
        dt_s: float,
        apart: frozenset[str] = frozenset(),
        own: Iterable[Condition] = (),
        emptied: frozenset[str] = frozenset(),
    ) -> Protected:
        """`apart`: names of the racks that are not connected to the DC link; `own`: what is wrong with the controller
        itself; `emptied`: names of those that are empty on purpose."""
        self._running_s += dt_s
        self._fed_s = self._fed_s + dt_s if any(rack.main_closed for rack in image.racks) else 0.0
        for index, name in enumerate(self._names):
            found = self._rack(index, image, summary, dt_s)
            if name in emptied:
                found = [condition for condition in found if condition.fault_id not in EMPTIED]
            self._step_all(found, name, dt_s, image.at_ns)
        pack = self._pack_levels.conditions(summary.racks, self._active("pack"))
        together = (*self._currents_agree.conditions(image, dt_s), *self._insulation.conditions(image))
        self._step_all([*pack, *together], "pack", dt_s, image.at_ns)
        if image.inverter is not None or self._running_s > STARTUP_S:
            self._step_all(self._of_inverter(image, summary, dt_s), "inverter", dt_s, image.at_ns)
        if image.meter is not None or self._running_s > STARTUP_S:
            self._step_all(self._of_meter(image, summary), "grid_meter", dt_s, image.at_ns)
        self._step_all(own, "controller", dt_s, image.at_ns)
        for target, detail in self._retries.step([(each.kind, each.target) for each in self._tripped], self._running_s):
            self.report(IN_VAIN, target, detail, image.at_ns)
        return self._judge(image, summary, apart)

    def report(self, fault_id: str, target: str, detail: str, now_ns: int) -> None:
        """A fault found by the state machine or the guard; it counts from the next step on, and again and again while
        it is reported."""
        monitor = self._monitor(fault_id, target)
        if monitor.active is None:
            self._tripped.append(monitor.trip(detail, now_ns))
        else:
            monitor.still_there()

    def restore(self, fault_id: str, target: str, detail: str, now_ns: int) -> ActiveFault:
        """A fault of an earlier run that is still latched; it has tripped then and does not trip again."""
        return self._monitor(fault_id, target).trip(detail, now_ns)

    def reset(self, fault_id: str, target: str, overlook_s: float = 0.0) -> ActiveFault | None:
        """End a latched fault; None if there is none to end. A cause that is still there trips it again in the next
        step, or `overlook_s` later: a device that was asked to forget its fault needs a moment."""
        monitor = self._monitors.get(target, {}).get(fault_id)
        if monitor is None or monitor.active is None or not monitor.active.kind.latched:
            return None
        return monitor.reset(overlook_s)

    def _monitor(self, fault_id: str, target: str) -> FaultMonitor:
        """Monitors come into being with the first condition or report that they are for."""
        monitors = self._monitors[target]
        if fault_id not in monitors:
            monitors[fault_id] = FaultMonitor(self._kinds[fault_id], target)
        return monitors[fault_id]

    def _active(self, target: str) -> Callable[[str], bool]:
        monitors = self._monitors[target]
        return lambda fault_id: fault_id in monitors and monitors[fault_id].active is not None

    def _rack(self, index: int, image: Image, summary: Summary, dt_s: float) -> list[Condition]:
        rack, reading, active = summary.racks[index], image.racks[index], self._active(self._names[index])
        if reading.battery is not None:
            return list(self._battery(index, image, rack))
        health, possible, found = reading.health, rack, list[Condition]()
        self._rack_seen[index] |= rack.complete and rack.current_age_s < self._limits.current_age_s_max
        if self._heard_s[index] > 0.0 or rack.io_age_s < self._limits.cell_data_age_s_max:
            self._heard_s[index] += dt_s
        if not self._possible.all_possible(rack):
            found += self._possible.conditions(rack)
            possible = self._possible.within(rack, reading)
        found += self._rack_levels.conditions(possible, active)
        converter_a = image.inverter.dc_current_a if image.inverter is not None else math.nan
        found += self._plausibility[index].conditions(reading, rack, converter_a, dt_s)
        if self._crc[index].step(health.accepted, health.crc_errors):
            found.append(Condition("monitor_crc_errors", float(health.crc_errors), 0.0, "bad frames"))
        if self._counter[index].step(health.accepted, health.counter_errors):
            found.append(Condition("monitor_counter_errors", float(health.counter_errors), 0.0, "bad frames"))
        if self._rack_seen[index] or self._running_s > STARTUP_S:
            found += rack_data_conditions(rack, self._limits, self._heard_s[index])
            found += self._safety[index].conditions(reading, rack, self._outputs.racks[index], active)
        if reading.watchdog_tripped:
            found.append(said("rack_watchdog_tripped", "its watchdog opened the contactors"))
        return found

    def _battery(self, index: int, image: Image, rack: RackSummary) -> Iterable[Condition]:
        """One with a management of its own: by its word, and by its cells' extremes where it says them."""
        reading, active = image.racks[index], self._active(self._names[index])
        self._rack_seen[index] |= rack.complete
        yield from self._rack_levels.conditions(rack, active)
        if reading.battery is not None and (self._rack_seen[index] or self._running_s > STARTUP_S):
            yield from battery_conditions(rack, reading.battery, self._limits)
            yield from self._safety[index].conditions(reading, rack, self._outputs.racks[index], active)

    def _of_inverter(self, image: Image, summary: Summary, dt_s: float) -> Iterable[Condition]:
        if self._fed_s >= self._boot_s or summary.inverter_age_s <= self._limits.inverter_age_s_max:
            yield from inverter_conditions(image, summary, self._limits)
        if summary.inverter_age_s <= self._limits.inverter_age_s_max:
            yield from inverter_checks(image, summary, self._limits)
            yield from self._runaway.conditions(image, dt_s)

    def _of_meter(self, image: Image, summary: Summary) -> Iterable[Condition]:
        yield from meter_conditions(summary, self._limits)
        if image.meter is not None and summary.meter_age_s <= self._limits.meter_age_s_max:
            yield from self._grid.conditions(image.meter)

    def _step_all(self, conditions: Iterable[Condition], target: str, dt_s: float, now_ns: int) -> None:
        """Every monitor of the target is stepped in every tick."""
        present = {condition.fault_id: condition for condition in conditions}
        for fault_id in present:
            self._monitor(fault_id, target)
        for fault_id, monitor in self._monitors[target].items():
            tripped = monitor.step(present.get(fault_id), dt_s, now_ns)
            if tripped is not None:
                self._tripped.append(tripped)

    def _judge(self, image: Image, summary: Summary, apart: frozenset[str]) -> Protected:
        places = self._monitors.values()
        faults = tuple([monitor.active for place in places for monitor in place.values() if monitor.active is not None])
        tripped, self._tripped = tuple(self._tripped), []
        unheard = serves_unheard(image, summary.inverter_age_s, self._island, self._limits)
        forming = unheard or forms_grid(image.inverter)
        outputs = self._outputs.step(image, [(fault.kind.id, fault.target) for fault in faults])
        if not faults:
            return self._nothing_forbidden(tripped, outputs, forming)
        acts = [(fault.target, fault.kind.action_forming if forming else fault.kind.action) for fault in faults]
        connected = {action for target, action in acts if target not in apart}
        shared = {action for target, action in acts if target not in self._racks}
        everywhere = {action for _, action in acts}
        open_racks = self._at_racks(acts, {Action.OPEN})
        opens = bool(everywhere & {Action.OPEN_ALL, Action.OPEN_PROVEN}) or Action.OPEN in shared
        return Protected(
            faults=faults,
            tripped=tripped,
            blocks_charge=Action.BLOCK_CHARGE in connected,
            blocks_discharge=Action.BLOCK_DISCHARGE in connected,
            zero_power=opens or bool(open_racks - apart) or Action.ZERO_POWER in connected,
            opens=opens,
            proven_only=everywhere & OPENING == {Action.OPEN_PROVEN},
            open_racks=open_racks,
            derated_racks=self._at_racks(acts, NARROWING),
            maintained=frozenset(fault.target for fault in faults if fault.kind.id == MAINTENANCE),
            outputs=outputs,
            forming=forming,
        )

    def _nothing_forbidden(
        self, tripped: tuple[ActiveFault, ...], outputs: tuple[RackOutputs, ...], forming: bool
    ) -> Protected:
        """The same object from tick to tick, as nearly always."""
        quiet = self._quiet
        if quiet.outputs is not outputs or quiet.forming is not forming or quiet.tripped != tripped:
            self._quiet = quiet = NOTHING_FORBIDDEN._replace(tripped=tripped, outputs=outputs, forming=forming)
        return quiet

    def _at_racks(self, acts: Iterable[tuple[str, Action]], actions: set[Action]) -> frozenset[str]:
        return frozenset(target for target, action in acts if action in actions) & self._racks


def _detail(condition: Condition) -> str:
    if math.isnan(condition.limit):
        return condition.where
    if condition.where == "age in s" and condition.value > NEVER_S:
        return "never heard"
    return f"{condition.where} {condition.value:.3f}, limit {condition.limit:.3f}"


OPENS = {True: Action.OPEN_ALL, False: Action.WARN}


def fault_kinds(site: Site) -> dict[str, FaultKind]:
    """The table of faults as this site wants it."""
    limits, kinds = site.limits, dict(FAULTS)
    debounces = {"voltage": limits.voltage_debounce_s, "temperature": limits.temperature_debounce_s,
                 "current": limits.current_debounce_s}  # fmt: skip
    for name in LEVELLED:
        (debounce_s,) = (seconds for word, seconds in debounces.items() if word in name)
        kinds[name] = replace(kinds[name], debounce_s=debounce_s)
    opens_at = site.safety.insulation_opens_at
    kinds["insulation_low"] = replace(kinds["insulation_low"], action=OPENS[opens_at != "never"])
    kinds["insulation_low_warning"] = replace(kinds["insulation_low_warning"], action=OPENS[opens_at == "warning"])
    for setting in site.faults:
        kinds[setting.id] = setting.applied(kinds[setting.id])
    return kinds
