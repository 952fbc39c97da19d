"""What `hil latency` lets happen on a rig at power: several causes of each fault class, each with what it draws."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hil_rigs.bench import HOST, Bench
from hil_rigs.faults.inject import inject
from hil_rigs.faults.spec import FAULT_KINDS, FaultName, FaultSpec
from hil_rigs.world.run import current_network

Strike = Callable[[Bench, int, np.random.Generator], None]
"""Lets it happen now, on the rack with this index."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause. `opens_all`: all racks open, not only the struck one. `converter_deaf`: no command reaches the
    converter, whose own reversion to 0 W is the stop. `rack_deaf`: no frame gets to the struck rack, which opens by its
    own watchdog. `current_stays`: the struck rack goes on showing more than break current, so that its contactor waits
    as long as it may."""

    name: str
    strike: Strike
    opens_all: bool = False
    converter_deaf: bool = False
    rack_deaf: bool = False
    current_stays: bool = False


def _injected(kind: FaultName, least: float | None = None, most: float | None = None) -> Strike:
    """A fault of `hil run --fault`, on any cell or module of the rack, with a value from least to most."""

    def strike(bench: Bench, rack: int, rng: np.random.Generator) -> None:
        value = None if least is None or most is None else float(rng.uniform(least, most))
        inject(bench, FaultSpec(kind=kind, at_s=0.0, target=_target(bench, kind, rack, rng), value=value))

    return strike


def _target(bench: Bench, kind: FaultName, rack: int, rng: np.random.Generator) -> str | None:
    plant, strikes = bench.rig.plant, FAULT_KINDS[kind].strikes
    if strikes == "":
        return None
    count = {"cell": plant.cells_per_rack, "module": plant.modules_per_rack}.get(strikes)
    name = bench.rig.rack_names[rack]
    return name if count is None else f"{name}/{rng.integers(1, count, endpoint=True)}"


def _hot_module(bench: Bench, rack: int, rng: np.random.Generator) -> None:
    """Its cooling is lost: all cells of one module."""
    plant, cells = bench.plant.racks[rack], bench.rig.plant.cells_per_module
    first = int(rng.integers(bench.rig.plant.modules_per_rack)) * cells
    plant.temperature_bias_degc[first : first + cells] = rng.uniform(61.0, 85.0) - plant.cells.temperature_degc.max()


def _runaway(sign: float) -> Strike:
    """The converter jumps to a power that overloads the racks and heeds its set-point no more, only STOP."""

    def strike(bench: Bench, _: int, rng: np.random.Generator) -> None:
        converter = bench.plant.converter
        converter.runaway_w = converter.ac_power_w = sign * float(rng.uniform(0.85e6, 1.05e6))

    return strike


def _sensor_off(bench: Bench, rack: int, rng: np.random.Generator) -> None:
    """The rack's sensor shows more than the maximum in the direction that flows, whatever power follows."""
    plant = bench.plant.racks[rack]
    plant.current_bias_a = float(np.copysign(rng.uniform(285.0, 700.0), plant.current_a))


def _auxiliary_breaks(bench: Bench, rack: int, _: np.random.Generator) -> None:
    bench.nodes[rack].faults.main_feedback = False


def _bus_breaks(bench: Bench, rack: int, _: np.random.Generator) -> None:
    list(bench.buses.values())[rack].open = True


def _network_cut(bench: Bench, _: int, __: np.random.Generator) -> None:
    current_network().cut(HOST, bench.inverter_server.port)


BEYOND_AT_REST_V = 0.05
"""So far beyond its limit a cell stays there when the power ends: what 0 W mends needs no stop."""

CAUSES: dict[str, tuple[Cause, ...]] = {
    "voltage": (
        Cause("cell-overvoltage", _injected("cell-overvoltage", 3.65 + BEYOND_AT_REST_V, 4.3)),
        Cause("cell-undervoltage", _injected("cell-undervoltage", 1.5, 2.5 - BEYOND_AT_REST_V)),
    ),
    "current": (
        Cause("converter-runs-away-discharging", _runaway(1.0), opens_all=True),
        Cause("converter-runs-away-charging", _runaway(-1.0), opens_all=True),
        Cause("overcurrent-that-stays", _sensor_off, current_stays=True),
    ),
    "temperature": (
        Cause("cell-overtemperature", _injected("cell-overtemperature", 61.0, 85.0)),
        Cause("module-overtemperature", _hot_module),
    ),
    "contactor": (
        Cause("contactor-drops", _injected("contactor-drops")),
        Cause("auxiliary-contact-breaks", _auxiliary_breaks),
    ),
    "comms": (
        Cause("cell-data-lost", _injected("cell-data-lost")),
        Cause("current-lost", _injected("current-lost")),
        Cause("can-bus-broken", _bus_breaks, rack_deaf=True),
        Cause("monitor-crc", _injected("monitor-crc", 0.2, 1.0)),
        Cause("monitor-counter", _injected("monitor-counter")),
        Cause("commands-lost", _injected("commands-lost")),
        Cause("inverter-silent", _injected("inverter-lost"), opens_all=True, converter_deaf=True),
        Cause("inverter-network-cut", _network_cut, opens_all=True, converter_deaf=True),
    ),
}
"""By fault class. A lost grid meter is not among them: it stops nothing, the set-point goes to 0 W and that is all."""
