"""The cause of every fault, as a plain comparison on one image. Debounce, latch and action are elsewhere."""

from collections.abc import Iterator
from typing import NamedTuple

from bms.image import Image
from bms.site import Limits
from bms.summary import RackSummary, Summary
from drivers.readings import InverterState


class Condition(NamedTuple):
    """`present` says whether the cause of `fault_id` is there now; `value`, `limit` and `where` explain it."""

    fault_id: str
    present: bool
    value: float
    limit: float
    where: str


def rack_conditions(rack: RackSummary, limits: Limits) -> Iterator[Condition]:
    """Causes within one rack. NaN compares false: absent data is `cell_data_stale` or `current_stale`, only."""
    high, low = rack.voltage_v_max, rack.voltage_v_min
    highest, lowest = f"cell {rack.highest_cell + 1}", f"cell {rack.lowest_cell + 1}"
    hot, cold = rack.temperature_degc_max, rack.temperature_degc_min
    hottest, coldest = f"cell {rack.hottest_cell + 1}", f"cell {rack.coldest_cell + 1}"
    yield Condition("cell_voltage_high", high > limits.cell_voltage_v_max, high, limits.cell_voltage_v_max, highest)
    yield Condition("cell_voltage_low", low < limits.cell_voltage_v_min, low, limits.cell_voltage_v_min, lowest)
    limit = limits.cell_voltage_v_max_operating
    yield Condition("cell_voltage_high_operating", high > limit, high, limit, highest)
    limit = limits.cell_voltage_v_min_operating
    yield Condition("cell_voltage_low_operating", low < limit, low, limit, lowest)
    limit = limits.discharge_temperature_degc_max
    yield Condition("cell_temperature_high", hot > limit, hot, limit, hottest)
    too_cold = cold < limits.charge_temperature_degc_min
    yield Condition(
        "charge_temperature",
        too_cold or hot > limits.charge_temperature_degc_max,
        cold if too_cold else hot,
        limits.charge_temperature_degc_min if too_cold else limits.charge_temperature_degc_max,
        coldest if too_cold else hottest,
    )
    limit = limits.discharge_temperature_degc_min
    yield Condition("discharge_temperature", cold < limit, cold, limit, coldest)
    over = rack.current_a > limits.rack_discharge_current_a_max or rack.current_a < -limits.rack_charge_current_a_max
    limit = limits.rack_discharge_current_a_max if rack.current_a > 0 else limits.rack_charge_current_a_max
    yield Condition("rack_overcurrent", over, rack.current_a, limit, "rack current")


def rack_data_conditions(rack: RackSummary, limits: Limits) -> Iterator[Condition]:
    """Missing or old data of one rack. Temperatures move slowly and may be as old as `temperature_age_s_max`."""
    age_s = rack.voltage_age_s
    stale = age_s > limits.cell_data_age_s_max or not rack.complete
    yield Condition(
        "cell_data_stale",
        stale or rack.temperature_age_s > limits.temperature_age_s_max,
        max(age_s, rack.temperature_age_s),
        limits.cell_data_age_s_max,
        "age in s",
    )
    age_s = rack.current_age_s
    missing = rack.current_a != rack.current_a
    yield Condition("current_stale", missing or age_s > limits.current_age_s_max, age_s, limits.current_age_s_max,
                    "age in s")  # fmt: skip
    yield Condition("rack_io_stale", rack.io_age_s > limits.cell_data_age_s_max, rack.io_age_s,
                    limits.cell_data_age_s_max, "age in s")  # fmt: skip


def inverter_conditions(image: Image, summary: Summary, limits: Limits) -> Iterator[Condition]:
    age_s = summary.inverter_age_s
    yield Condition("inverter_lost", age_s > limits.inverter_age_s_max, age_s, limits.inverter_age_s_max, "age in s")
    faulty = image.inverter is not None and image.inverter.state is InverterState.FAULT
    bits = float(image.inverter.alarm_bits) if image.inverter else 0.0
    yield Condition("inverter_fault", faulty, bits, 0.0, "alarm bits")


def meter_conditions(summary: Summary, limits: Limits) -> Iterator[Condition]:
    age_s = summary.meter_age_s
    yield Condition("meter_lost", age_s > limits.meter_age_s_max, age_s, limits.meter_age_s_max, "age in s")
