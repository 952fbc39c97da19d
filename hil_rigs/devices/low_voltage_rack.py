"""A simulated battery with a management system of its own, around a rack of the plant, in the low-voltage protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from drivers.battery import BatteryAlarm, BatterySays
from drivers.clock import NEVER_NS
from drivers.frames import FrameBatch
from drivers.low_voltage.codec import SILENCE_S, BatteryDecoder, BatteryEncoder
from drivers.low_voltage.profile import Profile
from drivers.readings import Floats
from hil_rigs.devices.rack_control import Contactors, RackControl
from hil_rigs.world.canbus import CanBus

SILENCE_NS = round(SILENCE_S * 1e9)
SLOTS = 100
"""It speaks once in so many slots of 10 ms."""
C_RATE = 0.5
"""What it allows in the middle of its charge."""
CHARGE_V, DISCHARGE_V = (3.40, 3.55), (3.10, 2.85)
"""Voltages of the highest and the lowest cell between which it takes its limits back to nothing."""
CELL_V_MAX, CELL_V_MIN = 3.50, 2.90
"""Its voltage limits, by cell."""
NO_ALARM = BatteryAlarm(0)


class Rack(Contactors, Protocol):
    """What it measures and drives; hil_rigs.plant.RackPlant is one."""

    def measured_voltage_v(self) -> Floats: ...
    def measured_temperature_degc(self) -> Floats: ...


@dataclass(slots=True)
class LowVoltageRackFaults:
    """Set at any time. `alarms` and `warnings` are raised whatever is true; `silent`: it says nothing, and stays as it
    is."""

    alarms: BatteryAlarm = NO_ALARM
    warnings: BatteryAlarm = NO_ALARM
    silent: bool = False


class LowVoltageRackNode:
    """Says its word once a second. It connects itself, with a precharge of its own, while it hears a keep-alive, and
    leaves 3 s after the last one with its alarm. Apart it allows nothing."""

    def __init__(
        self, rack: Rack, bus: CanBus, profile: Profile, capacity_ah: float, soc_frac: Callable[[], float]
    ) -> None:
        """`soc_frac` is what its management reckons."""
        self.faults = LowVoltageRackFaults()
        self._rack, self._capacity_ah, self._soc_frac = rack, capacity_ah, soc_frac
        self._control = RackControl(rack, precharges=True)
        self._encoder, self._decoder = BatteryEncoder(profile), BatteryDecoder(profile)
        self._port = bus.attach(self._on_batch)

    def step(self, slot: int, now: int) -> None:
        """One slot of 10 ms, `now` in ns."""
        heard_ns = self._decoder.keep_alive_at_ns
        alive = heard_ns != NEVER_NS and now - heard_ns < SILENCE_NS
        self._control.request(alive, now)
        self._control.step(now)
        if slot % SLOTS == 0 and not self.faults.silent:
            lost = heard_ns != NEVER_NS and not alive
            self._port.send(self._encoder.encode(self._says(lost)))

    def _on_batch(self, batch: FrameBatch) -> None:
        self._decoder.feed(batch)

    def _says(self, lost: bool) -> BatterySays:
        rack, faults, closed = self._rack, self.faults, self._rack.main_closed
        voltage_v, degc = rack.measured_voltage_v(), rack.measured_temperature_degc()
        charge_a = self._allowed_a(float(voltage_v.max()), *CHARGE_V) if closed else 0.0
        discharge_a = self._allowed_a(float(voltage_v.min()), *DISCHARGE_V) if closed else 0.0
        alone = BatteryAlarm.GENERAL | BatteryAlarm.INTERNAL if lost else NO_ALARM
        return BatterySays(
            charge_voltage_v_max=CELL_V_MAX * len(voltage_v),
            charge_current_a_max=charge_a,
            discharge_current_a_max=discharge_a,
            discharge_voltage_v_min=CELL_V_MIN * len(voltage_v),
            soc_frac=self._soc_frac(),
            soh_frac=1.0,
            voltage_v=rack.voltage_v,
            current_a=rack.measured_current_a(),
            temperature_degc=float(degc.mean()),
            alarms=faults.alarms | alone,
            warnings=faults.warnings,
            charge_allowed=charge_a > 0.0,
            discharge_allowed=discharge_a > 0.0,
            charge_requested=False,
            full_charge_requested=False,
            cell_voltage_v_min=float(voltage_v.min()),
            cell_voltage_v_max=float(voltage_v.max()),
            cell_temperature_degc_min=float(degc.min()),
            cell_temperature_degc_max=float(degc.max()),
            capacity_ah=self._capacity_ah,
            name="HOMEBATT",
        )

    def _allowed_a(self, voltage_v: float, full_v: float, none_v: float) -> float:
        share = np.clip((none_v - voltage_v) / (none_v - full_v), 0.0, 1.0)
        return float(share) * C_RATE * self._capacity_ah
