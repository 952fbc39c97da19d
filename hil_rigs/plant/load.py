"""What the site consumes, as a function of time: tables from CSV or Parquet files, and constants."""

from bisect import bisect_right
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hil_rigs.plant.load_file import LoadFileError, read_samples

Floats = NDArray[np.float64]

POWER_W_MAX = 1e10


class Load(Protocol):
    """Power over time (W, consumption positive), defined for every t_s >= 0 and the same whenever asked. `power_w_max`
    is its largest magnitude."""

    @property
    def power_w_max(self) -> float: ...

    def power_w(self, t_s: float) -> float: ...


class ConstantLoad:
    def __init__(self, power_w: float) -> None:
        self._power_w = power_w
        self.power_w_max = abs(power_w)

    def power_w(self, t_s: float) -> float:
        return self._power_w


class LoadProfile:
    """Samples with straight lines between; after the last sample it starts again with the first. One sample alone
    is a constant. `time_s[n]` strictly increasing from any origin, `power_w[n]`; `scale` multiplies the power."""

    def __init__(self, time_s: Floats, power_w: Floats, scale: float = 1.0) -> None:
        if len(time_s) == 0 or len(time_s) != len(power_w):
            raise ValueError(f"time and power need as many samples, at least one: got {len(time_s)}, {len(power_w)}")
        if np.any(np.diff(time_s) <= 0):
            raise ValueError("time must increase strictly")
        self._time_s: list[float] = (time_s - time_s[0]).tolist()
        self._power_w: list[float] = (power_w * scale).tolist()
        self.power_w_max = max(abs(power) for power in self._power_w)
        self.period_s = self._time_s[-1]

    def power_w(self, t_s: float) -> float:
        if self.period_s == 0.0:
            return self._power_w[0]
        within_s: float = t_s % self.period_s
        after = bisect_right(self._time_s, within_s)
        start_s, start_w = self._time_s[after - 1], self._power_w[after - 1]
        slope = (self._power_w[after] - start_w) / (self._time_s[after] - start_s)
        return start_w + slope * (within_s - start_s)


def load_profile(path: str | Path, scale: float = 1.0, run: int | None = None) -> LoadProfile:
    """Profile from a CSV or Parquet file with columns `time_s, power_w` (consumption positive). `run` picks one of
    the runs of a file with a `run` column. LoadFileError names the file and the row."""
    if not abs(scale) < float("inf"):
        raise LoadFileError(f"{path}: scale must be a finite number, got {scale}")
    profile = LoadProfile(*read_samples(Path(path), "power_w", run), scale)
    if profile.power_w_max > POWER_W_MAX:
        raise LoadFileError(f"{path}: power up to {profile.power_w_max:g} W, expected at most {POWER_W_MAX:g} W")
    return profile


def shipped_iteration(name: str = "ai-training") -> tuple[Floats, Floats]:
    """Time (s) and power (per unit of rated) of a waveform that comes with the package."""
    return read_samples(Path(str(files("hil_rigs"))) / "loads" / f"{name}.csv", "power_pu", None)
