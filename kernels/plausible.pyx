# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What plausibility checks ask of every cell again and again; twin: kernels.reference.plausible."""

from libc.math cimport fabs
from libc.stdint cimport int64_t

import numpy as np

__all__ = ["Frozen", "shared_wire"]


cdef class Frozen:
    """How far something else has moved since each of `values_n` values last changed.

    What moves beside a value may come `lag_looks` looks later; `forget_frac` is the share of a movement that is
    forgotten a look."""

    cdef object result, buffers
    cdef Py_ssize_t values_n
    cdef double forget_frac
    cdef int64_t lag_looks
    cdef double *last
    cdef double *low
    cdef double *high
    cdef double *apart
    cdef int64_t *looks

    def __cinit__(self, Py_ssize_t values_n, double forget_frac, int64_t lag_looks):
        if values_n < 1:
            raise ValueError(f"values_n: got {values_n}, expected at least 1")
        cdef double[:, ::1] state = np.full((4, values_n), np.nan)
        cdef int64_t[::1] looks = np.zeros(values_n, np.int64)
        self.values_n, self.forget_frac, self.lag_looks = values_n, forget_frac, lag_looks
        self.last, self.low, self.high, self.apart = &state[0, 0], &state[1, 0], &state[2, 0], &state[3, 0]
        self.looks = &looks[0]
        self.buffers = (state, looks)
        self.result = state.base[3].view()
        self.result.flags.writeable = False

    def moved(self, const double[:] values not None, double other):
        """Call look by look with the values and with what moves beside them; one movement a value, in an array that
        changes with every call. ValueError for another number of values."""
        cdef Py_ssize_t k
        if values.shape[0] != self.values_n:
            raise ValueError(f"values: got {values.shape[0]}, expected {self.values_n}")
        with nogil:
            for k in range(self.values_n):
                self.look(k, values[k], other)
        return self.result

    cdef inline void look(self, Py_ssize_t k, double value, double other) noexcept nogil:
        self.looks[k] = 0 if value != self.last[k] else self.looks[k] + 1
        self.last[k] = value
        if self.looks[k] < self.lag_looks:
            self.low[k] = self.high[k] = other
        self.low[k] += self.forget_frac * (other - self.low[k])
        self.high[k] += self.forget_frac * (other - self.high[k])
        if other < self.low[k]:
            self.low[k] = other
        if other > self.high[k]:
            self.high[k] = other
        self.apart[k] = self.high[k] - self.low[k]


def shared_wire(const double[:] voltage_v not None, double mean_v, double off_v, double sum_v):
    """The first cell that is further than `off_v` from the mean as its successor is on the other side, both together
    within `sum_v` of it, and by how much the nearer of the two is off; (-1, 0.0) when there is none."""
    cdef Py_ssize_t k
    cdef double first_v, second_v, apart_v
    for k in range(voltage_v.shape[0] - 1):
        first_v, second_v = voltage_v[k] - mean_v, voltage_v[k + 1] - mean_v
        apart_v = min(fabs(first_v), fabs(second_v))
        if apart_v > off_v and fabs(first_v + second_v) < sum_v:
            return k, apart_v
    return -1, 0.0
