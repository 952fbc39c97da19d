"""Injects the faults of sensors in plant_kinds.py: what they show moves away from the plant's truth, step by step."""

from collections.abc import Callable

from hil_rigs.bench import Bench
from hil_rigs.devices.rack_node import TEMPERATURE_DEGC_MAX

Injector = Callable[[Bench, int, int, float], None]


class Part:
    """One fault's own share of a bias that others may move too."""

    def __init__(self, add: Callable[[float], None]) -> None:
        self._add, self._now = add, 0.0

    def put(self, value: float) -> None:
        """The share is `value` from now on."""
        self._add(value - self._now)
        self._now = value


def voltage_part(bench: Bench, rack: int, cell: int) -> Part:
    """A share of what a cell's voltage shows too much (V)."""
    bias_v = bench.plant.racks[rack].voltage_bias_v

    def add(by_v: float) -> None:
        bias_v[cell] += by_v

    return Part(add)


def current_part(bench: Bench, rack: int) -> Part:
    """A share of what a rack's current sensors show too much (A)."""
    plant = bench.plant.racks[rack]

    def add(by_a: float) -> None:
        plant.current_bias_a += by_a

    return Part(add)


def _sense_short(bench: Bench, rack: int, cell: int, _: float) -> None:
    plant, part = bench.plant.racks[rack], voltage_part(bench, rack, cell)
    bench.ongoing.append(lambda dt_s: part.put(-float(plant.cells.voltage_v[cell])))


def _sensors_short(bench: Bench, rack: int, module: int, _: float) -> None:
    plant, cells = bench.plant.racks[rack], bench.rig.plant.cells_per_module
    own = slice(module * cells, (module + 1) * cells)
    plant.temperature_bias_degc[own] = TEMPERATURE_DEGC_MAX - plant.cells.temperature_degc[own]


def _cell_offset(bench: Bench, rack: int, cell: int, off_v: float) -> None:
    voltage_part(bench, rack, cell).put(off_v)


def _drifts(part: Callable[[Bench, int, int], Part]) -> Injector:
    def inject(bench: Bench, rack: int, cell: int, per_s: float) -> None:
        own, off = part(bench, rack, cell), 0.0

        def drift(dt_s: float) -> None:
            nonlocal off
            off += per_s * dt_s
            own.put(off)

        bench.ongoing.append(drift)

    return inject


def _noisy(part: Callable[[Bench, int, int], Part]) -> Injector:
    def inject(bench: Bench, rack: int, cell: int, sigma: float) -> None:
        own = part(bench, rack, cell)
        bench.ongoing.append(lambda dt_s: own.put(sigma * float(bench.rng.standard_normal())))

    return inject


def _cells_swapped(bench: Bench, rack: int, cell: int, _: float) -> None:
    cells = bench.plant.racks[rack].cells
    first = min(cell, len(cells.voltage_v) - 2)
    parts = voltage_part(bench, rack, first), voltage_part(bench, rack, first + 1)

    def swap(dt_s: float) -> None:
        off_v = float(cells.voltage_v[first + 1] - cells.voltage_v[first])
        parts[0].put(off_v)
        parts[1].put(-off_v)

    bench.ongoing.append(swap)


def _current_offset(bench: Bench, rack: int, _: int, off_a: float) -> None:
    current_part(bench, rack).put(off_a)


def _current_gain(bench: Bench, rack: int, _: int, gain: float) -> None:
    plant, part = bench.plant.racks[rack], current_part(bench, rack)
    bench.ongoing.append(lambda dt_s: part.put((gain - 1.0) * plant.current_a))


def _of_current(bench: Bench, rack: int, _: int) -> Part:
    return current_part(bench, rack)


SENSOR_INJECTORS: dict[str, Injector] = {
    "cell-sense-short": _sense_short,
    "module-sensors-short": _sensors_short,
    "cell-offset": _cell_offset,
    "cell-drift": _drifts(voltage_part),
    "cell-noise": _noisy(voltage_part),
    "cells-swapped": _cells_swapped,
    "current-offset": _current_offset,
    "current-gain": _current_gain,
    "current-drift": _drifts(_of_current),
    "current-noise": _noisy(_of_current),
}
