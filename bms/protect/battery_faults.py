"""Faults of a battery with a management system of its own: its silence, and one for each of its alarms."""

from bms.protect.fault_kind import Action, FaultKind, Level, row
from drivers.battery import BatteryAlarm

ITS_BMS = "Read what the battery's own display or tool says, and its manual."


def _alarm(id: str, action: Action, meaning: str, advice: str = ITS_BMS) -> FaultKind:
    return row(id, Level.SYSTEM, action, meaning, advice, debounce_s=0.1)


BATTERY_ALARMS: dict[BatteryAlarm, FaultKind] = {
    BatteryAlarm.GENERAL: _alarm("battery_alarm", Action.OPEN, "A battery raises its general alarm."),
    BatteryAlarm.HIGH_VOLTAGE: _alarm(
        "battery_voltage_high", Action.BLOCK_CHARGE, "A battery says that its voltage, or a cell's, is too high."
    ),
    BatteryAlarm.LOW_VOLTAGE: _alarm(
        "battery_voltage_low", Action.BLOCK_DISCHARGE, "A battery says that its voltage, or a cell's, is too low.",
        "Charge it soon: it may switch itself off.",
    ),
    BatteryAlarm.HIGH_TEMPERATURE: _alarm(
        "battery_temperature_high", Action.ZERO_POWER, "A battery says that it is too hot."
    ),
    BatteryAlarm.LOW_TEMPERATURE: _alarm(
        "battery_temperature_low", Action.ZERO_POWER, "A battery says that it is too cold."
    ),
    BatteryAlarm.HIGH_CHARGE_TEMPERATURE: _alarm(
        "battery_charge_temperature_high", Action.BLOCK_CHARGE, "A battery says that it is too hot to charge."
    ),
    BatteryAlarm.LOW_CHARGE_TEMPERATURE: _alarm(
        "battery_charge_temperature_low", Action.BLOCK_CHARGE, "A battery says that it is too cold to charge."
    ),
    BatteryAlarm.HIGH_DISCHARGE_CURRENT: _alarm(
        "battery_discharge_current_high", Action.ZERO_POWER, "A battery says that too much is taken from it."
    ),
    BatteryAlarm.HIGH_CHARGE_CURRENT: _alarm(
        "battery_charge_current_high", Action.ZERO_POWER, "A battery says that it is charged with too much."
    ),
    BatteryAlarm.CONTACTOR: _alarm(
        "battery_contactor", Action.OPEN, "A battery says that a contactor of its own does not obey."
    ),
    BatteryAlarm.SHORT_CIRCUIT: _alarm("battery_short_circuit", Action.OPEN, "A battery says that it is shorted."),
    BatteryAlarm.INTERNAL: _alarm("battery_internal", Action.OPEN, "A battery reports an internal fault."),
    BatteryAlarm.IMBALANCE: _alarm(
        "battery_imbalance", Action.WARN, "A battery says that its cells are out of balance.",
        "Charge it fully and leave it so for some hours.",
    ),
}  # fmt: skip

BATTERY_FAULTS: tuple[FaultKind, ...] = (
    row(
        "battery_silent", Level.SYSTEM, Action.OPEN,
        "A battery with a management system of its own says nothing, or leaves out limits, charge or measurements.",
        "Check its CAN bus and whether it is switched on.", debounce_s=0.1,
    ),
    *BATTERY_ALARMS.values(),
    row(
        "battery_warning", Level.OPERATING, Action.WARN, "A battery warns of something that may become an alarm.",
        ITS_BMS, debounce_s=0.1,
    ),
)  # fmt: skip
