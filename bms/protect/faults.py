"""The table of faults: what each means, what it does and what to do about it. `bms faults` prints it."""

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What a fault does to a grid-following battery while it is active."""

    BLOCK_CHARGE = "block charge"
    BLOCK_DISCHARGE = "block discharge"
    ZERO_POWER = "0 W, contactors stay closed"
    OPEN = "0 W, stop the converter, open below break current or after a bounded wait"
    OPEN_PROVEN = "open once the DC current is proven below break current, after 10 s anyway"

    @property
    def opens(self) -> bool:
        return self in (Action.OPEN, Action.OPEN_PROVEN)


class Level(StrEnum):
    """Three levels of a limit; SYSTEM for faults that are no limit."""

    OPERATING = "operating"
    RECOMMENDED = "recommended"
    MAXIMUM = "maximum"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One row of the table. `latched` faults stay until somebody resets them, also over a restart; others clear by
    themselves after their cause has been absent for `clear_s`."""

    id: str
    level: Level
    action: Action
    latched: bool
    clear_s: float
    meaning: str
    advice: str


def _row(
    id: str, level: Level, action: Action, meaning: str, advice: str, *, latched: bool = False, clear_s: float = 5.0
) -> FaultKind:
    return FaultKind(id, level, action, latched, clear_s, meaning, advice)


FAULTS: dict[str, FaultKind] = {
    fault.id: fault
    for fault in (
        _row(
            "cell_voltage_high", Level.MAXIMUM, Action.OPEN,
            "A cell is above the maximum voltage of its chemistry.",
            "Find the cell, check its monitor and the converter's charge limit before you reset.", latched=True,
        ),
        _row(
            "cell_voltage_low", Level.MAXIMUM, Action.OPEN,
            "A cell is below the minimum voltage of its chemistry.",
            "Find the cell; a deeply discharged cell must be judged before it is charged again.", latched=True,
        ),
        _row(
            "cell_voltage_high_operating", Level.OPERATING, Action.BLOCK_CHARGE,
            "A cell is above the operating band: charging is blocked, discharging goes on.",
            "Nothing, if it clears; otherwise look at the balance of the rack.", clear_s=2.0,
        ),
        _row(
            "cell_voltage_low_operating", Level.OPERATING, Action.BLOCK_DISCHARGE,
            "A cell is below the operating band: discharging is blocked, charging goes on.",
            "Nothing, if it clears; otherwise look at the balance of the rack.", clear_s=2.0,
        ),
        _row(
            "cell_temperature_high", Level.MAXIMUM, Action.OPEN,
            "A cell is hotter than its maximum.",
            "Keep away, check cooling and the cell; reset only after the cause is known.", latched=True,
        ),
        _row(
            "charge_temperature", Level.OPERATING, Action.BLOCK_CHARGE,
            "A cell is too cold or too hot to be charged.",
            "Check heating and cooling.", clear_s=10.0,
        ),
        _row(
            "discharge_temperature", Level.OPERATING, Action.BLOCK_DISCHARGE,
            "A cell is too cold to be discharged.",
            "Check heating.", clear_s=10.0,
        ),
        _row(
            "rack_overcurrent", Level.MAXIMUM, Action.OPEN,
            "A rack carries more current than its maximum.",
            "Check the converter's obedience and the current sensor before you reset.", latched=True,
        ),
        _row(
            "cell_data_stale", Level.SYSTEM, Action.OPEN,
            "A cell's voltage or temperature is missing or older than allowed.",
            "Check the cell monitor named, its supply and the CAN bus.",
        ),
        _row(
            "current_stale", Level.SYSTEM, Action.OPEN,
            "A rack's current is missing or older than allowed.",
            "Check the current sensor and the CAN bus.",
        ),
        _row(
            "rack_io_stale", Level.SYSTEM, Action.OPEN,
            "A rack's contactor feedback is missing or older than allowed.",
            "Check the rack's I/O block and the CAN bus.",
        ),
        _row(
            "rack_command_lost", Level.SYSTEM, Action.OPEN,
            "A rack says that contactor commands no longer reach it; its own watchdog will open the contactors.",
            "Check the CAN bus and the gateway's transmit path.",
        ),
        _row(
            "monitor_crc_errors", Level.SYSTEM, Action.OPEN,
            "Too many frames of a rack's monitors have a wrong checksum.",
            "Check shielding, termination and the monitor's firmware.",
        ),
        _row(
            "monitor_counter_errors", Level.SYSTEM, Action.OPEN,
            "Too many frames of a rack's monitors repeat an old counter: a frozen sender.",
            "Restart the monitor; replace it if it happens again.",
        ),
        _row(
            "inverter_lost", Level.SYSTEM, Action.OPEN_PROVEN,
            "The converter does not answer.",
            "Check its supply and the network; its own reversion timer has stopped it.",
        ),
        _row(
            "inverter_fault", Level.SYSTEM, Action.OPEN,
            "The converter reports a fault of its own.",
            "Read the converter's alarms.", latched=True,
        ),
        _row(
            "inverter_not_following", Level.SYSTEM, Action.ZERO_POWER,
            "The converter's measured power is not what it was told.",
            "Is it in local control, or derated? Read its alarms and its log of set-points.",
        ),
        _row(
            "meter_lost", Level.SYSTEM, Action.ZERO_POWER,
            "The grid meter does not answer; applications that need it cannot work.",
            "Check the meter and the network.", clear_s=2.0,
        ),
        _row(
            "precharge_failed", Level.SYSTEM, Action.OPEN,
            "The DC link did not reach the rack's voltage in the allowed time and tries.",
            "Check precharge resistor, relay and the DC link for a short.", latched=True,
        ),
        _row(
            "racks_unequal", Level.SYSTEM, Action.ZERO_POWER,
            "The racks' voltages are too far apart to join them on one DC link.",
            "Charge or discharge the odd rack alone, then reset.", latched=True,
        ),
        _row(
            "contactor_mismatch", Level.SYSTEM, Action.OPEN,
            "A contactor's feedback disagrees with its command.",
            "Check for a welded contact or a lost coil supply.", latched=True,
        ),
        _row(
            "guard_stop", Level.SYSTEM, Action.OPEN,
            "The independent guard saw a hard limit crossed for longer than protection should ever need.",
            "Protection and guard disagree: keep the record and report it.", latched=True,
        ),
        _row(
            "state_lost", Level.SYSTEM, Action.OPEN,
            "The files with what was known before this start are damaged: a fault may have been latched.",
            "Read the log of events and judge the battery before you reset.", latched=True,
        ),
    )
}  # fmt: skip
