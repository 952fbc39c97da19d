"""Piecewise-linear bases over SoC and temperature, and the filters for a cell's inner currents."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.signal import lfilter

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KELVIN = 273.15
REFERENCE_K = 298.15


def arrhenius(degc: Floats, activation_k: float) -> Floats:
    """exp(E (1/T - 1/298.15 K)): 1 at 25 degC, larger when cold."""
    return np.asarray(np.exp(activation_k * (1.0 / (degc + KELVIN) - 1.0 / REFERENCE_K)))


def hats(values: Floats, knots: Floats) -> tuple[Ints, Floats]:
    """(index of the knot below, share of the one above) of each value, held within the knots."""
    if len(knots) == 1:
        return np.zeros(len(values), np.int64), np.zeros(len(values))
    inside = np.clip(values, knots[0], knots[-1])
    below = np.clip(np.searchsorted(knots, inside, "right") - 1, 0, len(knots) - 2)
    return below.astype(np.int64), (inside - knots[below]) / (knots[below + 1] - knots[below])


def hat_matrix(soc_frac: Floats, degc: Floats, soc_knots: Floats, degc_knots: Floats) -> sparse.csr_matrix:
    """Sparse [n, T * Z]: bilinear weights; column t * Z + z."""
    z, fz = hats(soc_frac, soc_knots)
    t, ft = hats(degc, degc_knots)
    t_above = np.minimum(t + 1, len(degc_knots) - 1)
    n, width = len(soc_frac), len(soc_knots)
    rows = np.tile(np.arange(n), 4)
    columns = np.concatenate([t * width + z, t * width + z + 1, t_above * width + z, t_above * width + z + 1])
    weights = np.concatenate([(1 - ft) * (1 - fz), (1 - ft) * fz, ft * (1 - fz), ft * fz])
    return sparse.csr_matrix((weights, (rows, columns)), shape=(n, width * len(degc_knots)))


def low_pass(time_s: Floats, current_a: Floats, tau_s: float) -> Floats:
    """Current behind an RC pair at rest at the start. Between two samples flows their mean, as the estimator takes it:
    with the older one alone, R0 and the fast pairs of a log at 1 Hz are not those of the same cell at 10 Hz."""
    dt_s, mean_a = np.diff(time_s), 0.5 * (current_a[1:] + current_a[:-1])
    if len(dt_s) and np.ptp(dt_s) < 1e-3 * dt_s[0]:
        keep = np.exp(-dt_s[0] / tau_s)
        return np.concatenate([[0.0], lfilter([1 - keep], [1, -keep], mean_a)])
    keep = np.exp(-dt_s / tau_s)
    return _recursion(keep, (1 - keep) * mean_a, 0.0)


def hysteresis(time_s: Floats, current_a: Floats, capacity_ah: float, rate: float, start: float) -> Floats:
    """h of the cell model: towards the sign of the current by exp(-rate |i| dt / Q)."""
    moved = np.abs(current_a[:-1]) * np.diff(time_s) / (3600 * capacity_ah)
    keep = np.exp(-rate * moved)
    return _recursion(keep, (1 - keep) * np.sign(current_a[:-1]), start)


def _recursion(keep: Floats, add: Floats, start: float) -> Floats:
    """x[k + 1] = keep[k] x[k] + add[k]."""
    out, value = [start], start
    for k, a in zip(keep.tolist(), add.tolist(), strict=True):
        value = k * value + a
        out.append(value)
    return np.array(out)
