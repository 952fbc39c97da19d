"""Faults that a rack's monitor finds in itself: one for each of its alarm bits, and its watchdog."""

from bms.protect.fault_kind import Action, FaultKind, Level, row
from drivers.safety import MonitorAlarm

REPLACE = "Replace the monitor if a restart does not help."


def _alarm(id: str, action: Action, meaning: str, advice: str, *, latched: bool = False) -> FaultKind:
    return row(id, Level.SYSTEM, action, meaning, advice, debounce_s=0.15, latched=latched)


MONITOR_ALARMS: dict[MonitorAlarm, FaultKind] = {
    MonitorAlarm.INTERNAL_FAULT: _alarm(
        "monitor_internal_fault", Action.OPEN, "A rack's monitor reports an internal fault.", REPLACE
    ),
    MonitorAlarm.MODULES_LOST: _alarm(
        "monitor_modules_lost", Action.OPEN, "A rack's monitor does not reach all of its modules.",
        "Check the daisy chain between the modules and their supply.",
    ),
    MonitorAlarm.BOARD_HOT: _alarm(
        "monitor_board_hot", Action.ZERO_POWER, "The board of a rack's monitor is too hot to measure rightly.",
        "Check the cooling of the monitor; is too much bleeding at the same time?",
    ),
    MonitorAlarm.MEMORY_ERROR: _alarm(
        "monitor_memory_error", Action.OPEN, "A rack's monitor found an error in its memory.", REPLACE
    ),
    MonitorAlarm.PARAMETER_ERROR: _alarm(
        "monitor_parameter_error", Action.OPEN, "A rack's monitor has no valid parameters; its own limits are unsure.",
        "Write its parameters again.",
    ),
    MonitorAlarm.SELF_TEST_FAILED: _alarm(
        "monitor_self_test_failed", Action.OPEN, "A rack's monitor failed its self-test.", REPLACE
    ),
    MonitorAlarm.REFERENCE_WRONG: _alarm(
        "monitor_reference_wrong", Action.OPEN, "The reference voltage of a monitor is off: all its voltages are.",
        REPLACE,
    ),
    MonitorAlarm.BLEED_FAULT: _alarm(
        "monitor_bleed_fault", Action.WARN, "A bleed switch does not obey its monitor.",
        "Watch the cell's voltage; replace the module if the cell is drained.",
    ),
    MonitorAlarm.SENSE_WIRE_OPEN: _alarm(
        "monitor_sense_wire_open", Action.OPEN, "A rack's monitor found an open sense wire.",
        "Check the sense wires of the rack.", latched=True,
    ),
    MonitorAlarm.TEMPERATURE_SENSOR_FAULT: _alarm(
        "monitor_temperature_sensor_fault", Action.WARN, "A temperature sensor is open or shorted.",
        "Replace the sensor; the cells beside it are watched by their neighbours' sensors only.",
    ),
    MonitorAlarm.CURRENT_SENSOR_FAULT: _alarm(
        "monitor_current_sensor_fault", Action.OPEN, "A rack's current sensor reports a fault.", "Replace the sensor."
    ),
    MonitorAlarm.CONTACTOR_DRIVER_FAULT: _alarm(
        "monitor_contactor_driver_fault", Action.OPEN, "A contactor's coil driver reports a short or an open coil.",
        "Check coil and wiring before you reset: the contactor may not open.", latched=True,
    ),
    MonitorAlarm.SUPPLY_LOW: _alarm(
        "monitor_supply_low", Action.WARN, "The supply of a rack's monitor is low.", "Check its supply and fuse."
    ),
    MonitorAlarm.RESTARTED: _alarm(
        "monitor_restarted", Action.WARN, "A rack's monitor was restarted by its own watchdog.",
        "Nothing, if it was once; replace the monitor if it happens again.",
    ),
    MonitorAlarm.MODULE_COUNT_WRONG: _alarm(
        "monitor_module_count_wrong", Action.OPEN, "A rack's monitor finds another number of modules than it should.",
        "Check the daisy chain and the monitor's parameters.",
    ),
    MonitorAlarm.HARDWARE_LIMIT: _alarm(
        "monitor_hardware_limit", Action.OPEN, "The hardware limit of a rack's monitor has tripped.",
        "A limit was crossed that this controller should have kept: keep the record before you reset.", latched=True,
    ),
}  # fmt: skip

MONITOR_FAULTS: tuple[FaultKind, ...] = (
    *MONITOR_ALARMS.values(),
    row(
        "rack_watchdog_tripped", Level.SYSTEM, Action.WARN,
        "A rack opened its contactors by itself because no commands reached it.",
        "Check the CAN bus and the gateway's transmit path.", debounce_s=0.1,
    ),
)  # fmt: skip
