# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""What tells the cells of a series string from their mean: SoC, resistance, capacity of each; twin:
kernels.reference.series. The loops are C (series_loop.h), compiled for several instruction sets."""

from libc.math cimport isfinite, lround
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from kernels.variants cimport runnable_variants, variant_index, variant_names

import numpy as np

from kernels.cell_tables import GRID_POINTS
from kernels import series_model
from kernels.series_model import BIN_K, GROUP_ROWS, KEPT_ROWS, ROWS, SeriesModel, Spread, aligned_zeros, check_means
from kernels.workers import Workers

__all__ = ["SeriesCells", "variants"]


cdef extern from "series.h" nogil:
    enum:
        LANES
    ctypedef struct Group:
        pass
    ctypedef struct Belief:
        pass
    ctypedef struct Scratch:
        pass
    ctypedef struct Rule:
        pass
    ctypedef struct Mean:
        double soc_frac
        double soc_sigma_frac
        double drop_v
        double charge_ah
        double capacity_ah
        double temperature_degc
    ctypedef struct Pending:
        pass
    ctypedef struct Task:
        Group *group
        Belief *belief
        Scratch *scratch
        float *soc
        float *sigma
        Py_ssize_t groups
        Py_ssize_t cells
        const float *curve
        const char *voltage_v
        const char *bleeding
        Py_ssize_t voltage_stride
        Py_ssize_t bleeding_stride
        Py_ssize_t next_voltages
        Py_ssize_t ahead
        const Mean *mean
        Pending *pending
        double dt_s
    ctypedef void (*StringStep)(const Task *, const Rule *) noexcept
    const StringStep *string_steps
    const StringStep *string_carries

cdef extern from "workers.h" nogil:
    Py_ssize_t taken(Py_ssize_t *next, Py_ssize_t portion)

cdef double PER_BIN = 1.0 / BIN_K
cdef Py_ssize_t POINTS = GRID_POINTS
cdef Py_ssize_t KEPT = KEPT_ROWS
cdef enum:
    PORTION_MIN = 16    # strings that a worker takes at a time when few are left


def variants():
    """Names of the instruction sets that this processor can run, the best one last."""
    return runnable_variants()


cdef class SeriesCells:
    """Equal strings of cells in series; somebody else estimates each string's mean cell. Per string and step it takes
    that mean cell (series_model.MEAN) and the voltages, and gives each cell's SoC. Current is positive on discharge.

    After each step, float32 [strings, cells], read-only, changing with every step: `soc_frac` (0..1), `soc_sigma_frac`
    (with the mean's own sigma). float64 [strings]: `shift_frac`, by how much bleeding and corrections moved the cells'
    mean SoC in this step (negative = down): to be added to the mean cell's SoC, the deviations have a mean of 0 again;
    `curvature_v`, mean of the cells' open-circuit voltages minus that at the mean SoC: to be taken off the mean of the
    measured voltages before it is compared with the curve. NaN before the first step.

    `variant` forces an instruction set of `variants()`. Raises ValueError for what cannot be."""

    cdef readonly object soc_frac, soc_sigma_frac, shift_frac, curvature_v, model
    cdef readonly str variant
    cdef object workers, buffers, state_view
    cdef StringStep string_step, string_carry
    cdef Rule rule
    cdef Py_ssize_t strings, cells, groups, bins, threads, turn
    cdef double bin_degc
    cdef float *state
    cdef Scratch *scratch
    cdef Pending *pending
    cdef float *soc
    cdef float *sigma
    cdef const float *curves
    # of the step under way
    cdef const char *voltage_v
    cdef const char *bleeding
    cdef const Mean *mean
    cdef double dt_s
    cdef Py_ssize_t[2] voltage_strides
    cdef Py_ssize_t[2] bleeding_strides

    def __cinit__(
        self, cell, Py_ssize_t strings, Py_ssize_t cells_per_string, spread=None, double bleed_ohm=33.0,
        Py_ssize_t threads=1, variant=None,
    ):
        assert series_model.LANES == LANES
        self.model = SeriesModel(cell, strings, cells_per_string, spread or Spread(), bleed_ohm)
        self.strings, self.cells, self.groups = self.model.strings, self.model.cells, self.model.groups
        cdef int v = variant_index(variant)
        self.variant = variant_names[v].decode()
        self.string_step, self.string_carry = string_steps[v], string_carries[v]
        self.workers, self.threads = Workers(threads), threads
        self._make_buffers(threads)
        cdef const float[:, ::1] curves_v = self.model.curves_v
        self.curves, self.bins = &curves_v[0, 0], curves_v.shape[0]
        self.bin_degc = self.model.bin_degc
        cdef const float[::1] numbers = self.model.rule.array()
        assert numbers.shape[0] * sizeof(float) == sizeof(Rule)
        memcpy(&self.rule, &numbers[0], sizeof(Rule))
        for row, value in zip(self._rows(), self.model.start()):
            row[:] = value

    cdef _make_buffers(self, Py_ssize_t threads):
        """States [strings, groups * 15 * 16], outputs [2, strings, groups * 16], and a cache line a string of what is
        pending."""
        assert GROUP_ROWS * LANES * sizeof(float) == sizeof(Group)
        assert KEPT_ROWS * LANES * sizeof(float) == sizeof(Group) + sizeof(Belief)
        cdef Py_ssize_t width = self.groups * LANES
        cdef float[::1] state = aligned_zeros(self.strings * KEPT_ROWS * width)
        cdef float[::1] out = aligned_zeros(2 * self.strings * width)
        cdef float[::1] scratch = aligned_zeros(threads * self.groups * (sizeof(Scratch) // sizeof(float)))
        lines = aligned_zeros(self.strings * (sizeof(Pending) // sizeof(float)))
        cdef double[:, ::1] pending = lines.view(np.float64).reshape(self.strings, -1)
        self.state, self.scratch, self.pending = &state[0], <Scratch *>&scratch[0], <Pending *>&pending[0, 0]
        self.soc, self.sigma = &out[0], &out[self.strings * width]
        self.buffers = (state, out, scratch, pending)
        self.state_view = np.asarray(state).reshape(self.strings, -1)
        outputs = np.asarray(out).reshape(2, self.strings, width)[:, :, :self.cells]
        outputs[:] = np.nan
        np.asarray(pending)[:, 4:] = np.nan
        views = np.asarray(pending)[:, 6:]
        outputs.flags.writeable = views.flags.writeable = False
        self.soc_frac, self.soc_sigma_frac = outputs
        self.shift_frac, self.curvature_v = views.T

    def step(
        self, const double[:, :] voltage_v not None, const Mean[:] mean not None, double dt_s,
        const uint8_t[:, :] bleeding=None,
    ):
        """One interval of `dt_s`: `mean` and `voltage_v` [strings, cells] at its end, `bleeding` (1 = on) within it.

        A NaN voltage predicts only; so does one that bleeding falsifies, if the caller makes it NaN."""
        if voltage_v.shape[0] != self.strings or voltage_v.shape[1] != self.cells:
            raise ValueError(f"voltage_v: got {_shape(voltage_v)}, expected {self.strings} x {self.cells}")
        if bleeding is not None and (bleeding.shape[0] != self.strings or bleeding.shape[1] != self.cells):
            raise ValueError(f"bleeding: got {_shape(bleeding)}, expected {self.strings} x {self.cells}")
        if mean.shape[0] != self.strings or mean.strides[0] != sizeof(Mean):
            raise ValueError(f"mean: got {mean.shape[0]} strings, expected {self.strings}, contiguous")
        if not (isfinite(dt_s) and dt_s > 0):
            raise ValueError(f"dt_s: got {dt_s}, expected a finite value above 0")
        if not self.means_are_possible(&mean[0]):
            check_means(np.asarray(mean))
        self.voltage_v, self.mean, self.dt_s = <const char *>&voltage_v[0, 0], &mean[0], dt_s
        self.voltage_strides[0], self.voltage_strides[1] = voltage_v.strides[0], voltage_v.strides[1]
        self.bleeding = NULL
        if bleeding is not None:
            self.bleeding = <const char *>&bleeding[0, 0]
            self.bleeding_strides[0], self.bleeding_strides[1] = bleeding.strides[0], bleeding.strides[1]
        self.turn = 0
        if self.threads == 1:
            with nogil:
                self.work(0)
        else:
            self.workers.run(self._work_as)

    def _work_as(self, Py_ssize_t worker):
        """The share of one thread; `step` calls it."""
        with nogil:
            self.work(worker)

    cdef void work(self, Py_ssize_t worker) noexcept nogil:
        """The next portion is taken before this one's last string, so that its first one is on its way, too."""
        cdef Py_ssize_t string, following, end = 0
        cdef Task task
        self.prepare(&task, worker)
        string = self.after(-1, &end)
        while string < self.strings:
            following = self.after(string, &end)
            self.place(&task, string)
            task.ahead = following - string if following < self.strings else 0
            self.string_step(&task, &self.rule)
            string = following

    cdef Py_ssize_t after(self, Py_ssize_t string, Py_ssize_t *end) noexcept nogil:
        """The string after this one, of the portion that ends at `end` or of the next that nobody has taken yet: large
        ones first, as a string's neighbour is quicker at hand than another's."""
        cdef Py_ssize_t first, portion
        if string + 1 < end[0]:
            return string + 1
        portion = max(PORTION_MIN, (self.strings - self.turn) // (2 * self.threads))
        first = taken(&self.turn, portion)
        end[0] = first + portion
        return first

    cdef void prepare(self, Task *task, Py_ssize_t worker) noexcept nogil:
        task.scratch = self.scratch + worker * self.groups
        task.groups, task.cells = self.groups, self.cells
        task.voltage_stride, task.bleeding_stride = self.voltage_strides[1], self.bleeding_strides[1]
        task.next_voltages = self.voltage_strides[0]
        task.dt_s = self.dt_s

    cdef void place(self, Task *task, Py_ssize_t string) noexcept nogil:
        self.place_state(task, string)
        task.soc = self.soc + string * self.groups * LANES
        task.sigma = self.sigma + string * self.groups * LANES
        task.pending = self.pending + string
        task.mean = self.mean + string
        task.voltage_v = self.voltage_v + string * self.voltage_strides[0]
        task.bleeding = self.bleeding
        if self.bleeding != NULL:
            task.bleeding += string * self.bleeding_strides[0]
        task.curve = self.curve_of(task.mean.temperature_degc)

    cdef void place_state(self, Task *task, Py_ssize_t string) noexcept nogil:
        task.group = <Group *>(self.state + string * self.groups * KEPT * LANES)
        task.belief = <Belief *>(task.group + self.groups)

    cdef const float *curve_of(self, double temperature_degc) noexcept nogil:
        cdef double place = (temperature_degc - self.bin_degc) * PER_BIN
        cdef Py_ssize_t j = 0 if place < 0 else (self.bins - 1 if place > self.bins - 1 else lround(place))
        return self.curves + j * POINTS

    cdef bint means_are_possible(self, const Mean *mean) noexcept nogil:
        cdef Py_ssize_t k
        cdef bint possible = True
        for k in range(self.strings):
            possible &= (
                isfinite(mean[k].soc_frac) and isfinite(mean[k].soc_sigma_frac) and mean[k].soc_sigma_frac >= 0
                and isfinite(mean[k].drop_v) and isfinite(mean[k].charge_ah) and isfinite(mean[k].temperature_degc)
                and isfinite(mean[k].capacity_ah) and mean[k].capacity_ah > 0
            )
        return possible

    @property
    def resistance_factor(self):
        """Each cell's resistance by the mean cell's, and its sigma: two float32 [strings, cells], made when asked."""
        return 1 + self._row("resistance"), np.sqrt(self._row("rr"))

    @property
    def capacity_factor(self):
        """Each cell's capacity by the mean cell's, and its sigma: two float32 [strings, cells], made when asked."""
        factor = 1 / (1 + self._row("inverse"))
        return factor, factor**2 * np.sqrt(self._row("ii"))

    def _row(self, name):
        return self._rows()[ROWS.index(name)].reshape(self.strings, -1)[:, :self.cells]

    def _rows(self):
        """Views [strings, groups, 16] of the state, in the order of ROWS and one for each."""
        before = self.groups * GROUP_ROWS * LANES
        groups = self.state_view[:, :before].reshape(self.strings, self.groups, GROUP_ROWS, LANES)
        beliefs = self.state_view[:, before:].reshape(self.strings, self.groups, KEPT_ROWS - GROUP_ROWS, LANES)
        rows = [*np.moveaxis(groups, 2, 0), *np.moveaxis(beliefs, 2, 0)]
        return rows[:len(ROWS)]

    def save(self):
        """What is known of the cells, float32 [strings, 13, cells] in the order of series_model.ROWS: a copy."""
        cdef Py_ssize_t string
        cdef Task task
        task.groups = self.groups
        for string in range(self.strings):
            self.place_state(&task, string)
            task.pending = self.pending + string
            self.string_carry(&task, &self.rule)
        return np.stack([self._row(name) for name in ROWS], axis=1)

    def restore(self, state):
        """Goes on from what `save` gave; ValueError for another shape or values that cannot be."""
        state = self.model.checked_state(state)
        padded = np.zeros((self.strings, len(ROWS), self.groups * LANES), np.float32)
        padded[:] = self.model.start()[None, :, None]
        padded[:, :, :self.cells] = state
        pending = np.asarray(self.buffers[3])
        pending[:, :4] = 0
        pending[:, 4:6] = np.nan
        for k, row in enumerate(self._rows()):
            row[:] = padded[:, k].reshape(row.shape)


cdef _shape(view):
    return " x ".join(str(n) for n in view.shape[:2])
