"""The part of a site file about what surrounds the cells: insulation, supply, cooling, fire."""

from collections.abc import Iterator
from typing import Annotated, Literal

from drivers.config.settings import Broken, Settings, about

SafetyInput = Literal[
    "insulation",
    "interlock",
    "emergency-stop",
    "smoke",
    "gas",
    "fire-panel",
    "fire-output",
    "door",
    "fuse",
    "cooling",
    "aux-supply",
    "coolant-temperature",
    "precharge-temperature",
    "monitor-alarms",
]
NATIVE: tuple[SafetyInput, ...] = (
    "insulation",
    "interlock",
    "emergency-stop",
    "smoke",
    "gas",
    "fire-panel",
    "fire-output",
    "door",
    "fuse",
    "cooling",
    "aux-supply",
    "coolant-temperature",
    "precharge-temperature",
    "monitor-alarms",
)
"""All that the native rack monitor has."""

IMD = "usual levels of insulation monitors for DC systems"
SUPPLY = "24 V supply"
CHOICE = "engineering choice"


class Safety(Settings):
    """What the racks' safety inputs may say, and what a fire does."""

    input_age_s_max: Annotated[
        float, about("s", "safety inputs older than this open the contactors", "5 to 10 missed frames", gt=0, le=60)
    ] = 0.5
    insulation_ohm_per_v_warning: Annotated[
        float, about("ohm/V", "warning level of the insulation, by the rack's voltage", IMD, gt=0, le=100_000)
    ] = 500.0
    insulation_ohm_per_v_fatal: Annotated[
        float, about("ohm/V", "fatal level of the insulation, by the rack's voltage", IMD, gt=0, le=100_000)
    ] = 100.0
    insulation_opens_at: Annotated[
        Literal["fatal", "warning", "never"], about("", "level below which the contactors open", CHOICE)
    ] = "fatal"
    aux_supply_v_min: Annotated[
        float, about("V", "maximum level: below it the contactors open", f"{SUPPLY} - 20 %", ge=0, le=51)
    ] = 19.2
    aux_supply_v_min_recommended: Annotated[
        float, about("V", "recommended level: below it there is a warning", f"{SUPPLY} - 10 %", ge=0, le=51)
    ] = 21.6
    aux_supply_v_max_recommended: Annotated[
        float, about("V", "recommended level: above it there is a warning", f"{SUPPLY} + 15 %", ge=0, le=51)
    ] = 27.6
    aux_supply_v_max: Annotated[
        float, about("V", "maximum level: above it the contactors open", f"{SUPPLY} + 25 %", ge=0, le=51)
    ] = 30.0
    aux_charge_frac_min: Annotated[
        float, about("frac", "below it, on its battery, the supply is about to fail: the contactors open", CHOICE,
                     gt=0, lt=1),
    ] = 0.2  # fmt: skip
    coolant_temperature_degc_min: Annotated[
        float, about("degC", "below it there is a warning", "near freezing", ge=-40, le=87)
    ] = 2.0
    coolant_temperature_degc_max_operating: Annotated[
        float, about("degC", "operating level: above it there is a warning", CHOICE, ge=-40, le=87)
    ] = 40.0
    coolant_temperature_degc_max: Annotated[
        float, about("degC", "above it the power goes to 0 W", "the cells' operating level", ge=-40, le=87)
    ] = 50.0
    precharge_temperature_degc_max: Annotated[
        float, about("degC", "precharge resistor: above it there is a warning", CHOICE, ge=0, le=470)
    ] = 120.0
    fire_cooling: Annotated[Literal["on", "off"], about("", "what the racks' cooling does in a fire", CHOICE)] = "on"

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.below("insulation_ohm_per_v_fatal", "insulation_ohm_per_v_warning")
        supply = ("min", "min_recommended", "max_recommended", "max")
        yield from self.in_order(*(f"aux_supply_v_{level}" for level in supply))
        coolant = ("min", "max_operating", "max")
        yield from self.in_order(*(f"coolant_temperature_degc_{level}" for level in coolant))
