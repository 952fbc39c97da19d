"""The cause of every fault, as a plain comparison on one image: what is there now. Debounce and action: elsewhere."""

from collections.abc import Iterator

from bms.image import Image
from bms.protect.inverter_checks import DISOBEDIENCE_FRAC, forms_grid
from bms.protect.levels import Condition
from bms.site import Limits
from bms.summary import RackSummary, Summary
from drivers.readings import InverterState

COMMAND_AGE_S_MAX = 0.8
"""Eight missed contactor commands. Judged, reported and stopped in less than 0.1 s more: 1 s from the first lost one.
The rack's own watchdog opens at 4 s, under load if nobody stops the converter."""


def rack_data_conditions(rack: RackSummary, limits: Limits) -> Iterator[Condition]:
    """Missing or old data of one rack. Temperatures move slowly and have an age limit of their own."""
    if rack.voltage_age_s > limits.cell_data_age_s_max or not rack.complete:
        yield Condition("cell_data_stale", rack.voltage_age_s, limits.cell_data_age_s_max, "age in s")
    elif rack.temperature_age_s > limits.temperature_age_s_max:
        yield Condition("cell_data_stale", rack.temperature_age_s, limits.temperature_age_s_max, "age in s")
    if rack.current_age_s > limits.current_age_s_max or rack.current_a != rack.current_a:
        yield Condition("current_stale", rack.current_age_s, limits.current_age_s_max, "age in s")
    if rack.io_age_s > limits.cell_data_age_s_max or not rack.voltages_known:
        yield Condition("rack_io_stale", rack.io_age_s, limits.cell_data_age_s_max, "age in s")
    if rack.command_age_s > COMMAND_AGE_S_MAX:
        yield Condition("rack_command_lost", rack.command_age_s, COMMAND_AGE_S_MAX, "age in s")


def inverter_conditions(image: Image, summary: Summary, limits: Limits) -> Iterator[Condition]:
    if summary.inverter_age_s > limits.inverter_age_s_max:
        yield Condition("inverter_lost", summary.inverter_age_s, limits.inverter_age_s_max, "age in s")
    if image.inverter is not None and image.inverter.state is InverterState.FAULT:
        yield Condition("inverter_fault", float(image.inverter.alarm_bits), 0.0, "alarm bits")
    yield from _disobedience(image)


def _disobedience(image: Image) -> Iterator[Condition]:
    """Commanded against measured power; what a moving set-point leaves between them is far below the threshold. While
    the converter makes the grid nobody commands its power."""
    inverter, rating, commanded_w = image.inverter, image.rating, image.commanded_power_w
    if inverter is None or rating is None or commanded_w is None or not rating.known or forms_grid(inverter):
        return
    allowed_w = DISOBEDIENCE_FRAC * max(rating.charge_power_w_max, rating.discharge_power_w_max)
    if abs(inverter.ac_power_w - commanded_w) > allowed_w:
        yield Condition("inverter_not_following", inverter.ac_power_w - commanded_w, allowed_w, "power off by W")


def meter_conditions(summary: Summary, limits: Limits) -> Iterator[Condition]:
    if summary.meter_age_s > limits.meter_age_s_max:
        yield Condition("meter_lost", summary.meter_age_s, limits.meter_age_s_max, "age in s")
