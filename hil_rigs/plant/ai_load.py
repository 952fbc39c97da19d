"""AI training as a load: iterations of a measured shape with jitter, micro swings and drops, smoothed or not."""

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil_rigs.plant.load import shipped_iteration
from kernels.ramp import ramp_limited

Floats = NDArray[np.float64]

GRID_S = 0.010
SWING_PU = 0.06
SWING_PERIOD_S = 0.55
PLATEAU_S = (6.3, 13.8)
"""Part of the iteration with micro swings, and where drops occur."""
DROP_PU = 0.25
DROP_EDGE_S = 0.050


@dataclass(frozen=True, slots=True)
class GpuSmoothing:
    """Power smoothing inside the servers: never below the floor, never faster than the ramp; both of rated."""

    floor_frac: float = 0.5
    ramp_frac_per_s: float = 0.2


@dataclass(frozen=True, slots=True)
class AiJitter:
    """How iterations differ: relative sigma of period and amplitude, and the share of iterations with a drop."""

    period_frac: float = 0.01
    amplitude_frac: float = 0.01
    drop_frac: float = 0.10
    drop_s: float = 0.8


class AiTrainingLoad:
    """`rated_w` times the shipped iteration, repeated with seeded jitter, tabulated every 10 ms for `horizon_s`
    (rounded up to whole iterations), from where it repeats. `power_w(t_s)` is O(1)."""

    def __init__(
        self,
        rated_w: float,
        rng: np.random.Generator,
        smoothing: GpuSmoothing | None = None,
        jitter: AiJitter | None = None,
        horizon_s: float = 1800.0,
    ) -> None:
        power_pu = _iterations(rng, jitter or AiJitter(), horizon_s)
        if smoothing is not None:
            power_pu = _smooth(power_pu, smoothing)
        self.period_s = len(power_pu) * GRID_S
        self._samples = len(power_pu)
        self.power_w_max = float(power_pu.max()) * rated_w
        self._power_w = array("d", (np.append(power_pu, power_pu[0]) * rated_w).tobytes())

    def power_w(self, t_s: float) -> float:
        place = t_s / GRID_S
        index = int(place)
        rest = place - index
        index %= self._samples
        start_w = self._power_w[index]
        return start_w + rest * (self._power_w[index + 1] - start_w)


def _iterations(rng: np.random.Generator, jitter: AiJitter, horizon_s: float) -> Floats:
    """Iterations one after the other on the fixed grid until the horizon is reached, per unit of rated."""
    shape = shipped_iteration()
    parts: list[Floats] = []
    samples = 0
    while samples * GRID_S < horizon_s:
        parts.append(_iteration(shape, rng, jitter))
        samples += len(parts[-1])
    return np.concatenate(parts)


def _iteration(shape: tuple[Floats, Floats], rng: np.random.Generator, jitter: AiJitter) -> Floats:
    time_s, power_pu = shape
    spread = np.clip(rng.standard_normal(2), -3.0, 3.0)
    stretch, gain = 1.0 + spread * (jitter.period_frac, jitter.amplitude_frac)
    count = round(time_s[-1] * stretch / GRID_S)
    phase_s: Floats = np.arange(count) * time_s[-1] / count
    result: Floats = np.interp(phase_s, time_s, power_pu)
    on_plateau = (phase_s > PLATEAU_S[0]) & (phase_s < PLATEAU_S[1])
    result += on_plateau * SWING_PU * np.sin(2 * np.pi * phase_s / SWING_PERIOD_S)
    result *= gain
    drop, drop_at_s = rng.uniform(), rng.uniform(PLATEAU_S[0], PLATEAU_S[1] - jitter.drop_s)
    if drop < jitter.drop_frac:
        result = _with_drop(result, phase_s, drop_at_s, jitter.drop_s)
    return np.clip(result, 0.0, 1.0)


def _with_drop(power_pu: Floats, phase_s: Floats, at_s: float, hold_s: float) -> Floats:
    """Down to DROP_PU within DROP_EDGE_S, back as fast after `hold_s`."""
    edges_s = np.array([0.0, DROP_EDGE_S, hold_s - DROP_EDGE_S, hold_s]) + at_s
    depth: Floats = np.interp(phase_s, edges_s, [0.0, 1.0, 1.0, 0.0])
    return power_pu + depth * (DROP_PU - power_pu)


def _smooth(power_pu: Floats, smoothing: GpuSmoothing) -> Floats:
    """Floor, then ramp limit. Goes round twice, so that the seam of the repetition keeps the ramp as well."""
    step_pu = smoothing.ramp_frac_per_s * GRID_S
    wanted: Floats = np.maximum(power_pu, smoothing.floor_frac)
    seam_pu = float(ramp_limited(wanted, float(wanted[0]), step_pu)[-1])
    return ramp_limited(wanted, seam_pu, step_pu)
