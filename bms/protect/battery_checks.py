"""The causes of faults in the word of a battery with a management system of its own."""

from collections.abc import Iterator

from bms.protect.battery_faults import BATTERY_ALARMS
from bms.protect.levels import Condition
from bms.protect.safety_inputs import said
from bms.site import Limits
from bms.summary import RackSummary
from drivers.battery import BatterySays


def battery_conditions(rack: RackSummary, says: BatterySays, limits: Limits) -> Iterator[Condition]:
    """By its own word. Alarms that are not fresh, or were never heard, are silence."""
    age_s = max(rack.voltage_age_s, rack.current_age_s)
    if age_s > limits.current_age_s_max or not rack.complete or not rack.voltages_known:
        yield Condition("battery_silent", age_s, limits.current_age_s_max, "age in s")
        return
    for alarm in says.alarms or ():
        yield said(BATTERY_ALARMS[alarm].id, "its alarm")
    if says.warnings:
        yield said("battery_warning", ", ".join(str(each.name).lower().replace("_", " ") for each in says.warnings))
