"""Kinds of injected faults around the cells: loops, fire, insulation, supply, cooling, converter and grid."""

from hil_rigs.faults.kind import FaultKind

SURROUNDING_KINDS: tuple[FaultKind, ...] = (
    FaultKind(
        "insulation-low", "a rack's insulation to earth falls to VALUE kOhm", "rack", "insulation_low",
        value=50.0, value_min=0.0, value_max=65_000.0, unit="kOhm",
    ),
    FaultKind(
        "insulation-monitor", "a rack's insulation monitor says state VALUE: 0 off, 1 settling, 3 self-test failed, "
        "4 device fault", "rack", "insulation_monitor_failed",
        value=4.0, value_min=0.0, value_max=4.0, unit="state", whole=True,
    ),
    FaultKind(
        "insulation-monitor-lost", "a rack's insulation monitor falls silent", "rack", "insulation_monitor_lost"
    ),
    FaultKind(
        "insulation-monitor-on", "a rack's insulation monitor stays on whatever it is told", "rack",
        "insulation_monitors_several",
    ),
    FaultKind("interlock-open", "a rack's interlock loop opens", "rack", "interlock_open"),
    FaultKind("emergency-stop", "an emergency stop is pressed", "rack", "emergency_stop"),
    FaultKind("smoke", "a rack's smoke detector trips", "rack", "smoke_detected"),
    FaultKind("gas", "a rack's gas detector trips", "rack", "gas_detected"),
    FaultKind("fire-panel", "the fire panel reports an alarm", "rack", "fire_panel_alarm"),
    FaultKind(
        "fire-output-stuck", "a rack's output to the fire panel is on whatever it is told", "rack",
        "fire_output_failed",
    ),
    FaultKind("fuse-blown", "a rack's main fuse says that it has blown", "rack", "fuse_blown"),
    FaultKind("door-open", "a rack's door is opened", "rack", "door_open"),
    FaultKind(
        "aux-supply", "a rack's auxiliary supply goes to VALUE V", "rack", "aux_supply_low",
        value=17.0, value_min=0.0, value_max=51.0, unit="V",
    ),
    FaultKind(
        "aux-on-battery", "the mains of a rack's auxiliary supply fails (a rig whose `auxiliaries` show it)", "rack",
        "aux_supply_on_battery", needs="auxiliaries",
    ),
    FaultKind(
        "aux-charge", "a rack's auxiliary supply is on its battery, which has VALUE left (likewise)", "rack",
        "aux_supply_charge_low", value=0.1, value_min=0.0, value_max=1.0, unit="frac",
        needs="auxiliaries",
    ),
    FaultKind(
        "auxiliary-lost", "the auxiliary device VALUE of the rig, counted from 1, falls silent", "",
        "auxiliary_input_missing", value=1.0, value_min=1.0, value_max=16.0, unit="number", whole=True,
        needs="auxiliaries",
    ),
    FaultKind("cooling-failed", "a rack's cooling reports a failure", "rack", "cooling_failed"),
    FaultKind(
        "cooling-stuck", "a rack's cooling stands still whatever it is told (noticed with a hot cell or in a fire)",
        "rack", "cooling_not_following",
    ),
    FaultKind(
        "coolant-temperature", "a rack's coolant goes to VALUE degC", "rack", "coolant_temperature_high",
        value=60.0, value_min=-40.0, value_max=87.0, unit="degC",
    ),
    FaultKind(
        "precharge-hot", "a rack's precharge resistor goes to VALUE degC", "rack", "precharge_resistor_hot",
        value=150.0, value_min=-40.0, value_max=470.0, unit="degC",
    ),
    FaultKind("safety-inputs-lost", "a rack's safety inputs fall silent", "rack", "safety_inputs_stale"),
    FaultKind(
        "safety-input-missing", "a rack's safety input VALUE gives no value: 1 interlock, 2 emergency stop, 3 smoke, "
        "4 gas, 5 fire panel, 6 door, 7 fuse, 8 cooling runs, 9 cooling failed, 10 fire output, 11 supply, 12 coolant, "
        "13 precharge resistor", "rack",
        "safety_input_missing", value=1.0, value_min=1.0, value_max=13.0, unit="number", whole=True,
    ),
    FaultKind(
        "monitor-alarm", "a rack's monitor raises its alarm bit VALUE", "rack", "monitor_internal_fault",
        value=0.0, value_min=0.0, value_max=15.0, unit="bit", whole=True,
    ),
    FaultKind(
        "cell-venting", "a cell heats by VALUE K/s after its voltage fell by 0.1 V", "cell", "thermal_event",
        value=0.3, value_min=0.15, value_max=100.0, unit="K/s",
    ),
    FaultKind(
        "battery-alarm", "a battery with a management of its own raises alarm VALUE: 0 general, 1 high and 2 low "
        "voltage, 3 high and 4 low temperature, 5 too hot and 6 too cold to charge, 7 discharge and 8 charge current, "
        "9 contactor, 10 short circuit, 11 internal, 12 imbalance", "rack", "battery_internal",
        value=11.0, value_min=0.0, value_max=12.0, unit="bit", whole=True,
        needs="battery",
    ),
    FaultKind(
        "battery-warning", "such a battery warns of VALUE, counted as its alarms", "rack", "battery_warning",
        value=1.0, value_min=0.0, value_max=12.0, unit="bit", whole=True, needs="battery",
    ),
    FaultKind(
        "battery-silent", "such a battery falls silent and stays closed", "rack", "battery_silent", needs="battery"
    ),
    FaultKind("inverter-local", "somebody takes the converter into local control", "", "inverter_local_control"),
    FaultKind(
        "inverter-alarm", "the converter raises bit VALUE of SunSpec 701 Alrm", "", "inverter_ground_fault",
        value=0.0, value_min=0.0, value_max=16.0, unit="bit", whole=True,
    ),
    FaultKind(
        "inverter-says-off", "the converter says OFF and goes on with VALUE W, until it is stopped", "",
        "inverter_power_while_stopped", value=50e3, value_min=-1e9, value_max=1e9, unit="W",
    ),
    FaultKind("inverter-trips", "the converter's power stage trips", "", "inverter_fault"),
    FaultKind(
        "inverter-runs-away", "the converter delivers VALUE W whatever set-point it gets, until it is stopped", "",
        "inverter_not_following", value=150e3, value_min=-1e9, value_max=1e9, unit="W",
    ),
    FaultKind(
        "inverter-dc-voltage", "the converter's DC voltage is VALUE V too high", "", "inverter_dc_voltage_mismatch",
        value=100.0, value_min=-2000.0, value_max=2000.0, unit="V",
    ),
    FaultKind(
        "meter-frequency", "the meter shows VALUE Hz", "", "grid_frequency_high",
        value=61.0, value_min=0.0, value_max=100.0, unit="Hz",
    ),
    FaultKind(
        "grid-voltage", "the meter shows VALUE V on its phases", "", "grid_voltage_low",
        value=180.0, value_min=0.0, value_max=3000.0, unit="V",
    ),
    FaultKind(
        "grid-dip", "the grid's voltage falls to VALUE of nominal for 1 s", "", "grid_voltage_low",
        value=0.6, value_min=0.0, value_max=1.0, unit="pu",
    ),
    FaultKind(
        "grid-outage", "the grid is gone for VALUE s: the load is dark, the converter trips after 2 s", "",
        "grid_voltage_low", value=5.0, value_min=0.02, value_max=1e6, unit="s",
    ),
    FaultKind(
        "grid-frequency", "the grid's frequency goes by VALUE Hz", "", "grid_frequency_high",
        value=1.0, value_min=-10.0, value_max=10.0, unit="Hz",
    ),
    FaultKind(
        "grid-phase-jump", "the grid's phase jumps by VALUE degrees; the converter bears 20", "", "inverter_fault",
        value=40.0, value_min=-180.0, value_max=180.0, unit="deg",
    ),
)  # fmt: skip
