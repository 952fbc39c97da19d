"""A grid-following converter between the DC link and the grid: states, limits, lag and losses."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from math import copysign, exp, sqrt

from hil_rigs.plant.converter_alarm import ConverterAlarm as ConverterAlarm
from hil_rigs.plant.fmu_stage import FmuStage, StageInputs
from hil_rigs.plant.grid_support import GridSupport
from hil_rigs.plant.ride_through import AcTerminals, RideThrough, RideThroughSettings
from hil_rigs.plant.smoothing_loop import SmoothingLoop

AC_CURRENT_PU_MAX = 1.1
"""Of rated: most that the power stage carries, so full power down to 0.91 pu of grid voltage."""
FEED_A_MAX, FEED_A_PER_V = 10.0, 1.0
"""A converter that precharges the DC link from its AC side: highest current, and how it tapers near the target."""


class ConverterState(StrEnum):
    """What the converter does; the words are those of SunSpec model 701, point InvSt."""

    OFF = "off"
    STARTING = "starting"
    RUNNING = "running"
    FAULT = "fault"


STARTING, RUNNING = ConverterState.STARTING, ConverterState.RUNNING
"""At hand for every step: Python 3.11 looks a member of an enumeration up as long as it calls a function."""


@dataclass(frozen=True, slots=True)
class ConverterParameters:
    """Nameplate and behaviour. Running window, starting voltage and DC current limit belong to the DC side."""

    rated_power_w: float
    dc_voltage_v_start_min: float
    dc_voltage_v_min: float
    dc_voltage_v_max: float
    dc_current_a_max: float
    lag_s: float = 0.030
    start_s: float = 1.0
    efficiency_frac: float = 0.985
    standby_loss_w: float = 1500.0
    apparent_frac: float = AC_CURRENT_PU_MAX
    """Apparent power over rated power, at nominal voltage."""
    reactive_frac: float = 0.5
    """Most reactive power, in either direction, over rated power; IEEE 1547-2018, 5.2, wants 44 % of the apparent power
    in category B."""
    ride_through: RideThroughSettings = field(default_factory=RideThroughSettings)

    def __post_init__(self) -> None:
        if not 0 < self.dc_voltage_v_min <= self.dc_voltage_v_start_min < self.dc_voltage_v_max:
            raise ValueError(
                f"DC voltages must rise from minimum over start to maximum: got {self.dc_voltage_v_min}, "
                f"{self.dc_voltage_v_start_min}, {self.dc_voltage_v_max} V"
            )
        if min(self.rated_power_w, self.dc_current_a_max, self.lag_s) <= 0 or not 0 < self.efficiency_frac <= 1:
            raise ValueError("rated power, DC current limit and lag must be positive, efficiency within 0..1")
        if not 0 <= self.reactive_frac <= self.apparent_frac or self.apparent_frac < 1:
            raise ValueError("apparent power must be at least the rated power, and at least the reactive power")


def parameters_for_link(nominal_v: float, rated_power_w: float, lag_s: float = 0.03) -> ConverterParameters:
    """A converter that fits a DC link of this nominal voltage: starts from 85 %, runs from 78 to 118 % (an LFP
    string's 2.5 to 3.75 V a cell), full power down to 85 %."""
    return ConverterParameters(
        rated_power_w=rated_power_w,
        dc_voltage_v_start_min=0.85 * nominal_v,
        dc_voltage_v_min=0.78 * nominal_v,
        dc_voltage_v_max=1.18 * nominal_v,
        dc_current_a_max=1.03 * rated_power_w / (0.85 * nominal_v),
        lag_s=lag_s,
    )


@dataclass(slots=True)
class LinkPrecharge:
    """How a converter brings the DC link to the racks' voltage while it starts: `target_v` is the voltage that they
    tell it, `connected` whether one of them is on the link. `broken` = it feeds nothing."""

    target_v: Callable[[], float]
    connected: Callable[[], bool]
    broken: bool = False


@dataclass(slots=True)
class Island:
    """What a grid-forming converter serves: `load_w` is what the load wants beyond what PV gives; `cap_w` is a
    set-point that is enabled all the same and binds it, None = none; `power_w_max` is what a voltage source can give at
    once, and for a while; None = its rating, with its lag."""

    load_w: Callable[[], float]
    cap_w: Callable[[], float | None]
    power_w_max: Callable[[], float] | None = None


class ConverterPlant:
    """Follows a power set-point (W at the AC terminals, discharge positive) while RUNNING.

    Active power goes before reactive power (injected positive), which keeps within what the apparent power leaves.
    `meet_grid` says what grid there is; `step` moves power and state on, then the DC bus is solved for `dc_power_w`,
    then `settle` takes the outcome. It trips for its ride-through settings, and without grid voltage delivers nothing.
    `runaway_w` is a fault hook: that power instead of the set-point, until stopped; only DC limits bind it; with
    `stuck_reactive_var` its reactive power stays there, whatever it is told. With an `island` it makes that one's grid:
    the load decides its power. With `precharge` it feeds the link while STARTING, with `feed_a`, and RUNs only once a
    rack is connected. `told_s` is the age of the set-point. A `stage` computes what the power stage
    makes of its set-points; start, trips, limits and the functions for the grid stay here."""

    def __init__(self, parameters: ConverterParameters, frequency_hz: float = 60.0) -> None:
        self.parameters = parameters
        self.nominal_hz = frequency_hz
        self.state = ConverterState.OFF
        self.alarm: ConverterAlarm | None = None
        self.target_power_w = 0.0
        self.told_s = 0.0
        self.target_reactive_var: float | None = None
        self.reactive_var = 0.0
        self.runaway_w: float | None = None
        self.stuck_reactive_var: float | None = None
        self.ac_power_w = 0.0
        self.dc_power_w = 0.0
        self.dc_voltage_v = 0.0
        self.dc_current_a = 0.0
        self.feed_a = 0.0
        self.precharge: LinkPrecharge | None = None
        self.island: Island | None = None
        self.loop = SmoothingLoop()
        self.stage: FmuStage | None = None
        self._grid_w = 0.0
        self.held_power_w: float | None = None
        self._starting_s = 0.0
        self.support = GridSupport()
        self._ac = AcTerminals(frequency_hz=frequency_hz)
        self._rides = RideThrough(parameters.ride_through, frequency_hz)

    @property
    def rated_power_w(self) -> float:
        return self.parameters.rated_power_w

    @property
    def apparent_power_va(self) -> float:
        return self.parameters.apparent_frac * self.parameters.rated_power_w

    @property
    def reactive_var_max(self) -> float:
        return self.parameters.reactive_frac * self.parameters.rated_power_w

    @property
    def frequency_hz(self) -> float:
        """As it measures it; 0 without a grid."""
        return self._ac.frequency_hz

    @property
    def ac_voltage_pu(self) -> float:
        """Per unit of nominal, at its AC terminals."""
        return self._ac.voltage_pu

    def meet_grid(self, voltage_pu: float, frequency_hz: float, jump_deg: float = 0.0, power_w: float = 0.0) -> None:
        """The grid in the next step, and what was drawn from it in the last (import positive)."""
        self._grid_w = power_w
        if (voltage_pu, frequency_hz, jump_deg) != self._ac:
            self._ac = AcTerminals(voltage_pu, frequency_hz, jump_deg)

    def start(self) -> None:
        """Begin to start; without effect in any state but OFF. Waits in STARTING until the DC link is there."""
        if self.state is ConverterState.OFF:
            self.state = STARTING
            self._starting_s = 0.0

    def stop(self) -> None:
        """Block the gates: no power at once. A fault stays until `reset`."""
        if self.state is not ConverterState.FAULT:
            self.state = ConverterState.OFF
        self._deliver(0.0)

    def reset(self) -> None:
        """Acknowledge a fault: to OFF."""
        if self.state is ConverterState.FAULT:
            self.state = ConverterState.OFF
            self.alarm = None

    def trip(self, alarm: ConverterAlarm) -> None:
        """To FAULT, without power."""
        self.state = ConverterState.FAULT
        self.alarm = alarm
        self._deliver(0.0)

    def trip_under_voltage(self) -> None:
        """Its own grid collapsed under more load than it can carry."""
        self.trip(ConverterAlarm.AC_UNDER_VOLTAGE)

    def join(self, kick_w: float) -> None:
        """The grid is at its terminals from now on: it holds its present power instead of a set-point, until
        `held_power_w` is None again, and what the angle between both drives (`kick_w`) comes on top and decays."""
        if self.state is RUNNING:
            self.held_power_w = self.ac_power_w
            self._deliver(self.ac_power_w + kick_w)

    def set_power(self, power_w: float) -> None:
        """New set-point, held within the rated power. ValueError if it is not finite."""
        if not abs(power_w) < float("inf"):
            raise ValueError(f"power set-point must be finite, got {power_w}")
        rated_w = self.parameters.rated_power_w
        self.told_s = 0.0
        self.target_power_w = min(max(power_w, -rated_w), rated_w)

    def set_reactive(self, reactive_var: float | None) -> None:
        """New reactive set-point, injected positive; None = its own behaviour: what `support` says, else 0 var."""
        self.target_reactive_var = reactive_var

    def step(self, dt_s: float) -> None:
        self.told_s += dt_s
        if self.precharge is not None or self.feed_a > 0.0:
            self._feed()
        if self.state is RUNNING:
            self._bear_grid(dt_s)
        if self.state is STARTING:
            self._advance_start(dt_s)
        if self.state is RUNNING:
            target_w = self._supporting_w(dt_s) if self.runaway_w is None else self.runaway_w
            if self.stage is not None:
                self._follow_stage(self.stage, target_w, dt_s)
                return
            at_once = self.island is not None and self.island.power_w_max is not None
            follow = 1.0 if at_once else 1.0 - exp(-dt_s / self.parameters.lag_s)
            self._deliver(self._limit(self.ac_power_w + follow * (target_w - self.ac_power_w)))
            target_var = self._wanted_var(dt_s)
            self.reactive_var = self._limit_reactive(self.reactive_var + follow * (target_var - self.reactive_var))
        elif self.stage is not None:
            self.stage.step(dt_s, self._terminals(running=False))

    def _follow_stage(self, stage: FmuStage, target_w: float, dt_s: float) -> None:
        told = self._terminals(running=True)._replace(power_set_w=target_w, reactive_set_var=self._wanted_var(dt_s))
        made = stage.step(dt_s, told)
        self._deliver(self._limit(made.power_w))
        if made.loss_w is not None:
            self.dc_power_w = self.ac_power_w + made.loss_w
        self.reactive_var = self._limit_reactive(made.reactive_var)

    def _terminals(self, *, running: bool) -> StageInputs:
        return StageInputs(0.0, 0.0, float(running), self.dc_voltage_v, self.ac_voltage_pu, self.frequency_hz)

    def _wanted_var(self, dt_s: float) -> float:
        """The reactive set-point, or the wish of the functions for the grid without one."""
        own_var = self.support.reactive_var(self._ac.voltage_pu, self.ac_power_w, dt_s)
        told_var = own_var if self.target_reactive_var is None else self.target_reactive_var
        return told_var if self.stuck_reactive_var is None else self.stuck_reactive_var

    def _bear_grid(self, dt_s: float) -> None:
        alarm = self._rides.step(self._ac, dt_s) if self.island is None else None
        if alarm is not None:
            self.trip(alarm)

    def _supporting_w(self, dt_s: float) -> float:
        """The wish as the functions for the grid move it; an island's load decides alone."""
        if self.island is not None:
            return self._wanted_w(dt_s)
        ac = self._ac.voltage_pu, self._ac.frequency_hz, self.nominal_hz
        return self.support.active_w(self._wanted_w(dt_s), self.parameters.rated_power_w, ac, dt_s)

    def _wanted_w(self, dt_s: float) -> float:
        if self.island is None:
            told_w = self.target_power_w if self.held_power_w is None else self.held_power_w
            rated_w = self.parameters.rated_power_w
            wanted_w = self.loop.wanted_w(told_w, self._grid_w, self.ac_power_w, dt_s)
            return wanted_w if -rated_w <= wanted_w <= rated_w else min(max(wanted_w, -rated_w), rated_w)
        most_w = self.parameters.rated_power_w if self.island.power_w_max is None else self.island.power_w_max()
        cap_w, load_w = self.island.cap_w(), min(max(self.island.load_w(), -most_w), most_w)
        return load_w if cap_w is None else min(load_w, cap_w)

    def settle(self, dc_voltage_v: float, dc_current_a: float) -> None:
        """Take the DC bus as it came out; trips when its voltage left the window while running."""
        self.dc_voltage_v = dc_voltage_v
        self.dc_current_a = dc_current_a
        if self.state is RUNNING:
            if dc_voltage_v < self.parameters.dc_voltage_v_min:
                self.trip(ConverterAlarm.DC_UNDER_VOLTAGE)
            elif dc_voltage_v > self.parameters.dc_voltage_v_max:
                self.trip(ConverterAlarm.DC_OVER_VOLTAGE)

    def _feed(self) -> None:
        """Precharge from the AC side: a current into the link, tapered near its target."""
        precharge, was_a = self.precharge, self.feed_a
        feeds = precharge is not None and self.state is STARTING and not precharge.connected()
        feeds = feeds and self._ac.voltage_pu > self.parameters.ride_through.cease_pu
        if precharge is None or not feeds or precharge.broken:
            self.feed_a = 0.0
        else:
            self.feed_a = min(max(FEED_A_PER_V * (precharge.target_v() - self.dc_voltage_v), 0.0), FEED_A_MAX)
        if self.feed_a > 0.0 or was_a > 0.0:
            self._deliver(-self.feed_a * self.dc_voltage_v / self.parameters.efficiency_frac)

    def _advance_start(self, dt_s: float) -> None:
        if self.precharge is not None and not self.precharge.connected():
            self._starting_s = 0.0
            return
        link_there = self.parameters.dc_voltage_v_start_min <= self.dc_voltage_v <= self.parameters.dc_voltage_v_max
        grid_there = self.island is not None or self._rides.ready(self._ac)
        self._starting_s = self._starting_s + dt_s if link_there and grid_there else 0.0
        if self._starting_s >= self.parameters.start_s - 1e-9:
            self.state = RUNNING
            self._rides.reset()

    def _limit(self, ac_power_w: float) -> float:
        """AC power within what the DC current limit allows at the present link voltage, and the AC one in a sag."""
        own, voltage_pu = self.parameters, self._ac.voltage_pu
        if voltage_pu < own.ride_through.cease_pu:
            return 0.0
        if voltage_pu * AC_CURRENT_PU_MAX < 1.0:
            sagging_w = AC_CURRENT_PU_MAX * voltage_pu * own.rated_power_w
            ac_power_w = min(max(ac_power_w, -sagging_w), sagging_w)
        dc_power_w = own.dc_current_a_max * self.dc_voltage_v
        if ac_power_w > 0.0:
            return min(ac_power_w, max(dc_power_w - own.standby_loss_w, 0.0) * own.efficiency_frac)
        return max(ac_power_w, -(dc_power_w + own.standby_loss_w) / own.efficiency_frac)

    def _limit_reactive(self, reactive_var: float) -> float:
        """Reactive power within the rating and the room that the present active power leaves, of a current that a sag
        does not raise."""
        if reactive_var == 0.0:
            return reactive_var
        voltage_pu = self._ac.voltage_pu
        carries = voltage_pu >= self.parameters.ride_through.cease_pu
        apparent_va = min(voltage_pu, 1.0) * self.apparent_power_va if carries else 0.0
        room_var = sqrt(max(apparent_va**2 - self.ac_power_w**2, 0.0))
        return copysign(min(abs(reactive_var), self.reactive_var_max, room_var), reactive_var)

    def _deliver(self, ac_power_w: float) -> None:
        """Set AC power, and the DC power that it takes: one-way efficiency, and the standby loss while running.
        Blocked, it has no reactive power either."""
        efficiency_frac = self.parameters.efficiency_frac
        self.ac_power_w = ac_power_w
        self.dc_power_w = ac_power_w / efficiency_frac if ac_power_w > 0 else ac_power_w * efficiency_frac
        if self.state is RUNNING:
            self.dc_power_w += self.parameters.standby_loss_w
        else:
            self.reactive_var = 0.0
