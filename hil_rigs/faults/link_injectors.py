"""Injects the faults of link_kinds.py: into buses and Modbus servers."""

from collections.abc import Callable

from hil_rigs.bench import Bench
from hil_rigs.devices.modbus_server import ModbusServer, WireFaults
from hil_rigs.world.canbus import CanBus, frames_bits

Injector = Callable[[Bench, int, int, float], None]

BABBLE = (0).to_bytes(4, "little") + bytes((8, 0, 0, 0)) + bytes(8)
"""One frame of the highest priority that there is."""
BABBLE_S = 0.01
"""Time that one burst of them takes."""


def _bus(bench: Bench, rack: int) -> CanBus:
    return bench.buses[f"can{rack}"]


def _bus_open(bench: Bench, rack: int, _: int, __: float) -> None:
    _bus(bench, rack).open = True


def _on_bus(name: str) -> Injector:
    """A bus's own value."""

    def inject(bench: Bench, rack: int, _: int, value: float) -> None:
        setattr(_bus(bench, rack), name, value)

    return inject


def _bus_babble(bench: Bench, rack: int, _: int, share_frac: float) -> None:
    bus = _bus(bench, rack)
    port = bus.attach(lambda batch: None)
    burst = BABBLE * round(BABBLE_S / (frames_bits(BABBLE) * bus.bit_s))
    left_s = 0.0

    def babble(dt_s: float) -> None:
        nonlocal left_s
        left_s += dt_s * share_frac
        if left_s >= BABBLE_S and not port.queue:
            left_s = 0.0
            port.send(burst)

    bench.ongoing.append(babble)


def _inverter(bench: Bench) -> ModbusServer:
    return bench.inverter_server


def _meter(bench: Bench) -> ModbusServer:
    return bench.meter_server


def _wire(server: Callable[[Bench], ModbusServer], put: Callable[[WireFaults, float], None]) -> Injector:
    def inject(bench: Bench, _: int, __: int, value: float) -> None:
        put(server(bench).faults, value)

    return inject


def _resets(server: Callable[[Bench], ModbusServer]) -> Injector:
    """At once, and again."""

    def inject(bench: Bench, _: int, __: int, every_s: float) -> None:
        left_s = 0.0

        def reset(dt_s: float) -> None:
            nonlocal left_s
            left_s -= dt_s
            if left_s <= 0.0:
                left_s += every_s
                server(bench).drop_connections()

        bench.ongoing.append(reset)

    return inject


def _slow(faults: WireFaults, seconds: float) -> None:
    faults.delay_s = seconds


def _cuts(faults: WireFaults, every: float) -> None:
    faults.cut_every = round(every)


def _splits(faults: WireFaults, _: float) -> None:
    faults.splits = True


def _repeats(faults: WireFaults, _: float) -> None:
    faults.repeats = True


def _unit(faults: WireFaults, unit: float) -> None:
    faults.unit = round(unit)


def _exception(faults: WireFaults, code: float) -> None:
    faults.exception = round(code)


def _switch_lost(bench: Bench, _: int, __: int, ___: float) -> None:
    if bench.switchgear_server is not None:
        bench.switchgear_server.faults.silent = True


LINK_INJECTORS: dict[str, Injector] = {
    "bus-open": _bus_open,
    "bus-loss": _on_bus("loss_frac"),
    "bus-delay": _on_bus("delay_s"),
    "bus-repeats": _on_bus("repeat_frac"),
    "bus-reorders": _on_bus("late_frac"),
    "bus-bit-flips": _on_bus("corrupt_frac"),
    "bus-babble": _bus_babble,
    "inverter-slow": _wire(_inverter, _slow),
    "inverter-resets": _resets(_inverter),
    "inverter-cuts": _wire(_inverter, _cuts),
    "inverter-splits": _wire(_inverter, _splits),
    "inverter-repeats": _wire(_inverter, _repeats),
    "inverter-unit": _wire(_inverter, _unit),
    "inverter-exception": _wire(_inverter, _exception),
    "meter-slow": _wire(_meter, _slow),
    "meter-resets": _resets(_meter),
    "meter-cuts": _wire(_meter, _cuts),
    "meter-unit": _wire(_meter, _unit),
    "meter-exception": _wire(_meter, _exception),
    "switch-lost": _switch_lost,
}
