"""The cause of every fault, as a plain comparison on one image: what is there now. Debounce and action: elsewhere."""

from collections.abc import Iterator
from typing import NamedTuple

from bms.image import Image
from bms.site import Limits
from bms.summary import RackSummary, Summary
from drivers.readings import InverterState

COMMAND_AGE_S_MAX = 1.0
"""Ten missed contactor commands; the rack's own watchdog opens at 4 s, under load if nobody stops the converter."""

DISOBEDIENCE_FRAC = 0.1
"""Share of the rating by which measured and commanded power may differ for DISOBEDIENCE_S."""

DISOBEDIENCE_S = 1.5


class Condition(NamedTuple):
    """The cause of `fault_id` is there now; `value`, `limit` and `where` explain it."""

    fault_id: str
    value: float
    limit: float
    where: str


def rack_conditions(rack: RackSummary, limits: Limits) -> Iterator[Condition]:
    """Causes within one rack. NaN compares false: absent data is `cell_data_stale` or `current_stale`, only."""
    yield from _voltage_conditions(rack, limits)
    yield from _temperature_conditions(rack, limits)
    if rack.current_a > limits.rack_discharge_current_a_max:
        yield Condition("rack_overcurrent", rack.current_a, limits.rack_discharge_current_a_max, "discharge current")
    if rack.current_a < -limits.rack_charge_current_a_max:
        yield Condition("rack_overcurrent", -rack.current_a, limits.rack_charge_current_a_max, "charge current")


def _voltage_conditions(rack: RackSummary, limits: Limits) -> Iterator[Condition]:
    high, low = rack.voltage_v_max, rack.voltage_v_min
    if high > limits.cell_voltage_v_max_operating:
        where = _cell(rack.highest_cell)
        yield Condition("cell_voltage_high_operating", high, limits.cell_voltage_v_max_operating, where)
        if high > limits.cell_voltage_v_max:
            yield Condition("cell_voltage_high", high, limits.cell_voltage_v_max, where)
    if low < limits.cell_voltage_v_min_operating:
        where = _cell(rack.lowest_cell)
        yield Condition("cell_voltage_low_operating", low, limits.cell_voltage_v_min_operating, where)
        if low < limits.cell_voltage_v_min:
            yield Condition("cell_voltage_low", low, limits.cell_voltage_v_min, where)


def _temperature_conditions(rack: RackSummary, limits: Limits) -> Iterator[Condition]:
    hot, cold = rack.temperature_degc_max, rack.temperature_degc_min
    if hot > limits.charge_temperature_degc_max:
        yield Condition("charge_temperature", hot, limits.charge_temperature_degc_max, _cell(rack.hottest_cell))
    elif cold < limits.charge_temperature_degc_min:
        yield Condition("charge_temperature", cold, limits.charge_temperature_degc_min, _cell(rack.coldest_cell))
    if hot > limits.discharge_temperature_degc_max:
        yield Condition("cell_temperature_high", hot, limits.discharge_temperature_degc_max, _cell(rack.hottest_cell))
    if cold < limits.discharge_temperature_degc_min:
        yield Condition("discharge_temperature", cold, limits.discharge_temperature_degc_min, _cell(rack.coldest_cell))


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
    """Commanded against measured power; what a moving set-point leaves between them is far below the threshold."""
    inverter, rating, commanded_w = image.inverter, image.rating, image.commanded_power_w
    if inverter is None or rating is None or commanded_w is None or not rating.known:
        return
    allowed_w = DISOBEDIENCE_FRAC * max(rating.charge_power_w_max, rating.discharge_power_w_max)
    if abs(inverter.ac_power_w - commanded_w) > allowed_w:
        yield Condition("inverter_not_following", inverter.ac_power_w - commanded_w, allowed_w, "power off by W")


def meter_conditions(summary: Summary, limits: Limits) -> Iterator[Condition]:
    if summary.meter_age_s > limits.meter_age_s_max:
        yield Condition("meter_lost", summary.meter_age_s, limits.meter_age_s_max, "age in s")


def _cell(index: int) -> str:
    return f"cell {index + 1}"
