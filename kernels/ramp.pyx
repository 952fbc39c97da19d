# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A ramp limit over a whole table of samples; twin: kernels.reference.ramp."""

import numpy as np

__all__ = ["ramp_limited"]


def ramp_limited(const double[::1] wanted not None, double level, double step):
    """From `level` before the first sample, towards each of `wanted` [n] by at most `step`. A new array [n]."""
    cdef Py_ssize_t k
    cdef double rise
    cdef double[::1] limited = np.empty(wanted.shape[0])
    with nogil:
        for k in range(wanted.shape[0]):
            rise = wanted[k] - level
            if rise > step:
                rise = step
            elif rise < -step:
                rise = -step
            level += rise
            limited[k] = level
    return limited.base
