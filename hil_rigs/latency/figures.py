"""Samples to figures: percentiles by fault class, held against the limits."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hil_rigs.latency.sample import Sample

STOP_MS_MAX = {"voltage": 200.0, "current": 100.0, "temperature": 1000.0, "contactor": 300.0, "comms": 1000.0}
"""Limits of the stop's p99.9 by fault class."""
CONTACTOR_MS_MAX = 100.0
"""Limit of the contactor command's p99.9, from current below break current."""
PERCENTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}


@dataclass(frozen=True, slots=True)
class Figures:
    """One class. Percentiles are samples (nearest rank, the next higher one): below 1000 samples p99.9 is the maximum.
    Without a measured sample all are NaN."""

    fault_class: str
    samples: tuple[Sample, ...]

    @property
    def measured(self) -> list[Sample]:
        return [sample for sample in self.samples if not sample.error]

    @property
    def errors(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.error]

    @property
    def within(self) -> bool:
        """Both limits kept, and no sample without a stop."""
        return not self.errors and self.is_within("stop_ms") and self.is_within("contactor_ms")

    def percentiles(self, figure: str) -> dict[str, float]:
        """Of `stop_ms`, `contactor_ms` or `opening_ms`, as the JSON document names them."""
        values = self._values(figure)
        if not values:
            return dict.fromkeys(PERCENTILES, math.nan)
        return {name: float(np.quantile(values, share, method="inverted_cdf")) for name, share in PERCENTILES.items()}

    def most(self, figure: str) -> float:
        return max(self._values(figure), default=math.nan)

    def _values(self, figure: str) -> list[float]:
        """Without the samples that have none."""
        values = [float(getattr(sample, figure)) for sample in self.measured]
        return [value for value in values if not math.isnan(value)]

    def limit_ms(self, figure: str) -> float:
        return {"stop_ms": STOP_MS_MAX[self.fault_class], "contactor_ms": CONTACTOR_MS_MAX}[figure]

    def is_within(self, figure: str) -> bool:
        """The figure's p99.9 exists and keeps its limit."""
        return self.percentiles(figure)["p999"] <= self.limit_ms(figure)

    def misses(self) -> Iterator[str]:
        """A line for each limit that is missed, with the cause of the worst sample."""
        for figure in ("stop_ms", "contactor_ms"):
            if self._values(figure) and not self.is_within(figure):
                name, worst = figure.removesuffix("_ms"), self._worst(figure)
                found = f"{name} p99.9 is {self.percentiles(figure)['p999']:.1f} ms, limit {self.limit_ms(figure):g} ms"
                yield f"{self.fault_class}: {found}; worst: {worst.cause}, seed {worst.seed}"

    def _worst(self, figure: str) -> Sample:
        return next(sample for sample in self.measured if getattr(sample, figure) == self.most(figure))

    def by_cause(self) -> "list[tuple[str, Figures]]":
        names = dict.fromkeys(sample.cause for sample in sorted(self.samples, key=lambda each: each.cause))
        return [(name, Figures(self.fault_class, tuple(s for s in self.samples if s.cause == name))) for name in names]


def figures_of(fault_class: str, samples: Sequence[Sample]) -> Figures:
    """In an order that does not depend on which process ended first."""
    return Figures(fault_class, tuple(sorted(samples, key=lambda sample: (sample.seed, sample.number))))
