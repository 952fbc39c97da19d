"""The part of a site file that says how far the battery may be driven: limits, precharge, balancing."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import model_validator

from drivers.config.settings import Broken, Settings, about

CELL = "data-sheet class of LFP/graphite cells of 280 to 314 Ah"
CURVE = "LFP charge curve that ends at 3.50 V"
POSSIBLE = "what no cell of this chemistry can show"
OPEN_NTC = "scale of the native rack monitor"
FRESH = "5 sweeps of the native cell monitor"
DEBOUNCE = "3 protection ticks of 20 ms"
SOC = "room for the estimator's error at both ends"
CHOICE = "engineering choice"
CURRENT_SHARE = {"recommended": 0.95, "operating": 0.9}

OTHER_CHEMISTRIES: dict[str, dict[str, float]] = {
    "nmc": {
        "cell_voltage_v_min": 2.7, "cell_voltage_v_min_recommended": 2.9, "cell_voltage_v_min_operating": 3.0,
        "cell_voltage_v_max": 4.25, "cell_voltage_v_max_recommended": 4.2, "cell_voltage_v_max_operating": 4.15,
        "charge_temperature_degc_max_recommended": 50.0,
        "discharge_temperature_degc_max_recommended": 55.0, "discharge_temperature_degc_max_operating": 45.0,
        "cell_voltage_v_max_possible": 5.5,
    },
    "zinc": {
        "cell_voltage_v_min": 0.0001, "cell_voltage_v_min_recommended": 0.8, "cell_voltage_v_min_operating": 1.2,
        "cell_voltage_v_max": 2.15, "cell_voltage_v_max_recommended": 2.05, "cell_voltage_v_max_operating": 1.98,
        "charge_temperature_degc_min": 5.0, "charge_temperature_degc_min_recommended": 10.0,
        "charge_temperature_degc_min_operating": 15.0,
        "charge_temperature_degc_max": 55.0, "charge_temperature_degc_max_recommended": 50.0,
        "discharge_temperature_degc_min": 0.0, "discharge_temperature_degc_min_recommended": 5.0,
        "discharge_temperature_degc_min_operating": 10.0,
        "discharge_temperature_degc_max": 60.0, "discharge_temperature_degc_max_recommended": 55.0,
        "soc_frac_min": 0.0, "soc_frac_max": 1.0,
        "cell_voltage_v_min_possible": 0.0, "cell_voltage_v_max_possible": 3.5,
    },
}  # fmt: skip
"""Limits that differ from those of LFP, per cell: data-sheet class of NMC/graphite cells to 4.2 V; zinc-halogen cells,
which are discharged to 0 V on purpose (strip)."""

KNEE = "ten times what 1 % of SoC makes on an LFP plateau"


class Limits(Settings):
    """Three levels: operating (a warning; power is tapered), recommended (blocks charging or discharging) and maximum
    (opens the contactors). Magnitudes. What is not written follows from the chemistry, or from the maximum."""

    chemistry: Annotated[
        Literal["lfp", "nmc", "zinc"], about("", "whose values stand for the limits that are not written", CHOICE)
    ] = "lfp"
    cell_voltage_v_min: Annotated[
        float, about("V", "maximum level: below it the contactors open", CELL, gt=0, le=10)
    ] = 2.5
    cell_voltage_v_min_recommended: Annotated[
        float, about("V", "recommended level: below it discharging is blocked", CELL, gt=0, le=10)
    ] = 2.65
    cell_voltage_v_min_operating: Annotated[
        float, about("V", "operating level: discharging is tapered to end here", CELL, gt=0, le=10)
    ] = 2.8
    cell_voltage_v_max: Annotated[
        float, about("V", "maximum level: above it the contactors open", CELL, gt=0, le=10)
    ] = 3.65
    cell_voltage_v_max_recommended: Annotated[
        float, about("V", "recommended level: above it charging is blocked", CURVE, gt=0, le=10)
    ] = 3.58
    cell_voltage_v_max_operating: Annotated[
        float, about("V", "operating level: charging is tapered to end here", CURVE, gt=0, le=10)
    ] = 3.5
    cell_voltage_v_min_possible: Annotated[
        float, about("V", "below it a value is the sensor's fault, not the cell's", POSSIBLE, ge=0, le=10)
    ] = 0.5
    cell_voltage_v_max_possible: Annotated[
        float, about("V", "above it a value is the sensor's fault, not the cell's", POSSIBLE, gt=0, le=20)
    ] = 5.0
    temperature_degc_min_possible: Annotated[
        float,
        about(
            "degC", "below it a value is the sensor's fault: an open one shows the scale's end", OPEN_NTC, ge=-60, le=0
        ),
    ] = -39.0
    charge_temperature_degc_min: Annotated[
        float,
        about(
            "degC",
            "maximum level: with a colder cell the contactors open while charging current flows",
            CELL,
            ge=-40,
            le=100,
        ),
    ] = -5.0
    charge_temperature_degc_min_recommended: Annotated[
        float, about("degC", "recommended level: with a colder cell charging is blocked", CELL, ge=-40, le=100)
    ] = 0.0
    charge_temperature_degc_min_operating: Annotated[
        float, about("degC", "operating level: with a colder cell there is a warning", CELL, ge=-40, le=100)
    ] = 5.0
    charge_temperature_degc_max: Annotated[
        float,
        about(
            "degC",
            "maximum level: with a hotter cell the contactors open while charging current flows",
            CELL,
            ge=-40,
            le=100,
        ),
    ] = 58.0
    charge_temperature_degc_max_recommended: Annotated[
        float, about("degC", "recommended level: with a hotter cell charging is blocked", CELL, ge=-40, le=100)
    ] = 55.0
    charge_temperature_degc_max_operating: Annotated[
        float, about("degC", "operating level: with a hotter cell there is a warning", CELL, ge=-40, le=100)
    ] = 45.0
    discharge_temperature_degc_min: Annotated[
        float,
        about(
            "degC",
            "maximum level: with a colder cell the contactors open while discharging current flows",
            CELL,
            ge=-40,
            le=100,
        ),
    ] = -25.0
    discharge_temperature_degc_min_recommended: Annotated[
        float, about("degC", "recommended level: with a colder cell discharging is blocked", CELL, ge=-40, le=100)
    ] = -20.0
    discharge_temperature_degc_min_operating: Annotated[
        float, about("degC", "operating level: with a colder cell there is a warning", CELL, ge=-40, le=100)
    ] = -10.0
    discharge_temperature_degc_max: Annotated[
        float, about("degC", "maximum level: with a hotter cell the contactors open", CELL, ge=-40, le=100)
    ] = 60.0
    discharge_temperature_degc_max_recommended: Annotated[
        float, about("degC", "recommended level: with a hotter cell discharging is blocked", CELL, ge=-40, le=100)
    ] = 57.0
    discharge_temperature_degc_max_operating: Annotated[
        float, about("degC", "operating level: with a hotter cell there is a warning", CELL, ge=-40, le=100)
    ] = 50.0
    rack_charge_current_a_max: Annotated[
        float, about("A", "maximum level of a rack's charge current", "1C of a 280 Ah cell", gt=0, le=10_000)
    ] = 280.0
    rack_charge_current_a_max_recommended: Annotated[
        float | None,
        about("A", "recommended level: above it the power goes to 0 W", "95 % of the maximum", gt=0, le=10_000),
    ] = None
    rack_charge_current_a_max_operating: Annotated[
        float | None,
        about("A", "operating level: power is planned to stay below it", "90 % of the maximum", gt=0, le=10_000),
    ] = None
    rack_discharge_current_a_max: Annotated[
        float, about("A", "maximum level of a rack's discharge current", "1C of a 280 Ah cell", gt=0, le=10_000)
    ] = 280.0
    rack_discharge_current_a_max_recommended: Annotated[
        float | None,
        about("A", "recommended level: above it the power goes to 0 W", "95 % of the maximum", gt=0, le=10_000),
    ] = None
    rack_discharge_current_a_max_operating: Annotated[
        float | None,
        about("A", "operating level: power is planned to stay below it", "90 % of the maximum", gt=0, le=10_000),
    ] = None
    pack_charge_current_a_max: Annotated[
        float | None,
        about(
            "A",
            "maximum level of all racks' charge current together",
            "that of a rack by their number",
            gt=0,
            le=100_000,
        ),
    ] = None
    pack_charge_current_a_max_recommended: Annotated[
        float | None,
        about("A", "recommended level: above it the power goes to 0 W", "95 % of the maximum", gt=0, le=100_000),
    ] = None
    pack_charge_current_a_max_operating: Annotated[
        float | None,
        about("A", "operating level: above it there is a warning", "90 % of the maximum", gt=0, le=100_000),
    ] = None
    pack_discharge_current_a_max: Annotated[
        float | None,
        about(
            "A",
            "maximum level of all racks' discharge current together",
            "that of a rack by their number",
            gt=0,
            le=100_000,
        ),
    ] = None
    pack_discharge_current_a_max_recommended: Annotated[
        float | None,
        about("A", "recommended level: above it the power goes to 0 W", "95 % of the maximum", gt=0, le=100_000),
    ] = None
    pack_discharge_current_a_max_operating: Annotated[
        float | None,
        about("A", "operating level: above it there is a warning", "90 % of the maximum", gt=0, le=100_000),
    ] = None
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

    @model_validator(mode="before")
    @classmethod
    def _by_chemistry(cls, given: Any) -> Any:
        """What is not written, by the chemistry that is."""
        if not isinstance(given, dict):
            return given
        return {**OTHER_CHEMISTRIES.get(given.get("chemistry", ""), {}), **given}

    def rack_current_a(self, use: str, level: str) -> float:
        """`use`: charge or discharge; `level`: operating, recommended or maximum."""
        return self._current_a(f"rack_{use}_current_a_max", level, math.nan)

    def pack_current_a(self, use: str, level: str, racks: int) -> float:
        """Likewise of all racks together."""
        return self._current_a(f"pack_{use}_current_a_max", level, racks * self.rack_current_a(use, "maximum"))

    def _current_a(self, name: str, level: str, usual_a: float) -> float:
        written = getattr(self, name)
        maximum_a = usual_a if written is None else float(written)
        if level == "maximum":
            return maximum_a
        lower = getattr(self, f"{name}_{level}")
        return CURRENT_SHARE[level] * maximum_a if lower is None else float(lower)

    def broken_relations(self) -> Iterator[Broken]:
        levels = ("", "_recommended", "_operating")
        yield from self.in_order(*(f"cell_voltage_v_min{level}" for level in levels))
        yield from self.below("cell_voltage_v_min_operating", "cell_voltage_v_max_operating")
        yield from self.in_order(*(f"cell_voltage_v_max{level}" for level in reversed(levels)))
        yield from self.below("cell_voltage_v_min_possible", "cell_voltage_v_min")
        yield from self.below("cell_voltage_v_max", "cell_voltage_v_max_possible")
        yield from self.below("temperature_degc_min_possible", "discharge_temperature_degc_min")
        for use in ("charge", "discharge"):
            name = f"{use}_temperature_degc"
            yield from self.in_order(*(f"{name}_min{level}" for level in levels), equal=True)
            yield from self.below(f"{name}_min_operating", f"{name}_max_operating")
            yield from self.in_order(*(f"{name}_max{level}" for level in reversed(levels)), equal=True)
        yield from self._broken_currents()
        for level in levels:
            low, high = f"_temperature_degc_min{level}", f"_temperature_degc_max{level}"
            yield from self.below(f"discharge{low}", f"charge{low}", equal=True)
            yield from self.below(f"charge{high}", f"discharge{high}", equal=True)
        yield from self.below("soc_frac_min", "soc_frac_max")

    def _broken_currents(self) -> Iterator[Broken]:
        """Levels that were written, in their order; what was not written follows from the maximum."""
        for name in (f"{what}_{use}_current_a_max" for what in ("rack", "pack") for use in ("charge", "discharge")):
            written = [each for each in (f"{name}_operating", f"{name}_recommended", name) if getattr(self, each)]
            yield from self.in_order(*written, equal=True)


class Precharge(Settings):
    """How a rack joins the DC link."""

    by: Annotated[
        Literal["rack", "inverter"], about("", "who brings the DC link to the rack's voltage before it joins", CHOICE)
    ] = "rack"
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
    circulating_current_a_max: Annotated[
        float,
        about("A", "and only if, by the racks' resistances, no more would flow between them", CHOICE, gt=0, le=10_000),
    ] = 50.0
    racks_online_min: Annotated[
        int, about("", "with fewer racks online the converter does not run", CHOICE, ge=1, le=64)
    ] = 1


class Balancing(Settings):
    """Which cells bleed."""

    on_above_frac: Annotated[
        float, about("frac", "a cell bleeds when it is surely this much fuller than the lowest", CHOICE, gt=0, le=1)
    ] = 0.005
    off_above_frac: Annotated[float, about("frac", "a bleeding cell stops at this distance", CHOICE, ge=0, le=1)] = (
        0.0025
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
    cells_max_per_module: Annotated[
        int,
        about(
            "", "cells of one module, whose resistors share a board, that bleed at the same time", CHOICE, ge=0, le=16
        ),
    ] = 8
    duty_frac_max: Annotated[
        float, about("frac", "share of the time, over ten minutes, that one cell may bleed", CHOICE, gt=0, le=1)
    ] = 0.9

    def broken_relations(self) -> Iterator[Broken]:
        yield from self.below("off_above_frac", "on_above_frac")
        yield from self.below("off_above_v", "on_above_v")
