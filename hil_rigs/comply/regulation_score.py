"""The performance score of PJM's regulation market: how well an hour of response follows its signal.

PJM Manual 12, section 4.5.6, as it was until the market's redesign of October 2025: every 10 s, over the 5 minutes
that follow, the shift between 0 and 5 minutes with the highest sum of correlation and delay score; the delay score
falls from 1 to 0 over 5 minutes; precision is 1 less the mean error over the mean signal. Each counts for a third,
none below 0. The manual forgives 10 s of delay, this does not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SAMPLE_S = 10.0
WINDOW = 30
"""Samples in 5 minutes."""
PASSED = 0.75
"""Score that PJM asks for in its test (Manual 12, section 4.5.1)."""


@dataclass(frozen=True, slots=True)
class Score:
    """Each from 0 to 1."""

    correlation: float
    delay: float
    precision: float

    @property
    def total(self) -> float:
        return (self.correlation + self.delay + self.precision) / 3.0


def score(signal: Floats, response: Floats) -> Score:
    """Of samples 10 s apart, [n] each. ValueError if they are fewer than 10 minutes."""
    if len(signal) != len(response) or len(signal) < 2 * WINDOW:
        raise ValueError(f"expected as many of each, at least {2 * WINDOW}, got {len(signal)} and {len(response)}")
    found = [_at(signal, response, start) for start in range(len(signal) - 2 * WINDOW + 1)]
    correlation, delay = np.clip(np.array(found), 0.0, 1.0).mean(axis=0)
    error = float(np.abs(response - signal).mean() / np.abs(signal).mean())
    return Score(float(correlation), float(delay), min(max(1.0 - error, 0.0), 1.0))


def _at(signal: Floats, response: Floats, start: int) -> tuple[float, float]:
    """Correlation and delay score at the best shift."""
    asked = signal[start : start + WINDOW]
    return max((_shifted(asked, response[start + shift :][:WINDOW], shift) for shift in range(WINDOW + 1)), key=sum)


def _shifted(asked: Floats, given: Floats, shift: int) -> tuple[float, float]:
    asked, given = asked - asked.mean(), given - given.mean()
    size = float(np.sqrt((asked @ asked) * (given @ given)))
    return (float(asked @ given) / size if size > 0.0 else 0.0), 1.0 - shift / WINDOW
