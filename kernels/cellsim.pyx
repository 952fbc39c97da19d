# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The simulator's cells in series: three RC pairs, hysteresis and heat; twin: kernels.reference.cellsim. The
loops over the cells are C (cellsim_loop.h), compiled for several instruction sets."""

from libc.math cimport exp, expm1, isfinite
from libc.string cimport memset

from kernels.variants cimport runnable_variants, variant_index, variant_names

import numpy as np

from kernels.cell_model import (
    HYSTERESIS_RATE,
    OCV_V_MAX,
    REFERENCE_DEGC,
    RESISTANCE_FACTOR_MAX,
    RESISTANCE_FACTOR_MIN,
    RESISTANCE_PER_K,
    ZERO_DEGC_K,
    CellModel,
)

__all__ = ["CellPack", "variants"]


cdef extern from "cellsim.h" nogil:
    enum:
        PAIRS
    ctypedef struct Curve:
        const double *ocv_v
        const double *resistance_factor
        const double *entropic_v_per_k
        int last
        double below_v, above_v, hysteresis_v
        double ocv_v_max, swing, zero_k, warm_degc, per_k, factor_min, factor_max
    ctypedef struct Pack:
        Py_ssize_t cells
        double *resistance_ohm
        double *rc_resistance_ohm[3]
        double *capacity_ah
        double *soc_frac
        double *rc_voltage_v[3]
        double *hysteresis
        double *degc
        double *bleed_a
        double *voltage_v
        double *relaxed_v
        double *resistance_ohm_now
        double *factor_now
        double *entropic_v_per_k_now
        double *joined
        double *flow_k
    ctypedef struct Step:
        double current_a, dt_s
        double decay[3]
        double heating, cooling, ambient_degc, conduction
    ctypedef struct PackLoops:
        int (*bleed)(const Pack *, const double *) noexcept
        void (*advance)(const Pack *, const Curve *, const Step *) noexcept
        void (*conduct)(const Pack *, double) noexcept
        void (*show)(const Pack *, const Curve *, double) noexcept
    const PackLoops *pack_loops
    void pack_sums(const Pack *, double *, double *)


def variants():
    """Names of the instruction sets that this processor can run, the best one last."""
    return runnable_variants()


cdef class CellPack:
    """n cells in series, current positive on discharge. `ocv_v` lies on a uniform SoC grid 0..1 and is extrapolated
    steeply outside, so that over- and under-voltage appear; `rc_resistance_ohm` has shape (n, 3), `rc_tau_s` (3,).
    On the same grid, and held outside: `resistance_factor` of all resistances (None = 1), and `entropic_v_per_k`, by
    which the OCV rises with the temperature above 25 degC and a discharge cools (None = 0). Neighbours of one module,
    `module_cells` each (None = all are of one), exchange heat by `conduction_w_per_k`.

    `emf_v` is the pack's voltage now if its current were 0, `resistance_ohm` the sum of the cells' series resistances
    R0 at their present SoC and temperature: voltage sum = emf_v - resistance_ohm * current.
    Raises ValueError for shapes and values that cannot be. The views change with every call. `variant` forces an
    instruction set of `variants()`."""

    cdef readonly object voltage_v, soc_frac, temperature_degc
    cdef readonly double emf_v, resistance_ohm
    cdef readonly str variant
    cdef object model, rows
    cdef PackLoops loops
    cdef Pack pack
    cdef Curve curve
    cdef Step last
    cdef bint bleeds
    cdef double[3] rc_tau_s
    cdef double heat_capacity_j_per_k, cooling_w_per_k, conduction_w_per_k

    def __cinit__(
        self, ocv_v, resistance_ohm, rc_resistance_ohm, rc_tau_s, capacity_ah, soc_frac, hysteresis_v,
        heat_capacity_j_per_k, cooling_w_per_k, temperature_degc, variant=None, *, resistance_factor=None,
        entropic_v_per_k=None, conduction_w_per_k=0.0, module_cells=None,
    ):
        cdef int v = variant_index(variant)
        self.variant, self.loops = variant_names[v].decode(), pack_loops[v]
        self.model = model = CellModel(
            ocv_v, resistance_ohm, rc_resistance_ohm, rc_tau_s, capacity_ah, soc_frac, hysteresis_v,
            heat_capacity_j_per_k, cooling_w_per_k, temperature_degc, resistance_factor, entropic_v_per_k,
            conduction_w_per_k, module_cells,
        )
        cdef const double[::1] curve = model.ocv_v
        cdef const double[::1] factor = model.resistance_factor
        cdef const double[::1] entropic = model.entropic_v_per_k
        self.curve = Curve(
            &curve[0], &factor[0], &entropic[0], <int>curve.shape[0] - 1, model.below_v, model.above_v,
            model.hysteresis_v, OCV_V_MAX, HYSTERESIS_RATE, ZERO_DEGC_K, REFERENCE_DEGC, RESISTANCE_PER_K,
            RESISTANCE_FACTOR_MIN, RESISTANCE_FACTOR_MAX,
        )
        self.rc_tau_s = [model.rc_tau_s[0], model.rc_tau_s[1], model.rc_tau_s[2]]
        self.heat_capacity_j_per_k = model.heat_capacity_j_per_k
        self.cooling_w_per_k = model.cooling_w_per_k
        self.conduction_w_per_k = model.conduction_w_per_k
        self._lay_out(model)
        self.show()

    cdef _lay_out(self, model):
        """A row a quantity; those that the parameters give are filled."""
        cdef Py_ssize_t n = model.cells_n
        rows = np.zeros((19, n))
        rows[0], rows[1] = model.resistance_ohm, model.capacity_ah
        rows[2], rows[3] = model.soc_frac, model.temperature_degc
        rows[4 : 4 + PAIRS] = model.rc_resistance_ohm.T
        rows[17] = model.joined
        cdef double[:, ::1] at = rows
        cdef int pair
        cdef Pack *pack = &self.pack
        pack.cells = n
        pack.resistance_ohm, pack.capacity_ah, pack.soc_frac, pack.degc = &at[0, 0], &at[1, 0], &at[2, 0], &at[3, 0]
        for pair in range(PAIRS):
            pack.rc_resistance_ohm[pair], pack.rc_voltage_v[pair] = &at[4 + pair, 0], &at[4 + PAIRS + pair, 0]
        pack.hysteresis, pack.bleed_a, pack.voltage_v = &at[10, 0], &at[11, 0], &at[12, 0]
        pack.relaxed_v, pack.resistance_ohm_now = &at[13, 0], &at[14, 0]
        pack.factor_now, pack.entropic_v_per_k_now = &at[15, 0], &at[16, 0]
        pack.joined, pack.flow_k = &at[17, 0], &at[18, 0]
        self.rows = rows
        view = rows.view()
        view.flags.writeable = False
        self.voltage_v, self.soc_frac, self.temperature_degc = view[12], view[2], view[3]

    def step(self, double current_a, const double[:] bleed_a, double ambient_degc, double dt_s):
        """`dt_s` at `current_a`, with `bleed_a` (each at least 0; None = nothing) drawn from each cell besides."""
        if bleed_a is not None and bleed_a.shape[0] != self.pack.cells:
            raise ValueError(f"bleed_a: got {bleed_a.shape[0]} values, expected {self.pack.cells}")
        if not isfinite(current_a):
            raise ValueError(f"current_a: got {current_a}, expected a finite value")
        if not isfinite(ambient_degc):
            raise ValueError(f"ambient_degc: got {ambient_degc}, expected a finite value")
        if not (isfinite(dt_s) and dt_s > 0):
            raise ValueError(f"dt_s: got {dt_s}, expected a finite value above 0")
        if bleed_a is not None:
            self.take_bleed(bleed_a)
        elif self.bleeds:
            memset(self.pack.bleed_a, 0, self.pack.cells * sizeof(double))
        self.bleeds = bleed_a is not None
        self.take_step(current_a, ambient_degc, dt_s)
        self.loops.advance(&self.pack, &self.curve, &self.last)
        if self.last.conduction > 0.0:
            self.loops.conduct(&self.pack, self.last.conduction)
        self.show()

    cdef take_bleed(self, const double[:] bleed_a):
        if bleed_a.strides[0] != sizeof(double):
            bleed_a = np.array(bleed_a)
        if not self.loops.bleed(&self.pack, &bleed_a[0]):
            k = np.flatnonzero(~(np.isfinite(bleed_a) & (np.asarray(bleed_a) >= 0)))[0]
            raise ValueError(f"bleed_a[{k}]: got {bleed_a[k]}, expected a finite value of at least 0")

    cdef void take_step(self, double current_a, double ambient_degc, double dt_s) noexcept:
        """Steps are mostly as long as the last one: what depends on that alone is kept."""
        cdef int pair
        self.last.current_a, self.last.ambient_degc = current_a, ambient_degc
        if dt_s == self.last.dt_s:
            return
        self.last.dt_s = dt_s
        for pair in range(PAIRS):
            self.last.decay[pair] = exp(-dt_s / self.rc_tau_s[pair])
        self.last.heating = dt_s / self.heat_capacity_j_per_k
        self.last.cooling = dt_s * self.cooling_w_per_k / self.heat_capacity_j_per_k
        self.last.conduction = -0.5 * expm1(-2 * self.last.heating * self.conduction_w_per_k)

    cdef void show(self) noexcept:
        self.loops.show(&self.pack, &self.curve, self.last.current_a)
        pack_sums(&self.pack, &self.emf_v, &self.resistance_ohm)

    def copy(self):
        """Another pack in the same state, that goes its own way."""
        model = self.model
        cdef CellPack other = CellPack(
            model.ocv_v, model.resistance_ohm, model.rc_resistance_ohm, model.rc_tau_s, model.capacity_ah,
            model.soc_frac, model.hysteresis_v, model.heat_capacity_j_per_k, model.cooling_w_per_k,
            model.temperature_degc, self.variant, resistance_factor=model.resistance_factor,
            entropic_v_per_k=model.entropic_v_per_k, conduction_w_per_k=model.conduction_w_per_k,
            module_cells=model.module_cells,
        )
        other.rows[:] = self.rows
        other.last, other.bleeds = self.last, self.bleeds
        other.show()
        return other

    def set_soc(self, cell, soc_frac):
        """Puts one cell at a SoC (may lie outside 0..1); its history stays."""
        self.model.check_cell(cell, "soc_frac", soc_frac)
        self.pack.soc_frac[<Py_ssize_t>cell] = soc_frac
        self.show()

    def heat(self, cell, temperature_degc):
        """Puts one cell at a temperature."""
        self.model.check_cell(cell, "temperature_degc", temperature_degc)
        self.pack.degc[<Py_ssize_t>cell] = temperature_degc
        self.show()

    def age(self, cell, capacity_factor, resistance_factor):
        """Multiplies one cell's capacity and its resistances; SoC, history and temperature stay."""
        cdef Py_ssize_t k
        cdef int pair
        self.model.check_ageing(cell, capacity_factor, resistance_factor)
        k = cell
        self.pack.capacity_ah[k] *= <double>capacity_factor
        self.pack.resistance_ohm[k] *= <double>resistance_factor
        for pair in range(PAIRS):
            self.pack.rc_resistance_ohm[pair][k] *= <double>resistance_factor
        self.show()

    def age_each(self, capacity_factor, resistance_factor):
        """The same for all cells, each by its own factors [n]."""
        capacity, resistance = self.model.ageing_of_each(capacity_factor, resistance_factor)
        self.rows[1] *= capacity
        self.rows[0] *= resistance
        self.rows[4 : 4 + PAIRS] *= resistance
        self.show()
