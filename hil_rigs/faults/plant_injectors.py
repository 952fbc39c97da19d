"""Injects the faults of plant_kinds.py but for the sensors': into cells, equipment and the controller's process."""

import math
from collections.abc import Callable

import numpy as np

from hil_rigs.bench import Bench, ProcessUnderTest
from hil_rigs.plant.microgrid import SwitchFaults

Injector = Callable[[Bench, int, int, float], None]

RUNAWAY_DOUBLES_K = 10.0
RUNAWAY_K_PER_S_MAX = 100.0
RUNAWAY_DEGC_MAX = 600.0
"""Self-heating doubles about every 10 K, and ends with what there is to burn (accelerating rate calorimetry of LFP and
NMC cells, for example Feng et al., Energy Storage Materials 10 (2018) 246)."""


def _internal_short(bench: Bench, rack: int, cell: int, short_ohm: float) -> None:
    plant = bench.plant.racks[rack]
    if plant.leak_a is None:
        plant.leak_a = np.zeros(plant.cell_count)
    leak_a, cells, heat_j_per_k = plant.leak_a, plant.cells, bench.cell.heat_capacity_j_per_k
    before_a = 0.0

    def leak(dt_s: float) -> None:
        nonlocal before_a
        voltage_v = max(float(cells.voltage_v[cell]), 0.0)
        now_a = voltage_v / short_ohm
        leak_a[cell] += now_a - before_a
        before_a = now_a
        cells.heat(cell, float(cells.temperature_degc[cell]) + voltage_v * now_a * dt_s / heat_j_per_k)

    bench.ongoing.append(leak)


def _capacity(bench: Bench, rack: int, cell: int, left_frac: float) -> None:
    bench.plant.racks[rack].cells.age(cell, left_frac, 1.0)


def _resistance(bench: Bench, rack: int, cell: int, factor: float) -> None:
    bench.plant.racks[rack].cells.age(cell, 1.0, factor)


def _runaway(bench: Bench, rack: int, cell: int, onset_k_per_s: float) -> None:
    cells = bench.plant.racks[rack].cells
    onset_degc = float(cells.temperature_degc[cell])

    def burn(dt_s: float) -> None:
        degc = float(cells.temperature_degc[cell])
        if degc < RUNAWAY_DEGC_MAX:
            doublings = min((degc - onset_degc) / RUNAWAY_DOUBLES_K, 50.0)
            cells.heat(cell, degc + min(onset_k_per_s * math.exp2(doublings), RUNAWAY_K_PER_S_MAX) * dt_s)

    bench.ongoing.append(burn)


def _contactor_late(bench: Bench, rack: int, _: int, seconds: float) -> None:
    bench.nodes[rack].faults.command_delay_s = seconds


def _output_stuck(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.contactor_blocks[rack].faults.main_stuck = True


def _block_lost(bench: Bench, rack: int, _: int, __: float) -> None:
    bench.block_servers[rack].faults.silent = True


def _inverter_holds(bench: Bench, _: int, __: int, ___: float) -> None:
    converter = bench.plant.converter
    converter.runaway_w = converter.ac_power_w


def _ignores_reactive(bench: Bench, _: int, __: int, reactive_var: float) -> None:
    bench.plant.converter.stuck_reactive_var = reactive_var


def _follows(power_w: Callable[[float, float, float], float]) -> Injector:
    """The converter follows what `power_w` makes of its set-point, its power before and VALUE times the step; one that
    makes a grid follows its load all the same."""

    def inject(bench: Bench, _: int, __: int, value: float) -> None:
        converter, now_w = bench.plant.converter, bench.plant.converter.ac_power_w

        def follow(dt_s: float) -> None:
            nonlocal now_w
            now_w = power_w(converter.target_power_w, now_w, value * dt_s)
            converter.runaway_w = now_w if converter.island is None else None

        bench.ongoing.append(follow)

    return inject


def _ramped_w(target_w: float, now_w: float, most_w: float) -> float:
    return now_w + min(max(target_w - now_w, -most_w), most_w)


def _inverter_restarts(bench: Bench, _: int, __: int, boot_s: float) -> None:
    bench.restart_inverter(boot_s)


def _inverter_lies(bench: Bench, _: int, __: int, off_w: float) -> None:
    bench.inverter.faults.power_off_w = off_w


def _grid_swell(bench: Bench, _: int, __: int, by_pu: float) -> None:
    bench.plant.grid.shift_voltage(by_pu)


def _switch(put: Callable[[SwitchFaults], None]) -> Injector:
    def inject(bench: Bench, _: int, __: int, ___: float) -> None:
        if bench.microgrid is not None:
            put(bench.microgrid.faults)

    return inject


def _welded(faults: SwitchFaults) -> None:
    faults.stuck_closed = True


def _refuses(faults: SwitchFaults) -> None:
    faults.stuck_open = True


def _no_synchroniser(faults: SwitchFaults) -> None:
    faults.no_synchroniser = True


def _blocks_stuck(faults: SwitchFaults) -> None:
    faults.stuck_blocks = (1 << 16) - 1


def _bus_fed(faults: SwitchFaults) -> None:
    faults.fed_from_elsewhere = True


def _switch_lies(bench: Bench, _: int, __: int, ___: float) -> None:
    if bench.switchgear is not None:
        bench.switchgear.lies = True


def _process(bench: Bench) -> ProcessUnderTest:
    assert bench.process is not None, "refused where no controller runs"
    return bench.process


def _killed(bench: Bench, _: int, __: int, dead_s: float) -> None:
    _process(bench).kill(dead_s)


def _paused(bench: Bench, _: int, __: int, paused_s: float) -> None:
    _process(bench).pause(paused_s)


def _disk_full(bench: Bench, _: int, __: int, ___: float) -> None:
    _process(bench).fill_disk()


PLANT_INJECTORS: dict[str, Injector] = {
    "cell-internal-short": _internal_short,
    "cell-capacity": _capacity,
    "cell-resistance": _resistance,
    "cell-runaway": _runaway,
    "contactor-late": _contactor_late,
    "contactor-output-stuck": _output_stuck,
    "contactor-block-lost": _block_lost,
    "inverter-holds": _inverter_holds,
    "inverter-ignores-reactive": _ignores_reactive,
    "inverter-wrong-sign": _follows(lambda target_w, _, __: -target_w),
    "inverter-late-ramp": _follows(_ramped_w),
    "inverter-restarts": _inverter_restarts,
    "inverter-lies": _inverter_lies,
    "grid-swell": _grid_swell,
    "switch-welded": _switch(_welded),
    "switch-refuses": _switch(_refuses),
    "switch-lies": _switch_lies,
    "switch-no-synchroniser": _switch(_no_synchroniser),
    "blocks-stuck": _switch(_blocks_stuck),
    "bus-fed": _switch(_bus_fed),
    "controller-killed": _killed,
    "controller-paused": _paused,
    "disk-full": _disk_full,
}
