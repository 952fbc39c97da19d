"""What a rack says beside its cells, as types: insulation, loops, fire, supply, cooling, the monitor's own alarms.

Absent is None or NaN: not wired, not heard yet, or marked invalid by the monitor.
"""

from enum import IntEnum, IntFlag
from math import nan
from typing import NamedTuple

from drivers.clock import NEVER_NS


class InsulationState(IntEnum):
    """State of an insulation monitor. Its resistance counts while it is ACTIVE only."""

    OFF = 0
    SETTLING = 1
    ACTIVE = 2
    SELF_TEST_FAILED = 3
    DEVICE_FAULT = 4


class MonitorAlarm(IntFlag):
    """Alarms that a rack's monitor raises about itself."""

    INTERNAL_FAULT = 1 << 0
    MODULES_LOST = 1 << 1
    BOARD_HOT = 1 << 2
    MEMORY_ERROR = 1 << 3
    PARAMETER_ERROR = 1 << 4
    SELF_TEST_FAILED = 1 << 5
    REFERENCE_WRONG = 1 << 6
    BLEED_FAULT = 1 << 7
    SENSE_WIRE_OPEN = 1 << 8
    TEMPERATURE_SENSOR_FAULT = 1 << 9
    CURRENT_SENSOR_FAULT = 1 << 10
    CONTACTOR_DRIVER_FAULT = 1 << 11
    SUPPLY_LOW = 1 << 12
    RESTARTED = 1 << 13
    MODULE_COUNT_WRONG = 1 << 14
    HARDWARE_LIMIT = 1 << 15


class CoolingRequest(IntEnum):
    """What a rack's cooling shall do; AUTO leaves it to its own control."""

    AUTO = 0
    OFF = 1
    ON = 2


class SafetyInputs(NamedTuple):
    """Newest inputs of one rack. `at_ns` is the time of all but the insulation monitor and the alarm bits, which come
    at `insulation_at_ns`."""

    at_ns: int
    interlock_closed: bool | None
    emergency_stop_released: bool | None
    smoke_detected: bool | None
    gas_detected: bool | None
    fire_panel_alarm: bool | None
    door_closed: bool | None
    fuse_intact: bool | None
    cooling_running: bool | None
    cooling_failed: bool | None
    fire_output_on: bool | None
    """Read-back of the output to the fire panel."""
    aux_supply_v: float
    coolant_temperature_degc: float
    precharge_temperature_degc: float
    insulation_at_ns: int
    insulation_kohm: float
    """Of the whole galvanic DC bus that the rack is connected to."""
    insulation_state: InsulationState | None
    alarms: MonitorAlarm | None
    temperature_redundant_degc: float = nan
    """Hottest place of a second, independent chain of sensors; comes at `insulation_at_ns`."""
    aux_on_battery: bool | None = None
    """The auxiliary supply runs on its battery."""
    aux_charge_frac: float = nan
    """Charge of that battery."""


NOT_HEARD = SafetyInputs(
    at_ns=NEVER_NS,
    interlock_closed=None,
    emergency_stop_released=None,
    smoke_detected=None,
    gas_detected=None,
    fire_panel_alarm=None,
    door_closed=None,
    fuse_intact=None,
    cooling_running=None,
    cooling_failed=None,
    fire_output_on=None,
    aux_supply_v=nan,
    coolant_temperature_degc=nan,
    precharge_temperature_degc=nan,
    insulation_at_ns=NEVER_NS,
    insulation_kohm=nan,
    insulation_state=None,
    alarms=None,
)
