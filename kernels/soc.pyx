# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""State of charge of every cell of a rack: a two-state extended Kalman filter; twin: kernels.reference.soc."""

from libc.math cimport exp, fabs, isfinite, sqrt

import numpy as np

from kernels.filter_model import (
    CURRENT_CORRELATION_S,
    RESISTANCE_ERROR_FRAC,
    SOC_SIGMA_FRAC_MAX,
    SOC_SIGMA_FRAC_MIN,
    VOLTAGE_CORRELATION_S,
    SocModel,
)

__all__ = ["SocFilter"]

cdef double VARIANCE_MAX = SOC_SIGMA_FRAC_MAX**2
cdef double VARIANCE_MIN = SOC_SIGMA_FRAC_MIN**2
cdef double MODEL_ERROR = RESISTANCE_ERROR_FRAC
cdef double CORRELATION_S = VOLTAGE_CORRELATION_S
cdef double DRIFT_S = CURRENT_CORRELATION_S


cdef struct Cell:
    double soc
    double rc_voltage_v
    double soc_variance
    double covariance
    double rc_variance


cdef struct Step:
    double current_a
    double decay          # exp(-dt / tau) of the RC pair
    double charge_ah      # charge taken in this step
    double drift_ah       # standard deviation that the current's error adds to that charge
    double current_sigma_a
    double noise_v2       # variance of the voltage sensor
    double correlated     # samples that share one voltage error


cdef struct Curve:
    const double *ocv_v
    Py_ssize_t last


cdef inline double clipped(double soc) noexcept nogil:
    return 0 if soc < 0 else (1 if soc > 1 else soc)


cdef inline Cell predicted(
    Cell cell, const Step *step, double capacity_ah, double rc_resistance_ohm
) noexcept nogil:
    cdef double drift = step.drift_ah / capacity_ah
    cdef double rc_sigma_v = rc_resistance_ohm * step.current_sigma_a
    cdef double decay = step.decay
    cell.soc = clipped(cell.soc - step.charge_ah / capacity_ah)
    cell.rc_voltage_v = decay * cell.rc_voltage_v + (1 - decay) * rc_resistance_ohm * step.current_a
    cell.soc_variance += drift * drift
    cell.covariance *= decay
    cell.rc_variance = decay * decay * cell.rc_variance + (1 - decay * decay) * rc_sigma_v * rc_sigma_v
    if cell.soc_variance > VARIANCE_MAX:
        cell.soc_variance = VARIANCE_MAX
    return cell


cdef inline double ocv_at(double soc, const Curve *curve) noexcept nogil:
    cdef double x = soc * curve.last
    cdef Py_ssize_t j = <Py_ssize_t>x
    j = curve.last - 1 if j >= curve.last else j
    return curve.ocv_v[j] + (x - j) * (curve.ocv_v[j + 1] - curve.ocv_v[j])


cdef inline Cell updated(
    Cell cell, const Step *step, const Curve *curve, double sigma, double resistance_ohm, double voltage_v
) noexcept nogil:
    """The curve is read at one sigma to both sides: the chord is the slope that the belief really sees, and what the
    curve bends between counts as error. An error lasts (bias, hysteresis), so reading it often does not average it
    out: the update can bring the SoC's sigma down to error / slope and no further, and on a plateau not at all."""
    cdef double low = cell.soc - sigma if cell.soc > sigma else 0
    cdef double high = cell.soc + sigma if cell.soc < 1 - sigma else 1
    cdef double low_v = ocv_at(low, curve), high_v = ocv_at(high, curve), ocv_v = ocv_at(cell.soc, curve)
    cdef double slope = (high_v - low_v) / (high - low)
    cdef double bend_v = low_v + (cell.soc - low) * slope - ocv_v
    cdef double ohmic_v = resistance_ohm * step.current_a
    cdef double model_v = MODEL_ERROR * (fabs(ohmic_v) + fabs(cell.rc_voltage_v))
    cdef double error_v2 = step.noise_v2 + model_v * model_v + bend_v * bend_v
    cdef double seen_v2 = slope * slope * cell.soc_variance
    if not seen_v2 > error_v2:
        return cell
    cdef double p_h = slope * cell.soc_variance - cell.covariance
    cdef double p_r = slope * cell.covariance - cell.rc_variance
    cdef double left_v2 = seen_v2 - error_v2
    cdef double scale = left_v2 / ((slope * p_h - p_r) * left_v2 + error_v2 * step.correlated * seen_v2)
    cdef double innovation_v = voltage_v - (ocv_v - ohmic_v - cell.rc_voltage_v)
    cell.soc = clipped(cell.soc + p_h * scale * innovation_v)
    cell.rc_voltage_v += p_r * scale * innovation_v
    cell.soc_variance -= p_h * scale * p_h
    if cell.soc_variance < VARIANCE_MIN:
        cell.soc_variance = VARIANCE_MIN
    cell.covariance -= p_h * scale * p_r
    cell.rc_variance -= p_r * scale * p_r
    return cell


cdef class SocFilter:
    """One rack of n cells in series. `ocv_v` lies on a uniform SoC grid 0..1; current is positive on discharge.

    `voltage_sigma_v` is the lasting error of a cell's voltage (sensor and hysteresis), `current_sigma_a` the slow error
    of the current. Starts at SoC 0.5 with the widest sigma. Raises ValueError for shapes and values that cannot be.
    The views change with every call."""

    cdef readonly object soc_frac, soc_sigma_frac, rc_voltage_v
    cdef object model, buffers
    cdef Py_ssize_t cells_n
    cdef Curve curve
    cdef double rc_tau_s, voltage_sigma_v, current_sigma_a
    cdef const double *resistance_ohm
    cdef const double *rc_resistance_ohm
    cdef const double *capacity_ah
    cdef Cell *cells
    cdef double *soc
    cdef double *sigma
    cdef double *rc_voltage

    def __cinit__(
        self, ocv_v, resistance_ohm, rc_resistance_ohm, rc_tau_s, capacity_ah, voltage_sigma_v, current_sigma_a
    ):
        model = SocModel(
            ocv_v, resistance_ohm, rc_resistance_ohm, rc_tau_s, capacity_ah, voltage_sigma_v, current_sigma_a
        )
        cdef const double[::1] curve = model.ocv_v
        cdef const double[::1] resistance = model.resistance_ohm
        cdef const double[::1] rc_resistance = model.rc_resistance_ohm
        cdef const double[::1] capacity = model.capacity_ah
        self.model = model
        self.cells_n = model.cells_n
        self.rc_tau_s = model.rc_tau_s
        self.voltage_sigma_v = model.voltage_sigma_v
        self.current_sigma_a = model.current_sigma_a
        self.curve.ocv_v = &curve[0]
        self.curve.last = curve.shape[0] - 1
        self.resistance_ohm = &resistance[0]
        self.rc_resistance_ohm = &rc_resistance[0]
        self.capacity_ah = &capacity[0]
        self._make_buffers()
        self.set_state(np.full(self.cells_n, 0.5), np.full(self.cells_n, SOC_SIGMA_FRAC_MAX))

    cdef _make_buffers(self):
        cdef double[:, ::1] state = np.zeros((self.cells_n, sizeof(Cell) // sizeof(double)))
        cdef double[:, ::1] out = np.zeros((3, self.cells_n))
        self.cells = <Cell *>&state[0, 0]
        self.soc = &out[0, 0]
        self.sigma = &out[1, 0]
        self.rc_voltage = &out[2, 0]
        self.buffers = (state, out)
        view = out.base.view()
        view.flags.writeable = False
        self.soc_frac, self.soc_sigma_frac, self.rc_voltage_v = view

    def reset(self, voltage_v, double sigma_frac_max=SOC_SIGMA_FRAC_MAX):
        """SoC and sigma from the voltages of a rack at rest; a NaN voltage gives 0.5 with `sigma_frac_max`."""
        soc_frac, sigma_frac = self.model.at_rest(voltage_v, sigma_frac_max)
        self._set(soc_frac, sigma_frac)

    def set_state(self, soc_frac, sigma_frac):
        """A known SoC and its sigma (held within 0.002..0.3), the RC pair at rest."""
        soc_frac, sigma_frac = self.model.checked_state(soc_frac, sigma_frac)
        self._set(soc_frac, sigma_frac)

    cdef _set(self, const double[::1] soc_frac, const double[::1] sigma_frac):
        cdef Py_ssize_t k
        cdef double rc_sigma_v
        for k in range(self.cells_n):
            rc_sigma_v = self.rc_resistance_ohm[k] * self.current_sigma_a
            self.cells[k] = Cell(soc_frac[k], 0, sigma_frac[k] * sigma_frac[k], 0, rc_sigma_v * rc_sigma_v)
            self.show(k)

    def step(self, const double[:] voltage_v not None, double current_a, double dt_s):
        """One interval of `dt_s` at `current_a`, then the voltages at its end; a NaN voltage only predicts."""
        if voltage_v.shape[0] != self.cells_n:
            raise ValueError(f"voltage_v: got {voltage_v.shape[0]} values, expected {self.cells_n}")
        if not isfinite(current_a):
            raise ValueError(f"current_a: got {current_a}, expected a finite value")
        if not (isfinite(dt_s) and dt_s > 0):
            raise ValueError(f"dt_s: got {dt_s}, expected a finite value above 0")
        cdef Step step = self.step_of(current_a, dt_s)
        with nogil:
            self.run(voltage_v, &step)

    cdef Step step_of(self, double current_a, double dt_s) noexcept:
        cdef Step step
        step.current_a = current_a
        step.decay = exp(-dt_s / self.rc_tau_s)
        step.charge_ah = current_a * dt_s / 3600
        step.drift_ah = self.current_sigma_a * sqrt(2 * DRIFT_S * dt_s) / 3600
        step.current_sigma_a = self.current_sigma_a
        step.noise_v2 = self.voltage_sigma_v * self.voltage_sigma_v
        step.correlated = CORRELATION_S / dt_s if dt_s < CORRELATION_S else 1
        return step

    cdef void run(self, const double[:] voltage_v, const Step *step) noexcept nogil:
        cdef Py_ssize_t k
        cdef Cell cell
        for k in range(self.cells_n):
            cell = predicted(self.cells[k], step, self.capacity_ah[k], self.rc_resistance_ohm[k])
            if isfinite(voltage_v[k]):
                cell = updated(cell, step, &self.curve, self.sigma[k], self.resistance_ohm[k], voltage_v[k])
            self.cells[k] = cell
            self.show(k)

    cdef inline void show(self, Py_ssize_t k) noexcept nogil:
        self.soc[k] = self.cells[k].soc
        self.sigma[k] = sqrt(self.cells[k].soc_variance)
        self.rc_voltage[k] = self.cells[k].rc_voltage_v
