"""What can be asked of a plant, by name: the signals that checks judge and reports draw."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import nan

from hil_rigs.plant.converter import ConverterState
from hil_rigs.plant.rack import RackPlant
from hil_rigs.plant.site import Plant


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal; `unit` is "" for numbers and counts. `value` reads it off the plant's present state."""

    name: str
    unit: str
    says: str
    value: Callable[[Plant], float]


SIGNALS: dict[str, Signal] = {
    signal.name: signal
    for signal in (
        Signal("grid_power_w", "W", "power at the grid, import positive", lambda plant: plant.grid_power_w),
        Signal("load_power_w", "W", "consumption", lambda plant: plant.load_power_w),
        Signal(
            "battery_power_w", "W", "AC power of the converter, discharge positive",
            lambda plant: plant.load_power_w - plant.pv_power_w - plant.grid_power_w,
        ),
        Signal("pv_power_w", "W", "generation of the PV", lambda plant: plant.pv_power_w),
        Signal(
            "power_command_w", "W", "set-point in the converter's registers, 0 while it is told to stop",
            lambda plant: plant.converter.target_power_w if _told_to_run(plant) else 0.0,
        ),
        Signal(
            "command_age_s", "s", "age of a set-point in the converter's registers that is not 0",
            lambda plant: plant.converter.told_s if _told_to_run(plant) and plant.converter.target_power_w else 0.0,
        ),
        Signal(
            "island_alone", "", "1 while the converter has no grid to follow", lambda plant: _alone(plant),
        ),
        Signal(
            "island_formed", "", "1 while the converter makes the grid",
            lambda plant: _alone(plant) and plant.converter.state is ConverterState.RUNNING,
        ),
        Signal("converter_running", "", "1 while the converter's power stage works", lambda plant: _told_to_run(plant)),
        Signal(
            "contactors_closed", "", "number of racks whose main contactor is closed",
            lambda plant: sum(rack.main_closed for rack in plant.racks),
        ),
        Signal(
            "link_voltage_v", "V", "voltage of the DC link", lambda plant: plant.bus.voltage_v,
        ),
        Signal(
            "rack_current_a", "A", "largest current of a rack, magnitude",
            lambda plant: max(abs(rack.current_a) for rack in plant.racks),
        ),
        Signal(
            "cell_voltage_v_max", "V", "highest cell voltage",
            lambda plant: max(float(rack.cells.voltage_v.max()) for rack in plant.racks),
        ),
        Signal(
            "cell_voltage_v_min", "V", "lowest cell voltage",
            lambda plant: min(float(rack.cells.voltage_v.min()) for rack in plant.racks),
        ),
        Signal(
            "cell_temperature_degc_max", "degC", "highest cell temperature",
            lambda plant: max(float(rack.cells.temperature_degc.max()) for rack in plant.racks),
        ),
        Signal(
            "cell_temperature_degc_min", "degC", "lowest cell temperature",
            lambda plant: min(float(rack.cells.temperature_degc.min()) for rack in plant.racks),
        ),
        Signal(
            "soc_frac_max", "frac", "highest SoC of a cell",
            lambda plant: max(float(rack.cells.soc_frac.max()) for rack in plant.racks),
        ),
        Signal(
            "soc_frac_min", "frac", "lowest SoC of a cell",
            lambda plant: min(float(rack.cells.soc_frac.min()) for rack in plant.racks),
        ),
        Signal(
            "capacity_frac_min", "frac", "of a cell's capacity at the start, what ageing has left at the worst one",
            lambda plant: min(rack.capacity_frac_min for rack in plant.racks),
        ),
        Signal(
            "bleeding_cells", "", "cells that bleed",
            lambda plant: float(sum(int(rack.bleed.sum()) for rack in plant.racks)),
        ),
        Signal(
            "shown_cell_voltage_v_max", "V", "highest cell voltage that a connected rack's sensors show",
            lambda plant: max((float(rack.measured_voltage_v().max()) for rack in _connected(plant)), default=nan),
        ),
        Signal(
            "shown_cell_voltage_v_min", "V", "lowest cell voltage that a connected rack's sensors show",
            lambda plant: min((float(rack.measured_voltage_v().min()) for rack in _connected(plant)), default=nan),
        ),
        Signal(
            "shown_temperature_degc_max", "degC", "highest temperature that a connected rack's sensors show",
            lambda plant: max(
                (float(rack.measured_temperature_degc().max()) for rack in _connected(plant)), default=nan
            ),
        ),
        Signal(
            "shown_current_a", "A", "largest current that a connected rack's sensor shows, magnitude",
            lambda plant: max((abs(rack.measured_current_a()) for rack in _connected(plant)), default=nan),
        ),
        Signal("frequency_hz", "Hz", "frequency of the grid, 0 without one", lambda plant: plant.frequency_hz),
        Signal(
            "reactive_power_var", "var", "reactive power of the converter, injected positive",
            lambda plant: plant.converter.reactive_var,
        ),
        Signal(
            "critical_voltage_pu", "", "lowest voltage at the critical load in the step, per unit (behind a switch)",
            lambda plant: _microgrid(plant, "critical_voltage_pu"),
        ),
        Signal(
            "critical_low_s", "s", "how long without a break the critical load has been below 0.9 pu (behind a switch)",
            lambda plant: _microgrid(plant, "low_s"),
        ),
        Signal(
            "intertie_closed", "", "1 while the switch to the grid is closed",
            lambda plant: _microgrid(plant, "closed"),
        ),
        Signal(
            "load_blocks_closed", "", "load blocks that are closed, bit n = block n (behind a switch)",
            lambda plant: _microgrid(plant, "blocks_closed"),
        ),
        Signal(
            "site_voltage_pu", "", "voltage of the site's bus, per unit (behind a switch)",
            lambda plant: _microgrid(plant, "site_voltage_pu"),
        ),
        Signal(
            "ups_left_wh", "Wh", "energy left in the UPS of the electronics (behind a switch)",
            lambda plant: _microgrid(plant, "ups_left_wh"),
        ),
        Signal("wrong_closings", "", "how often two sides out of step were joined (behind a switch)",
               lambda plant: _microgrid(plant, "wrong_closings")),
        Signal("voltage_pu", "", "voltage of the grid per unit of nominal", lambda plant: plant.voltage_pu),
    )
}  # fmt: skip

EXTREMES = {"cell_voltage_v", "cell_temperature_degc", "soc_frac"}
"""Quantities of many cells."""

CHARTS = (
    ("Power", "kW", 1e-3, ("grid_power_w", "load_power_w", "battery_power_w", "power_command_w")),
    ("Cells", "V", 1.0, ("cell_voltage_v_max", "cell_voltage_v_min")),
    ("SoC", "%", 100.0, ("soc_frac_max", "soc_frac_min")),
    ("Temperature", "°C", 1.0, ("cell_temperature_degc_max", "cell_temperature_degc_min")),
    ("Racks", "", 1.0, ("contactors_closed", "converter_running")),
    ("Current", "A", 1.0, ("rack_current_a",)),
)
"""What a report draws: title, unit, scale to that unit, signals."""

DRAWN = frozenset(name for *_, names in CHARTS for name in names)

POWERS = ("grid_power_w", "load_power_w", "pv_power_w")
"""Always sampled; the battery's power is the rest: load - pv - grid."""


INVARIANT_SIGNALS = frozenset(name for name in SIGNALS if name.startswith("shown_")) | {
    "power_command_w",
    "command_age_s",
    "contactors_closed",
    "island_alone",
    "island_formed",
}
"""What the invariants are judged by."""


def _alone(plant: Plant) -> bool:
    return plant.converter.island is not None


def _connected(plant: Plant) -> list[RackPlant]:
    return [rack for rack in plant.racks if rack.main_closed]


def _microgrid(plant: Plant, name: str) -> float:
    """NaN where there is no switch."""
    return nan if plant.microgrid is None else float(getattr(plant.microgrid, name))


def _told_to_run(plant: Plant) -> bool:
    return plant.converter.state in (ConverterState.STARTING, ConverterState.RUNNING)


def sampled(names: Collection[str]) -> tuple[Signal, ...]:
    """The signals of these names, in the order of the table. KeyError for a name that there is none of."""
    for name in names:
        SIGNALS[name]
    return tuple(signal for name, signal in SIGNALS.items() if name in names)
