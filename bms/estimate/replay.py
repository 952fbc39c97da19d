"""Replays a log through an estimator, with the errors of a worse sensor where asked for."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from bms.estimate.log import Log
from bms.estimate.log_table import Floats

GAP_S = 120.0
"""The comparisons do not integrate the current over a longer pause of the log."""
WATCH_ROWS = 5000
"""How often `watch` is called."""

FIGURES = ("soc_frac", "soc_sigma_frac", "voltage_predicted_v", "current_bias_a", "capacity_ah", "capacity_ah_sigma",
           "soh_frac")  # fmt: skip
"""What is recorded of the estimator after each row."""


class Estimator(Protocol):
    """One cell, or the mean cell of a series string; current positive on discharge."""

    def start(self, soc_frac: float | None = None, soc_sigma_frac: float | None = None) -> None:
        """Forget everything; None = unknown."""

    def step(self, voltage_v: float, current_a: float, temperature_degc: float, dt_s: float) -> None:
        """Take one sample, `dt_s` after the last one (0 at the first). NaN voltage: predict only; NaN current, or a
        longer step than the estimator's longest: what flowed since the last sample is not known."""

    def doubt(self, charge_sigma_ah: float) -> None:
        """Up to the newest sample so much more or less may have flowed (standard deviation) than its current said."""

    @property
    def soc_frac(self) -> float: ...

    @property
    def soc_sigma_frac(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Start:
    """What the estimator is told at the first row: nothing (None), or a SoC and its sigma."""

    soc_frac: float | None = None
    soc_sigma_frac: float | None = None


@dataclass(frozen=True, slots=True)
class SensorError:
    """measured = gain x true + offset, current positive on discharge; white noise on the voltage, from the seed."""

    current_gain: float = 1.0
    current_offset_a: float = 0.0
    voltage_noise_v: float = 0.0
    seed: int = 0

    def on(self, log: Log) -> Log:
        """The log as such sensors would have written it."""
        noise_v = self.voltage_noise_v * np.random.default_rng(self.seed).standard_normal(len(log.voltage_v))
        return replace(
            log,
            current_a=self.current_gain * log.current_a + self.current_offset_a,
            voltage_v=log.voltage_v + noise_v,
        )


@dataclass(frozen=True, slots=True)
class Replay:
    """What the estimator said after each of the log's n rows: one float64[n] for each name asked for."""

    log: Log
    figures: dict[str, Floats]

    @property
    def soc_frac(self) -> Floats:
        return self.figures["soc_frac"]

    @property
    def soc_sigma_frac(self) -> Floats:
        return self.figures["soc_sigma_frac"]


def replay(
    log: Log,
    estimator: Estimator,
    start: Start,
    figures: tuple[str, ...] = ("soc_frac", "soc_sigma_frac"),
    watch: Callable[[int], None] | None = None,
) -> Replay:
    """Feed the estimator row by row, with the log's doubts about its charge, and note its properties named `figures`;
    `watch` learns the rows done so far."""
    rows = zip(*(column.tolist() for column in _columns(log)), strict=True)
    said = np.full((len(log.time_s), len(figures)), np.nan)
    estimator.start(start.soc_frac, start.soc_sigma_frac)
    for row, (dt_s, voltage_v, current_a, temperature_degc, charge_sigma_ah) in enumerate(rows):
        estimator.step(voltage_v, current_a, temperature_degc, dt_s)
        if charge_sigma_ah > 0.0:
            estimator.doubt(charge_sigma_ah)
        said[row] = [getattr(estimator, name) for name in figures]
        if watch is not None and row % WATCH_ROWS == WATCH_ROWS - 1:
            watch(row + 1)
    return Replay(log, {name: said[:, place].copy() for place, name in enumerate(figures)})


def _columns(log: Log) -> tuple[Floats, ...]:
    dt_s = np.diff(log.time_s, prepend=log.time_s[0])
    doubt_ah = np.zeros(len(dt_s)) if log.charge_sigma_ah is None else log.charge_sigma_ah
    return dt_s, log.voltage_v, log.current_a, log.temperature_degc, doubt_ah
