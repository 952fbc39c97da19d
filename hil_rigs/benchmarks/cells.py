"""The estimator: of each cell at three sizes, of a string's mean cell, and the plant that it is tried on."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil_rigs.benchmarks.measure import Row, Work, compared
from kernels import bank, cellsim, series
from kernels.parameters import load_cell, load_tables
from kernels.reference import bank as bank_twin
from kernels.reference import cellsim as cellsim_twin
from kernels.reference import series as series_twin
from kernels.series_model import KEPT_ROWS, LANES, MEAN, ROWS
from kernels.workers import Workers

CELL = "lfp-280ah"
RACK_CELLS = 416
DT_S = 0.1
SLOW_DT_S = 61.0
"""After so long every string carries what is pending into its cells and looks at the curve anew, all at once."""
THREADS = min(2, os.cpu_count() or 1)
TWIN = "NumPy twin (float32)"


@dataclass(frozen=True, slots=True)
class Sizes:
    """`strings` x `cells` is the large size, 1 GWh by default; a row takes about `budget_s`."""

    strings: int = 2690
    cells: int = 409
    racks: int = 12
    budget_s: float = 4.0


@dataclass(frozen=True, slots=True)
class Inputs:
    voltage_v: NDArray[np.float64]
    mean: NDArray[np.void]

    def step(self, cells: series.SeriesCells | series_twin.SeriesCells, dt_s: float = DT_S) -> Work:
        return Work(lambda: cells.step(self.voltage_v, self.mean, dt_s), self.voltage_v.size)


def inputs(strings: int, cells: int) -> Inputs:
    """Strings under half a C of load, their cells a few mV apart."""
    rng = np.random.default_rng(1)
    mean = np.zeros(strings, MEAN)
    mean["soc_frac"] = rng.uniform(0.1, 0.9, strings)
    mean["soc_sigma_frac"] = 0.02
    mean["drop_v"], mean["charge_ah"] = 0.06, 140 * DT_S / 3600
    mean["capacity_ah"], mean["temperature_degc"] = 280.0, 25.0
    return Inputs(rng.normal(3.25, 0.003, (strings, cells)), mean)


def rows(sizes: Sizes) -> Iterator[Row]:
    tables = load_tables(CELL)
    for strings, name in ((1, "a rack"), (sizes.racks, "a container")):
        given = inputs(strings, RACK_CELLS)
        twin = given.step(series_twin.SeriesCells(tables, strings, RACK_CELLS))
        for variant in reversed(series.variants() if strings > 1 else series.variants()[-1:]):
            ours = given.step(series.SeriesCells(tables, strings, RACK_CELLS, variant=variant))
            row = f"estimate, {strings * RACK_CELLS:,} cells ({name}), {variant}"
            yield compared(row, ours, "ns/cell", TWIN, twin, sizes.budget_s / 2)
    yield from _large(sizes)
    yield _mean_cell(sizes.budget_s / 4)
    yield _plant(sizes.budget_s / 4)


def _large(sizes: Sizes) -> Iterator[Row]:
    given = inputs(sizes.strings, sizes.cells)
    total = sizes.strings * sizes.cells
    peer = "memory: as many bytes in place"
    for threads in sorted({1, THREADS}):
        cells = series.SeriesCells(load_tables(CELL), sizes.strings, sizes.cells, threads=threads)
        streaming = _streaming(total, threads)
        row = f"estimate, {total:,} cells, {threads_of(threads)}"
        yield compared(row, Work(given.step(cells).run), "ms", peer, streaming, sizes.budget_s)
    slow = Work(given.step(cells, SLOW_DT_S).run)
    yield compared(f"{row}, slowest step", slow, "ms", peer, streaming, sizes.budget_s / 2)


def threads_of(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


def bytes_of_a_step(cells: int) -> int:
    """What a step must read and write of so many cells: float32 of state (all read, all but the remainder and the curve
    written), voltage, SoC and its sigma."""
    return cells * (4 * KEPT_ROWS + 4 * (len(ROWS) - 1) + 8 + 2 * 4)


def _streaming(cells: int, threads: int) -> Work:
    """Reads and writes as many bytes with one addition in place, as fast as the memory allows."""
    floats = np.zeros(bytes_of_a_step(cells) // 8 // LANES * LANES, np.float32)
    workers = Workers(threads)
    slices = np.array_split(floats, threads)
    one = np.float32(1)

    def add(worker: int) -> None:
        np.add(slices[worker], one, out=slices[worker])

    return Work(lambda: workers.run(add))


def _mean_cell(budget_s: float) -> Row:
    tables = load_tables(CELL)
    ours, twin = bank.SocBank(tables), bank_twin.SocBank(tables)
    for known in (ours, twin):
        known.start(0.5, 0.02)

    def there_and_back(known: bank.SocBank | bank_twin.SocBank) -> None:
        for current_a in (140.0, -140.0):
            known.step(3.25, current_a, current_a / 3600, 25.0, 1.0)

    return compared(
        "estimate, mean cell of a string whose SoC is known",
        Work(lambda: there_and_back(ours), 2), "us/step", "NumPy twin", Work(lambda: there_and_back(twin), 2), budget_s,
    )  # fmt: skip


def _plant(budget_s: float) -> Row:
    cell, each = load_cell(CELL), np.ones(RACK_CELLS)
    arguments = (
        cell.ocv_v, cell.resistance_ohm * each, np.outer(each, [1e-4, 1e-4, 1e-4]), [3.0, 40.0, 900.0],
        cell.capacity_ah * each, 0.5 * each, cell.hysteresis_v, cell.heat_capacity_j_per_k, 1.5, 25.0 * each,
    )  # fmt: skip
    ours, twin = cellsim.CellPack(*arguments), cellsim_twin.CellPack(*arguments)
    bleed_a = np.zeros(RACK_CELLS)
    return compared(
        f"simulate, {RACK_CELLS} cells (a rack)",
        Work(lambda: ours.step(0.0, bleed_a, 25.0, 0.01), RACK_CELLS), "ns/cell", "NumPy twin",
        Work(lambda: twin.step(0.0, bleed_a, 25.0, 0.01), RACK_CELLS), budget_s,
    )  # fmt: skip
