"""Injects the faults of surrounding_kinds.py: into the enclosure, its node, the converter or the meter."""

import math
from collections.abc import Callable

from drivers.battery import BatteryAlarm
from drivers.safety import InsulationState, MonitorAlarm
from hil_rigs.bench import Bench
from hil_rigs.devices.rack_safety import INPUTS
from hil_rigs.plant.converter import ConverterAlarm

Injector = Callable[[Bench, int, int, float], None]

VENTING_DROP_V = 0.1
DIP_S = 1.0


def _set(name: str, value: bool) -> Injector:
    """An enclosure's flag."""

    def inject(bench: Bench, rack: int, _: int, __: float) -> None:
        setattr(bench.enclosures[rack], name, value)

    return inject


def _show(name: str) -> Injector:
    """An enclosure's measured value."""

    def inject(bench: Bench, rack: int, _: int, value: float) -> None:
        setattr(bench.enclosures[rack], name, value)

    return inject


def _insulation_monitor(bench: Bench, rack: int, _: int, state: float) -> None:
    bench.nodes[rack].safety.faults.state = InsulationState(round(state))


def _insulation_monitor_lost(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.nodes[rack].safety.faults.mute = True


def _insulation_monitor_on(bench: Bench, rack: int, _: int, __: float) -> None:
    """On every rack but the one that is on anyway it makes the second one."""
    bench.nodes[rack].safety.keep_on()


def _fire_output_stuck(bench: Bench, rack: int, _: int, __: float) -> None:
    enclosure = bench.enclosures[rack]
    enclosure.fire_output_on = enclosure.fire_output_stuck = True


def _cooling_stuck(bench: Bench, rack: int, _: int, __: float) -> None:
    enclosure = bench.enclosures[rack]
    enclosure.cooling_running, enclosure.cooling_stuck = False, True


def _safety_inputs_lost(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.nodes[rack].faults.silent_safety = True


def _safety_input_missing(bench: Bench, rack: int, _: int, number: float) -> None:
    """`number`: of RackSafety's signals, from 1."""
    name = INPUTS[round(number) - 1]
    setattr(bench.enclosures[rack], name, math.nan if name.endswith(("_v", "_degc")) else None)


def _aux_charge(bench: Bench, rack: int, _: int, charge_frac: float) -> None:
    enclosure = bench.enclosures[rack]
    enclosure.aux_on_battery, enclosure.aux_charge_frac = True, charge_frac


def _auxiliary_lost(bench: Bench, _: int, __: int, number: float) -> None:
    bench.auxiliary_servers[round(number) - 1].faults.silent = True


def _monitor_alarm(bench: Bench, rack: int, _: int, bit: float) -> None:
    bench.nodes[rack].safety.faults.alarms |= MonitorAlarm(1 << round(bit))


def _battery_alarm(bench: Bench, rack: int, _: int, bit: float) -> None:
    bench.batteries[rack].faults.alarms |= BatteryAlarm(1 << round(bit))


def _battery_warning(bench: Bench, rack: int, _: int, bit: float) -> None:
    bench.batteries[rack].faults.warnings |= BatteryAlarm(1 << round(bit))


def _battery_silent(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.batteries[rack].faults.silent = True


def _cell_venting(bench: Bench, rack: int, cell: int, rise_k_per_s: float) -> None:
    bench.nodes[rack].faults.heating_k_per_s[cell] = rise_k_per_s
    bench.plant.racks[rack].voltage_bias_v[cell] -= VENTING_DROP_V


def _inverter_local(bench: Bench, _: int, __: int, ___: float) -> None:
    bench.inverter.local_control = True


def _inverter_alarm(bench: Bench, _: int, __: int, bit: float) -> None:
    bench.inverter.faults.alarm_bits |= 1 << round(bit)


def _inverter_says_off(bench: Bench, _: int, __: int, power_w: float) -> None:
    bench.inverter.faults.says_off = True
    bench.plant.converter.runaway_w = power_w


def _inverter_trips(bench: Bench, _: int, __: int, ___: float) -> None:
    bench.plant.converter.trip(ConverterAlarm.POWER_STAGE)


def _inverter_runs_away(bench: Bench, _: int, __: int, power_w: float) -> None:
    bench.plant.converter.runaway_w = power_w


def _inverter_dc_voltage(bench: Bench, _: int, __: int, off_v: float) -> None:
    bench.inverter.faults.dc_voltage_off_v = off_v


def _meter_frequency(bench: Bench, _: int, __: int, frequency_hz: float) -> None:
    bench.meter.shown_frequency_hz = frequency_hz


def _grid_voltage(bench: Bench, _: int, __: int, voltage_v: float) -> None:
    bench.meter.shown_phase_v = voltage_v


def _grid_dip(bench: Bench, _: int, __: int, voltage_pu: float) -> None:
    bench.plant.grid.dip(voltage_pu, DIP_S)


def _grid_outage(bench: Bench, _: int, __: int, duration_s: float) -> None:
    bench.plant.grid.dip(0.0, duration_s)


def _grid_frequency(bench: Bench, _: int, __: int, by_hz: float) -> None:
    bench.plant.grid.shift_frequency(by_hz)


def _grid_phase_jump(bench: Bench, _: int, __: int, by_deg: float) -> None:
    bench.plant.grid.jump_phase(by_deg)


SURROUNDING_INJECTORS: dict[str, Injector] = {
    "insulation-low": _show("insulation_kohm"),
    "insulation-monitor": _insulation_monitor,
    "insulation-monitor-lost": _insulation_monitor_lost,
    "insulation-monitor-on": _insulation_monitor_on,
    "interlock-open": _set("interlock_closed", False),
    "emergency-stop": _set("emergency_stop_released", False),
    "smoke": _set("smoke_detected", True),
    "gas": _set("gas_detected", True),
    "fire-panel": _set("fire_panel_alarm", True),
    "fire-output-stuck": _fire_output_stuck,
    "fuse-blown": _set("fuse_intact", False),
    "door-open": _set("door_closed", False),
    "aux-supply": _show("aux_supply_v"),
    "aux-on-battery": _set("aux_on_battery", True),
    "aux-charge": _aux_charge,
    "auxiliary-lost": _auxiliary_lost,
    "cooling-failed": _set("cooling_failed", True),
    "cooling-stuck": _cooling_stuck,
    "coolant-temperature": _show("coolant_temperature_degc"),
    "precharge-hot": _show("precharge_temperature_degc"),
    "safety-inputs-lost": _safety_inputs_lost,
    "safety-input-missing": _safety_input_missing,
    "monitor-alarm": _monitor_alarm,
    "cell-venting": _cell_venting,
    "battery-alarm": _battery_alarm,
    "battery-warning": _battery_warning,
    "battery-silent": _battery_silent,
    "inverter-local": _inverter_local,
    "inverter-alarm": _inverter_alarm,
    "inverter-says-off": _inverter_says_off,
    "inverter-trips": _inverter_trips,
    "inverter-runs-away": _inverter_runs_away,
    "inverter-dc-voltage": _inverter_dc_voltage,
    "meter-frequency": _meter_frequency,
    "grid-voltage": _grid_voltage,
    "grid-dip": _grid_dip,
    "grid-outage": _grid_outage,
    "grid-frequency": _grid_frequency,
    "grid-phase-jump": _grid_phase_jump,
}
