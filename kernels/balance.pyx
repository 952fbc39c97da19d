# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Which cells to bleed, the highest of those that stand out: of a rack, and of thousands of strings at once; twin:
kernels.reference.balance. The loops over many strings are C (balance_loop.h), compiled for several instruction sets."""

from libc.math cimport INFINITY, exp, isfinite
from libc.stdint cimport int32_t, uint8_t

from kernels.variants cimport runnable_variants, variant_index, variant_names

import numpy as np

from kernels.workers import Workers, positive_count

__all__ = ["StringBalancer", "choose_bleed", "variants"]

ctypedef fused Given:
    float
    double
    uint8_t


cdef extern from "balance.h" nogil:
    enum:
        KEYS_BEYOND
    ctypedef struct BleedRule:
        float on_above_frac
        float off_above_frac
        float sigma_frac_max
        float voltage_v_min
        float temperature_degc_max
        float duty_max
        float duty_restart
        Py_ssize_t module_cells_max
        Py_ssize_t string_cells_max
    ctypedef struct BleedTask:
        const float *soc_frac
        const float *sigma_frac
        const double *voltage_v
        const double *temperature_degc
        const uint8_t *bleeding
        uint8_t *chosen
        float *duty
        int32_t *key
        Py_ssize_t cells
        Py_ssize_t cells_per_module
        float kept
    ctypedef void (*StringBleed)(const BleedTask *, const BleedRule *) noexcept
    const StringBleed *string_bleeds

cdef extern from "workers.h" nogil:
    Py_ssize_t taken(Py_ssize_t *next, Py_ssize_t portion)

cdef enum:
    PORTION = 16    # strings that a worker takes at a time


def variants():
    """Names of the instruction sets that this processor can run, the best one last."""
    return runnable_variants()


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


cdef class StringBalancer:
    """Equal strings of cells in modules that share a board, `limits` as in balance_model.BleedLimits.

    `chosen`, uint8 [strings, cells] (1 = bleed), and `duty_frac`, float32 [strings, cells], the share of the time that
    each resistor was on (not followed where it may always be), are read-only and change with every choice. `variant`
    forces an instruction set of `variants()`. Raises ValueError for what cannot be."""

    cdef readonly object chosen, duty_frac, limits
    cdef readonly str variant
    cdef object workers, buffers
    cdef StringBleed string_bleed
    cdef BleedRule rule
    cdef Py_ssize_t strings, cells, cells_per_module, turn, scratch_step
    cdef Py_ssize_t[5] strides
    cdef float *duty
    cdef uint8_t *out
    cdef int32_t *scratch
    # of the choice under way
    cdef const char *inputs[5]
    cdef float kept

    def __cinit__(
        self, limits, Py_ssize_t strings, Py_ssize_t cells_per_string, Py_ssize_t cells_per_module,
        Py_ssize_t threads=1, variant=None,
    ):
        self.limits = limits
        self.strings = positive_count("strings", strings)
        self.cells = positive_count("cells_per_string", cells_per_string)
        self.cells_per_module = positive_count("cells_per_module", cells_per_module)
        self.workers = Workers(threads)
        self.rule = BleedRule(
            limits.on_above_frac, limits.off_above_frac, limits.sigma_frac_max, limits.voltage_v_min,
            limits.temperature_degc_max, limits.duty_max, limits.duty_restart, limits.module_cells_max,
            limits.string_cells_max,
        )
        cdef int v = variant_index(variant)
        self.variant, self.string_bleed = variant_names[v].decode(), string_bleeds[v]
        self._make_buffers(threads)
        self.turn = self.strings

    cdef _make_buffers(self, Py_ssize_t threads):
        self.scratch_step = self.cells + KEYS_BEYOND
        cdef float[:, ::1] duty = np.zeros((self.strings, self.cells), np.float32)
        cdef uint8_t[:, ::1] out = np.zeros((self.strings, self.cells), np.uint8)
        cdef int32_t[:, ::1] scratch = np.zeros((threads, self.scratch_step), np.int32)
        self.duty, self.out, self.scratch = &duty[0, 0], &out[0, 0], &scratch[0, 0]
        self.buffers = (duty, out, scratch)
        self.duty_frac, self.chosen = np.asarray(duty).view(), np.asarray(out).view()
        self.duty_frac.flags.writeable = self.chosen.flags.writeable = False

    def choose(
        self, const float[:, :] soc_frac not None, const float[:, :] soc_sigma_frac not None,
        const double[:, :] voltage_v not None, const double[:, :] temperature_degc not None,
        const uint8_t[:, :] bleeding not None, double dt_s,
    ):
        """Chooses anew; `bleeding` is what really bled for the `dt_s` since the last choice. All are [strings, cells];
        voltage and temperature are compared as float32. NaN in a cell gives 0."""
        if not (isfinite(dt_s) and dt_s > 0):
            raise ValueError(f"dt_s: got {dt_s}, expected a finite value above 0")
        kept = [
            self._take(0, "soc_frac", soc_frac), self._take(1, "soc_sigma_frac", soc_sigma_frac),
            self._take(2, "voltage_v", voltage_v), self._take(3, "temperature_degc", temperature_degc),
            self._take(4, "bleeding", bleeding),
        ]
        self.kept = <float>exp(-dt_s / self.limits.duty_s)
        self.turn = 0
        if self.workers.threads == 1:
            with nogil:
                self.work(0)
        else:
            self.workers.run(self._work_as)
        del kept
        return self.chosen

    cdef _take(self, int place, name, const Given[:, :] given):
        """Remembers where an input lies; one whose rows have gaps between cells is copied, and the copy returned."""
        cdef const Given[:, :] whole = given
        if given.shape[0] != self.strings or given.shape[1] != self.cells:
            raise ValueError(
                f"{name}: got {given.shape[0]} x {given.shape[1]} values, expected {self.strings} x {self.cells}"
            )
        copied = None
        if given.strides[1] != sizeof(Given):
            whole = copied = np.ascontiguousarray(given)
        self.inputs[place] = <const char *>&whole[0, 0]
        self.strides[place] = whole.strides[0]
        return copied

    def _work_as(self, Py_ssize_t worker):
        """The share of one thread; `choose` calls it."""
        with nogil:
            self.work(worker)

    cdef void work(self, Py_ssize_t worker) noexcept nogil:
        cdef Py_ssize_t first, string
        cdef BleedTask task
        task.cells, task.cells_per_module, task.kept = self.cells, self.cells_per_module, self.kept
        task.key = self.scratch + worker * self.scratch_step
        while True:
            first = taken(&self.turn, PORTION)
            if first >= self.strings:
                return
            for string in range(first, min(first + PORTION, self.strings)):
                self.place(&task, string)
                self.string_bleed(&task, &self.rule)

    cdef void place(self, BleedTask *task, Py_ssize_t string) noexcept nogil:
        task.soc_frac = <const float *>(self.inputs[0] + string * self.strides[0])
        task.sigma_frac = <const float *>(self.inputs[1] + string * self.strides[1])
        task.voltage_v = <const double *>(self.inputs[2] + string * self.strides[2])
        task.temperature_degc = <const double *>(self.inputs[3] + string * self.strides[3])
        task.bleeding = <const uint8_t *>(self.inputs[4] + string * self.strides[4])
        task.duty, task.chosen = self.duty + string * self.cells, self.out + string * self.cells
