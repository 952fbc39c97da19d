"""The grid at the site's connection: constant, told, recorded, or a small network that answers to the site's power;
with noise, dips, outages, excursions and jumps of phase."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NOMINAL_HZ = 60.0
PHASE_WINDOW_NS = 100_000_000
"""Meters and phase-locked loops take frequency over about 0.1 s: a jump of the phase shows as a frequency meanwhile."""


class GridSource(Protocol):
    """What the grid would be without noise and faults."""

    def step(self, time_s: float, dt_s: float, import_w: float) -> tuple[float, float]:
        """Frequency (Hz) and voltage (per unit of nominal) at `time_s`, after `dt_s` in which the site imported
        `import_w`."""


class GridProfile:
    """Points with straight lines between; before the first it is the first, after the last the last. Two points of the
    same time are a step. `time_s[n]` not falling, `frequency_hz[n]`, `voltage_pu[n]`; ValueError otherwise."""

    def __init__(self, time_s: Floats, frequency_hz: Floats, voltage_pu: Floats) -> None:
        if len(time_s) == 0 or not len(time_s) == len(frequency_hz) == len(voltage_pu):
            raise ValueError("time, frequency and voltage need as many points, at least one")
        if np.any(np.diff(time_s) < 0):
            raise ValueError("time must not fall")
        self._time_s, self._frequency_hz, self._voltage_pu = time_s, frequency_hz, voltage_pu
        self._last_s = float(time_s[-1])
        self._last = float(frequency_hz[-1]), float(voltage_pu[-1])

    def step(self, time_s: float, dt_s: float, import_w: float) -> tuple[float, float]:
        if time_s >= self._last_s:
            return self._last
        after = int(np.searchsorted(self._time_s, time_s, side="right"))
        if after == 0:
            return float(self._frequency_hz[0]), float(self._voltage_pu[0])
        share = (time_s - self._time_s[after - 1]) / (self._time_s[after] - self._time_s[after - 1])
        frequency_hz, voltage_pu = (
            float(values[after - 1] + share * (values[after] - values[after - 1]))
            for values in (self._frequency_hz, self._voltage_pu)
        )
        return frequency_hz, voltage_pu


@dataclass(frozen=True, slots=True)
class NetworkParameters:
    """A small network, per unit of `base_power_w` (what its generators can do together).

    `inertia_s` is H, the stored energy at nominal speed over base power; `damping_pu` is the load's own answer to
    frequency (per unit of power per unit of frequency); `droop_frac` the generators' fall of frequency from no load to
    full, which they follow with the lag `governor_time_s`; `voltage_drop_pu` the voltage's fall at an import of base
    power. `load_steps`: (time s, W) of other load that comes or goes, each stays."""

    base_power_w: float
    inertia_s: float = 5.0
    damping_pu: float = 1.0
    droop_frac: float = 0.05
    governor_time_s: float = 0.5
    voltage_drop_pu: float = 0.0
    load_steps: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if min(self.base_power_w, self.inertia_s, self.droop_frac, self.governor_time_s) <= 0 or self.damping_pu < 0:
            raise ValueError("base power, inertia, droop and governor time must be positive, damping not negative")


class Network:
    """The swing equation with one governor (Kundur, Power System Stability and Control, chapter 11): at nominal
    frequency and in balance with what the site imports in the first step."""

    def __init__(self, parameters: NetworkParameters, nominal_hz: float) -> None:
        self._parameters = parameters
        self._nominal_hz = nominal_hz
        self._scheduled_w: float | None = None
        self._speed_off_pu = 0.0
        self._governor_pu = 0.0

    def step(self, time_s: float, dt_s: float, import_w: float) -> tuple[float, float]:
        own = self._parameters
        if self._scheduled_w is None:
            self._scheduled_w = import_w
        steps_w = sum([power_w for at_s, power_w in own.load_steps if time_s > at_s])
        load_pu = (import_w - self._scheduled_w + steps_w) / own.base_power_w
        missing_pu = self._governor_pu - load_pu - own.damping_pu * self._speed_off_pu
        self._speed_off_pu += missing_pu * dt_s / (2.0 * own.inertia_s)
        follow = 1.0 - exp(-dt_s / own.governor_time_s)
        self._governor_pu += follow * (-self._speed_off_pu / own.droop_frac - self._governor_pu)
        voltage_pu = 1.0 - own.voltage_drop_pu * import_w / own.base_power_w
        return self._nominal_hz * (1.0 + self._speed_off_pu), voltage_pu


class Generator:
    """A source that from `from_s` to `to_s` is a machine which slows down under the site's load: the source then says
    what the machine is unloaded. It comes unloaded, and is another one after a time without voltage."""

    def __init__(self, source: GridSource, parameters: NetworkParameters, from_s: float, to_s: float) -> None:
        self._source, self._parameters = source, parameters
        self._from_s, self._to_s = from_s, to_s
        self._machine: Network | None = None

    def step(self, time_s: float, dt_s: float, import_w: float) -> tuple[float, float]:
        frequency_hz, voltage_pu = self._source.step(time_s, dt_s, import_w)
        if voltage_pu == 0.0 or not self._from_s <= time_s < self._to_s:
            self._machine = None
            return frequency_hz, voltage_pu
        if self._machine is None:
            self._machine = Network(self._parameters, frequency_hz)
            import_w = 0.0
        loaded_hz, drop = self._machine.step(time_s, dt_s, import_w)
        return loaded_hz, voltage_pu * drop


@dataclass(frozen=True, slots=True)
class GridNoise:
    """A bounded random walk around the source: standard deviations, and the time over which it forgets."""

    frequency_hz_sigma: float = 0.02
    voltage_pu_sigma: float = 0.003
    time_s: float = 60.0


class Grid:
    """Frequency and voltage after each `step`; `measured_hz` is what devices make of it. Without voltage both
    frequencies are 0. `jump_deg` is by how much the phase jumped in this step. `rng` is needed for noise only."""

    def __init__(
        self,
        source: GridSource | None = None,
        nominal_hz: float = NOMINAL_HZ,
        noise: GridNoise | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        if noise is not None and rng is None:
            raise ValueError("noise needs a generator")
        self.nominal_hz = self.frequency_hz = self.measured_hz = nominal_hz
        self.voltage_pu = 1.0
        self.jump_deg = 0.0
        self._source = source or constant_grid(nominal_hz)
        self._noise, self._rng = noise, rng
        self._noise_off: Sequence[float] = (0.0, 0.0)
        self._excursion_hz = self._off_pu = 0.0
        self._jumps_deg = 0.0
        self._jump_hz, self._jump_until_ns = 0.0, 0
        self._dip_pu, self._dip_until_ns = 1.0, 0
        self._time_ns = 0

    @property
    def there(self) -> bool:
        return self.voltage_pu > 0.0

    def dip(self, voltage_pu: float, duration_s: float) -> None:
        """For so long the voltage is at most `voltage_pu`; 0 is an outage."""
        self._dip_pu, self._dip_until_ns = voltage_pu, self._time_ns + round(duration_s * 1e9)

    def shift_frequency(self, by_hz: float) -> None:
        """From now on it is so far off what it would be."""
        self._excursion_hz = by_hz

    def shift_voltage(self, by_pu: float) -> None:
        """From now on it is so far off what it would be; a dip ends it at its own voltage all the same."""
        self._off_pu = by_pu

    def jump_phase(self, by_deg: float) -> None:
        """Once, in the next step."""
        self._jumps_deg += by_deg

    def step(self, dt_s: float, import_w: float) -> None:
        """Advance by `dt_s`, in which the site imported `import_w`."""
        self._time_ns += round(dt_s * 1e9)
        frequency_hz, voltage_pu = self._source.step(self._time_ns / 1e9, dt_s, import_w)
        if self._noise is not None:
            self._noise_off = self._walk(self._noise, dt_s)
        voltage_pu = max(voltage_pu + self._noise_off[1] + self._off_pu, 0.0)
        self.voltage_pu = min(voltage_pu, self._dip_pu) if self._time_ns <= self._dip_until_ns else voltage_pu
        self.jump_deg, self._jumps_deg = self._jumps_deg, 0.0
        if not self.voltage_pu > 0.0:
            self.frequency_hz = self.measured_hz = 0.0
            return
        self.frequency_hz = self.measured_hz = frequency_hz + self._noise_off[0] + self._excursion_hz
        if self.jump_deg:
            self._jump_hz = self.jump_deg / 360.0 / (PHASE_WINDOW_NS / 1e9)
            self._jump_until_ns = self._time_ns + PHASE_WINDOW_NS
        if self._time_ns < self._jump_until_ns:
            self.measured_hz += self._jump_hz

    def _walk(self, noise: GridNoise, dt_s: float) -> Sequence[float]:
        """Ornstein-Uhlenbeck, exact for any step."""
        assert self._rng is not None, "checked at the start"
        keep = exp(-dt_s / noise.time_s)
        drive = sqrt(1.0 - keep * keep)
        return [
            keep * off + drive * sigma * draw
            for off, sigma, draw in zip(
                self._noise_off,
                (noise.frequency_hz_sigma, noise.voltage_pu_sigma),
                self._rng.standard_normal(2).tolist(),
                strict=True,
            )
        ]


def constant_grid(frequency_hz: float, voltage_pu: float = 1.0) -> GridProfile:
    """The same for ever."""
    return GridProfile(np.zeros(1), np.array([frequency_hz]), np.array([voltage_pu]))
