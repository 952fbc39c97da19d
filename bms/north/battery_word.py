"""What the site says of itself as a battery: its limits as voltages and currents, SoC, measurements and alarms."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bms.battery import BatteryState
from bms.estimate.soc import SocSummary
from bms.image import Image
from bms.protect.faults import Level
from bms.protect.limits import PowerLimits
from bms.protect.protection import ActiveFault
from bms.site import Limits, Site
from bms.summary import Summary
from drivers.battery import BatteryAlarm, BatterySays

ALARMS: tuple[tuple[str, BatteryAlarm], ...] = (
    ("cell_voltage_high", BatteryAlarm.HIGH_VOLTAGE),
    ("cell_voltage_low", BatteryAlarm.LOW_VOLTAGE),
    ("cell_voltage_spread", BatteryAlarm.IMBALANCE),
    ("racks_unequal", BatteryAlarm.IMBALANCE),
    ("charge_temperature_high", BatteryAlarm.HIGH_CHARGE_TEMPERATURE),
    ("charge_temperature_low", BatteryAlarm.LOW_CHARGE_TEMPERATURE),
    ("discharge_temperature_high", BatteryAlarm.HIGH_TEMPERATURE),
    ("discharge_temperature_low", BatteryAlarm.LOW_TEMPERATURE),
    ("discharge_current_high", BatteryAlarm.HIGH_DISCHARGE_CURRENT),
    ("pack_discharge_current_high", BatteryAlarm.HIGH_DISCHARGE_CURRENT),
    ("charge_current_high", BatteryAlarm.HIGH_CHARGE_CURRENT),
    ("pack_charge_current_high", BatteryAlarm.HIGH_CHARGE_CURRENT),
    ("precharge_short", BatteryAlarm.SHORT_CIRCUIT),
    ("contactor", BatteryAlarm.CONTACTOR),
    ("precharge", BatteryAlarm.CONTACTOR),
)
"""Which of the protocol's alarms a fault is, by the beginning of its id; every other one is internal."""


class SiteNow(NamedTuple):
    """What one control tick knows."""

    image: Image
    summary: Summary
    battery: BatteryState
    limits: PowerLimits
    soc: SocSummary
    faults: Sequence[ActiveFault]
    soh_frac: float


def battery_word(site: Site, capacity_ah: float, name: str, now: SiteNow) -> BatterySays:
    """Limits are 0 while no power may flow and where the voltage at the terminals is not known; what is not known
    otherwise stays absent. `capacity_ah`: of all racks as they were new."""
    limits, cells, racks = site.limits, site.racks[0].cells, now.summary.racks
    voltage_v = _mean(rack.link_voltage_v for rack in now.image.racks)
    charge_a = _current_a(now.limits.charge_power_w, voltage_v) if now.battery.power_allowed else 0.0
    discharge_a = _current_a(now.limits.discharge_power_w, voltage_v) if now.battery.power_allowed else 0.0
    alarms, warnings = _alarms(now.faults)
    return BatterySays(
        charge_voltage_v_max=cells * limits.cell_voltage_v_max_operating,
        charge_current_a_max=charge_a,
        discharge_current_a_max=discharge_a,
        discharge_voltage_v_min=cells * limits.cell_voltage_v_min_operating,
        soc_frac=now.soc.frac_usable,
        soh_frac=now.soh_frac,
        voltage_v=voltage_v,
        current_a=sum(rack.current_a for rack in racks),
        temperature_degc=max(rack.temperature_degc_max for rack in racks),
        alarms=alarms,
        warnings=warnings,
        charge_allowed=charge_a > 0.0,
        discharge_allowed=discharge_a > 0.0,
        charge_requested=_wants_charge(now.soc, limits),
        full_charge_requested=False,
        cell_voltage_v_min=min(rack.voltage_v_min for rack in racks),
        cell_voltage_v_max=max(rack.voltage_v_max for rack in racks),
        cell_temperature_degc_min=min(rack.temperature_degc_min for rack in racks),
        cell_temperature_degc_max=max(rack.temperature_degc_max for rack in racks),
        capacity_ah=capacity_ah,
        name=name,
    )


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _current_a(power_w: float, voltage_v: float) -> float:
    return power_w / voltage_v if voltage_v > 1.0 else 0.0


def _wants_charge(soc: SocSummary, limits: Limits) -> bool:
    """The emptiest cell is below the least SoC that the site allows."""
    return soc.frac_min < limits.soc_frac_min


def _alarms(faults: Iterable[ActiveFault]) -> tuple[BatteryAlarm, BatteryAlarm]:
    """Alarms are faults that open; every other one is a warning."""
    alarms = warnings = BatteryAlarm(0)
    for fault in faults:
        meant = next((alarm for start, alarm in ALARMS if fault.kind.id.startswith(start)), BatteryAlarm.INTERNAL)
        if fault.kind.action.opens or fault.kind.level is Level.MAXIMUM:
            alarms |= meant | BatteryAlarm.GENERAL
        else:
            warnings |= meant
    return alarms, warnings
