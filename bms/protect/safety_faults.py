"""Faults of what surrounds the cells: loops, fire, insulation, supply and cooling."""

from bms.protect.fault_kind import Action, FaultKind, Level, row

FIRE = frozenset({"thermal_event", "smoke_detected", "gas_detected", "fire_panel_alarm"})
"""They stop the whole enclosure, set the output to the fire panel and the cooling by the site's policy."""

FIRE_ADVICE = "Keep away and warn others; let the fire service decide. Reset only after the enclosure was inspected."
INPUT_ADVICE = "Check the input's wiring; if the rack has none, leave it out of the rack's `safety_inputs`."
IMD_ADVICE = "Repair or replace the insulation monitor; until then nobody notices a first fault to earth."
SUPPLY_ADVICE = "Check the auxiliary supply, its charger and its load."

SAFETY_FAULTS: tuple[FaultKind, ...] = (
    row(
        "emergency_stop", Level.MAXIMUM, Action.OPEN_ALL,
        "An emergency stop is pressed.",
        "Find out why; release the button, then reset.", latched=True, ends_forming=True,
    ),
    row(
        "interlock_open", Level.SYSTEM, Action.OPEN_ALL,
        "The interlock loop is open: a connector or cover of the DC side is not in place.",
        "Do not touch the connectors; find the open contact. The racks join again once the loop is closed.",
        debounce_s=0.08,
    ),
    row(
        "smoke_detected", Level.MAXIMUM, Action.OPEN_ALL,
        "A smoke detector of the enclosure has tripped.", FIRE_ADVICE, debounce_s=0.3, latched=True,
        ends_forming=True,
    ),
    row(
        "gas_detected", Level.MAXIMUM, Action.OPEN_ALL,
        "A gas detector of the enclosure has tripped: a cell may be venting.", FIRE_ADVICE,
        debounce_s=0.3, latched=True, ends_forming=True,
    ),
    row(
        "fire_panel_alarm", Level.MAXIMUM, Action.OPEN_ALL,
        "The fire panel reports an alarm.", FIRE_ADVICE, debounce_s=0.1, latched=True,
        ends_forming=True,
    ),
    row(
        "fire_output_failed", Level.SYSTEM, Action.WARN,
        "The output to the fire panel does not read back as it was set.",
        "Tell the fire panel by hand; check the output's relay and wiring.", debounce_s=1.5,
    ),
    row(
        "fuse_blown", Level.MAXIMUM, Action.OPEN,
        "A rack's main fuse has blown.",
        "Find the short circuit before you replace the fuse.", debounce_s=0.1, latched=True,
    ),
    row(
        "door_open", Level.SYSTEM, Action.WARN,
        "A door of the enclosure is open.", "Close it; the cooling and the gas detection need it closed.",
        debounce_s=1.0, clear_s=2.0,
    ),
    row(
        "insulation_low_warning", Level.RECOMMENDED, Action.WARN,
        "The insulation of the DC bus is below the warning level.",
        "Look for moisture and damaged cables soon; a second fault to earth is a short circuit.", debounce_s=1.0,
    ),
    row(
        "insulation_low", Level.SYSTEM, Action.OPEN_ALL,
        "The insulation of the DC bus is below the fatal level.",
        "Do not touch the DC side. Find the fault to earth rack by rack before you reset.",
        debounce_s=0.5, latched=True,
    ),
    row(
        "insulation_monitor_failed", Level.SYSTEM, Action.WARN,
        "An insulation monitor reports a fault of its own.", IMD_ADVICE, debounce_s=0.3,
    ),
    row(
        "insulation_self_test_failed", Level.SYSTEM, Action.WARN,
        "An insulation monitor has failed its self-test.", IMD_ADVICE, debounce_s=0.3,
    ),
    row(
        "insulation_monitor_lost", Level.SYSTEM, Action.WARN,
        "A rack no longer hears its insulation monitor.", IMD_ADVICE, debounce_s=0.5,
    ),
    row(
        "insulation_monitors_several", Level.SYSTEM, Action.WARN,
        "More than one insulation monitor is on at one DC bus: they disturb each other and measure too low.",
        "Find the one that does not obey and switch it off.", debounce_s=2.0,
    ),
    row(
        "insulation_unmonitored", Level.SYSTEM, Action.WARN,
        "No insulation monitor is on at the connected DC bus.", IMD_ADVICE, debounce_s=10.0,
    ),
    row(
        "aux_supply_low_recommended", Level.RECOMMENDED, Action.WARN,
        "A rack's auxiliary supply is below the recommended level.", SUPPLY_ADVICE, debounce_s=1.0,
    ),
    row(
        "aux_supply_low", Level.MAXIMUM, Action.OPEN,
        "A rack's auxiliary supply is too low to hold contactors and electronics.", SUPPLY_ADVICE,
        debounce_s=0.1, latched=True,
    ),
    row(
        "aux_supply_high_recommended", Level.RECOMMENDED, Action.WARN,
        "A rack's auxiliary supply is above the recommended level.", SUPPLY_ADVICE, debounce_s=1.0,
    ),
    row(
        "aux_supply_high", Level.MAXIMUM, Action.OPEN,
        "A rack's auxiliary supply is too high for contactors and electronics.", SUPPLY_ADVICE,
        debounce_s=0.1, latched=True,
    ),
    row(
        "aux_supply_on_battery", Level.SYSTEM, Action.WARN,
        "A rack's auxiliary supply runs on its battery.", "Bring its mains back before the battery is empty.",
        debounce_s=1.0,
    ),
    row(
        "aux_supply_charge_low", Level.RECOMMENDED, Action.OPEN,
        "The battery of a rack's auxiliary supply is nearly empty: contactors and electronics will lose it.",
        "Bring its mains back; the rack joins again once the battery is charged.", debounce_s=1.0, clear_s=10.0,
    ),
    row(
        "cooling_failed", Level.SYSTEM, Action.WARN,
        "A rack's cooling reports a failure; the temperature limits reduce the power if it gets hot.",
        "Repair the cooling.", debounce_s=1.0,
    ),
    row(
        "cooling_not_following", Level.SYSTEM, Action.WARN,
        "A rack's cooling does not run, or does not stop, as it was told with hot cells or in a fire.",
        "Check the cooling's supply and its control input.", debounce_s=5.0,
    ),
    row(
        "coolant_temperature_high_operating", Level.OPERATING, Action.WARN,
        "Coolant or cooling air is above the operating level.", "Check the chiller and its heat exchanger.",
        debounce_s=2.0,
    ),
    row(
        "coolant_temperature_high", Level.RECOMMENDED, Action.ZERO_POWER,
        "Coolant or cooling air is too hot to cool.", "Check the chiller and its heat exchanger.",
        debounce_s=1.0, clear_s=10.0,
    ),
    row(
        "coolant_temperature_low", Level.OPERATING, Action.WARN,
        "Coolant or cooling air is near freezing.", "Check heating and antifreeze.", debounce_s=2.0,
    ),
    row(
        "precharge_resistor_hot", Level.RECOMMENDED, Action.WARN,
        "A rack's precharge resistor is hotter than precharging makes it.",
        "Check for a precharge contactor that stays closed and for a short on the DC link.", debounce_s=1.0,
    ),
    row(
        "safety_inputs_stale", Level.SYSTEM, Action.OPEN,
        "A rack's safety inputs are missing or older than allowed.",
        "Check the rack's I/O block and the CAN bus.", debounce_s=0.1,
    ),
    row(
        "safety_input_missing", Level.SYSTEM, Action.OPEN,
        "A loop or detector that the site file says is wired gives no value.", INPUT_ADVICE, debounce_s=0.3,
    ),
    row(
        "auxiliary_input_missing", Level.SYSTEM, Action.WARN,
        "A door, fuse, supply or cooling input that the site file says is wired gives no value.", INPUT_ADVICE,
        debounce_s=1.0,
    ),
)  # fmt: skip
