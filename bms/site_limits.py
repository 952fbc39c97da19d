"""The part of a site file that says how far the battery may be driven: limits, precharge, balancing."""

from collections.abc import Iterator
from typing import Annotated

from bms.settings import Broken, Settings, about

CELL = "data-sheet class of LFP/graphite cells of 280 to 314 Ah"
CURVE = "LFP charge curve that ends at 3.50 V"
FRESH = "5 sweeps of the native cell monitor"
DEBOUNCE = "3 protection ticks of 20 ms"
SOC = "room for the estimator's error at both ends"
CHOICE = "engineering choice"
KNEE = "ten times what 1 % of SoC makes on an LFP plateau"


class Limits(Settings):
    """Maximum level (trips and opens the contactors) and operating level (blocks charge or discharge). Magnitudes."""

    cell_voltage_v_min: Annotated[
        float, about("V", "maximum level: below it the contactors open", CELL, gt=0, le=10)
    ] = 2.5
    cell_voltage_v_max: Annotated[
        float, about("V", "maximum level: above it the contactors open", CELL, gt=0, le=10)
    ] = 3.65
    cell_voltage_v_min_operating: Annotated[
        float, about("V", "operating level: below it discharging is blocked", CELL, gt=0, le=10)
    ] = 2.8
    cell_voltage_v_max_operating: Annotated[
        float, about("V", "operating level: above it charging is blocked", CURVE, gt=0, le=10)
    ] = 3.5
    charge_temperature_degc_min: Annotated[
        float, about("degC", "operating level: with a colder cell charging is blocked", CELL, ge=-40, le=100)
    ] = 0.0
    charge_temperature_degc_max: Annotated[
        float, about("degC", "operating level: with a hotter cell charging is blocked", CELL, ge=-40, le=100)
    ] = 55.0
    discharge_temperature_degc_min: Annotated[
        float, about("degC", "operating level: with a colder cell discharging is blocked", CELL, ge=-40, le=100)
    ] = -20.0
    discharge_temperature_degc_max: Annotated[
        float, about("degC", "maximum level: with a hotter cell the contactors open", CELL, ge=-40, le=100)
    ] = 60.0
    rack_charge_current_a_max: Annotated[
        float, about("A", "maximum level of a rack's charge current", "1C of a 280 Ah cell", gt=0, le=10_000)
    ] = 280.0
    rack_discharge_current_a_max: Annotated[
        float, about("A", "maximum level of a rack's discharge current", "1C of a 280 Ah cell", gt=0, le=10_000)
    ] = 280.0
    soc_frac_min: Annotated[
        float, about("frac", "discharging ends at this SoC of the emptiest cell", SOC, ge=0, le=1)
    ] = 0.05
    soc_frac_max: Annotated[float, about("frac", "charging ends at this SoC of the fullest cell", SOC, ge=0, le=1)] = (
        0.95
    )
    cell_data_age_s_max: Annotated[
        float, about("s", "cell voltages and rack feedback older than this open the contactors", FRESH, gt=0, le=60)
    ] = 0.25
    temperature_age_s_max: Annotated[
        float,
        about("s", "cell temperatures older than this open the contactors", "10 missed status frames", gt=0, le=60),
    ] = 1.0
    current_age_s_max: Annotated[
        float, about("s", "rack current older than this opens the contactors", "10 missed frames", gt=0, le=60)
    ] = 0.1
    inverter_age_s_max: Annotated[
        float,
        about(
            "s",
            "a converter silent for longer is lost: contactors open once the current is low",
            "10 polls",
            gt=0,
            le=60,
        ),
    ] = 1.0
    meter_age_s_max: Annotated[
        float, about("s", "a grid meter silent for longer is lost: 0 W, contactors stay", "10 polls", gt=0, le=60)
    ] = 0.5
    voltage_debounce_s: Annotated[
        float, about("s", "how long a voltage must be beyond its limit before it trips", DEBOUNCE, ge=0, le=10)
    ] = 0.06
    current_debounce_s: Annotated[
        float,
        about("s", "how long a current must be beyond its limit before it trips", "3 current frames", ge=0, le=10),
    ] = 0.03
    temperature_debounce_s: Annotated[
        float,
        about("s", "how long a temperature must be beyond its limit before it trips", "3 status frames", ge=0, le=60),
    ] = 0.3

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.in_order(
            "cell_voltage_v_min",
            "cell_voltage_v_min_operating",
            "cell_voltage_v_max_operating",
            "cell_voltage_v_max",
        )
        yield from self.below("charge_temperature_degc_min", "charge_temperature_degc_max")
        yield from self.below("discharge_temperature_degc_min", "charge_temperature_degc_min", equal=True)
        yield from self.below("charge_temperature_degc_max", "discharge_temperature_degc_max", equal=True)
        yield from self.below("soc_frac_min", "soc_frac_max")


class Precharge(Settings):
    """How a rack joins the DC link."""

    voltage_tolerance_frac: Annotated[
        float,
        about("frac", "main contactor closes below this difference to the link", CHOICE, gt=0, le=0.1),
    ] = 0.01
    current_a_max: Annotated[
        float, about("A", "main contactor closes below this precharge current", CHOICE, gt=0, le=100)
    ] = 5.0
    timeout_s: Annotated[float, about("s", "one try gives up after this time", CHOICE, gt=0, le=60)] = 5.0
    tries: Annotated[int, about("", "tries before the rack is locked", CHOICE, ge=1, le=10)] = 3
    join_window_v: Annotated[
        float,
        about(
            "V",
            "a further rack joins a live link only within this difference",
            "equalising current far below 1C with 400 cells",
            gt=0,
            le=100,
        ),
    ] = 10.0


class Balancing(Settings):
    """Which cells bleed."""

    on_above_frac: Annotated[
        float, about("frac", "a cell bleeds when its SoC is this far above the lowest", CHOICE, gt=0, le=1)
    ] = 0.01
    off_above_frac: Annotated[float, about("frac", "a bleeding cell stops at this distance", CHOICE, ge=0, le=1)] = (
        0.005
    )
    on_above_v: Annotated[
        float,
        about(
            "V",
            "while SoC differences are uncertain, a cell bleeds this far above the median voltage",
            KNEE,
            gt=0,
            le=1,
        ),
    ] = 0.01
    off_above_v: Annotated[
        float, about("V", "a cell that bleeds by voltage stops at this distance", CHOICE, ge=0, le=1)
    ] = 0.005
    voltage_v_min: Annotated[
        float, about("V", "no cell below this voltage bleeds", "LFP at about 10 % SoC", gt=0, le=10)
    ] = 3.2
    temperature_degc_max: Annotated[
        float, about("degC", "no cell hotter than this bleeds", "10 K below the maximum level", ge=-40, le=100)
    ] = 50.0
    current_frac_max: Annotated[
        float,
        about("frac", "nothing bleeds above this share of the 1C current", CHOICE, gt=0, le=1),
    ] = 0.1
    cells_max_per_rack: Annotated[
        int, about("", "cells of one rack that bleed at the same time", CHOICE, ge=0, le=1000)
    ] = 64

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.below("off_above_frac", "on_above_frac")
        yield from self.below("off_above_v", "on_above_v")
