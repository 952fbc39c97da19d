"""The controller: one tick reads as image -> protect -> battery -> dispatch -> guard -> act -> record. Start here."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence

from bms.act import Actuators
from bms.auxiliaries import Auxiliaries
from bms.background import AT_ONCE, Background
from bms.balance import Balancer
from bms.battery import Battery, BatteryState
from bms.decision import Decision
from bms.devices import OPENERS, Device, Openers, open_switchgear
from bms.dispatch.dispatch import NO_WISH, Dispatch, make_applications
from bms.dispatch.inputs import Inputs
from bms.dispatch.view import RackView, StripOrder
from bms.estimate.battery_soc import BatterySoc
from bms.estimate.held_current import HeldCurrent
from bms.estimate.site_power import SitePower, SitePowers
from bms.estimate.soc import RackSoc, summarise_soc
from bms.guard import Guard, HardLimits
from bms.image import Image, ProcessImage
from bms.island import IslandMachine, IslandMode, IslandOrders
from bms.island_inputs import island_inputs
from bms.north.battery_bus import bus_conditions, open_battery_bus
from bms.north.battery_word import SiteNow
from bms.north.modbus import open_north
from bms.north.site_now import Nameplate, SiteNorth
from bms.protect.faults import LOCAL_CONTROL, MAINTENANCE
from bms.protect.levels import Condition
from bms.protect.limits import NOTHING, PowerLimiter, RackState
from bms.protect.protection import ActiveFault, Protected, Protection
from bms.protect.safety_inputs import said
from bms.protect.timing import TimingWatch
from bms.rack import RackMode
from bms.record import Recorder
from bms.requests import RequestRefused, Requests, Source
from bms.set_point_writers import SetPointWriters
from bms.site import Island, Limits, Rack, Site
from bms.site_view import SiteViews, StoredEnergy
from bms.smoothing_way import SmoothingNow
from bms.state.maintain import ASKED, ASKED_LOCAL, SITE
from bms.state.memory import SiteMemory, forgetful
from bms.state.wall_time import WallClock
from bms.strip import strip_cycles
from bms.summary import Summary, summarise
from bms.switchgear import LIVE_FRAC_MIN
from bms.tick_report import TickOutcome, TickReporter
from drivers.clock import now_ns
from drivers.commands import PvCommand
from drivers.links.can import CanOpener
from drivers.pace import Pace
from drivers.readings import Flags
from kernels.parameters import CellParameters, load_cell, load_tables

COUNTED_PERIODS_MAX = 2.0
LATE_IO_S = 0.005

ALARM_RESET_S = 1.0
"""A converter that still has its fault this long after it was asked to forget it has a cause for it."""

PV_EXPIRY_NS = 1_000_000_000
"""A PV limit that is not renewed for this long is no longer written; its inverter's reversion follows."""

STOP_WAIT_S = 15.0
"""Longest orderly stop: zero power, converter stop, contactors open."""


class Controller:
    """Runs a site until cancelled or `stop` is called; owns the drivers' tasks.

    `perf_clock` measures how long ticks take (a constant in virtual time); `on_trip` hears of every fault once;
    without `memory` every start is the first; `background` runs what applications have to do beside the ticks.
    `openers` make the drivers; `seen`, if given, is asked for the image of each tick instead of them. `beat` is called
    at the end of each tick, and by nothing else.
    """

    def __init__(
        self,
        site: Site,
        *,
        can_opener: CanOpener,
        recorder: Recorder | None,
        perf_clock: Callable[[], float],
        on_trip: Callable[[ActiveFault], None],
        memory: SiteMemory | None = None,
        wall_clock: WallClock | None = None,
        background: Background = AT_ONCE,
        openers: Openers = OPENERS,
        seen: Callable[[int], Image] | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.site = site
        self._beat = beat
        self.inputs = Inputs()
        self._perf_clock = perf_clock
        self._background = background
        self._on_trip = on_trip
        self._memory = memory or forgetful(site)
        self.requests = Requests(site, self.inputs, self._memory.note)
        self._auxiliaries = Auxiliaries(site)
        self._racks = [self._auxiliaries.beside(rack, openers.rack(rack, can_opener)) for rack in site.racks]
        self._image = ProcessImage([rack.reading for rack in self._racks])
        self._inverter = openers.inverter(site.inverter, self._image.put_inverter)
        self._meter = openers.meter(site.grid_meter, self._image.put_meter)
        self._pv_meter = None if site.pv_meter is None else openers.meter(site.pv_meter, self._image.put_pv)
        self._pv_inverter = None if site.pv_inverter is None else openers.pv_inverter(site.pv_inverter)
        self._seen = seen
        self._switchgear = None
        self._island: IslandMachine | None = None
        if site.island is not None and site.intertie is not None:
            self._switchgear = open_switchgear(site.intertie, self._image.put_switchgear)
            self._island = IslandMachine(site.island)
        self._cells = [load_cell(rack.cell) for rack in site.racks]
        self._energy_wh = [rack.cells * cell.energy_wh for cell, rack in zip(self._cells, site.racks, strict=True)]
        limits = site.limits
        self._soc = [
            rack_soc(rack, energy_wh, limits) for rack, energy_wh in zip(site.racks, self._energy_wh, strict=True)
        ]
        self._held = [HeldCurrent(load_tables(rack.cell), rack.cells, limits) for rack in site.racks]
        self._balancers = [
            Balancer(site.balancing, cell.capacity_ah, rack.cells, rack.cells_per_module)
            for cell, rack in zip(self._cells, site.racks, strict=True)
        ]
        self._site_power = SitePower(
            limits.meter_age_s_max,
            limits.inverter_age_s_max,
            site.inverter.response_time_s,
            has_pv=site.pv_meter is not None,
        )
        self._protection = Protection(site)
        self._timing = TimingWatch(site.controller.protect_period_s, wall_clock)
        self._limiter = PowerLimiter(limits)
        self._resistance_ohm = rack_resistances_ohm(site, self._cells)
        self._battery = Battery(site, self._resistance_ohm)
        self._dispatch = Dispatch(make_applications(site.applications))
        self._strips = list(strip_cycles(site))
        self._battery.refills = bool(self._strips)
        self._views = SiteViews(site, wall_clock)
        self._guard = Guard(hard_limits(limits, len(site.racks), site.island))
        self._actuators = Actuators(self._inverter, self._racks, self._switchgear)
        self._writers = SetPointWriters(site, self._inverter, self._site_power.battery, self._actuators.repeat)
        self._smoothing = SmoothingNow()
        self._battery_bus = open_battery_bus(site, sum(cell.capacity_ah for cell in self._cells), can_opener)
        self._wish = NO_WISH
        self._strip = StripOrder(frozenset())
        self._controlled_ns: int | None = None
        self._limits = NOTHING
        self._bleed: tuple[Flags | None, ...] = (None,) * len(site.racks)
        self._soc_summary = summarise_soc(self._soc, [False] * len(site.racks))
        pv = self._pv_meter, self._pv_inverter
        links = (self._inverter, self._meter, *pv, self._switchgear, *self._writers.links, *self._auxiliaries.drivers)
        modbus = [device for device in links if device is not None]
        self.report = TickReporter(site, recorder, modbus, self._memory)
        plate = Nameplate(sum(self._energy_wh), sum(cell.capacity_ah for cell in self._cells))
        self._north = open_north(SiteNorth(site, self.requests, lambda: self.report.newest, self._soh_frac, plate))
        self.report.north_faults += [served.say_fault for served in self._north]

    async def run(self) -> None:
        """Drive the site. Returns after an orderly `stop`; cancelled, it leaves the devices to their watchdogs."""
        self._memory.recall(self._soc, self._protection, self._dispatch, now_ns())
        async with asyncio.TaskGroup() as tasks:
            pv = self._pv_meter, self._pv_inverter
            modbus: list[Device | None] = [self._inverter, self._meter, *pv, self._switchgear]
            beside = [self._battery_bus, *self._auxiliaries.drivers, *self._writers.runners]
            maybe = [*modbus, *self._racks, *beside]
            running = [tasks.create_task(device.run()) for device in maybe if device is not None]
            running += [tasks.create_task(served.run()) for served in self._north]
            await self._tick_for_ever()
            self._memory.save(self._soc)
            for task in running:
                task.cancel()

    def end_state(self) -> str:
        """Where the devices stand by their own word, in one line, which tells the age of a word that was too old to be
        believed when the run ended."""
        newest = self.report.newest
        ended_ns = now_ns() if newest is None else newest.image.at_ns
        image, limits = self._freeze(now_ns()), self.site.limits
        words = (
            _heard(_contactor_word(said.main_closed), ended_ns - said.io_at_ns, limits.cell_data_age_s_max)
            for said in image.racks
        )
        contactors = ", ".join(f"{rack.name} {word}" for rack, word in zip(self.site.racks, words, strict=True))
        if image.inverter is None:
            return f"converter never heard; {contactors}"
        says = f"{image.inverter.state} at {image.inverter.ac_power_w:.0f} W"
        return f"converter {_heard(says, ended_ns - image.inverter.at_ns, limits.inverter_age_s_max)}; {contactors}"

    def stop(self) -> None:
        """Ask for the orderly end: 0 W, converter stopped, contactors open, then `run` returns."""
        self._battery.wanted = False

    def reset(self, fault_id: str, target: str) -> None:
        """End a latched fault, if there is one; it trips again in the next tick if its cause is still there. The
        converter is asked to forget a fault of its own first."""
        of_converter = fault_id == "inverter_fault"
        fault = self._protection.reset(fault_id, target, overlook_s=ALARM_RESET_S if of_converter else 0.0)
        if fault is None:
            return
        if of_converter:
            self._inverter.reset_alarms(now_ns() + round(ALARM_RESET_S * 1e9))
        self._battery.unlock(target)
        if fault_id == "guard_stop":
            self._guard.reset()
        if fault_id == "black_start_failed" and self._island is not None:
            self._island.reset()
        self._memory.was_reset(fault)

    async def _tick_for_ever(self) -> None:
        """Absolute deadlines; ticks that were missed are counted and not made up for. Ends after an orderly stop."""
        period_s, control_period_s = self.site.controller.protect_period_s, self.site.controller.control_period_s
        every, pace = round(control_period_s / period_s), Pace(period_s)
        number, controlled, last_ns, stopping_s = 0, -1, now_ns(), 0.0
        while not self._stopped(stopping_s):
            began, at_ns = self._perf_clock(), now_ns()
            # A stalled gateway saw nothing meanwhile: debounces and waits must not count that time as observed.
            dt_s = min((at_ns - last_ns) / 1e9, COUNTED_PERIODS_MAX * period_s)
            self._tick(at_ns, dt_s, pace.overruns, control=number // every > controlled)
            self.report.ticked((self._perf_clock() - began) * 1e3, pace.overruns)
            self._beat()
            stopping_s += 0.0 if self._battery.wanted else period_s
            controlled, last_ns = number // every, at_ns
            number += 1 + await self._next(pace)

    async def _next(self, pace: Pace) -> int:
        """Wait for the next deadline; how many were missed."""
        before = pace.overruns
        await pace.next()
        missed = pace.overruns - before
        if missed:
            await asyncio.sleep(LATE_IO_S)  # what arrived meanwhile must be taken in before ages are judged
        return missed

    def _stopped(self, stopping_s: float) -> bool:
        """The orderly stop is done: everything open for a little while, or it was waited long enough."""
        settled_s = 2 * self.site.controller.control_period_s
        return stopping_s > STOP_WAIT_S or (stopping_s > settled_s and self._battery.open)

    def _tick(self, at_ns: int, dt_s: float, overruns: int, *, control: bool) -> None:
        self._hear_operators(at_ns)
        image = self._freeze(at_ns)
        summary = summarise(image)
        powers = self._site_power.see(image)
        self._writers.watch(image, powers, self._wish, grid_is_well=self._views.grid_is_well(image))
        own = self._own_conditions(at_ns, overruns)
        protected = self._protection.step(image, summary, dt_s, self._battery.apart, own, self._battery.emptied)
        self.requests.step(at_ns, protected.faults)
        self._battery.out_of_service = dict.fromkeys(protected.maintained, RackMode.MAINTENANCE)
        self._battery.stripping = self._strip.racks
        orders = self._leave_or_join(image, summary, protected, dt_s)
        battery = self._battery.step(image, summary, protected, dt_s)
        self._limits = self._limiter.step(self._rack_states(image, summary, battery), protected, image.rating, dt_s)
        if control:
            self._control(image, summary, protected, battery, powers)
        decision = self._guard.step(image, self._decide(image, battery, protected, dt_s), dt_s)
        if self._writers.others:
            decision = self._hand_over(decision, image, battery)
        if control:
            self._smoothing = self._writers.says(decision, self._wish)
        self._actuators.apply(decision, at_ns, refresh=control, heard=image.inverter is not None)
        self._actuators.drive(protected.outputs, at_ns, refresh=control)
        self._actuators.switch(orders, at_ns, refresh=control)
        self._memory.see(image, protected, self._soc)
        self._report_faults(battery, at_ns, protected)
        if control and self._battery_bus is not None:
            soh_frac = self._soh_frac()
            now = SiteNow(image, summary, battery, self._limits, self._soc_summary, protected.faults, soh_frac)
            self._battery_bus.tell(now)
        self.report.see(
            TickOutcome(
                image=image,
                summary=summary,
                powers=powers,
                faults=protected.faults,
                battery=battery,
                limits=self._limits,
                wish=self._wish,
                decision=decision,
                soc=self._soc_summary,
                balance_reason=self._balancers[0].reason,
                wanted=self._battery.wanted,
                smoothing=self._smoothing,
                strip=self._strip.says,
                island="" if orders is None or orders.mode is IslandMode.GRID else orders.mode,
                told=self.requests.words,
            )
        )

    def _hear_operators(self, at_ns: int) -> None:
        for fault_id, target in self._memory.resets():
            self.reset(fault_id, target)
        for rack in self._memory.maintain():
            self._protection.report(MAINTENANCE, rack, ASKED, at_ns)
        if self._memory.local():
            self._protection.report(LOCAL_CONTROL, SITE, ASKED_LOCAL, at_ns)
        for told in self._memory.told():
            with contextlib.suppress(RequestRefused):  # it is logged
                self.requests.ask(told.name, told.value, told.for_s, Source.OPERATOR, at_ns)

    def _own_conditions(self, at_ns: int, overruns: int) -> list[Condition]:
        """What is wrong with the controller itself, and with what it set out to do."""
        own = [*self._timing.conditions(at_ns, overruns), *bus_conditions(self._battery_bus)]
        own += self._writers.conditions(at_ns)
        if self._wish.refused:
            own.append(said("smoothing_refused", self._wish.refused))
        if self._strip.overdue:
            own.append(said("strip_overdue", self._strip.overdue))
        return own

    def _freeze(self, at_ns: int) -> Image:
        if self._seen is not None:
            return self._seen(at_ns)
        decided = self._actuators.sent
        told = (None, None) if decided is None else (decided.power_w, decided.reactive_var)
        image = self._image.freeze(at_ns, self._inverter.rating, self._inverter.sent, *told)
        return self._writers.as_followed(image, decided)

    def _control(
        self, image: Image, summary: Summary, protected: Protected, battery: BatteryState, powers: SitePowers
    ) -> None:
        """The slower part: estimate, dispatch and balance, over the time since it was last done."""
        elapsed_s = (image.at_ns - self._controlled_ns) / 1e9 if self._controlled_ns is not None else 0.0
        self._controlled_ns = image.at_ns
        for soc, held, rack, rack_summary in zip(self._soc, self._held, image.racks, summary.racks, strict=True):
            soc.step(rack, rack_summary, elapsed_s)
            held.step(soc, rack, elapsed_s)
        self._memory.count(image, elapsed_s)
        self._soc_summary = summarise_soc(self._soc, [mode.online for mode in battery.rack_modes])
        stripping = self._strip_racks(image, summary, protected, battery, elapsed_s)
        if battery.power_allowed:
            view = self._views.view(
                image,
                powers,
                self._limits,
                self._stored(battery),
                elapsed_s,
                islanded=protected.forming,
                inputs=self.inputs.at(image.at_ns),
                lost=self.requests.lost,
                smoothed=self._writers.smoothed,
                racks=self._rack_views(battery, image),
            )
            self._wish = self._dispatch.step(view, self._limits.charge_reason, self._limits.discharge_reason)
            self._strip = self._wish.strip or self._strip
            self._background.start(self._wish.work)
            self._limit_pv(image.at_ns)
        else:
            self._dispatch.reset()
            self._wish = NO_WISH
        chosen = [
            balancer.choose(rack, rack_summary, soc, protected.faulted(config.name), elapsed_s)
            for balancer, config, rack, rack_summary, soc in zip(
                self._balancers, self.site.racks, image.racks, summary.racks, self._soc, strict=True
            )
        ]
        self._bleed = tuple(stripping.get(index, bleed) for index, bleed in enumerate(chosen))

    def _strip_racks(
        self, image: Image, summary: Summary, protected: Protected, battery: BatteryState, elapsed_s: float
    ) -> dict[int, Flags]:
        """What bleeds in the racks that are being stripped; the SoC of one that is done is known."""
        bleeds = {}
        for index, cycle in enumerate(self._strips):
            faulted = protected.faulted(self.site.racks[index].name)
            mode, reading = battery.rack_modes[index], image.racks[index]
            bleed = cycle.step(mode, reading, summary.racks[index], faulted, elapsed_s)
            if bleed is not None:
                bleeds[index] = bleed
            if cycle.stripped:
                self._soc[index].stripped()
        return bleeds

    def _rack_views(self, battery: BatteryState, image: Image) -> tuple[RackView, ...]:
        """For who strips them; nobody else asks."""
        if not self._strips:
            return ()
        return tuple(
            RackView(
                name=rack.name,
                state=battery.rack_modes[index],
                online=battery.counts(index),
                soc_frac=self._soc[index].usable_frac,
                energy_wh=self._energy_wh[index],
                voltage_v=image.racks[index].rack_voltage_v,
                charge_current_a=self._limiter.charge.of_rack(index + 1),
                discharge_current_a=self._limiter.discharge.of_rack(index + 1),
                stripped=self._strips[index].stripped,
            )
            for index, rack in enumerate(self.site.racks)
        )

    def _soh_frac(self) -> float:
        """Of the cell that binds."""
        return min(soc.soh_frac_min for soc in self._soc)

    def _limit_pv(self, at_ns: int) -> None:
        """While power cannot flow nobody says how much PV is too much: its inverter's own reversion answers that."""
        if self._pv_inverter is not None:
            cap_w = self._wish.pv_power_w_max
            self._pv_inverter.command(PvCommand(math.inf if cap_w is None else cap_w, at_ns + PV_EXPIRY_NS))

    def _stored(self, battery: BatteryState) -> StoredEnergy:
        energies_wh = zip(self._energy_wh, battery.rack_modes, strict=True)
        online_wh = sum([energy_wh for energy_wh, mode in energies_wh if mode.online])
        return StoredEnergy(self._soc_summary.frac_usable, online_wh)

    def _leave_or_join(self, image: Image, summary: Summary, protected: Protected, dt_s: float) -> IslandOrders | None:
        """What becomes of intertie and load blocks, and whether the converter may start. None: the site never leaves
        its grid."""
        island, settings = self._island, self.site.island
        if island is None or settings is None:
            return None
        inputs = island_inputs(
            settings, image, self._limits, forming=protected.forming,
            inverter_heard=summary.inverter_age_s <= self.site.limits.inverter_age_s_max,
            racks_online=self._battery.online, soc_frac=self._soc_summary.frac_usable,
        )  # fmt: skip
        before = island.mode
        orders = island.step(inputs, dt_s)
        if orders.mode is IslandMode.RETURNING and before is not orders.mode:
            self._dispatch.reset()  # applications start from what they see now, not from before the outage
        for fault_id, detail in island.faults:
            self._protection.report(fault_id, "intertie", detail, image.at_ns)
        self._battery.converter_allowed = orders.run
        return orders

    def _decide(self, image: Image, battery: BatteryState, protected: Protected, dt_s: float) -> Decision:
        """The wish inside today's limits: they may have fallen since the last control tick."""
        wish, limits = self._wish, self._limits
        wished_w = wish.power_w
        if self._island is not None and image.inverter is not None:
            wished_w = self._island.follow(wished_w, image.inverter.ac_power_w, dt_s)
        power_w = min(max(wished_w, -limits.charge_power_w), limits.discharge_power_w)
        if not battery.power_allowed:
            power_w = 0.0
        clipped_by, reason = wish.narrowed_by, wish.reason
        if wished_w != wish.power_w:
            clipped_by, reason = "island", "the way back to the grid"
        if power_w != wished_w:
            clipped_by = "limits"
            reason = limits.discharge_reason if wished_w > power_w else limits.charge_reason
        return Decision(
            power_w,
            battery.run,
            battery.contactors,
            self._bleed,
            clipped_by,
            reason,
            hold=protected.forming,
            reactive_var=wish.reactive_var if battery.power_allowed else None,
        )

    def _hand_over(self, decision: Decision, image: Image, battery: BatteryState) -> Decision:
        """The set-point to somebody else, inside what limits and guard allow in this tick."""
        order = None
        if battery.power_allowed and self._wish.holding is not None:
            limits_w = -self._limits.charge_power_w, self._limits.discharge_power_w
            window_w = self._guard.window_w(image, decision)
            order = self._writers.order(self._wish, decision, limits_w, window_w, image.at_ns)
        return self._writers.hand_over(decision, order, image.at_ns)

    def _rack_states(self, image: Image, summary: Summary, battery: BatteryState) -> list[RackState]:
        lowest, highest = self._soc_summary.rack_frac_min, self._soc_summary.rack_frac_max
        # In the order of the fields: to match as many names costs more than the rest of this.
        return [
            RackState(
                summary.racks[index], lowest[index], highest[index], self._cells[index].resistance_ohm,
                rack.rack_voltage_v, battery.counts(index), index + 1, self._soc[index].soh_frac_min,
                self._held[index].currents, rack.battery, self._resistance_ohm[index],
            )
            for index, rack in enumerate(image.racks)
        ]  # fmt: skip

    def _report_faults(self, battery: BatteryState, at_ns: int, protected: Protected) -> None:
        for fault_id, rack, detail in battery.faults:
            self._protection.report(fault_id, rack, detail, at_ns)
        if self._inverter.silence is not None:
            self._protection.report("inverter_keeps_on", "inverter", self._inverter.silence, at_ns)
        if self._guard.stopped:
            self._protection.report("guard_stop", "guard", self._guard.stopped, at_ns)
        for fault in protected.tripped:
            self._on_trip(fault)


def rack_soc(rack: Rack, energy_wh: float, limits: Limits) -> RackSoc:
    """An estimator, or the word of a battery that has a management of its own."""
    tables, age_s_max = load_tables(rack.cell), limits.current_age_s_max
    if rack.monitor == "low-voltage":
        return BatterySoc(tables, rack.cells, age_s_max, energy_wh)
    return RackSoc(tables, rack.cells, age_s_max)


def rack_resistances_ohm(site: Site, cells: Sequence[CellParameters]) -> list[float]:
    """Each rack's, without its wiring."""
    return [rack.cells * cell.resistance_ohm for rack, cell in zip(site.racks, cells, strict=True)]


def _contactor_word(closed: bool | None) -> str:
    return {True: "CLOSED", False: "open", None: "unknown"}[closed]


def _heard(word: str, age_ns: int, age_s_max: float) -> str:
    """The word of a device, with its age where it is old."""
    age_s = age_ns / 1e9
    if age_s <= age_s_max or word == "unknown":
        return word
    return f"last heard {age_s:.{0 if age_s > 10.0 else 1}f} s ago: {word}"


def hard_limits(limits: Limits, racks: int, island: Island | None = None) -> HardLimits:
    """The guard's numbers: the maximum level of the site's limits, and from when on a site without grid is served."""
    return HardLimits(
        cell_voltage_v_min=limits.cell_voltage_v_min,
        cell_voltage_v_max=limits.cell_voltage_v_max,
        charge_temperature_degc_min=limits.charge_temperature_degc_min,
        charge_temperature_degc_max=limits.charge_temperature_degc_max,
        discharge_temperature_degc_min=limits.discharge_temperature_degc_min,
        discharge_temperature_degc_max=limits.discharge_temperature_degc_max,
        charge_current_a_max=limits.rack_charge_current_a_max,
        discharge_current_a_max=limits.rack_discharge_current_a_max,
        pack_charge_current_a_max=limits.pack_current_a("charge", "maximum", racks),
        pack_discharge_current_a_max=limits.pack_current_a("discharge", "maximum", racks),
        cell_data_age_s_max=limits.cell_data_age_s_max,
        temperature_age_s_max=limits.temperature_age_s_max,
        current_age_s_max=limits.current_age_s_max,
        cell_voltage_v_min_possible=limits.cell_voltage_v_min_possible,
        cell_voltage_v_max_possible=limits.cell_voltage_v_max_possible,
        temperature_degc_min_possible=limits.temperature_degc_min_possible,
        site_voltage_v_min=math.inf if island is None else LIVE_FRAC_MIN * island.voltage_v_nominal,
        inverter_age_s_max=limits.inverter_age_s_max,
        switchgear_age_s_max=0.0 if island is None else island.intertie_age_s_max,
    )
