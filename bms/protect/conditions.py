"""The cause of every fault, as a plain comparison on one image: what is there now. Debounce and action: elsewhere."""

import math
from collections.abc import Iterator

from bms.image import Image
from bms.protect.inverter_checks import DISOBEDIENCE_FRAC, forms_grid
from bms.protect.levels import Condition
from bms.site import Limits
from bms.summary import RackSummary, Summary
from drivers.readings import InverterState

AT_WORK = (InverterState.RUNNING, InverterState.THROTTLED)
COMMAND_AGE_S_MAX = 0.8
"""Eight missed contactor commands. Judged, reported and stopped in less than 0.1 s more: 1 s from the first lost one.
The rack's own watchdog opens at 4 s, under load if nobody stops the converter."""


def rack_data_conditions(rack: RackSummary, limits: Limits, heard_s: float) -> Iterator[Condition]:
    """Missing or old data of one rack. Temperatures move slowly and have an age limit of their own. `heard_s`: for how
    long the rack has been heard of; a command that is older than that was somebody else's."""
    if rack.voltage_age_s > limits.cell_data_age_s_max or not rack.complete:
        yield Condition("cell_data_stale", rack.voltage_age_s, limits.cell_data_age_s_max, "age in s")
    elif rack.temperature_age_s > limits.temperature_age_s_max:
        yield Condition("cell_data_stale", rack.temperature_age_s, limits.temperature_age_s_max, "age in s")
    if rack.current_age_s > limits.current_age_s_max or rack.current_a != rack.current_a:
        yield Condition("current_stale", rack.current_age_s, limits.current_age_s_max, "age in s")
    if rack.io_age_s > limits.cell_data_age_s_max or not rack.voltages_known:
        yield Condition("rack_io_stale", rack.io_age_s, limits.cell_data_age_s_max, "age in s")
    if min(rack.command_age_s, heard_s) > COMMAND_AGE_S_MAX:
        yield Condition("rack_command_lost", rack.command_age_s, COMMAND_AGE_S_MAX, "age in s")


def inverter_conditions(image: Image, summary: Summary, limits: Limits) -> Iterator[Condition]:
    if summary.inverter_age_s > limits.inverter_age_s_max:
        yield Condition("inverter_lost", summary.inverter_age_s, limits.inverter_age_s_max, "age in s")
    if image.inverter is not None and image.inverter.state is InverterState.FAULT:
        yield Condition("inverter_fault", float(image.inverter.alarm_bits), 0.0, "alarm bits")
    yield from _disobedience(image)
    yield from _reactive_disobedience(image)


def _disobedience(image: Image) -> Iterator[Condition]:
    """Commanded against measured power; what a moving set-point leaves between them is far below the threshold. While
    the converter makes the grid nobody commands its power."""
    inverter, rating, commanded_w = image.inverter, image.rating, image.commanded_power_w
    if inverter is None or rating is None or commanded_w is None or not rating.known or forms_grid(inverter):
        return
    allowed_w = DISOBEDIENCE_FRAC * max(rating.charge_power_w_max, rating.discharge_power_w_max)
    if abs(inverter.ac_power_w - commanded_w) > allowed_w:
        yield Condition("inverter_not_following", inverter.ac_power_w - commanded_w, allowed_w, "power off by W")


def _reactive_disobedience(image: Image) -> Iterator[Condition]:
    """The same of reactive power, which gives way to active power and keeps within the nameplate. Nothing while nobody
    asked for one, nor of a converter that does not measure it or is not at work."""
    inverter, rating, commanded_var = image.inverter, image.rating, image.commanded_reactive_var
    if inverter is None or rating is None or commanded_var is None or forms_grid(inverter):
        return
    apparent_va = rating.apparent_power_va_max
    if math.isnan(apparent_va):
        apparent_va = max(rating.charge_power_w_max, rating.discharge_power_w_max)
    if inverter.state not in AT_WORK or not abs(inverter.ac_power_w) <= apparent_va:
        return
    room_var = math.sqrt(apparent_va**2 - inverter.ac_power_w**2)
    expected_var = min(max(rating.clamped_var(commanded_var), -room_var), room_var)
    off_var = inverter.ac_reactive_var - expected_var
    if abs(off_var) > DISOBEDIENCE_FRAC * apparent_va:
        yield Condition("inverter_reactive_not_following", off_var, DISOBEDIENCE_FRAC * apparent_va, "off by var")


def meter_conditions(summary: Summary, limits: Limits) -> Iterator[Condition]:
    if summary.meter_age_s > limits.meter_age_s_max:
        yield Condition("meter_lost", summary.meter_age_s, limits.meter_age_s_max, "age in s")
