# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What every tick asks of a rack's cells: newest values and their times, extremes, groups and the oldest; twin:
kernels.reference.rackview."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.math cimport INFINITY, NAN
from libc.stdint cimport int64_t

import numpy as np
from numpy import float64, frombuffer, int64

from kernels.frame_plan import NEVER_NS

__all__ = ["CellTaker", "group_maxima", "rack_extremes"]

cdef enum:
    AT_ONCE = 8

cdef int64_t NEVER = NEVER_NS


cdef struct Ends:
    double least
    double most
    Py_ssize_t least_at
    Py_ssize_t most_at


cdef inline Py_ssize_t first_absent(const double *values, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(n):
        if values[k] != values[k]:
            return k
    return n


cdef inline Py_ssize_t first_of(const double *values, double value) noexcept nogil:
    cdef Py_ssize_t k = 0
    while values[k] != value:
        k += 1
    return k


cdef Ends ends_of(const double *values, Py_ssize_t n) noexcept nogil:
    """Least and most and the first places of them; where a value is NaN, NaN and its place for both."""
    cdef double[AT_ONCE] low
    cdef double[AT_ONCE] high
    cdef int64_t[AT_ONCE] absent
    cdef Py_ssize_t k, block, blocks = n // AT_ONCE, place, last
    cdef int lane
    cdef double value, least = INFINITY, most = -INFINITY
    cdef int64_t any_absent = 0
    for lane in range(AT_ONCE):
        low[lane], high[lane], absent[lane] = INFINITY, -INFINITY, 0
    for block in range(blocks):
        for lane in range(AT_ONCE):
            value = values[block * AT_ONCE + lane]
            low[lane] = value if value < low[lane] else low[lane]
            high[lane] = value if value > high[lane] else high[lane]
            absent[lane] |= value != value
    for k in range(blocks * AT_ONCE, n):
        least = values[k] if values[k] < least else least
        most = values[k] if values[k] > most else most
        any_absent |= values[k] != values[k]
    for lane in range(AT_ONCE):
        least = low[lane] if low[lane] < least else least
        most = high[lane] if high[lane] > most else most
        any_absent |= absent[lane]
    if any_absent:
        place = first_absent(values, n)
        return Ends(NAN, NAN, place, place)
    place, last = first_of(values, least), first_of(values, most)
    return Ends(values[place], values[last], place, last)


cdef int64_t oldest_of(const int64_t *at_ns, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k
    cdef int64_t oldest = at_ns[0]
    for k in range(1, n):
        oldest = at_ns[k] if at_ns[k] < oldest else oldest
    return oldest


def rack_extremes(
    const double[::1] voltage_v not None, const double[::1] temperature_degc not None,
    const int64_t[::1] voltage_at_ns not None, const int64_t[::1] temperature_at_ns not None,
):
    """Lowest and highest voltage and the first cells that have them, the same of the temperatures, and the oldest time
    of either: ten numbers. Where a cell has no value (NaN) both extremes are NaN, at that cell. ValueError for no cells
    or another number of them."""
    cdef Py_ssize_t n = voltage_v.shape[0]
    cdef Ends volt, degc
    cdef int64_t volt_ns, degc_ns
    if not (n == temperature_degc.shape[0] == voltage_at_ns.shape[0] == temperature_at_ns.shape[0]) or n < 1:
        raise ValueError("voltages, temperatures and their times: expected the same number of each, at least 1")
    volt, degc = ends_of(&voltage_v[0], n), ends_of(&temperature_degc[0], n)
    volt_ns, degc_ns = oldest_of(&voltage_at_ns[0], n), oldest_of(&temperature_at_ns[0], n)
    return (
        volt.least, volt.most, volt.least_at, volt.most_at, degc.least, degc.most, degc.least_at, degc.most_at,
        volt_ns, degc_ns,
    )


def group_maxima(const double[::1] values not None, const int64_t[::1] first not None, double[::1] into not None):
    """Writes the greatest of each group of `values` [n] into `into` [g]; NaN where one of the group is. Group k is from
    `first[k]` [g] to before the next one's first, the last to the end. ValueError for another number of places, and
    for groups that are empty, do not rise or end outside."""
    cdef Py_ssize_t k, place, end, n = values.shape[0], groups = first.shape[0]
    cdef double most, value
    if into.shape[0] != groups:
        raise ValueError(f"into: got {into.shape[0]} places, expected {groups}")
    for k in range(groups):
        end = first[k + 1] if k + 1 < groups else n
        if not 0 <= first[k] < end <= n:
            raise ValueError(f"first[{k}]: got {first[k]}, expected a group before {end} within {n} values")
    for k in range(groups):
        most = -INFINITY
        for place in range(first[k], first[k + 1] if k + 1 < groups else n):
            value = values[place]
            if value > most or value != value:
                most = value
        into[k] = most


cdef class CellTaker:
    """Copies out what a decoder knows of each of n cells: `values[s]` and `at_ns[f]` are the decoder's own columns,
    which change; the indices [n] say where each cell's voltage and temperature stand in them, and in which frame they
    came. Raises ValueError for an index outside."""

    cdef object kept
    cdef Py_ssize_t cells_n
    cdef const double *values
    cdef const int64_t *at_ns
    cdef const int64_t *voltage
    cdef const int64_t *voltage_frame
    cdef const int64_t *temperature
    cdef const int64_t *temperature_frame

    def __cinit__(
        self, const double[::1] values not None, const int64_t[::1] at_ns not None, voltage, voltage_frame,
        temperature, temperature_frame,
    ):
        cdef const int64_t[:, ::1] places = np.array([voltage, voltage_frame, temperature, temperature_frame], int64)
        for name, row, size in (
            ("voltage", 0, values.shape[0]), ("voltage_frame", 1, at_ns.shape[0]),
            ("temperature", 2, values.shape[0]), ("temperature_frame", 3, at_ns.shape[0]),
        ):
            wrong = [index for index in places[row] if not 0 <= index < size]
            if wrong or not places.shape[1]:
                raise ValueError(f"{name}: got {wrong[:1]}, expected indices of 0 to {size - 1}, at least one")
        self.cells_n, self.values, self.at_ns = places.shape[1], &values[0], &at_ns[0]
        self.voltage, self.voltage_frame = &places[0, 0], &places[1, 0]
        self.temperature, self.temperature_frame = &places[2, 0], &places[3, 0]
        self.kept = values, at_ns, places

    def take(self):
        """Voltages, their times, temperatures, their times: read-only copies of float64 and int64 [n]. The time of a
        value that is NaN is NEVER_NS."""
        cdef Py_ssize_t n = self.cells_n, size = n * sizeof(double)
        cdef bytes rows = PyBytes_FromStringAndSize(NULL, 4 * size)
        cdef double *row = <double *>PyBytes_AS_STRING(rows)
        self.copy(self.voltage, self.voltage_frame, row, <int64_t *>(row + n))
        self.copy(self.temperature, self.temperature_frame, row + 2 * n, <int64_t *>(row + 3 * n))
        return (
            frombuffer(rows, float64, n, 0), frombuffer(rows, int64, n, size),
            frombuffer(rows, float64, n, 2 * size), frombuffer(rows, int64, n, 3 * size),
        )

    cdef void copy(
        self, const int64_t *place, const int64_t *frame, double *values, int64_t *at_ns
    ) noexcept nogil:
        cdef Py_ssize_t k
        for k in range(self.cells_n):
            values[k] = self.values[place[k]]
            at_ns[k] = self.at_ns[frame[k]] if values[k] == values[k] else NEVER
