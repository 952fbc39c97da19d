"""The table of faults: what each means, what it does and what to do about it. `bms faults` prints it."""

from collections.abc import Iterator
from dataclasses import dataclass

from bms.protect.battery_faults import BATTERY_FAULTS
from bms.protect.fault_kind import Action as Action
from bms.protect.fault_kind import FaultKind as FaultKind
from bms.protect.fault_kind import Level as Level
from bms.protect.fault_kind import row as _row
from bms.protect.inverter_faults import GRID_FAULTS, INVERTER_FAULTS
from bms.protect.island_faults import ISLAND_FAULTS
from bms.protect.monitor_faults import MONITOR_FAULTS
from bms.protect.safety_faults import SAFETY_FAULTS


@dataclass(frozen=True, slots=True)
class Levelled:
    """A quantity with three levels, of which each is a fault: `name_operating`, `name_recommended` and `name`."""

    name: str
    what: str
    blocks: Action
    hysteresis: float
    debounce_s: tuple[float, float, float]
    advice: tuple[str, str, str]
    """Both by level, operating first."""
    only_flowing: bool = False
    opens: Action = Action.OPEN

    @property
    def ids(self) -> tuple[str, str, str]:
        """By level, operating first."""
        return f"{self.name}_operating", f"{self.name}_recommended", self.name

    def rows(self) -> Iterator[FaultKind]:
        beyond = "maximum while current flows: it should have been blocked" if self.only_flowing else "maximum"
        meanings = (
            f"{self.what} the operating level: power is tapered.",
            f"{self.what} the recommended level: {BLOCKED[self.blocks]}.",
            f"{self.what} the {beyond}.",
        )
        actions, latched = (Action.WARN, self.blocks, self.opens), (False, False, True)
        forming = (Action.WARN, Action.WARN, self.opens)
        levels, clear_s = (Level.OPERATING, Level.RECOMMENDED, Level.MAXIMUM), (2.0, 10.0, 10.0)
        for row in zip(
            self.ids, levels, actions, forming, self.debounce_s, latched, clear_s, meanings, self.advice, strict=True
        ):
            yield FaultKind(*row)


BLOCKED = {
    Action.BLOCK_CHARGE: "charging is blocked",
    Action.BLOCK_DISCHARGE: "discharging is blocked",
    Action.ZERO_POWER: "the power goes to 0 W",
}
CHARGE, DISCHARGE = Action.BLOCK_CHARGE, Action.BLOCK_DISCHARGE
VOLTAGE_S, TEMPERATURE_S, CURRENT_S = (1.0, 0.2, 0.06), (2.0, 1.0, 0.3), (1.0, 0.2, 0.03)
USUAL = "Nothing, if it clears; often: look at the balance of the rack."
TAPER = "Nothing, if it clears; often: compare the converter's obedience and the site's operating limits."
CLIMATE = "Nothing, if it clears; often: check heating, cooling and the site's power."
KEEP_AWAY = "Keep away, check cooling and the cell; reset only after the cause is known."
STILL_FLOWED = "Find out why the converter went on although it was blocked; judge the cell before you reset."
SENSOR = "Check the converter's obedience and the current sensor before you reset."

LEVELLED: dict[str, Levelled] = {
    each.name: each
    for each in (
        Levelled(
            "cell_voltage_high", "A cell is above", CHARGE, 0.02, VOLTAGE_S,
            (USUAL, "Look at the balance of the rack and at the converter's obedience.",
             "Find the cell, check its monitor and the converter's charge limit before you reset."),
        ),
        Levelled(
            "cell_voltage_low", "A cell is below", DISCHARGE, 0.05, VOLTAGE_S,
            (USUAL, "Charge soon; look at the balance of the rack and at the standby consumption.",
             "Find the cell; a deeply discharged cell must be judged before it is charged again."),
        ),
        Levelled(
            "charge_temperature_high", "A cell is, for charging, hotter than", CHARGE, 2.0, TEMPERATURE_S,
            (CLIMATE, "Check cooling.", STILL_FLOWED), only_flowing=True,
        ),
        Levelled(
            "charge_temperature_low", "A cell is, for charging, colder than", CHARGE, 2.0, TEMPERATURE_S,
            (CLIMATE, "Check heating; discharging warms too.", STILL_FLOWED), only_flowing=True,
        ),
        Levelled(
            "discharge_temperature_high", "A cell is hotter than", DISCHARGE, 2.0, TEMPERATURE_S,
            (CLIMATE, "Check cooling.", KEEP_AWAY),
        ),
        Levelled(
            "discharge_temperature_low", "A cell is, for discharging, colder than", DISCHARGE, 2.0, TEMPERATURE_S,
            (CLIMATE, "Check heating.", STILL_FLOWED), only_flowing=True,
        ),
        Levelled(
            "charge_current_high", "A rack's charge current is above", Action.ZERO_POWER, 2.0, CURRENT_S,
            (TAPER, SENSOR, SENSOR),
        ),
        Levelled(
            "discharge_current_high", "A rack's discharge current is above", Action.ZERO_POWER, 2.0, CURRENT_S,
            (TAPER, SENSOR, SENSOR),
        ),
        Levelled(
            "pack_charge_current_high", "All racks' charge current together is above", Action.ZERO_POWER, 4.0,
            CURRENT_S, (TAPER, SENSOR, SENSOR), opens=Action.OPEN_ALL,
        ),
        Levelled(
            "pack_discharge_current_high", "All racks' discharge current together is above", Action.ZERO_POWER, 4.0,
            CURRENT_S, (TAPER, SENSOR, SENSOR), opens=Action.OPEN_ALL,
        ),
    )
}  # fmt: skip


MAINTENANCE = "rack_maintenance"
"""No fault, but a lock that behaves as a latched one: it opens its rack, survives restarts and is reset. Somebody asked
for it, so that it ends grid-forming too."""

LOCAL_CONTROL = "local_control"
"""No fault, but the local/remote switch as a latched one: it survives restarts and is reset."""

FAULTS: dict[str, FaultKind] = {
    fault.id: fault
    for fault in (
        *(row for each in LEVELLED.values() for row in each.rows()),
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
            "cell_voltage_frozen", Level.SYSTEM, Action.OPEN,
            "A cell's voltage stays the same to the last bit while the string's voltage moves.",
            "Check the cell monitor's input and measuring chip.", debounce_s=0.2,
        ),
        _row(
            "current_frozen", Level.SYSTEM, Action.OPEN,
            "A rack's current stays the same to the last bit while the converter's moves.",
            "Check the current sensor.", debounce_s=0.2,
        ),
        _row(
            "cell_voltage_out_of_range", Level.SYSTEM, Action.OPEN,
            "A cell's voltage is none that a cell can have: its measurement is at fault.",
            "Check the sense wires and the measuring chip at the cell named; judge the cell before you reset.",
            debounce_s=0.1, latched=True,
        ),
        _row(
            "cell_temperature_out_of_range", Level.SYSTEM, Action.OPEN,
            "A temperature is at the cold end of the scale: the sensor is open.",
            "Check the sensor at the cell named and its plug.", debounce_s=0.3,
        ),
        _row(
            "current_sensors_disagree", Level.SYSTEM, Action.OPEN,
            "A rack's two current sensors differ: one of them is wrong.",
            "Compare both with the converter's DC current; check the wrong one's supply and zero.", debounce_s=0.3,
        ),
        _row(
            "temperature_sensors_disagree", Level.SYSTEM, Action.OPEN,
            "A rack's second chain of temperature sensors has another hottest place than the first.",
            "Look for a hot place between the first chain's sensors, then for a wrong sensor.", debounce_s=1.0,
        ),
        _row(
            "redundant_sensor_lost", Level.SYSTEM, Action.WARN,
            "A second sensor that was there gives no value any more: nothing checks the first one now.",
            "Check the second current sensor, or the second chain of temperature sensors, as named.", debounce_s=0.5,
        ),
        _row(
            "open_wire", Level.SYSTEM, Action.OPEN,
            "Two neighbouring cells share their voltage wrongly: the sense wire between them is open.",
            "Check the sense wire between the cells named.", debounce_s=0.3, latched=True,
        ),
        _row(
            "rack_voltage_mismatch", Level.SYSTEM, Action.ZERO_POWER,
            "The sum of a rack's cells is not the voltage that the rack measures.",
            "Check the scale of the rack's voltage input, and for a bypassed or doubled cell.", debounce_s=1.0,
        ),
        _row(
            "cell_voltage_spread", Level.SYSTEM, Action.WARN,
            "A rack's cells are unusually far apart in voltage.",
            "Look for a weak cell, a bad contact or missing balance.", debounce_s=2.0,
        ),
        _row(
            "cell_temperature_spread", Level.SYSTEM, Action.WARN,
            "A rack's cells are unusually far apart in temperature.",
            "Look at the air flow and at the hottest cell's contacts.", debounce_s=2.0,
        ),
        _row(
            "thermal_event", Level.MAXIMUM, Action.OPEN_ALL,
            "A cell that is hot heats faster than any load can do it.",
            "Keep away and warn others; let the fire service decide. Cooling goes on by the site's policy.",
            debounce_s=0.2, latched=True, ends_forming=True,
        ),
        _row(
            "current_while_open", Level.SYSTEM, Action.OPEN_ALL,
            "Current flows through contactors that say they are open.",
            "Check for a welded contactor, its feedback and the current sensor's zero.", debounce_s=0.5, latched=True,
        ),
        _row(
            "dc_current_mismatch", Level.SYSTEM, Action.ZERO_POWER,
            "The racks' currents together are not the converter's DC current.",
            "Compare the current sensors; one of them is wrong, or another device sits on the DC bus.", debounce_s=1.0,
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
            "Check its supply and the network; its own timer has stopped it, unless inverter_keeps_on is active.",
        ),
        _row(
            "inverter_keeps_on", Level.SYSTEM, Action.WARN,
            "The converter goes on with its last set-point when this controller or the way to it dies.",
            "Nothing but the racks' own contactors would stop it, under load: ask its maker for a reversion timer.",
        ),
        _row(
            "inverter_fault", Level.SYSTEM, Action.OPEN_ALL,
            "The converter reports a fault of its own.",
            "Read the converter's alarms, mend their cause, then reset: it is told to forget them. Right after a start "
            "it may be the DC voltage alone, which the racks' watchdogs took away while no controller ran.",
            latched=True,
        ),
        _row(
            "inverter_not_following", Level.SYSTEM, Action.ZERO_POWER,
            "The converter's measured power is not what it was told.",
            "Is it in local control, or derated? Read its alarms and its log of set-points.", debounce_s=1.5,
        ),
        _row(
            "inverter_function_refused", Level.SYSTEM, Action.WARN,
            "The converter does not follow the curve of reactive power that the site file gives it.",
            "Read what it refuses; its own settings, or another master, may forbid or replace it.", debounce_s=1.0,
        ),
        _row(
            "power_retried_in_vain", Level.SYSTEM, Action.ZERO_POWER,
            "A fault that shows only while power flows came back each time that power was tried again.",
            "Find the cause of the fault that it names (a converter's sign or mode, a sensor's gain), then reset.",
            latched=True,
        ),
        _row(
            "inverter_reactive_not_following", Level.SYSTEM, Action.WARN,
            "The converter's measured reactive power is not what it was told.",
            "Does its own volt-var or power-factor function work against the set-point? Read its settings.",
            debounce_s=1.5,
        ),
        _row(
            "inverter_runs_away", Level.SYSTEM, Action.OPEN_PROVEN,
            "The converter works on although it is told 0 W, which only its stop can end.",
            "Read its alarms and its log of set-points; find out whom it obeyed before you reset.", debounce_s=0.3,
            latched=True,
        ),
        _row(
            "meter_lost", Level.SYSTEM, Action.ZERO_POWER,
            "The grid meter does not answer; applications that need it cannot work.",
            "Check the meter and the network.", clear_s=2.0,
        ),
        _row(
            "precharge_short", Level.SYSTEM, Action.OPEN_ALL,
            "Precharge current flows, but the DC link's voltage does not rise.",
            "Look for a short on the DC link; let the precharge resistor cool before you reset.", latched=True,
        ),
        _row(
            "precharge_open", Level.SYSTEM, Action.OPEN,
            "No precharge current reaches the DC link.",
            "Check precharge relay, resistor and fuse, and the rack's main fuse; or why the converter does not "
            "precharge.", latched=True,
        ),
        _row(
            "precharge_timeout", Level.SYSTEM, Action.OPEN,
            "The DC link did not reach the rack's voltage in the allowed time and tries.",
            "Look for a load on the DC link, and compare the two voltages.", latched=True,
        ),
        _row(
            "precharge_welded", Level.SYSTEM, Action.OPEN_ALL,
            "The precharge contactor does not open.",
            "Isolate the rack by hand; replace the contactor.", latched=True,
        ),
        _row(
            "racks_unequal", Level.SYSTEM, Action.WARN,
            "A rack's voltage is too far from the others' to join them.",
            "It joins when they meet. Else charge or discharge it, or them, alone.",
        ),
        _row(
            "contactor_welded", Level.SYSTEM, Action.OPEN_ALL,
            "A main contactor does not open.",
            "Isolate the rack by hand; replace the contactor.", latched=True,
        ),
        _row(
            "contactor_stuck_open", Level.SYSTEM, Action.OPEN,
            "A main contactor does not close.",
            "Check its coil's supply and the interlock; replace the contactor.", latched=True,
        ),
        _row(
            "contactor_request_ignored", Level.SYSTEM, Action.OPEN,
            "A rack that moves its contactors itself was asked to connect, and did nothing in time.",
            "Check the rack's own BMS and whether it is in remote control.", latched=True,
        ),
        _row(
            "contactor_request_refused", Level.SYSTEM, Action.OPEN,
            "A rack that moves its contactors itself refuses to connect.",
            "Read the faults of the rack's own BMS.", latched=True,
        ),
        _row(
            "contactor_opened_itself", Level.SYSTEM, Action.OPEN,
            "A main contactor that should be closed says that it is open.",
            "Check its coil's supply and the auxiliary contact. It may have opened under load.", latched=True,
        ),
        _row(
            "contactor_closed_itself", Level.SYSTEM, Action.OPEN_ALL,
            "A main contactor that should be open says that it is closed.",
            "Keep away; check for a weld, a second master and the auxiliary contact.", latched=True,
        ),
        _row(
            MAINTENANCE, Level.SYSTEM, Action.OPEN,
            "Somebody took the rack out of service with `bms maintain`.",
            "Give it back with `bms reset SITE rack_maintenance --target RACK`. Its contactors may close then.",
            latched=True, ends_forming=True,
        ),
        _row(
            LOCAL_CONTROL, Level.SYSTEM, Action.WARN,
            "Somebody took the site into local control with `bms local`: remote requests are refused.",
            "Give it back with `bms reset SITE local_control`. Remote requests count again from then on.",
            latched=True,
        ),
        _row(
            "contactor_unproven", Level.SYSTEM, Action.OPEN_ALL,
            "A rack was told to open, and nobody can say whether it did.",
            "Check the rack's I/O block and the CAN bus; measure before you touch anything.",
        ),
        _row(
            "contactor_chatter", Level.SYSTEM, Action.OPEN,
            "A main contactor's feedback goes to and fro.",
            "Check its coil's supply and the plug of the auxiliary contact.", latched=True,
        ),
        _row(
            "tick_overruns", Level.SYSTEM, Action.WARN,
            "The controller misses too many of its ticks.",
            "The gateway is too slow or too busy: look at its load, or lengthen the periods.", clear_s=60.0,
        ),
        _row(
            "fast_lane_lost", Level.SYSTEM, Action.WARN,
            "The fast lane from the grid meter to the converter does not work: the slower ticks smooth alone.",
            "Check the network to both devices, how many connections they take, and the gateway's load.",
            debounce_s=0.5, clear_s=5.0,
        ),
        _row(
            "converter_loop_mismatch", Level.SYSTEM, Action.WARN,
            "The smoothing loop inside the converter does not show the parameters that it was told: the ticks smooth.",
            "Check the converter's firmware against its profile, and whether somebody else sets its loop.",
            clear_s=5.0,
        ),
        _row(
            "smoothing_refused", Level.SYSTEM, Action.WARN,
            "Smoothing leaves the grid worse than no battery would, by what this site measures: it holds back.",
            "The loop is too slow for this load: use fast_lane or converter_loop, shorter periods, or smoothing in the "
            "servers.", clear_s=5.0,
        ),
        _row(
            "strip_overdue", Level.SYSTEM, Action.WARN,
            "A zinc rack's strip is overdue, or takes longer than it should: its plating grows uneven.",
            "The text says what it waits for: racks that are out or have faults, or services that need all of them.",
            clear_s=5.0,
        ),
        _row(
            "controller_stalled", Level.SYSTEM, Action.WARN,
            "The controller stood still; nothing was protected meanwhile but by the devices themselves.",
            "Look at the gateway's log for a pause, a suspend or an overloaded disk.", clear_s=60.0,
        ),
        _row(
            "clock_jump", Level.SYSTEM, Action.WARN,
            "The wall clock jumped. Protection does not use it; schedules and demand windows do.",
            "Check the gateway's time source.", clear_s=60.0,
        ),
        _row(
            "guard_stop", Level.SYSTEM, Action.OPEN_ALL,
            "The independent guard saw a hard limit crossed for longer than protection should ever need.",
            "Protection and guard disagree: keep the record and report it.", latched=True, ends_forming=True,
        ),
        _row(
            "state_lost", Level.SYSTEM, Action.OPEN_ALL,
            "The files with what was known before this start are damaged: a fault may have been latched.",
            "Read the log of events and judge the battery before you reset.", latched=True,
        ),
        _row(
            "battery_bus_silent", Level.SYSTEM, Action.WARN,
            "The third-party inverter that takes this site as its battery sends no keep-alive.",
            "Check the inverter's battery setting, the CAN bus and its terminators. Its limits may not reach it.",
        ),
        *SAFETY_FAULTS,
        *MONITOR_FAULTS,
        *BATTERY_FAULTS,
        *INVERTER_FAULTS,
        *GRID_FAULTS,
        *ISLAND_FAULTS,
    )
}  # fmt: skip
