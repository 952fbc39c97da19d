"""Faults of the converter beside those in the main table: its own alarms by name, and what contradicts it."""

from bms.protect.fault_kind import Action, FaultKind, Level, row


def _alarm(id: str, action: Action, meaning: str, advice: str) -> FaultKind:
    return row(id, Level.SYSTEM, action, f"The converter reports: {meaning}.", advice, debounce_s=0.2)


GRID = "Look at the grid and the converter's connection to it."
DC = "Look at the DC link and the converter's DC switch."
RESET = "Restart the converter; call its maker if it happens again."

INVERTER_ALARMS: tuple[FaultKind, ...] = (
    _alarm(
        "inverter_ground_fault", Action.OPEN_ALL, "ground fault", "Find the fault to earth before you start it again."
    ),
    _alarm("inverter_dc_over_voltage", Action.BLOCK_CHARGE, "DC over-voltage", DC),
    _alarm("inverter_ac_disconnected", Action.WARN, "AC side disconnected", GRID),
    _alarm("inverter_dc_disconnected", Action.WARN, "DC side disconnected", DC),
    _alarm("inverter_grid_disconnected", Action.WARN, "disconnected from the grid", GRID),
    _alarm("inverter_cabinet_open", Action.ZERO_POWER, "cabinet open", "Close it; somebody may be working inside."),
    _alarm("inverter_manual_shutdown", Action.ZERO_POWER, "shut down by hand", "Ask who did it and why."),
    _alarm("inverter_over_temperature", Action.WARN, "over-temperature", "Check its fans and filters."),
    _alarm("inverter_over_frequency", Action.WARN, "over-frequency", GRID),
    _alarm("inverter_under_frequency", Action.WARN, "under-frequency", GRID),
    _alarm("inverter_ac_over_voltage", Action.WARN, "AC over-voltage", GRID),
    _alarm("inverter_ac_under_voltage", Action.WARN, "AC under-voltage", GRID),
    _alarm("inverter_fuse_blown", Action.OPEN_ALL, "blown fuse", "Find the short circuit before you replace the fuse."),
    _alarm("inverter_under_temperature", Action.WARN, "under-temperature", "Check its heating."),
    _alarm("inverter_memory_loss", Action.ZERO_POWER, "memory or communication loss", RESET),
    _alarm("inverter_hardware_test_failed", Action.ZERO_POWER, "hardware test failed", RESET),
    _alarm("inverter_manufacturer_alarm", Action.WARN, "an alarm of its maker's", "Read its own display or log."),
)
"""By bit of point Alrm in SunSpec model 701, bit 0 first."""

INVERTER_FAULTS: tuple[FaultKind, ...] = (
    *INVERTER_ALARMS,
    row(
        "inverter_local_control", Level.SYSTEM, Action.ZERO_POWER,
        "The converter is in local control: it takes no set-points from here.",
        "Ask who works at its panel; give it back to remote control.", debounce_s=0.3,
    ),
    row(
        "inverter_power_while_stopped", Level.SYSTEM, Action.OPEN_PROVEN,
        "The converter delivers or takes power although it says that it is stopped.",
        "Check its power stage and its measurement before you go near.", debounce_s=0.5, latched=True,
    ),
    row(
        "inverter_dc_voltage_mismatch", Level.SYSTEM, Action.ZERO_POWER,
        "The converter's DC voltage is not that of the racks' DC link.",
        "Compare both voltage inputs; a DC switch or fuse between them may be open.", debounce_s=1.0,
    ),
)  # fmt: skip


def _grid(id: str, meaning: str) -> FaultKind:
    return row(id, Level.OPERATING, Action.WARN, meaning, GRID, debounce_s=0.5, clear_s=2.0)


GRID_FAULTS: tuple[FaultKind, ...] = (
    _grid("grid_frequency_low", "The grid's frequency, at the meter, is below its range."),
    _grid("grid_frequency_high", "The grid's frequency, at the meter, is above its range."),
    _grid("grid_voltage_low", "The grid's voltage, at the meter, is below its range."),
    _grid("grid_voltage_high", "The grid's voltage, at the meter, is above its range."),
)
