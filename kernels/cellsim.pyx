# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The simulator's cells in series: three RC pairs, hysteresis and heat; twin: kernels.reference.cellsim."""

from libc.math cimport exp, fabs, isfinite

import numpy as np

from kernels.cell_model import (
    EXTRAPOLATION_V,
    HYSTERESIS_RATE,
    OCV_V_MAX,
    REFERENCE_DEGC,
    RESISTANCE_FACTOR_MAX,
    RESISTANCE_FACTOR_MIN,
    RESISTANCE_PER_K,
    CellModel,
)

__all__ = ["CellPack"]

cdef double STEEPEST_V = EXTRAPOLATION_V
cdef double SWING = HYSTERESIS_RATE
cdef double OCV_MAX = OCV_V_MAX
cdef double WARM_DEGC = REFERENCE_DEGC
cdef double PER_K = RESISTANCE_PER_K
cdef double FACTOR_MIN = RESISTANCE_FACTOR_MIN
cdef double FACTOR_MAX = RESISTANCE_FACTOR_MAX


cdef struct Cell:
    double resistance_ohm
    double[3] rc_resistance_ohm
    double capacity_ah
    double soc_frac
    double[3] rc_voltage_v
    double hysteresis    # -1 after discharge .. 1 after charge
    double degc
    double bleed_a


cdef struct Curve:
    const double *ocv_v
    Py_ssize_t last
    double below_v       # slope below SoC 0, V per unit of SoC
    double above_v       # slope above SoC 1
    double hysteresis_v


cdef struct Step:
    double current_a
    double dt_s
    double[3] decay
    double heating       # K per W in this step
    double cooling       # share of the distance to ambient, implicit
    double ambient_degc


cdef inline double ocv_at(double soc, const Curve *curve) noexcept nogil:
    cdef double x = soc * curve.last, ocv_v
    cdef Py_ssize_t j
    if soc < 0:
        ocv_v = curve.ocv_v[0] + soc * curve.below_v
        return 0 if ocv_v < 0 else ocv_v
    if soc >= 1:
        ocv_v = curve.ocv_v[curve.last] + (soc - 1) * curve.above_v
        return OCV_MAX if ocv_v > OCV_MAX else ocv_v
    j = <Py_ssize_t>x
    return curve.ocv_v[j] + (x - j) * (curve.ocv_v[j + 1] - curve.ocv_v[j])


cdef inline double rc_drop(const Cell *cell) noexcept nogil:
    return cell.rc_voltage_v[0] + cell.rc_voltage_v[1] + cell.rc_voltage_v[2]


cdef inline double resistance_now(const Cell *cell) noexcept nogil:
    cdef double factor = 1 + PER_K * (WARM_DEGC - cell.degc)
    factor = FACTOR_MIN if factor < FACTOR_MIN else (FACTOR_MAX if factor > FACTOR_MAX else factor)
    return cell.resistance_ohm * factor


cdef inline double relaxing_at(const Cell *cell, const Curve *curve) noexcept nogil:
    """Terminal voltage now without any current, its own bleed neither."""
    return ocv_at(cell.soc_frac, curve) + curve.hysteresis_v * cell.hysteresis - rc_drop(cell)


cdef inline void advance(Cell *cell, const Step *step) noexcept nogil:
    cdef double current_a = step.current_a + cell.bleed_a
    cdef double moved = current_a * step.dt_s / (3600 * cell.capacity_ah)
    cdef double swing = SWING * fabs(moved)
    cdef double heat_w
    cdef int pair
    cell.soc_frac -= moved
    cell.hysteresis = (cell.hysteresis - (SWING * moved)) / (1 + swing)
    for pair in range(3):
        cell.rc_voltage_v[pair] = (
            step.decay[pair] * cell.rc_voltage_v[pair]
            + (1 - step.decay[pair]) * cell.rc_resistance_ohm[pair] * current_a
        )
    heat_w = current_a * (resistance_now(cell) * current_a + rc_drop(cell))
    cell.degc += (step.heating * heat_w + step.cooling * (step.ambient_degc - cell.degc)) / (1 + step.cooling)


cdef class CellPack:
    """n cells in series, current positive on discharge. `ocv_v` lies on a uniform SoC grid 0..1 and is extrapolated
    steeply outside, so that over- and under-voltage appear; `rc_resistance_ohm` has shape (n, 3), `rc_tau_s` (3,).

    `emf_v` is the pack's voltage now if its current were 0, `resistance_ohm` the sum of the cells' series resistances
    R0 at their present temperatures: voltage sum = emf_v - resistance_ohm * current.
    Raises ValueError for shapes and values that cannot be. The views change with every call."""

    cdef readonly object voltage_v, soc_frac, temperature_degc
    cdef readonly double emf_v, resistance_ohm
    cdef object model, buffers
    cdef Py_ssize_t cells_n
    cdef Curve curve
    cdef double current_a
    cdef double[3] rc_tau_s
    cdef double heat_capacity_j_per_k, cooling_w_per_k
    cdef Cell *cells
    cdef double *voltage
    cdef double *soc
    cdef double *degc

    def __cinit__(
        self, ocv_v, resistance_ohm, rc_resistance_ohm, rc_tau_s, capacity_ah, soc_frac, hysteresis_v,
        heat_capacity_j_per_k, cooling_w_per_k, temperature_degc,
    ):
        model = CellModel(
            ocv_v, resistance_ohm, rc_resistance_ohm, rc_tau_s, capacity_ah, soc_frac, hysteresis_v,
            heat_capacity_j_per_k, cooling_w_per_k, temperature_degc,
        )
        cdef const double[::1] curve = model.ocv_v
        self.model = model
        self.cells_n = model.cells_n
        self.curve = Curve(&curve[0], curve.shape[0] - 1, model.below_v, model.above_v, model.hysteresis_v)
        self.rc_tau_s = [model.rc_tau_s[0], model.rc_tau_s[1], model.rc_tau_s[2]]
        self.heat_capacity_j_per_k = model.heat_capacity_j_per_k
        self.cooling_w_per_k = model.cooling_w_per_k
        self._make_buffers()
        self._fill_cells(model)

    cdef _make_buffers(self):
        cdef double[:, ::1] state = np.zeros((self.cells_n, sizeof(Cell) // sizeof(double)))
        cdef double[:, ::1] out = np.zeros((3, self.cells_n))
        self.cells = <Cell *>&state[0, 0]
        self.voltage = &out[0, 0]
        self.soc = &out[1, 0]
        self.degc = &out[2, 0]
        self.buffers = (state, out)
        view = out.base.view()
        view.flags.writeable = False
        self.voltage_v, self.soc_frac, self.temperature_degc = view

    cdef _fill_cells(self, model):
        cdef Py_ssize_t k
        cdef int pair
        for k in range(self.cells_n):
            self.cells[k].resistance_ohm = model.resistance_ohm[k]
            self.cells[k].capacity_ah = model.capacity_ah[k]
            self.cells[k].soc_frac = model.soc_frac[k]
            self.cells[k].degc = model.temperature_degc[k]
            for pair in range(3):
                self.cells[k].rc_resistance_ohm[pair] = model.rc_resistance_ohm[k, pair]
        self.show()

    def step(self, double current_a, const double[:] bleed_a not None, double ambient_degc, double dt_s):
        """`dt_s` at `current_a`, with `bleed_a` (each at least 0) drawn from each cell besides."""
        cdef Py_ssize_t k
        if bleed_a.shape[0] != self.cells_n:
            raise ValueError(f"bleed_a: got {bleed_a.shape[0]} values, expected {self.cells_n}")
        if not isfinite(current_a):
            raise ValueError(f"current_a: got {current_a}, expected a finite value")
        if not isfinite(ambient_degc):
            raise ValueError(f"ambient_degc: got {ambient_degc}, expected a finite value")
        if not (isfinite(dt_s) and dt_s > 0):
            raise ValueError(f"dt_s: got {dt_s}, expected a finite value above 0")
        for k in range(self.cells_n):
            if not (isfinite(bleed_a[k]) and bleed_a[k] >= 0):
                raise ValueError(f"bleed_a[{k}]: got {bleed_a[k]}, expected a finite value of at least 0")
        cdef Step step = self.step_of(current_a, ambient_degc, dt_s)
        self.current_a = current_a
        with nogil:
            for k in range(self.cells_n):
                self.cells[k].bleed_a = bleed_a[k]
                advance(&self.cells[k], &step)
            self.show()

    cdef Step step_of(self, double current_a, double ambient_degc, double dt_s) noexcept:
        cdef Step step
        cdef int pair
        step.current_a = current_a
        step.dt_s = dt_s
        for pair in range(3):
            step.decay[pair] = exp(-dt_s / self.rc_tau_s[pair])
        step.heating = dt_s / self.heat_capacity_j_per_k
        step.cooling = dt_s * self.cooling_w_per_k / self.heat_capacity_j_per_k
        step.ambient_degc = ambient_degc
        return step

    cdef void show(self) noexcept nogil:
        cdef Py_ssize_t k
        cdef const Cell *cell
        cdef double relaxing_v, resistance_ohm
        self.emf_v = self.resistance_ohm = 0
        for k in range(self.cells_n):
            cell = &self.cells[k]
            relaxing_v, resistance_ohm = relaxing_at(cell, &self.curve), resistance_now(cell)
            self.voltage[k] = relaxing_v - resistance_ohm * (self.current_a + cell.bleed_a)
            self.soc[k] = cell.soc_frac
            self.degc[k] = cell.degc
            self.emf_v += relaxing_v - resistance_ohm * cell.bleed_a
            self.resistance_ohm += resistance_ohm

    def set_soc(self, cell, soc_frac):
        """Puts one cell at a SoC (may lie outside 0..1); its history stays."""
        self.model.check_cell(cell, "soc_frac", soc_frac)
        self.cells[<Py_ssize_t>cell].soc_frac = soc_frac
        self.show()

    def heat(self, cell, temperature_degc):
        """Puts one cell at a temperature."""
        self.model.check_cell(cell, "temperature_degc", temperature_degc)
        self.cells[<Py_ssize_t>cell].degc = temperature_degc
        self.show()

    def age(self, cell, capacity_factor, resistance_factor):
        """Multiplies one cell's capacity and its resistances; SoC, history and temperature stay."""
        cdef Cell *aged
        cdef int pair
        self.model.check_ageing(cell, capacity_factor, resistance_factor)
        aged = &self.cells[<Py_ssize_t>cell]
        aged.capacity_ah *= <double>capacity_factor
        aged.resistance_ohm *= <double>resistance_factor
        for pair in range(3):
            aged.rc_resistance_ohm[pair] *= <double>resistance_factor
        self.show()
