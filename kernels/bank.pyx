# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A bank of extended Kalman filters over hypotheses of a string's SoC; twin: kernels.reference.bank."""

from libc.math cimport INFINITY, asinh, exp, fabs, isfinite, log, sqrt
from libc.string cimport memcpy

import numpy as np

from kernels.bank_model import (
    AXIS_S,
    AXIS_WORSE_SHARE,
    COLDER_SIGMA_PER_K,
    COUNT_S,
    EXTRAPOLATED_COLD_K,
    EXTRAPOLATED_WARM_K,
    FIRST_RC,
    HYPOTHESES_MAX,
    LOAD_PER_H,
    LOG_FACTOR_MAX,
    OCV_MOVED_V_PER_K,
    SOC_MAX,
    SOC_MIN,
    STEEP_V,
    UNTOLD_SIGMA_FRAC,
    WORSE_MAX,
    BankModel,
)
from kernels.cell_tables import GRID_FIRST, GRID_LAST, GRID_POINTS, LAG_ACTIVATION_K

__all__ = ["SocBank"]


cdef enum:
    STATES_MAX = 12
    Z = 0
    B = 1
    E = 2
    C = 3
    R = 4
    H = 5
    K = 6
    X = 7

cdef double FIRST = GRID_FIRST
cdef double STEP = (GRID_LAST - GRID_FIRST) / (GRID_POINTS - 1)
cdef int POINTS = GRID_POINTS
cdef double COLD_K = EXTRAPOLATED_COLD_K
cdef double WARM_K = EXTRAPOLATED_WARM_K
cdef double LEAST_SOC = SOC_MIN
cdef double MOST_SOC = SOC_MAX
cdef double AXIS_SECONDS = AXIS_S
cdef double STEEP_SLOPE = STEEP_V
cdef double MOST_WORSE = WORSE_MAX
cdef double MOVED_V_PER_K = OCV_MOVED_V_PER_K
cdef double COLDER_SIGMA = COLDER_SIGMA_PER_K
cdef double AXIS_SHARE = AXIS_WORSE_SHARE
cdef double MOST_LOG = LOG_FACTOR_MAX
cdef double LOAD_RATE = LOAD_PER_H
cdef double LAG_K = LAG_ACTIVATION_K
cdef double COUNT_SECONDS = COUNT_S
cdef double UNTOLD = UNTOLD_SIGMA_FRAC
assert FIRST_RC == X


cdef struct Tuned:   # in the order of kernels.bank_model.Tuning
    double noise_v
    double noise_v_min
    double first_v
    double error_v
    double model_share
    double error_s
    double ocv_error_v
    double ocv_error_soc
    double warm_share
    double error_per_k
    double resistance_per_k
    double drop_per_k
    double ohmic_frac
    double axis_sigma
    double bias_sigma_per_h
    double bias_walk_per_h
    double rest_sigma_per_h
    double charge_walk
    double gain_sigma
    double resistance_sigma
    double resistance_walk
    double capacity_sigma
    double capacity_walk
    double hysteresis_end
    double hysteresis_lean
    double hysteresis_sigma
    double hysteresis_walk
    double rc_sigma_per_h
    double rc_walk_a
    double tail
    double noise_weight
    double prune
    double spacing
    double single_sigma
    double merge_s
    double soc_frac_max
    double rested_s_min   # these two are in the model's rested_share
    double rested_s_max


cdef struct Hypothesis:
    double x[STATES_MAX]
    double p[STATES_MAX][STATES_MAX]
    double log_weight
    double predicted_v
    double drop_v
    double renewed   # share of the curve's error that is another one since the step before


cdef struct Warmth:   # where a temperature lies between the tables' rows
    int low
    int high
    double share        # within the rows, for what is linear
    double log_share    # may lie beyond them, for ln R over 1/T
    double outside_k    # K below the measured range, or a share of those above
    double worse        # factor on the tables' errors there
    double ocv_moved_v  # but what the OCV's own grow by at most
    double axis_sigma
    double drop_share   # of the drop, how far it may be off at one SoC and not at others
    double rate
    double saturation_a
    double efficiency
    double self_discharge_per_h
    double lag_per_a    # how far below the mean the SoC at the surface lies, by the current behind its pair


cdef struct Seen:   # the modelled voltage and its slopes at one hypothesis
    double volts
    double drop_v
    double slope[STATES_MAX]
    double steep_v   # slope over SoC for errors of the curves' places: with that of a drop that is the surface's


cdef inline double mixed(const double *low, const double *high, int j, double f, double share) noexcept nogil:
    return (low[j] * (1 - f) + low[j + 1] * f) * (1 - share) + (high[j] * (1 - f) + high[j + 1] * f) * share


cdef inline double slope_of(const double *low, const double *high, int j, double share) noexcept nogil:
    cdef int below = j - 1 if j > 0 else 0
    cdef int above = j + 2 if j + 2 < POINTS else POINTS - 1
    return ((low[above] - low[below]) * (1 - share) + (high[above] - high[below]) * share) / ((above - below) * STEP)


cdef inline double held(double value, double least, double most) noexcept nogil:
    return least if value < least else (most if value > most else value)


cdef class SocBank:
    """One string's mean cell, or one cell. Current is positive on discharge. Starts with SoC unknown.

    `soc_frac`, `soc_sigma_frac`: mean and standard deviation over the hypotheses; `voltage_predicted_v` is what was
    expected before the newest voltage was taken, `drop_v` what current and relaxation take off in it. All properties
    are those of the newest step."""

    cdef readonly object model
    cdef readonly double soc_frac, soc_sigma_frac, current_bias_a, voltage_predicted_v, hysteresis
    cdef readonly double drop_v
    cdef readonly double resistance_factor, resistance_factor_sigma, capacity_ah, capacity_ah_sigma
    cdef readonly int hypotheses
    cdef Tuned tuned
    cdef Hypothesis bank[64]
    cdef int states, pairs, temperatures, turning   # the state whose current turns the hysteresis, -1 = none
    cdef int lagging   # the state whose current shifts the SoC at the surface, -1 = none
    cdef bint first
    cdef double lag_h, table_resistance_sigma, capacity_sigma, nominal_ah, since_merge_s
    cdef double colder_sigma   # of the SoC, by what no sample tells at the newest temperature
    cdef double measured_low_degc, measured_high_degc
    cdef const double *inverse_k
    cdef const double *ocv_v
    cdef const double *ocv_sigma_v
    cdef const double *model_sigma_v
    cdef const double *log_resistance
    cdef const double *hysteresis_v
    cdef const double *rate
    cdef const double *log_saturation
    cdef const double *efficiency
    cdef const double *self_discharge
    cdef const double *resistance_sigma
    cdef const double *tau_s
    cdef const double *left   # share of the currents behind the pairs that a rest before the start has left
    cdef object buffers

    def __cinit__(self, cell, tuning=None):
        model = BankModel(cell, tuning)
        self.model = model
        cdef const double[::1] numbers = model.tuning.array()
        assert numbers.shape[0] * sizeof(double) == sizeof(Tuned)
        memcpy(&self.tuned, &numbers[0], sizeof(Tuned))
        self.states, self.pairs, self.temperatures = model.states, model.pairs, len(model.inverse_k)
        self.turning = -1 if model.hysteresis_pair is None else X + model.hysteresis_pair
        self.lagging = -1 if model.lag_pair is None else X + model.lag_pair
        self.lag_h = cell.surface_lag_h
        self.nominal_ah = cell.capacity_ah
        self.table_resistance_sigma, self.capacity_sigma = model.resistance_sigma, model.capacity_sigma
        self.measured_low_degc, self.measured_high_degc = cell.temperature_measured_degc
        cdef const double[::1] inverse_k = model.inverse_k
        cdef const double[:, ::1] ocv = np.ascontiguousarray(cell.ocv_v)
        cdef const double[:, ::1] sigma = np.ascontiguousarray(cell.ocv_sigma_v)
        cdef const double[:, ::1] around = np.ascontiguousarray(cell.model_sigma_v)
        cdef const double[:, :, ::1] resistance = model.log_resistance
        cdef const double[:, ::1] gap = np.ascontiguousarray(cell.hysteresis_v)
        cdef const double[::1] rate = np.ascontiguousarray(cell.hysteresis_rate)
        cdef const double[::1] saturation = model.log_saturation
        cdef const double[::1] tau = np.append(np.ascontiguousarray(cell.rc_tau_s), 1.0)
        cdef const double[::1] left = np.append(model.rested_share, 1.0)
        cdef const double[::1] efficiency = np.ascontiguousarray(cell.coulombic_efficiency)
        cdef const double[::1] loss = np.ascontiguousarray(cell.self_discharge_per_h)
        cdef const double[::1] unsure = np.ascontiguousarray(cell.resistance_sigma_frac)
        self.buffers = (inverse_k, ocv, sigma, resistance, gap, rate, saturation, tau, efficiency, loss, around,
                        left, unsure)
        self.model_sigma_v = &around[0, 0]
        self.efficiency, self.self_discharge, self.resistance_sigma = &efficiency[0], &loss[0], &unsure[0]
        self.inverse_k, self.ocv_v, self.ocv_sigma_v = &inverse_k[0], &ocv[0, 0], &sigma[0, 0]
        self.log_resistance, self.hysteresis_v, self.rate = &resistance[0, 0, 0], &gap[0, 0], &rate[0]
        self.log_saturation, self.tau_s, self.left = &saturation[0], &tau[0], &left[0]
        self.start()

    def start(self, soc_frac=None, double sigma_frac=0.3):
        """Forget everything; ValueError for a SoC outside 0..1 or a sigma outside 0..0.5."""
        if soc_frac is not None and not 0 <= soc_frac <= 1:
            raise ValueError(f"soc_frac: got {soc_frac}, expected 0 to 1")
        if not 0 < sigma_frac <= 0.5:
            raise ValueError(f"sigma_frac: got {sigma_frac}, expected above 0, at most 0.5")
        places, weights, sigma = self.model.start(soc_frac, sigma_frac)
        assert len(places) <= HYPOTHESES_MAX
        cdef int q
        self.hypotheses = len(places)
        for q in range(self.hypotheses):
            self.fresh(&self.bank[q], places[q], sigma[q])
            self.bank[q].log_weight = log(weights[q])
        self.since_merge_s = self.colder_sigma = 0
        self.first = True
        self.voltage_predicted_v = float("nan")
        self.show()

    cdef void fresh(self, Hypothesis *it, double soc, double sigma) noexcept:
        cdef Tuned *t = &self.tuned
        cdef int j, k
        cdef double own[STATES_MAX]
        own[Z], own[B] = sigma, t.bias_sigma_per_h * self.nominal_ah
        own[E], own[C] = t.error_v, t.ocv_error_v
        own[R], own[H], own[K] = self.table_resistance_sigma, t.hysteresis_sigma, self.capacity_sigma
        for j in range(X, self.states):
            own[j] = t.rc_sigma_per_h * self.nominal_ah
        for j in range(self.states):
            it.x[j] = 0
            for k in range(self.states):
                it.p[j][k] = own[j] * own[j] if j == k else 0
        it.x[Z] = soc
        it.x[H] = t.hysteresis_end * (held(1 - soc / 0.1, 0, 1) - held(1 - (1 - soc) / 0.1, 0, 1))
        it.predicted_v = it.drop_v = 0

    def step(self, double voltage_v, double current_a, double charge_ah, double temperature_degc, double dt_s):
        """`dt_s` in which `charge_ah` was taken; then voltage and current at its end. A NaN voltage only predicts;
        dt_s = 0 only looks. ValueError for anything else that is not finite."""
        if not (isfinite(current_a) and isfinite(charge_ah) and isfinite(temperature_degc)):
            raise ValueError(f"got current_a {current_a}, charge_ah {charge_ah}, temperature_degc {temperature_degc}")
        if not (isfinite(dt_s) and dt_s >= 0):
            raise ValueError(f"dt_s: got {dt_s}, expected a finite value of at least 0")
        with nogil:
            self.run(voltage_v, current_a, charge_ah, temperature_degc, dt_s)

    def gap(self, double dt_s, double charge_sigma_ah, double current_sigma_a):
        """`dt_s` in which nothing is known but how far charge and current may have gone."""
        if not (dt_s >= 0 and charge_sigma_ah >= 0 and current_sigma_a >= 0):
            raise ValueError(f"got dt_s {dt_s}, charge_sigma_ah {charge_sigma_ah}, current_sigma_a {current_sigma_a}")
        cdef int q
        for q in range(self.hypotheses):
            self.lost(&self.bank[q], dt_s, charge_sigma_ah / self.nominal_ah, current_sigma_a)
        self.show()

    def shift(self, double soc_frac):
        """Move every hypothesis by so much SoC: what somebody else knows of it (bleeding)."""
        cdef int q
        if not isfinite(soc_frac):
            raise ValueError(f"soc_frac: got {soc_frac}, expected a finite value")
        for q in range(self.hypotheses):
            self.bank[q].x[Z] = held(self.bank[q].x[Z] + soc_frac, LEAST_SOC, MOST_SOC)
        self.show()

    def rest(self, double current_a):
        """No current flows, as far as one can tell, and the sensor reads this: its offset. However often that is seen,
        the bias is known no better than to the `rest_sigma_per_h` that may flow all the same. ValueError for a reading
        that is not finite."""
        cdef int q
        if not isfinite(current_a):
            raise ValueError(f"current_a: got {current_a}, expected a finite value")
        for q in range(self.hypotheses):
            self.rested(&self.bank[q], current_a)
        self.show()

    cdef void rested(self, Hypothesis *it, double current_a) noexcept nogil:
        cdef double least = self.tuned.rest_sigma_per_h * self.nominal_ah, own = it.p[B][B], away = current_a - it.x[B]
        cdef double gain[STATES_MAX]
        cdef int j, k
        if own <= least * least:
            return
        cdef double spread = own * own / (own - least * least)   # leaves least^2 of the variance
        for j in range(self.states):
            gain[j] = it.p[j][B]
        for j in range(self.states):
            it.x[j] += gain[j] / spread * away
            for k in range(self.states):
                it.p[j][k] -= gain[j] * gain[k] / spread

    def widen_capacity(self, double sigma_frac):
        """The capacity was known to `sigma_frac` at the start, not to the model's `capacity_sigma`. What all samples
        have told stays, and with it what they would have said of capacity and SoC to somebody who knew so little: exact
        as far as the filters are linear. ValueError unless `sigma_frac` is above the model's."""
        cdef int q
        if not sigma_frac > self.capacity_sigma:
            raise ValueError(f"sigma_frac: got {sigma_frac}, expected above {self.capacity_sigma}")
        for q in range(self.hypotheses):
            self.widened(&self.bank[q], sigma_frac)
        self.show()

    cdef void widened(self, Hypothesis *it, double sigma) noexcept nogil:
        """Takes the difference of both priors, around 0, out of the state's information: a rank-one downdate."""
        cdef double known = self.capacity_sigma, said = 1 / (known * known) - 1 / (sigma * sigma)
        cdef double left = max(1 - it.p[K][K] * said, known * known / (sigma * sigma)), away = it.x[K]
        cdef double column[STATES_MAX]
        cdef int j, k
        for j in range(self.states):
            column[j] = it.p[j][K]
        for j in range(self.states):
            it.x[j] += column[j] * said / left * away
            for k in range(self.states):
                it.p[j][k] += column[j] * said / left * column[k]
        it.x[K] = held(it.x[K], -MOST_LOG, MOST_LOG)

    def save(self):
        """All that is known, float64 [hypotheses, 1 + states + states^2] as BankModel.checked_state says: a copy."""
        cdef int q, j, k, n = self.states
        saved = np.empty((self.hypotheses, 1 + n + n * n))
        cdef double[:, ::1] view = saved
        for q in range(self.hypotheses):
            view[q, 0] = self.bank[q].log_weight
            for j in range(n):
                view[q, 1 + j] = self.bank[q].x[j]
                for k in range(n):
                    view[q, 1 + n + j * n + k] = self.bank[q].p[j][k]
        return saved

    def restore(self, state):
        """Go on from what `save` gave; ValueError for what that cannot be, and nothing has changed then."""
        cdef const double[:, ::1] view = self.model.checked_state(state)
        cdef int q, j, k, n = self.states
        self.hypotheses = view.shape[0]
        for q in range(self.hypotheses):
            self.bank[q].log_weight = view[q, 0]
            self.bank[q].predicted_v = self.bank[q].drop_v = 0
            for j in range(n):
                self.bank[q].x[j] = view[q, 1 + j]
                for k in range(n):
                    self.bank[q].p[j][k] = view[q, 1 + n + j * n + k]
        self.since_merge_s = self.colder_sigma = 0
        self.first = False
        self.show()
        self.voltage_predicted_v = float("nan")

    cdef void lost(self, Hypothesis *it, double dt_s, double soc_sigma, double current_sigma_a) noexcept nogil:
        cdef double factor[STATES_MAX]
        cdef int j, k
        for j in range(self.states):
            factor[j] = 1
        factor[E] = exp(-dt_s / self.tuned.error_s)
        for j in range(self.pairs):
            factor[X + j] = exp(-dt_s / self.tau_s[j])
        for j in range(self.states):
            it.x[j] *= factor[j]
            for k in range(self.states):
                it.p[j][k] *= factor[j] * factor[k]
        it.p[Z][Z] += soc_sigma * soc_sigma
        it.p[E][E] += self.tuned.error_v * self.tuned.error_v * (1 - factor[E] * factor[E])
        it.p[H][H] += soc_sigma * soc_sigma * 100 if soc_sigma < 0.06 else 0.36
        for j in range(self.pairs):
            it.p[X + j][X + j] += current_sigma_a * current_sigma_a * (1 - factor[X + j] * factor[X + j])

    cdef void run(self, double volts, double amps, double charge_ah, double degc, double dt_s) noexcept nogil:
        cdef Warmth at = self.warmth(degc)
        cdef Seen seen
        cdef int q
        cdef double beside_v
        cdef bint looks = isfinite(volts)
        self.colder_sigma = COLDER_SIGMA * max(self.measured_low_degc - degc, 0)
        cdef double load = (amps / (LOAD_RATE * self.nominal_ah))**4
        cdef double counts = self.tuned.noise_weight * load / (1 + load) * min(dt_s / COUNT_SECONDS, 1.0)
        if dt_s == 0:
            counts = 1
        if self.first:
            self.settle(amps, &at)
        for q in range(self.hypotheses):
            if dt_s > 0:
                self.predict(&self.bank[q], charge_ah, dt_s, &at)
            self.look(&self.bank[q], amps, &at, &seen)
            if dt_s > 0:
                beside_v = at.drop_share * seen.drop_v
                self.bank[q].p[C][C] += beside_v * beside_v * self.bank[q].renewed
            self.bank[q].predicted_v = seen.volts
            self.bank[q].drop_v = seen.drop_v
            if looks:
                self.update(&self.bank[q], volts, dt_s, counts, &at, &seen)
        self.since_merge_s += dt_s
        self.show()
        if self.since_merge_s >= self.tuned.merge_s:
            self.since_merge_s = 0
            self.merge()

    cdef void settle(self, double amps, const Warmth *at) noexcept nogil:
        """With the first temperature it is known how far the tables' resistances and OCV can be trusted, and with the
        first current where the hysteresis may be and how far the cell is relaxed: what flows has more often than not
        been flowing for long."""
        cdef int q, j
        cdef bint rests = fabs(amps) <= LOAD_RATE * self.nominal_ah
        cdef double sigma = self.tuned.resistance_per_k * at.outside_k, worse = at.worse
        cdef double ocv_sigma_v, lean = 0
        self.first = False
        if not rests:
            lean = self.tuned.hysteresis_lean if amps > 0 else -self.tuned.hysteresis_lean
        for q in range(self.hypotheses):
            ocv_sigma_v = self.ocv_sigma_at(self.bank[q].x[Z], at)
            self.bank[q].p[R][R] += sigma * sigma
            self.bank[q].x[H] += lean * (1 - fabs(self.bank[q].x[H]))
            if rests:
                for j in range(self.pairs):
                    self.bank[q].p[X + j][X + j] *= self.left[j] * self.left[j]
            self.bank[q].p[E][E] *= worse * worse
            self.bank[q].p[C][C] *= worse * worse
            self.bank[q].p[C][C] += ocv_sigma_v * ocv_sigma_v

    cdef Warmth warmth(self, double degc) noexcept nogil:
        cdef Warmth at
        cdef int a = 0, last = self.temperatures - 1
        cdef double low_k = 1 / self.inverse_k[0], high_k = 1 / self.inverse_k[last], unsure
        cdef double inverse = 1 / held(degc + 273.15, low_k - COLD_K, high_k + WARM_K)
        at.outside_k = 0
        if degc < self.measured_low_degc:
            at.outside_k = self.measured_low_degc - degc
        elif degc > self.measured_high_degc:
            at.outside_k = self.tuned.warm_share * (degc - self.measured_high_degc)
        at.worse = min(1 + self.tuned.error_per_k * at.outside_k, MOST_WORSE)
        at.ocv_moved_v = MOVED_V_PER_K * max(self.measured_low_degc - degc, degc - self.measured_high_degc, 0)
        at.axis_sigma = self.tuned.axis_sigma * (1 + AXIS_SHARE * (at.worse - 1))
        while a < last - 1 and 1 / (degc + 273.15) < self.inverse_k[a + 1]:
            a += 1
        at.low, at.high = a, a + 1 if last > 0 else a
        at.log_share = 0
        if last > 0:
            at.log_share = (inverse - self.inverse_k[a]) / (self.inverse_k[a + 1] - self.inverse_k[a])
        at.share = held(at.log_share, 0, 1)
        at.lag_per_a = 0
        if self.lagging >= 0:
            at.lag_per_a = self.lag_h / self.nominal_ah * exp(LAG_K * (inverse - 1 / 298.15))
        unsure = self.resistance_sigma[at.low] * (1 - at.share) + self.resistance_sigma[at.high] * at.share
        at.drop_share = 0.5 * unsure * (unsure / UNTOLD) * (unsure / UNTOLD) + self.tuned.drop_per_k * at.outside_k
        at.rate = self.rate[at.low] * (1 - at.share) + self.rate[at.high] * at.share
        at.efficiency = self.efficiency[at.low] * (1 - at.share) + self.efficiency[at.high] * at.share
        at.self_discharge_per_h = self.self_discharge[at.low] * (1 - at.share) + self.self_discharge[at.high] * at.share
        at.saturation_a = exp(
            self.log_saturation[at.low] * (1 - at.log_share) + self.log_saturation[at.high] * at.log_share
        )
        return at

    cdef void predict(self, Hypothesis *it, double charge_ah, double dt_s, const Warmth *at) noexcept nogil:
        """x = F x + u: diagonal F, and columns of the bias and of the capacity, which move SoC and pairs."""
        cdef Tuned *t = &self.tuned
        cdef int n = self.states, j, k
        cdef double factor[STATES_MAX]
        cdef double by_bias[STATES_MAX]
        cdef double column[STATES_MAX]
        cdef double ah = self.nominal_ah * exp(it.x[K])
        cdef double hours = dt_s / 3600
        cdef double mean_a = charge_ah / hours - it.x[B]
        cdef double moved = -mean_a * hours / ah
        cdef double turning_a = mean_a if self.turning < 0 else it.x[self.turning]
        cdef double keep = exp(-at.rate * fabs(turning_a) * hours / ah)
        cdef double towards = 1.0 if turning_a > 1e-4 * self.nominal_ah else -1.0
        cdef double curve_v2 = self.curve_v2_at(it.x[Z], at), steeper
        if fabs(turning_a) <= 1e-4 * self.nominal_ah:
            keep = 1
        if moved > 0:
            moved *= at.efficiency
        for j in range(n):
            factor[j], by_bias[j] = 1, 0
        factor[E], factor[H] = exp(-dt_s / t.error_s), keep
        factor[C] = exp(-fabs(moved) / t.ocv_error_soc)
        by_bias[Z] = hours / ah
        for j in range(self.pairs):
            factor[X + j] = exp(-dt_s / self.tau_s[j])
            by_bias[X + j] = -(1 - factor[X + j])
        it.x[Z] += moved - at.self_discharge_per_h * hours
        steeper = sqrt(max(self.curve_v2_at(it.x[Z], at) / curve_v2, 1.0))   # a curve beside: more volts there
        factor[C] *= steeper
        it.x[E] *= factor[E]
        it.x[C] *= factor[C]
        it.x[H] = keep * it.x[H] + (1 - keep) * towards
        for j in range(X, n):
            it.x[j] = factor[j] * it.x[j] + (1 - factor[j]) * mean_a
        for j in range(n):
            for k in range(n):
                it.p[j][k] *= factor[j] * factor[k]
        self.couple(it, B, by_bias)
        for j in range(n):
            column[j] = 0
        column[Z] = -moved
        self.couple(it, K, column)
        factor[C] /= steeper
        self.walk(it, moved, dt_s, factor, at)

    cdef void walk(
        self, Hypothesis *it, double moved, double dt_s, const double *factor, const Warmth *at
    ) noexcept nogil:
        """What is not known of the step, added to every state's variance."""
        cdef Tuned *t = &self.tuned
        cdef double worse_v2 = at.worse * at.worse, keep = factor[H]
        cdef double model_v = t.model_share * self.sigma_at(self.model_sigma_v, it.x[Z], at)
        cdef double error_v2 = (t.error_v * t.error_v + model_v * model_v) * worse_v2
        cdef double curve_v2 = self.curve_v2_at(it.x[Z], at)
        cdef double bias_walk_a = t.bias_walk_per_h * self.nominal_ah
        cdef int j
        it.p[Z][Z] += t.charge_walk * t.charge_walk * dt_s + (t.gain_sigma * moved) * (t.gain_sigma * moved)
        it.p[B][B] += bias_walk_a * bias_walk_a * dt_s
        it.p[E][E] += error_v2 * (1 - factor[E] * factor[E])
        it.renewed = 1 - factor[C] * factor[C]
        it.p[C][C] += curve_v2 * it.renewed
        it.p[R][R] += t.resistance_walk * t.resistance_walk * dt_s
        it.p[H][H] += t.hysteresis_walk * t.hysteresis_walk * ((1 - keep) * (1 - keep) + (1 - keep * keep))
        it.p[K][K] += t.capacity_walk * t.capacity_walk * dt_s
        for j in range(X, self.states):
            it.p[j][j] += t.rc_walk_a * t.rc_walk_a * dt_s

    cdef inline double slope_at(self, double soc, const Warmth *at) noexcept nogil:
        cdef int j = <int>((held(soc, LEAST_SOC, MOST_SOC) - FIRST) / STEP)
        j = POINTS - 2 if j > POINTS - 2 else j
        return slope_of(self.ocv_v + at.low * POINTS, self.ocv_v + at.high * POINTS, j, at.share)

    cdef inline double curve_v2_at(self, double soc, const Warmth *at) noexcept nogil:
        """How far the OCV curve may lie from the truth, by its height and by its place."""
        cdef double own_v = self.tuned.ocv_error_v * at.worse, ocv_sigma_v = self.ocv_sigma_at(soc, at)
        cdef double beside_v = at.axis_sigma * max(self.slope_at(soc, at) - STEEP_SLOPE, 0)
        return own_v * own_v + ocv_sigma_v * ocv_sigma_v + beside_v * beside_v

    cdef inline double ocv_sigma_at(self, double soc, const Warmth *at) noexcept nogil:
        cdef double table_v = self.sigma_at(self.ocv_sigma_v, soc, at)
        return min(table_v * at.worse, table_v + at.ocv_moved_v)

    cdef inline double sigma_at(self, const double *table, double soc, const Warmth *at) noexcept nogil:
        cdef double place = (held(soc, LEAST_SOC, MOST_SOC) - FIRST) / STEP
        cdef int j = <int>place
        j = POINTS - 2 if j > POINTS - 2 else j
        return mixed(table + at.low * POINTS, table + at.high * POINTS, j, place - j, at.share)

    cdef void couple(self, Hypothesis *it, int source, const double *column) noexcept nogil:
        """P of x_new = x + column * x[source]; column[source] is 0."""
        cdef int n = self.states, j, k
        cdef double own = it.p[source][source]
        cdef double row[STATES_MAX]
        for j in range(n):
            row[j] = it.p[j][source]
        for j in range(n):
            for k in range(n):
                it.p[j][k] += column[j] * row[k] + row[j] * column[k] + column[j] * column[k] * own

    cdef void look(self, Hypothesis *it, double amps, const Warmth *at, Seen *seen) noexcept nogil:
        cdef int j, low, high
        cdef const double *cold
        cdef const double *warm
        cdef double place, f, through_a, volts, gain, ohm, drop_v = 0, gap_v, slope, inner_a, factor, surface
        cdef double steep_v = 0
        it.x[Z] = held(it.x[Z], LEAST_SOC, self.tuned.soc_frac_max)
        place = (it.x[Z] - FIRST) / STEP
        cdef int i = <int>place
        i = POINTS - 2 if i > POINTS - 2 else i
        f = place - i
        low, high = at.low * POINTS, at.high * POINTS
        volts = mixed(self.ocv_v + low, self.ocv_v + high, i, f, at.share)
        slope = slope_of(self.ocv_v + low, self.ocv_v + high, i, at.share)
        gap_v = mixed(self.hysteresis_v + low, self.hysteresis_v + high, i, f, at.share)
        slope -= it.x[H] * slope_of(self.hysteresis_v + low, self.hysteresis_v + high, i, at.share)
        through_a = amps - it.x[B]
        factor = exp(it.x[R])
        if self.lagging >= 0:
            surface = held(it.x[Z] - at.lag_per_a * it.x[self.lagging], LEAST_SOC, MOST_SOC)
            place = (surface - FIRST) / STEP
            i = <int>place
            i = POINTS - 2 if i > POINTS - 2 else i
            f = place - i
        for j in range(self.pairs + 1):
            cold = self.log_resistance + (j * self.temperatures * POINTS + low)
            warm = self.log_resistance + (j * self.temperatures * POINTS + high)
            ohm = factor * exp(mixed(cold, warm, i, f, at.log_share))
            if j == 0:
                drop_v += ohm * through_a
                if self.lagging >= 0:
                    steep_v += ohm * through_a * slope_of(cold, warm, i, at.log_share)
                seen.slope[B] = ohm
                continue
            inner_a, gain = it.x[X + j - 1], ohm
            if j == 1 and at.saturation_a < 1e5:
                inner_a = at.saturation_a * asinh(it.x[X] / at.saturation_a)
                gain = ohm / sqrt(1 + (it.x[X] / at.saturation_a) * (it.x[X] / at.saturation_a))
            drop_v += ohm * inner_a
            if self.lagging >= 0:
                steep_v += ohm * inner_a * slope_of(cold, warm, i, at.log_share)
            seen.slope[X + j - 1] = -gain
        seen.slope[Z] = slope if slope > 0 else 0
        seen.slope[E], seen.slope[C], seen.slope[R], seen.slope[H], seen.slope[K] = 1, 1, -drop_v, -gap_v, 0
        seen.steep_v = seen.slope[Z]
        if self.lagging >= 0:
            seen.steep_v = sqrt(seen.steep_v * seen.steep_v + steep_v * steep_v)
        seen.drop_v = drop_v
        seen.volts = volts - gap_v * it.x[H] - drop_v + it.x[E] + it.x[C]

    cdef void update(
        self, Hypothesis *it, double volts, double dt_s, double counts, const Warmth *at, const Seen *seen
    ) noexcept nogil:
        cdef Tuned *t = &self.tuned
        cdef int n = self.states, j, k
        cdef double gain[STATES_MAX]
        cdef double away = volts - seen.volts, spread, squared
        cdef double seconds = dt_s if dt_s > 0.05 else 1.0
        cdef double noise = t.noise_v * t.noise_v / seconds
        cdef double beside = at.axis_sigma * seen.steep_v
        cdef double ohmic = t.ohmic_frac * seen.drop_v
        noise = noise if noise > t.noise_v_min * t.noise_v_min else t.noise_v_min * t.noise_v_min
        noise += (ohmic * ohmic + beside * beside * AXIS_SECONDS) / seconds
        if dt_s == 0:
            noise = t.first_v * t.first_v + ohmic * ohmic + beside * beside
        spread = noise
        for j in range(n):
            gain[j] = 0
            for k in range(n):
                gain[j] += it.p[j][k] * seen.slope[k]
            spread += gain[j] * seen.slope[j]
        squared = away * away / spread
        it.log_weight -= 0.5 * ((t.tail + 1) * log(1 + squared / t.tail) + log(spread / noise)
                                + counts * log(noise))
        if squared > 1:
            spread *= (t.tail + squared) / (t.tail + 1)
        for j in range(n):
            it.x[j] += gain[j] / spread * away
        for j in range(n):
            for k in range(n):
                it.p[j][k] -= gain[j] * gain[k] / spread
            if it.p[j][j] < 1e-14:
                it.p[j][j] = 1e-14
        it.x[H] = held(it.x[H], -1, 1)
        it.x[R] = held(it.x[R], -MOST_LOG, MOST_LOG)
        it.x[K] = held(it.x[K], -MOST_LOG, MOST_LOG)
        if it.x[Z] < -0.03 or it.x[Z] > 1.03:
            it.log_weight -= 0.5 * seconds

    cdef void show(self) noexcept nogil:
        """Normalise the weights, then mean and spread over all hypotheses."""
        cdef int q
        cdef double best = -INFINITY, total = 0, weight, mean = 0
        cdef double bias = 0, volts = 0, drop = 0, gap = 0, factor = 0, size = 0
        for q in range(self.hypotheses):
            best = max(best, self.bank[q].log_weight)
        for q in range(self.hypotheses):
            self.bank[q].log_weight -= best
            total += exp(self.bank[q].log_weight)
        for q in range(self.hypotheses):
            weight = exp(self.bank[q].log_weight) / total
            mean += weight * self.bank[q].x[Z]
            bias += weight * self.bank[q].x[B]
            gap += weight * self.bank[q].x[H]
            factor += weight * self.bank[q].x[R]
            size += weight * self.bank[q].x[K]
            volts += weight * self.bank[q].predicted_v
            drop += weight * self.bank[q].drop_v
        self.drop_v = drop
        self.current_bias_a, self.hysteresis, self.voltage_predicted_v = bias, gap, volts
        self.soc_sigma_frac = sqrt(self.spread_of(Z, mean, total) + self.colder_sigma * self.colder_sigma)
        self.resistance_factor, self.resistance_factor_sigma = exp(factor), sqrt(self.spread_of(R, factor, total))
        self.capacity_ah = self.nominal_ah * exp(size)
        self.capacity_ah_sigma = self.capacity_ah * sqrt(self.spread_of(K, size, total))
        self.soc_frac = held(mean, 0, 1)

    cdef double spread_of(self, int state, double mean, double total) noexcept nogil:
        cdef int q
        cdef double spread = 0, away
        for q in range(self.hypotheses):
            away = self.bank[q].x[state] - mean
            spread += exp(self.bank[q].log_weight) / total * (self.bank[q].p[state][state] + away * away)
        return spread

    cdef void merge(self) noexcept nogil:
        """Drop what is too unlikely; of two hypotheses that have come together keep the likelier, with both weights."""
        cdef int q, r, kept = 0
        cdef double apart, near
        for q in range(self.hypotheses):
            if self.bank[q].log_weight >= -self.tuned.prune:
                if kept != q:
                    self.bank[kept] = self.bank[q]
                kept += 1
        self.hypotheses = kept
        q = 0
        while q < self.hypotheses:
            r = q + 1
            while r < self.hypotheses:
                apart = fabs(self.bank[q].x[Z] - self.bank[r].x[Z])
                near = 0.25 * sqrt(min(self.bank[q].p[Z][Z], self.bank[r].p[Z][Z]))
                if apart < near and apart < 0.01:
                    self.absorb(q, r)
                else:
                    r += 1
            q += 1

    cdef void absorb(self, int q, int r) noexcept nogil:
        cdef double both = log(exp(self.bank[q].log_weight) + exp(self.bank[r].log_weight))
        if self.bank[r].log_weight > self.bank[q].log_weight:
            self.bank[q] = self.bank[r]
        self.bank[q].log_weight = both
        self.hypotheses -= 1
        if r != self.hypotheses:
            self.bank[r] = self.bank[self.hypotheses]

    def rc_current_a(self):
        """Mean current behind each RC pair (A), float64[k]."""
        return self._mean(slice(X, self.states))

    def _mean(self, part):
        weights = np.exp([self.bank[q].log_weight for q in range(self.hypotheses)])
        states = np.array([[self.bank[q].x[j] for j in range(self.states)] for q in range(self.hypotheses)])
        return (weights / weights.sum()) @ states[:, part]
