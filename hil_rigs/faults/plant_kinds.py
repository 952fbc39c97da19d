"""Kinds of injected faults in the plant: erring sensors, cells, contactors, converter, grid, switchgear, processes."""

from hil_rigs.faults.kind import FaultKind
from hil_rigs.faults.link_kinds import BORNE

SENSOR_KINDS: tuple[FaultKind, ...] = (
    FaultKind("cell-sense-short", "a cell's sense lines are shorted: 0 V", "cell", "cell_voltage_out_of_range"),
    FaultKind(
        "module-sensors-short", "a module's temperature sensors are shorted: they show the scale's hot end", "module",
        "discharge_temperature_high",
    ),
    FaultKind(
        "cell-offset", "a cell shows VALUE V too much", "cell", "cell_voltage_spread",
        value=0.25, value_min=-4.0, value_max=4.0, unit="V",
    ),
    FaultKind(
        "cell-drift", "what a cell shows drifts by VALUE V/s", "cell", "cell_voltage_high",
        value=0.2, value_min=-10.0, value_max=10.0, unit="V/s",
    ),
    FaultKind(
        "cell-noise", "a cell's voltage is noisy: VALUE V standard deviation", "cell", BORNE,
        value=0.02, value_min=0.0, value_max=2.0, unit="V",
    ),
    FaultKind("cells-swapped", "the sense lines of a cell and the next are swapped", "cell", BORNE),
    FaultKind(
        "current-offset", "a rack's current sensors show VALUE A too much", "rack", "dc_current_mismatch",
        value=60.0, value_min=-10_000.0, value_max=10_000.0, unit="A",
    ),
    FaultKind(
        "current-gain", "a rack's current sensors show VALUE times its current", "rack", "dc_current_mismatch",
        value=-1.0, value_min=-10.0, value_max=10.0, unit="times",
    ),
    FaultKind(
        "current-drift", "what a rack's current sensors show drifts by VALUE A/s", "rack", "dc_current_mismatch",
        value=30.0, value_min=-1000.0, value_max=1000.0, unit="A/s",
    ),
    FaultKind(
        "current-noise", "a rack's current sensors are noisy: VALUE A standard deviation", "rack", BORNE,
        value=5.0, value_min=0.0, value_max=1000.0, unit="A",
    ),
)  # fmt: skip

CELL_KINDS: tuple[FaultKind, ...] = (
    FaultKind(
        "cell-internal-short", "VALUE Ohm join a cell's poles inside it: it discharges and heats itself", "cell",
        "cell_voltage_low", value=0.0005, value_min=0.0001, value_max=1000.0, unit="Ohm",
    ),
    FaultKind(
        "cell-capacity", "a cell has VALUE of its capacity left", "cell", BORNE,
        value=0.5, value_min=0.01, value_max=1.0, unit="frac",
    ),
    FaultKind(
        "cell-resistance", "a cell's resistance is VALUE times what it was", "cell", "cell_voltage_spread",
        value=20.0, value_min=0.1, value_max=1000.0, unit="times",
    ),
    FaultKind(
        "cell-runaway", "a cell begins to heat itself by VALUE K/s, which doubles every 10 K", "cell", "thermal_event",
        value=2.0, value_min=0.001, value_max=100.0, unit="K/s",
    ),
)  # fmt: skip

EQUIPMENT_KINDS: tuple[FaultKind, ...] = (
    FaultKind(
        "contactor-late", "a rack's contactors follow VALUE s late", "rack", BORNE,
        value=0.15, value_min=0.0, value_max=10.0, unit="s",
    ),
    FaultKind("contactor-output-stuck", "the output of a rack's contactor block stays as it is, whatever is written",
              "rack", "contactor_welded", needs="contactor-block"),
    FaultKind("contactor-block-lost", "a rack's contactor block falls silent, and hears nothing", "rack",
              "rack_io_stale", needs="contactor-block"),
    FaultKind("inverter-holds", "the converter stays at its present power, whatever it is told, until it is stopped",
              "", "inverter_not_following"),
    FaultKind("inverter-ignores-reactive", "the converter's reactive power goes to VALUE, whatever it is told", "",
              "inverter_reactive_not_following", value=0.0, value_min=-1e9, value_max=1e9, unit="var"),
    FaultKind("inverter-wrong-sign", "the converter charges when told to discharge, and the other way round", "",
              "inverter_not_following"),
    FaultKind(
        "inverter-late-ramp", "the converter's power moves by no more than VALUE W/s", "", BORNE,
        value=50e3, value_min=1.0, value_max=1e9, unit="W/s",
    ),
    FaultKind(
        "inverter-restarts", "the converter's electronics start again and are silent for VALUE s", "", "inverter_lost",
        value=3.0, value_min=0.01, value_max=1000.0, unit="s",
    ),
    FaultKind(
        "inverter-lies", "the converter reports VALUE W more than it delivers", "", "inverter_not_following",
        value=150e3, value_min=-1e9, value_max=1e9, unit="W",
    ),
    FaultKind(
        "grid-swell", "the grid's voltage is VALUE of nominal too high", "", "grid_voltage_high",
        value=0.12, value_min=-1.0, value_max=1.0, unit="pu",
    ),
    FaultKind("switch-welded", "the switch to the grid does not open any more, not even by itself", "",
              "intertie_stuck_closed", needs="switch"),
    FaultKind("switch-refuses", "the switch to the grid does not close", "", "intertie_not_closing", needs="switch"),
    FaultKind("switch-lies", "the switch's auxiliary contact says the opposite", "", "intertie_stuck_closed",
              needs="switch"),
    FaultKind("switch-no-synchroniser", "the switch's synchroniser does nothing", "", "sync_timeout", needs="switch"),
    FaultKind("blocks-stuck", "the contactors of the load blocks stay as they are", "", "block_not_following",
              needs="switch"),
    FaultKind("bus-fed", "something else feeds the dark site's bus", "", "dead_bus_not_dead", needs="switch"),
)  # fmt: skip

PROCESS_KINDS: tuple[FaultKind, ...] = (
    FaultKind(
        "controller-killed", "the controller is killed (kill -9) and started again from its state VALUE s later", "",
        BORNE, value=1.0, value_min=0.02, value_max=1000.0, unit="s", needs="process",
    ),
    FaultKind(
        "controller-paused", "the controller is paused for VALUE s (SIGSTOP) while everything else goes on", "",
        "controller_stalled", value=5.0, value_min=0.02, value_max=1000.0, unit="s", needs="process",
    ),
    FaultKind("disk-full", "there is no room for the controller's state and record: what was saved last stays",
              "", BORNE, needs="process"),
)  # fmt: skip

PLANT_KINDS = SENSOR_KINDS + CELL_KINDS + EQUIPMENT_KINDS + PROCESS_KINDS
