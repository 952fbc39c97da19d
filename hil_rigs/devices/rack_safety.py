"""The part of a simulated rack that senses and drives what surrounds its cells, with its insulation monitor."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from drivers.cell_monitors.native.layout import OUTPUTS_TIMEOUT_NS, NativeLayout
from drivers.frames import FrameBatch
from drivers.readings import NEVER_NS
from drivers.safety import CoolingRequest, InsulationState, MonitorAlarm
from hil_rigs.plant.enclosure import Enclosure
from kernels.canbits import FrameDecoder

SETTLING_NS = 5_000_000_000
"""An insulation monitor needs this long after it was switched on."""

AUX_SUPPLY_V_MAX, COOLANT_DEGC, PRECHARGE_DEGC = 51.1, (-40.0, 87.5), (-40.0, 470.0)
"""What RackSafety can carry."""
KOHM_MAX = 65_534.0
NO_ALARMS = MonitorAlarm(0)
INPUTS = (
    "interlock_closed",
    "emergency_stop_released",
    "smoke_detected",
    "gas_detected",
    "fire_panel_alarm",
    "door_closed",
    "fuse_intact",
    "cooling_running",
    "cooling_failed",
    "fire_output_on",
    "aux_supply_v",
    "coolant_temperature_degc",
    "precharge_temperature_degc",
)
"""Fields of an enclosure in the order of RackSafety's signals."""
_FLAGS = INPUTS.index("aux_supply_v")
"""So many of them, the first ones, are flags."""
_fields: Callable[[Enclosure], tuple[Any, ...]] = attrgetter(*INPUTS)
REQUESTED: dict[int, bool] = {CoolingRequest.OFF: False, CoolingRequest.ON: True}


@dataclass(slots=True)
class RackSafetyFaults:
    """Set at any time. `state` is what the insulation monitor says of itself whatever is true; `mute` cuts it off;
    `always_on` does not hear that it shall be off; `alarms` are the cell monitor's own."""

    state: InsulationState | None = None
    mute: bool = False
    always_on: bool = False
    alarms: MonitorAlarm = NO_ALARMS


class RackSafety:
    """Values of RackSafety and RackInsulation, and obedience to RackOutputs. `insulation_kohm` says what is there to
    be measured."""

    def __init__(self, layout: NativeLayout, enclosure: Enclosure, insulation_kohm: Callable[[], float]) -> None:
        self.faults = RackSafetyFaults()
        self.enclosure = enclosure
        self.elsewhere: frozenset[str] = frozenset()
        """Fields of the enclosure that other devices show, and drive: not wired to this node."""
        self._seen: tuple[Any, ...] = ()
        self._insulation_kohm = insulation_kohm
        self._commands = FrameDecoder(layout.outputs.frames)
        self._on_since_ns: int | None = NEVER_NS
        self._heard_ns = NEVER_NS

    def hear(self, batch: FrameBatch) -> None:
        """Commands from the bus; whatever is not a valid RackOutputs changes nothing."""
        if not self._commands.feed(batch.data, batch.at_ns):
            return
        fire_alarm, cooling, off = self._commands.values.tolist()
        self._heard_ns = batch.at_ns
        self._drive(fire_alarm > 0.0, REQUESTED.get(int(cooling)))
        if off > 0.0 and not self.faults.always_on:
            self._on_since_ns = None
        elif self._on_since_ns is None:
            self._on_since_ns = batch.at_ns

    def watch(self, now: int) -> None:
        """Without commands the cooling goes back to its own control, which lets it run."""
        if self._heard_ns != NEVER_NS and now - self._heard_ns >= OUTPUTS_TIMEOUT_NS:
            self._heard_ns = NEVER_NS
            self._drive(bool(self.enclosure.fire_output_on), True)

    def _drive(self, fire_alarm: bool, cooling: bool | None) -> None:
        fire = None if "fire_output_on" in self.elsewhere else fire_alarm
        self.enclosure.drive(fire, None if "cooling_running" in self.elsewhere else cooling)

    def keep_on(self) -> None:
        """The insulation monitor is on, active, and stays so."""
        self.faults.always_on, self._on_since_ns = True, NEVER_NS

    def changed_inputs(self) -> list[float] | None:
        """Values of RackSafety as its frame can carry them; None as long as they are those of the last time."""
        seen = (self.elsewhere, *_fields(self.enclosure))
        if seen == self._seen:
            return None
        self._seen = seen
        flags, (aux_supply_v, coolant_degc, precharge_degc) = seen[1 : 1 + _FLAGS], seen[1 + _FLAGS :]
        shown = [
            *[math.nan if flag is None else float(flag) for flag in flags],
            _within(aux_supply_v, 0.0, AUX_SUPPLY_V_MAX),
            _within(coolant_degc, *COOLANT_DEGC),
            _within(precharge_degc, *PRECHARGE_DEGC),
        ]
        return [math.nan if name in self.elsewhere else value for name, value in zip(INPUTS, shown, strict=True)]

    def insulation(self, now: int) -> tuple[float, float, float]:
        """Values of RackInsulation: resistance, state, alarm bits."""
        alarms = float(self.faults.alarms)
        if self.faults.mute:
            return math.nan, math.nan, alarms
        state = self._state(now) if self.faults.state is None else self.faults.state
        measuring = state is InsulationState.ACTIVE
        kohm = _within(self._insulation_kohm(), 0.0, KOHM_MAX) if measuring else math.nan
        return kohm, float(state), alarms

    def _state(self, now: int) -> InsulationState:
        if self._on_since_ns is None:
            return InsulationState.OFF
        settled = now - self._on_since_ns >= SETTLING_NS
        return InsulationState.ACTIVE if settled else InsulationState.SETTLING


def _within(value: float, least: float, most: float) -> float:
    """NaN stays NaN."""
    return value if math.isnan(value) else min(max(value, least), most)
