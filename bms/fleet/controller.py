"""The controller of a fleet: one tick reads as readings -> accounts -> dispatch -> arbiter -> units -> record."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from zoneinfo import ZoneInfo

import numpy as np

from bms.dispatch.arbiter import Arbiter, Split, Units
from bms.dispatch.dispatch import NO_WISH, Dispatch, Wish, make_applications
from bms.dispatch.inputs import Inputs
from bms.dispatch.view import SiteView
from bms.fleet.account import UnitAccount, UnitState
from bms.fleet.settings import Fleet, FleetUnit
from bms.record import Recorder, TickRow
from bms.state.wall_time import WallClock
from drivers.clock import now_ns
from drivers.commands import InverterCommand
from drivers.inverters.sunspec import SunSpecInverter
from drivers.inverters.sunspec.storage import StorageReading, SunSpecStorage
from drivers.meters.described import DescribedMeter
from drivers.meters.sunspec import SunSpecMeter
from drivers.pace import Pace
from drivers.readings import InverterReading, InverterState, MeterReading

STOP_WAIT_S = 15.0
REST_S, REST_FRAC = 1.0, 0.01
"""At an orderly end a unit that stays on with so little of its rating for so long gets no set-point any more: a whole
site is not switched off by who asks it for power."""
RELEASE_S = 1.5
"""For so long it is told to stop then, by which a site withdraws the last set-point: it goes on by itself."""
LOAD_BEFORE_S = 1.0
"""The load that a silent unit is held against is the mean of so long before."""
STOPPED = (InverterState.OFF, InverterState.SLEEPING, InverterState.STANDBY, InverterState.FAULT)
NAMED = {
    UnitState.IGNORING: ("unit_ignores", "its power is not what it was told"),
    UnitState.LOST: ("unit_lost", "does not answer; counts with its last power until its own timer ends it"),
    UnitState.RUNAWAY: ("unit_keeps_on", "does not answer and went on past its reversion time, by the grid meter"),
}


@dataclass(frozen=True, slots=True)
class UnitFault:
    """What is wrong with a unit, since when."""

    since_ns: int
    fault_id: str
    unit: str
    detail: str

    def __str__(self) -> str:
        return f"{self.fault_id} ({self.unit}): {self.detail}"


class _Unit:
    """Drivers, newest readings and account of one unit."""

    def __init__(self, settings: FleetUnit, fleet: Fleet) -> None:
        self.settings = settings
        self.reading: InverterReading | None = None
        self.storage = StorageReading(0, nan, nan)
        self.inverter = SunSpecInverter(settings.open_link(), self._heard, settings.poll_period_s, settings.reversion_s)
        self.battery = SunSpecStorage(settings.open_link(), self._stored)
        self._fleet = fleet
        self._account: UnitAccount | None = None
        self.told_w = 0.0
        self._rest_s = 0.0

    def note_rest(self, dt_s: float) -> None:
        """Once a tick of the orderly end: how long it has been at next to nothing. What it does once it is released
        is its own affair."""
        account = self.account
        rests = account is not None and abs(account.counted_w) <= REST_FRAC * account.rated_power_w
        self._rest_s = self._rest_s + dt_s if rests or self.released else 0.0

    @property
    def released(self) -> bool:
        """It gets no set-point any more."""
        return self._rest_s >= REST_S

    @property
    def at_an_end(self) -> bool:
        """It has stopped, or is released."""
        return self.reading is None or self.reading.state in STOPPED or self._rest_s >= REST_S + RELEASE_S

    def _heard(self, reading: InverterReading) -> None:
        self.reading = reading

    def _stored(self, reading: StorageReading) -> None:
        self.storage = reading

    @property
    def account(self) -> UnitAccount | None:
        """None until the unit told its rating."""
        rating = self.inverter.rating
        if self._account is None and rating is not None and rating.known:
            rated_w = max(rating.charge_power_w_max, rating.discharge_power_w_max)
            fleet = self._fleet
            self._account = UnitAccount(
                rated_w,
                reversion_s=self.settings.reversion_s,
                response_time_s=self.settings.response_time_s,
                age_s_max=fleet.answer_age_s_max,
                period_s=fleet.control_period_s,
            )
        return self._account

    @property
    def energy_wh(self) -> float:
        said_wh = self.storage.energy_wh if self.storage.energy_wh > 0.0 else 0.0
        return said_wh if self.settings.energy_wh is None else self.settings.energy_wh

    @property
    def ready(self) -> bool:
        return self.account is not None and self.account.state is UnitState.READY and self.soc_known

    @property
    def soc_known(self) -> bool:
        return self.storage.soc_frac == self.storage.soc_frac

    def limit_w(self, *, discharge: bool) -> float:
        """What it may be asked for now; 0 for one that is not ready, or empty, or full."""
        rating, settings = self.inverter.rating, self.settings
        if not self.ready or rating is None:
            return 0.0
        storage = self.storage
        if discharge:
            rated_w, bank_w = rating.discharge_power_w_max, storage.discharge_power_w_max
            there = storage.soc_frac > settings.soc_frac_min
        else:
            rated_w, bank_w = rating.charge_power_w_max, storage.charge_power_w_max
            there = storage.soc_frac < settings.soc_frac_max
        if not there:
            return 0.0
        return rated_w if bank_w != bank_w else min(rated_w, bank_w)


class FleetController:
    """Runs a fleet until cancelled or `stop` is called; owns the drivers' tasks. `on_trip` hears of every fault of a
    unit once, `perf_clock` measures ticks (a constant in virtual time), `beat` is called at the end of each tick."""

    def __init__(
        self,
        fleet: Fleet,
        *,
        recorder: Recorder | None,
        perf_clock: Callable[[], float],
        on_trip: Callable[[UnitFault], None],
        wall_clock: WallClock | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.fleet = fleet
        self._beat = beat
        self.wanted = True
        self.inputs = Inputs()
        self.faults: dict[str, UnitFault] = {}
        self.row: TickRow | None = None
        self.overruns = 0
        self._recorder, self._perf_clock, self._on_trip, self._wall_clock = recorder, perf_clock, on_trip, wall_clock
        self._units = [_Unit(settings, fleet) for settings in fleet.units]
        self._meter_reading: MeterReading | None = None
        self._meter = self._open_meter()
        self._dispatch = Dispatch(make_applications(fleet.applications))
        self._arbiter = Arbiter(len(self._units))
        self._zone = ZoneInfo(fleet.time_zone)
        self._load_w: deque[float] = deque(maxlen=max(round(LOAD_BEFORE_S / fleet.control_period_s), 1))
        self._start_ns: int | None = None
        self._tick_ms = nan

    def _open_meter(self) -> SunSpecMeter | DescribedMeter:
        device = self.fleet.grid_meter
        if device.description is not None:
            return DescribedMeter(
                device.open_link(), device.description, self._metered, poll_period_s=device.poll_period_s
            )
        return SunSpecMeter(device.open_link(), self._metered, poll_period_s=device.poll_period_s)

    def _metered(self, reading: MeterReading) -> None:
        self._meter_reading = reading

    def stop(self) -> None:
        """Ask for the orderly end: 0 W, units stopped, then `run` returns."""
        self.wanted = False

    def end_state(self) -> str:
        """Where the units stand by their own word, in one line."""
        words = [
            f"{unit.settings.name} {'never heard' if unit.reading is None else unit.reading.state}"
            for unit in self._units
        ]
        return ", ".join(words)

    async def run(self) -> None:
        """Drive the fleet. Returns after an orderly `stop`; cancelled, it leaves the units to their own timers."""
        async with asyncio.TaskGroup() as tasks:
            devices = [self._meter, *(unit.inverter for unit in self._units), *(unit.battery for unit in self._units)]
            running = [tasks.create_task(device.run()) for device in devices]
            await self._tick_for_ever()
            for task in running:
                task.cancel()

    async def _tick_for_ever(self) -> None:
        pace, stopping_s = Pace(self.fleet.control_period_s), 0.0
        while stopping_s < STOP_WAIT_S and (self.wanted or not self._stopped()):
            began = self._perf_clock()
            self._tick(now_ns(), self.fleet.control_period_s)
            self._tick_ms = (self._perf_clock() - began) * 1e3
            self._beat()
            stopping_s += 0.0 if self.wanted else self.fleet.control_period_s
            for unit in [] if self.wanted else self._units:
                unit.note_rest(self.fleet.control_period_s)
            await pace.next()
            self.overruns = pace.overruns

    def _stopped(self) -> bool:
        return all(unit.at_an_end for unit in self._units)

    def _tick(self, at_ns: int, dt_s: float) -> None:
        grid_w = self._grid_w(at_ns)
        load_w = self._see(at_ns, dt_s, grid_w)
        wish, split = NO_WISH, Split(np.zeros(len(self._units)), 0.0)
        if self.wanted and any(unit.ready for unit in self._units):
            wish = self._dispatch.step(self._view(at_ns, dt_s, grid_w, load_w), "units", "units")
            split = self._arbiter.split(wish.power_w - self._fixed_w(), self._can())
        else:
            self._dispatch.reset()
        self._tell(split, at_ns)
        self._name_faults(at_ns)
        self._keep(wish, split, at_ns, grid_w, load_w)

    def _grid_w(self, at_ns: int) -> float | None:
        meter = self._meter_reading
        if meter is None or meter.power_w != meter.power_w:
            return None
        return meter.power_w if at_ns - meter.at_ns <= self.fleet.answer_age_s_max * 1e9 else None

    def _see(self, at_ns: int, dt_s: float, grid_w: float | None) -> float | None:
        """Take the readings into the accounts; the site's load, None without a meter."""
        accounts = [(unit, unit.account) for unit in self._units if unit.account is not None]
        for unit, account in accounts:
            account.see(unit.reading, unit.inverter.sent, at_ns, dt_s, unit.told_w)
        metered_ns = at_ns if self._meter_reading is None else self._meter_reading.at_ns
        reckoned_w = None
        if grid_w is not None:
            reckoned_w = grid_w + sum(account.reckoned_w(metered_ns) for _, account in accounts)
        before_w = float(np.mean(self._load_w)) if self._load_w else None
        for _, account in accounts:
            account.weigh(reckoned_w, before_w, at_ns)
        if grid_w is None:
            return None
        load_w = grid_w + sum(account.counted_at_w(metered_ns) for _, account in accounts)
        if all(account.state is not UnitState.LOST for _, account in accounts):
            self._load_w.append(load_w)
        return load_w

    def _view(self, at_ns: int, dt_s: float, grid_w: float | None, load_w: float | None) -> SiteView:
        ready = [unit for unit in self._units if unit.ready]
        energy_wh = sum(unit.energy_wh for unit in ready)
        held_wh = sum(unit.energy_wh * unit.storage.soc_frac for unit in ready)
        fixed_w, meter = self._fixed_w(), self._meter_reading
        fresh = grid_w is not None and meter is not None
        frequency_hz = meter.frequency_hz if fresh and meter is not None else nan
        can = self._can()
        return SiteView(
            dt_s=dt_s,
            grid_power_w=grid_w,
            load_power_w=load_w,
            battery_power_w=sum(unit.account.counted_w for unit in self._units if unit.account is not None),
            soc_frac=held_wh / energy_wh if energy_wh > 0.0 else 0.5,
            # A power that nobody can change moves the window of those that can be told.
            charge_power_w_limit=max(float(can.charge_power_w_limit.sum()) - fixed_w, 0.0),
            discharge_power_w_limit=max(float(can.discharge_power_w_limit.sum()) + fixed_w, 0.0),
            frequency_hz=frequency_hz if frequency_hz == frequency_hz else None,
            utc_s=None if self._wall_clock is None else self._wall_clock(),
            zone=self._zone,
            energy_capacity_wh=energy_wh,
            inputs=self.inputs.at(at_ns),
        )

    def _fixed_w(self) -> float:
        """Power of the units that cannot be told now."""
        return sum(unit.account.counted_w for unit in self._units if unit.account is not None and not unit.ready)

    def _can(self) -> Units:
        units = self._units
        return Units(
            charge_power_w_limit=np.array([unit.limit_w(discharge=False) for unit in units]),
            discharge_power_w_limit=np.array([unit.limit_w(discharge=True) for unit in units]),
            soc_frac=np.array([unit.storage.soc_frac if unit.soc_known else 0.5 for unit in units]),
            energy_wh=np.array([unit.energy_wh for unit in units]),
            efficient_power_w=np.array(
                [0.0 if unit.account is None else unit.settings.efficient_frac * unit.account.rated_power_w
                 for unit in units]
            ),
        )  # fmt: skip

    def _tell(self, split: Split, at_ns: int) -> None:
        """A unit that cannot be heard is told 0 W, so that it begins there when it is back."""
        expires_ns = at_ns + int(5 * self.fleet.control_period_s * 1e9)
        for unit, power_w in zip(self._units, split.power_w.tolist(), strict=True):
            unit.told_w = power_w
            command = InverterCommand(power_w, self.wanted, expires_ns, set_point=not unit.released)
            unit.inverter.command(command)

    def _name_faults(self, at_ns: int) -> None:
        for unit in self._units:
            state = None if unit.account is None else unit.account.state
            if state is UnitState.GONE:
                continue  # it was named when it was lost
            named = NAMED.get(state) if state is not None else None
            known = self.faults.get(unit.settings.name)
            if named is None:
                self.faults.pop(unit.settings.name, None)
            elif known is None or known.fault_id != named[0]:
                fault = UnitFault(at_ns, named[0], unit.settings.name, named[1])
                self.faults[unit.settings.name] = fault
                self._on_trip(fault)

    def _keep(self, wish: Wish, split: Split, at_ns: int, grid_w: float | None, load_w: float | None) -> None:
        self._start_ns = at_ns if self._start_ns is None else self._start_ns
        soc_frac = [unit.storage.soc_frac for unit in self._units if unit.soc_known] or [nan]
        accounts = [unit.account for unit in self._units if unit.account is not None]
        links = [unit.inverter.health for unit in self._units] + [self._meter.health]
        can = self._can()
        short = [] if split.short_w < 1.0 else [f"arbiter misses {split.short_w:.0f} W, held by units: their limits"]
        self.row = TickRow(
            time_s=(at_ns - self._start_ns) / 1e9,
            mode="running" if any(unit.ready for unit in self._units) else "starting",
            requested_power_w=wish.requested_power_w,
            sent_power_w=float(split.power_w.sum()),
            clipped_by=wish.narrowed_by or None,
            clip_reason=wish.reason or None,
            grid_power_w=nan if grid_w is None else grid_w,
            battery_power_w=sum(account.counted_w for account in accounts),
            load_power_w=nan if load_w is None else load_w,
            soc_min_frac=min(soc_frac),
            soc_mean_frac=sum(soc_frac) / len(soc_frac),
            soc_max_frac=max(soc_frac),
            soc_sigma_max_frac=nan,
            cell_voltage_v_min=nan,
            cell_voltage_v_max=nan,
            cell_temperature_degc_min=nan,
            cell_temperature_degc_max=nan,
            charge_power_w_limit=float(can.charge_power_w_limit.sum()),
            discharge_power_w_limit=float(can.discharge_power_w_limit.sum()),
            limit_reason_charge=None,
            limit_reason_discharge=None,
            faults=",".join(sorted({fault.fault_id for fault in self.faults.values()})),
            rack_states=",".join(UnitState.UNHEARD if u.account is None else u.account.state for u in self._units),
            rack_current_a_max_abs=nan,
            tick_ms=self._tick_ms,
            overruns=self.overruns,
            frames=0,
            frames_lost=0,
            transactions=sum(link.transactions for link in links),
            transactions_lost=sum(link.timeouts + link.errors for link in links),
            converter_run=int(self.wanted),
            contactors="",
            wanted=int(self.wanted),
            asked_by=wish.asked_by or None,
            unmet="; ".join([*map(str, wish.unmet), *short]) or None,
        )
        if self._recorder is not None:
            self._recorder.add(self.row)
