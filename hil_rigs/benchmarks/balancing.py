"""Choosing the cells that bleed, over all strings at once."""

from collections.abc import Iterator

import numpy as np

from hil_rigs.benchmarks.cells import THREADS, Sizes, threads_of
from hil_rigs.benchmarks.measure import Row, Work, compared
from kernels import balance
from kernels.balance_model import BleedLimits
from kernels.reference import balance as twin

CELLS_PER_MODULE = 16
THRESHOLD = BleedLimits(
    on_above_frac=0.02, off_above_frac=0.01, sigma_frac_max=0.03, voltage_v_min=3.2, temperature_degc_max=50.0,
    module_cells_max=CELLS_PER_MODULE, string_cells_max=10_000,
)  # fmt: skip
LIMITED = BleedLimits(
    on_above_frac=0.02, off_above_frac=0.01, sigma_frac_max=0.03, voltage_v_min=3.2, temperature_degc_max=50.0,
    module_cells_max=4, string_cells_max=64, duty_max=0.8, duty_restart=0.7,
)  # fmt: skip


def rows(sizes: Sizes) -> Iterator[Row]:
    rng = np.random.default_rng(1)
    shape = sizes.strings, sizes.cells
    soc = rng.normal(0.5, 0.012, shape).astype(np.float32)
    given = (soc, np.full(shape, 0.01, np.float32), np.full(shape, 3.3), np.full(shape, 30.0),
             (rng.random(shape) < 0.1).astype(np.uint8), 1.0)  # fmt: skip
    for name, limits in (("by threshold", THRESHOLD), ("heat and duty limited", LIMITED)):
        ours = balance.StringBalancer(limits, *shape, CELLS_PER_MODULE, threads=THREADS)
        theirs = twin.StringBalancer(limits, *shape, CELLS_PER_MODULE)
        yield compared(
            f"balance {name}, {soc.size:,} cells, {threads_of(THREADS)}",
            _choice(ours, given), "ms", "NumPy twin", _choice(theirs, given), sizes.budget_s / 4,
        )  # fmt: skip


def _choice(balancer: balance.StringBalancer | twin.StringBalancer, given: tuple[object, ...]) -> Work:
    return Work(lambda: balancer.choose(*given))  # type: ignore[arg-type]
