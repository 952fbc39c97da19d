# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Which cells of a rack to bleed: the highest of those that stand out; twin: kernels.reference.balance."""

from libc.math cimport INFINITY
from libc.stdint cimport uint8_t

import numpy as np

__all__ = ["choose_bleed"]


cdef struct Rule:
    double on_frac
    double off_frac
    double voltage_v_min
    double temperature_degc_max


cdef inline bint stands_out(
    double soc_frac, double voltage_v, double temperature_degc, uint8_t bleeding, const Rule *rule
) noexcept nogil:
    """NaN fails every comparison: a cell of which anything is absent is left alone."""
    return (
        soc_frac > (rule.off_frac if bleeding else rule.on_frac)
        and voltage_v > rule.voltage_v_min
        and temperature_degc < rule.temperature_degc_max
    )


def choose_bleed(
    const double[:] soc_frac not None,
    const double[:] voltage_v not None,
    const double[:] temperature_degc not None,
    const uint8_t[:] bleeding not None,
    double on_above_frac,
    double off_above_frac,
    double voltage_v_min,
    double temperature_degc_max,
    Py_ssize_t cells_max,
):
    """1 for each cell to bleed, as uint8[n]: those whose SoC is more than `on_above_frac` (`off_above_frac` where
    already bleeding) above the lowest, with voltage above and temperature below their bounds; of more than `cells_max`
    the highest, ties by index. NaN in a cell gives 0. Raises ValueError for differing lengths and cells_max below 0."""
    cdef Py_ssize_t k, n = soc_frac.shape[0], candidates = 0
    cdef double lowest = INFINITY
    cdef Rule rule
    if not (voltage_v.shape[0] == temperature_degc.shape[0] == bleeding.shape[0] == n):
        raise ValueError(f"soc_frac, voltage_v, temperature_degc, bleeding: expected {n} values each")
    if cells_max < 0:
        raise ValueError(f"cells_max: got {cells_max}, expected 0 or more")
    chosen = np.zeros(n, np.uint8)
    cdef uint8_t[::1] out = chosen
    with nogil:
        for k in range(n):
            if soc_frac[k] < lowest:
                lowest = soc_frac[k]
        rule = Rule(lowest + on_above_frac, lowest + off_above_frac, voltage_v_min, temperature_degc_max)
        for k in range(n):
            out[k] = stands_out(soc_frac[k], voltage_v[k], temperature_degc[k], bleeding[k], &rule)
            candidates += out[k]
    if candidates > cells_max:
        keep_highest(out, soc_frac, np.asarray(soc_frac)[chosen.view(bool)], cells_max)
    return chosen


cdef keep_highest(uint8_t[::1] out, const double[:] soc_frac, candidates, Py_ssize_t cells_max):
    """Clears all but the highest `cells_max`, by a cut value instead of sorted indices."""
    cdef Py_ssize_t k, at_cut
    cdef double cut = INFINITY
    if cells_max > 0:
        cut = np.partition(candidates, candidates.size - cells_max)[candidates.size - cells_max]
    at_cut = cells_max - np.count_nonzero(candidates > cut)
    for k in range(out.shape[0]):
        if out[k] and soc_frac[k] == cut and at_cut > 0:
            at_cut -= 1
        elif out[k] and not soc_frac[k] > cut:
            out[k] = 0
