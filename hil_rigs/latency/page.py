"""The page of the documentation: what was measured, how, and the figures."""

import math
from collections.abc import Iterator, Sequence

from hil_rigs.latency.figures import Figures

PAGE = """\
# How fast it stops

Made by `hil latency --markdown docs/latency.md` in virtual time: the same seeds give the same figures. It takes 20 min
of one processor for 1000 samples a class; `hil latency --seeds 2 --samples 16` takes less than 1 min.

Each sample is a rig of its own (`latency`: 2 racks of 416 cells on a converter strong enough to overload them), brought
to power by the unmodified controller over CAN frames at 500 kbit/s and Modbus TCP. Then one cause strikes, on the plant
or on the wire. Drawn anew each time: the cell, module or rack, how far beyond the limit (a voltage by 50 mV
or more: one that comes back as soon as the power is 0 W needs no stop), charge or discharge, the
power, and the phases of the controller, of its polls and of the cause against the racks' 10 ms slots.

- **stop**: from the cause to 0 W *and* STOP in the converter's registers: measuring, wire, debounce, tick and both
  writes. A converter that hears nothing any more stops by its own reversion to 0 W, 1 s after the last set-point, and
  that is its stop.
- **contactor**: from the stop and all racks' true current below break current (50 A), or from the end of the bounded
  wait of 2 s where a rack goes on showing more, to the opening command on the CAN wire, the last one where several
  racks open. In between the converter says that it has stopped, and the rack's sensor that its current is low.
- **opening**: from the cause to that opening command. Where a rack goes on showing more current, the bounded wait is in
  it.

Percentiles are samples, the next higher one. {samples} a class, {seeds}.

| class | | p50 | p99 | p99.9 | max | limit of p99.9 | foxBMS 2 |
|---|---|---:|---:|---:|---:|---:|---:|
{classes}

All in ms. foxBMS 2: what its published configuration comes to, from the fault to the main contactor (`diag_cfg.h`: 500
events, of contactor feedback 20, at the periods of the measurement, then 200, 100, 1000 or 100 ms of delay): computed,
not measured.

| class | cause | samples | stop, max | contactor, max |
|---|---|---:|---:|---:|
{causes}

Not among them: a lost grid meter stops nothing (the set-point goes to 0 W); an open sense wire, a frozen reading and a
cell that heats by itself are found by how readings move against each other, which takes as long as they take to move.
An over-current that ends when the power does: the guard sets 0 W in the first tick that shows it, so that the current
is low before its debounce is over; if it comes back with the power, time and again, the stop follows later.
"""

FOXBMS_MS = {"voltage": 1200, "current": 700, "temperature": 6500, "contactor": 800}
"""Fault to main contactor, from foxBMS 2's configuration, roughly."""


def page(figures: Sequence[Figures]) -> str:
    """Of a run that has samples of every class."""
    samples = _counted(min(len(each.samples) for each in figures), "sample")
    seeds = _counted(min(len({sample.seed for sample in each.samples}) for each in figures), "seed")
    classes = [line for each in figures for line in _class_lines(each)]
    causes = [_row(each.fault_class, *cause) for each in figures for cause in _causes(each)]
    return PAGE.format(samples=samples, seeds=seeds, classes="\n".join(classes), causes="\n".join(causes))


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _class_lines(figures: Figures) -> Iterator[str]:
    for name in ("stop_ms", "contactor_ms", "opening_ms"):
        values = [*figures.percentiles(name).values(), figures.most(name)]
        about = ("", _foxbms(figures.fault_class)) if name == "opening_ms" else (_limit(figures, name), "")
        yield _row(figures.fault_class, name.removesuffix("_ms"), *map(_ms, values), *about)


def _limit(figures: Figures, name: str) -> str:
    return f"{figures.limit_ms(name):g}" + ("" if figures.is_within(name) else " **missed**")


def _foxbms(fault_class: str) -> str:
    return f"about {FOXBMS_MS[fault_class]}" if fault_class in FOXBMS_MS else "not computed"


def _causes(figures: Figures) -> Iterator[list[str]]:
    for name, each in figures.by_cause():
        yield [name, f"{len(each.samples)}", *(_ms(each.most(figure)) for figure in ("stop_ms", "contactor_ms"))]


def _ms(value_ms: float) -> str:
    return "-" if math.isnan(value_ms) else f"{value_ms:.1f}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
