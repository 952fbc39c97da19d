"""What a battery with a management system of its own says about itself, as types: limits, charge, alarms, requests."""

from enum import IntFlag
from math import nan
from typing import NamedTuple

from drivers.clock import NEVER_NS


class BatteryAlarm(IntFlag):
    """What a battery complains about; the same names serve alarms and warnings."""

    GENERAL = 1 << 0
    HIGH_VOLTAGE = 1 << 1
    LOW_VOLTAGE = 1 << 2
    HIGH_TEMPERATURE = 1 << 3
    LOW_TEMPERATURE = 1 << 4
    HIGH_CHARGE_TEMPERATURE = 1 << 5
    LOW_CHARGE_TEMPERATURE = 1 << 6
    HIGH_DISCHARGE_CURRENT = 1 << 7
    HIGH_CHARGE_CURRENT = 1 << 8
    CONTACTOR = 1 << 9
    SHORT_CIRCUIT = 1 << 10
    INTERNAL = 1 << 11
    IMBALANCE = 1 << 12


class BatterySays(NamedTuple):
    """Newest word of one battery. NaN, None and NEVER_NS = not said, or not a value that can be. Limits are magnitudes,
    the current is positive in discharge. Each group has the time of its message."""

    limits_at_ns: int = NEVER_NS
    charge_voltage_v_max: float = nan
    charge_current_a_max: float = nan
    discharge_current_a_max: float = nan
    discharge_voltage_v_min: float = nan
    soc_at_ns: int = NEVER_NS
    soc_frac: float = nan
    soh_frac: float = nan
    measured_at_ns: int = NEVER_NS
    voltage_v: float = nan
    current_a: float = nan
    temperature_degc: float = nan
    alarms_at_ns: int = NEVER_NS
    alarms: BatteryAlarm | None = None
    warnings: BatteryAlarm | None = None
    requests_at_ns: int = NEVER_NS
    charge_allowed: bool | None = None
    discharge_allowed: bool | None = None
    charge_requested: bool | None = None
    """It wants to be charged now, from whatever source."""
    full_charge_requested: bool | None = None
    cells_at_ns: int = NEVER_NS
    cell_voltage_v_min: float = nan
    cell_voltage_v_max: float = nan
    cell_temperature_degc_min: float = nan
    cell_temperature_degc_max: float = nan
    capacity_ah: float = nan
    name: str = ""
