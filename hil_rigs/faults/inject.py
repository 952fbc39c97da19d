"""Injects faults into a running bench: on the plant's sensors, in the nodes, or on the wire."""

import asyncio
import time
from collections.abc import Callable

import numpy as np

from hil_rigs.bench import Bench
from hil_rigs.devices.described_contactors import ContactorBlockFaults
from hil_rigs.devices.rack_node import TEMPERATURE_DEGC_MIN, RackNodeFaults
from hil_rigs.faults.link_injectors import LINK_INJECTORS
from hil_rigs.faults.place import locate
from hil_rigs.faults.plant_injectors import PLANT_INJECTORS
from hil_rigs.faults.sensor_injectors import SENSOR_INJECTORS
from hil_rigs.faults.spec import FaultSpec
from hil_rigs.faults.surrounding_injectors import SURROUNDING_INJECTORS
from hil_rigs.world.loop import VirtualLoop

SHORT_OHM = 0.05
BUSY_S, BUSY_PERIOD_S = 10.0, 0.2


def inject(bench: Bench, fault: FaultSpec) -> None:
    """Let the fault happen now; it stays."""
    rack, number = locate(bench.rig, fault)
    strength = fault.strength if fault.strength is not None else 0.0
    _INJECTORS[fault.kind](bench, rack, number, strength)


def _voltage(bench: Bench, rack: int, cell: int, voltage_v: float) -> None:
    plant = bench.plant.racks[rack]
    plant.voltage_bias_v[cell] = voltage_v - float(plant.cells.voltage_v[cell])


def _temperature(bench: Bench, rack: int, cell: int, temperature_degc: float) -> None:
    plant = bench.plant.racks[rack]
    plant.temperature_bias_degc[cell] = temperature_degc - float(plant.cells.temperature_degc[cell])


def _module_temperature(bench: Bench, rack: int, module: int, temperature_degc: float) -> None:
    """A sensor shows the hottest of its cells, so that one cold cell would not be seen."""
    plant, cells = bench.plant.racks[rack], bench.rig.plant.cells_per_module
    own = slice(module * cells, (module + 1) * cells)
    plant.temperature_bias_degc[own] = temperature_degc - plant.cells.temperature_degc[own]


def _current(bench: Bench, rack: int, _: int, current_a: float) -> None:
    plant = bench.plant.racks[rack]
    plant.current_bias_a = current_a - plant.current_a


def _sensors_open(bench: Bench, rack: int, module: int, _: float) -> None:
    _module_temperature(bench, rack, module, TEMPERATURE_DEGC_MIN)


def _current_redundant(bench: Bench, rack: int, _: int, off_a: float) -> None:
    bench.nodes[rack].faults.current_redundant_off_a = off_a


def _temperature_redundant(bench: Bench, rack: int, _: int, off_k: float) -> None:
    bench.nodes[rack].faults.temperature_redundant_off_k = off_k


def _redundant_lost(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.nodes[rack].faults.redundant_lost = True


def _cell_frozen(bench: Bench, rack: int, cell: int, _: float) -> None:
    bench.nodes[rack].hold_cell(cell)


def _open_wire(bench: Bench, rack: int, cell: int, off_v: float) -> None:
    bias_v = bench.plant.racks[rack].voltage_bias_v
    below = min(cell, len(bias_v) - 2)
    bias_v[below] += off_v
    bias_v[below + 1] -= off_v


def _cell_heating(bench: Bench, rack: int, cell: int, rise_k_per_s: float) -> None:
    bench.nodes[rack].faults.heating_k_per_s[cell] = rise_k_per_s


def _current_frozen(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.nodes[rack].hold_current()


def _rack_voltage(bench: Bench, rack: int, _: int, off_v: float) -> None:
    bench.nodes[rack].faults.rack_voltage_off_v = off_v


def _welded(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.plant.racks[rack].main.welded = True


def _stuck_open(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.plant.racks[rack].main.stuck_open = True


def _drops(bench: Bench, rack: int, _: int, __: float) -> None:
    main = bench.plant.racks[rack].main
    main.stuck_open, main.closed = True, False


def _closes(bench: Bench, rack: int, _: int, __: float) -> None:
    main = bench.plant.racks[rack].main
    main.welded = main.closed = True


def _chatter(bench: Bench, rack: int, _: int, __: float) -> None:
    shown: RackNodeFaults | ContactorBlockFaults = bench.nodes[rack].faults
    if bench.contactor_blocks:
        shown = bench.contactor_blocks[rack].faults
    shown.chatters = True


def _ignored(bench: Bench, rack: int, _: int, __: float) -> None:
    """A rack whose contactors are the gateway's has nobody who could ignore a request."""
    if (control := bench.nodes[rack].control) is not None:
        control.faults.ignores = True


def _refused(bench: Bench, rack: int, _: int, __: float) -> None:
    if (control := bench.nodes[rack].control) is not None:
        control.faults.refuses = True


def _precharge_absent(bench: Bench, _: int, __: int, ___: float) -> None:
    if (precharge := bench.plant.converter.precharge) is not None:
        precharge.broken = True


def _precharge_open(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.plant.racks[rack].precharge.stuck_open = True


def _precharge_welded(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.plant.racks[rack].precharge.welded = True


def _link_load(bench: Bench, _: int, __: int, load_ohm: float) -> None:
    bench.plant.bus.bleed_s = 1.0 / load_ohm


def _link_short(bench: Bench, _: int, __: int, ___: float) -> None:
    bench.plant.bus.bleed_s = 1.0 / SHORT_OHM


def _standstill(_: Bench, __: int, ___: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualLoop):
        loop.stand_still(seconds)
    else:
        time.sleep(seconds)


def _late_ticks(bench: Bench, _: int, __: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    for number in range(round(BUSY_S / BUSY_PERIOD_S)):
        loop.call_later(number * BUSY_PERIOD_S, _standstill, bench, 0, 0, seconds)


def _clock_jump(bench: Bench, _: int, __: int, seconds: float) -> None:
    bench.clock_error_s += seconds


def _rack_charge(bench: Bench, rack: int, _: int, soc_frac: float) -> None:
    cells = bench.plant.racks[rack].cells
    for cell in range(len(cells.soc_frac)):
        cells.set_soc(cell, soc_frac)


def _silent_module(bench: Bench, rack: int, module: int, _: float) -> None:
    bench.nodes[rack].faults.silent_modules.add(module)


def _silent_current(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.nodes[rack].faults.silent_current = True


def _silent_io(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.nodes[rack].faults.silent_io = True


def _crc(bench: Bench, rack: int, _: int, share_frac: float) -> None:
    bench.nodes[rack].faults.break_crc_frac = float(np.clip(share_frac, 0.0, 1.0))


def _counter(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.nodes[rack].faults.stuck_counter = True


def _deaf(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.nodes[rack].faults.deaf = True


def _inverter_lost(bench: Bench, _: int, __: int, ___: float) -> None:
    bench.inverter_server.faults.silent = True


def _meter_lost(bench: Bench, _: int, __: int, ___: float) -> None:
    bench.meter_server.faults.silent = True


_INJECTORS: dict[str, Callable[[Bench, int, int, float], None]] = {
    "cell-overvoltage": _voltage,
    "cell-undervoltage": _voltage,
    "cell-overtemperature": _temperature,
    "module-undertemperature": _module_temperature,
    "overcurrent": _current,
    "cell-out-of-range": _voltage,
    "module-sensors-open": _sensors_open,
    "current-redundant-off": _current_redundant,
    "temperature-redundant-off": _temperature_redundant,
    "redundant-lost": _redundant_lost,
    "cell-frozen": _cell_frozen,
    "open-wire": _open_wire,
    "cell-heating": _cell_heating,
    "current-frozen": _current_frozen,
    "rack-voltage-wrong": _rack_voltage,
    "contactor-welded": _welded,
    "contactor-stuck-open": _stuck_open,
    "contactor-drops": _drops,
    "contactor-closes": _closes,
    "contactor-ignored": _ignored,
    "contactor-refused": _refused,
    "contactor-chatter": _chatter,
    "precharge-open": _precharge_open,
    "precharge-absent": _precharge_absent,
    "precharge-welded": _precharge_welded,
    "link-loaded": _link_load,
    "link-shorted": _link_short,
    "rack-charge": _rack_charge,
    "cell-data-lost": _silent_module,
    "current-lost": _silent_current,
    "rack-io-lost": _silent_io,
    "monitor-crc": _crc,
    "monitor-counter": _counter,
    "commands-lost": _deaf,
    "inverter-lost": _inverter_lost,
    "standstill": _standstill,
    "late-ticks": _late_ticks,
    "clock-jump": _clock_jump,
    "meter-lost": _meter_lost,
    **SURROUNDING_INJECTORS,
    **LINK_INJECTORS,
    **SENSOR_INJECTORS,
    **PLANT_INJECTORS,
}
