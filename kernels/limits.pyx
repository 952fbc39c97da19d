# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Current and power that a string can hold for given times before a cell leaves its window; twin:
kernels.reference.limits."""

from libc.math cimport INFINITY, asinh, exp, fabs, fmax, fmin, isfinite, sqrt

import numpy as np

from kernels.cell_tables import GRID_FIRST, SOC_GRID
from kernels.limits_model import (
    HELD_PARTS,
    HORIZONS_S,
    SHOWN_SOC_FRAC,
    SHOWN_V_MAX,
    SIGMAS,
    SOC_SIGMAS,
    Bound,
    Limit,
    LimitModel,
)

__all__ = ["LimitSolver"]

cdef enum:
    PAIRS = 8               # kernels.limits_model.PAIRS_MAX
    OCV = 0
    HYSTERESIS = 1
    OHMIC = 2
    FIRST_PAIR = 3          # kernels.limits_model.COLUMNS
    ITERATIONS = 80         # every third halves the bracket: enough for a millionth

cdef int PARTS = HELD_PARTS
cdef double TOLERANCE_FRAC = 1e-6
cdef double LEAST_V = 1e-6
cdef double FIRST_SOC = GRID_FIRST
cdef double SHOWN_SOC = SHOWN_SOC_FRAC
cdef double SHOWN_MOST_V = SHOWN_V_MAX
cdef Py_ssize_t LAST_POINT = SOC_GRID.size - 1
cdef Py_ssize_t CURRENT_BINDS = Bound.CURRENT
cdef Py_ssize_t VOLTAGE_BINDS = Bound.VOLTAGE
cdef Py_ssize_t SOC_BINDS = Bound.SOC
cdef Py_ssize_t UNKNOWN_BINDS = Bound.UNKNOWN


cdef struct Drop:
    double series_v
    double pairs_v


cdef struct Cell:
    double soc_frac
    double soc_spread       # the errors that are reckoned with: of SoC,
    double window_spread    # of SoC where it is held against the SoC window,
    double factor_spread    # of the pairs' resistance, as a share,
    double series_spread    # of the series resistance, as a share; negative = the same error as the pairs',
    double capacity_spread  # of the capacity, as a share
    double factor           # of the pairs' resistance
    double series_factor    # of the series resistance
    double soc_per_as
    double swing_per_as     # of the hysteresis
    double saturation_a
    double lag_per_a        # of the SoC of the resistances, by the current behind the lagging pair
    double warm             # share of the warmer row
    double beyond_v         # what it shows now beyond the model; with it is known of the errors:
    Drop drop               # the drop now,
    double[2] beside_v      # and the OCV's difference to a SoC that is too high and too low (negative)
    const double *row       # tables at the next colder temperature


cdef struct Pulse:
    double current_a        # positive on discharge
    double charge_as
    double towards          # where the hysteresis goes
    double hysteresis       # where it starts
    double saturation_a     # cell for which transfer_a was computed
    double transfer_a       # f of the first pair's current
    double[PAIRS] rc_current_a
    int pairs
    int lagging             # pair, -1 = none
    Py_ssize_t row_size
    double grid_per_soc


cdef struct Place:          # between two points of SoC and two temperatures
    const double *colder
    const double *warmer
    Py_ssize_t width
    double[4] share


cdef struct Best:
    double current_a
    Py_ssize_t bound
    Py_ssize_t cell


cdef inline double at(Py_ssize_t column, const Place *place) noexcept nogil:
    cdef const double *a = place.colder + column
    cdef const double *b = place.warmer + column
    return (
        place.share[0] * a[0] + place.share[1] * a[place.width] + place.share[2] * b[0]
        + place.share[3] * b[place.width]
    )


cdef inline double transfer(const Cell *cell, Pulse *pulse) noexcept nogil:
    """Computed anew only where the saturation current differs from the last cell's."""
    if cell.saturation_a != pulse.saturation_a:
        pulse.saturation_a = cell.saturation_a
        pulse.transfer_a = cell.saturation_a * asinh(pulse.rc_current_a[0] / cell.saturation_a)
    return pulse.transfer_a


cdef inline double clipped(double x, double last) noexcept nogil:
    """Within 0 and `last`; NaN becomes 0, so that it never is an index."""
    return (x if x < last else last) if x > 0 else 0


cdef inline Place place_at(const Cell *cell, double soc_frac, const Pulse *pulse) noexcept nogil:
    cdef double x = clipped((soc_frac - FIRST_SOC) * pulse.grid_per_soc, LAST_POINT)
    cdef Py_ssize_t j = <Py_ssize_t>x - (x >= LAST_POINT)
    cdef double part = x - j, warm = cell.warm
    cdef Place place
    place.width = FIRST_PAIR + pulse.pairs
    place.colder = cell.row + j * place.width
    place.warmer = place.colder + pulse.row_size
    place.share = [(1 - part) * (1 - warm), part * (1 - warm), (1 - part) * warm, part * warm]
    return place


cdef inline double modelled(
    Cell *cell, double soc_frac, const Place *place, double hysteresis, Pulse *pulse, Drop *drop
) noexcept nogil:
    cdef int k
    cdef Place surface = place[0]
    if pulse.lagging >= 0:
        surface = place_at(cell, soc_frac - cell.lag_per_a * pulse.rc_current_a[pulse.lagging], pulse)
    drop.series_v = cell.series_factor * at(OHMIC, &surface) * pulse.current_a
    drop.pairs_v = 0
    if pulse.pairs > 0:
        drop.pairs_v = at(FIRST_PAIR, &surface) * transfer(cell, pulse)
    for k in range(1, pulse.pairs):
        drop.pairs_v += at(FIRST_PAIR + k, &surface) * pulse.rc_current_a[k]
    drop.pairs_v *= cell.factor
    return at(OCV, place) - at(HYSTERESIS, place) * hysteresis - drop.series_v - drop.pairs_v


cdef inline double beside(const Cell *cell, double soc_frac, double away_frac, const Pulse *pulse) noexcept nogil:
    """How much higher the OCV is at a SoC away from this one."""
    cdef Place here = place_at(cell, soc_frac, pulse), there = place_at(cell, soc_frac + away_frac, pulse)
    return at(OCV, &there) - at(OCV, &here)


cdef inline double voltage_at(Cell *cell, Pulse *pulse, int side) noexcept nogil:
    """At the end of the pulse, as low (side -1) or high (1) as the errors leave it. They are independent: what SoC and
    capacity, and what resistances may be wrong by, add as squares. An error shows already now, if a voltage was
    measured: only the difference counts."""
    cdef double moved = pulse.charge_as * cell.soc_per_as, astray = cell.capacity_spread * moved
    cdef double spread = sqrt(cell.soc_spread * cell.soc_spread + astray * astray)
    cdef double soc_frac = cell.soc_frac - moved, kept = exp(-fabs(moved) / SHOWN_SOC)
    cdef Place place = place_at(cell, soc_frac, pulse)
    cdef double swing = exp(-cell.swing_per_as * fabs(pulse.charge_as)), ocv_error_v, series_error_v, pairs_error_v
    cdef double hysteresis = pulse.towards + (pulse.hysteresis - pulse.towards) * swing
    cdef Drop drop
    cdef double volts = modelled(cell, soc_frac, &place, hysteresis, pulse, &drop) + kept * cell.beyond_v
    ocv_error_v = fmax(
        side * (beside(cell, soc_frac, spread, pulse) - kept * cell.beside_v[0]),
        side * (beside(cell, soc_frac, -spread, pulse) - kept * cell.beside_v[1]),
    )
    ocv_error_v = fmax(ocv_error_v, 0)
    series_error_v = drop.series_v - kept * cell.drop.series_v
    pairs_error_v = cell.factor_spread * (drop.pairs_v - kept * cell.drop.pairs_v)
    if cell.series_spread < 0:
        series_error_v = cell.factor_spread * series_error_v + pairs_error_v
        pairs_error_v = 0
    else:
        series_error_v *= cell.series_spread
    return volts + side * sqrt(
        ocv_error_v * ocv_error_v + series_error_v * series_error_v + pairs_error_v * pairs_error_v
    )


cdef class LimitSolver:
    """One string of n cells of one type in series: the largest current and power that can be held up to each horizon
    before a cell's voltage or SoC leaves its window or the string's current its bound.

    `tables` are the cells' model (kernels.cell_tables), `window` (kernels.limits_model.Window) what may not be left,
    `horizon_s` the times, rising. Each cell's voltage is taken `sigmas` of its errors worse than estimated: of SoC, of
    the charge moved (capacity) and of resistance. SoC is held against its window `soc_sigmas` worse than estimated.

    A direction looks at the bounds that it moves towards: a cell that is too full may be discharged. Temperature counts
    through the tables only and is taken to stay. A relaxation much slower than the tables' slowest pair is unknown to
    the solver and makes long limits too high. More current must mean a lower voltage: R may not fall steeply where the
    current drives the SoC. Raises ValueError for parameters that cannot be."""

    cdef readonly object horizon_s
    cdef object model, buffer, held
    cdef Py_ssize_t cells_n, times_n
    cdef Cell *cells
    cdef const double *rows
    cdef const double *law
    cdef const double *time_s
    cdef const double *decay
    cdef const double *held_decay
    cdef double first_degc, sigmas, soc_sigmas, voltage_v_min, voltage_v_max, soc_frac_min, soc_frac_max
    cdef Py_ssize_t rows_n
    cdef Pulse pulse
    cdef double[PAIRS] rc_current_a
    cdef double charge_share   # mean current of a hold by that at its end: 1 = a held current

    def __cinit__(self, tables, cells_n, window, horizon_s=HORIZONS_S, sigmas=SIGMAS, soc_sigmas=SOC_SIGMAS):
        model = LimitModel(tables, cells_n, window, horizon_s, sigmas, soc_sigmas)
        cdef const double[:, :, ::1] rows = model.rows
        cdef const double[:, ::1] law = model.law
        cdef const double[::1] times = model.time_s
        cdef const double[:, ::1] decay = np.pad(model.rc_decay, ((0, 0), (0, PAIRS - model.rc_tau_s.size)))
        no_pairs = ((0, 0), (0, 0), (0, PAIRS - model.rc_tau_s.size))
        cdef const double[:, :, ::1] held_decay = np.pad(model.held_decay, no_pairs)
        cdef unsigned char[::1] buffer = np.zeros(model.cells_n * sizeof(Cell), np.uint8)
        self.model, self.buffer, self.held = model, buffer, (rows, law, times, decay, held_decay)
        self.horizon_s = model.horizon_s
        self.horizon_s.flags.writeable = False
        self.cells_n, self.times_n, self.rows_n = model.cells_n, times.shape[0], rows.shape[0]
        self.cells = <Cell *>&buffer[0]
        self.rows, self.law, self.time_s, self.decay = &rows[0, 0, 0], &law[0, 0], &times[0], &decay[0, 0]
        self.held_decay, self.charge_share = &held_decay[0, 0, 0], 1
        self.first_degc, self.sigmas, self.soc_sigmas = model.first_degc, model.sigmas, model.soc_sigmas
        self.voltage_v_min, self.voltage_v_max = window.voltage_v_min, window.voltage_v_max
        self.soc_frac_min, self.soc_frac_max = window.soc_frac_min, window.soc_frac_max
        self.pulse.pairs = model.rc_tau_s.size
        self.pulse.lagging = -1 if model.lag_pair is None else model.lag_pair
        self.pulse.row_size = rows.shape[1] * rows.shape[2]
        self.pulse.grid_per_soc = model.grid_per_soc

    def solve(
        self,
        const double[:] soc_frac not None,
        const double[:] soc_sigma_frac not None,
        const double[:] resistance_factor not None,
        const double[:] resistance_sigma_frac not None,
        const double[:] capacity_ah not None,
        const double[:] capacity_sigma_frac not None,
        const double[:] temperature_degc not None,
        const double[:] rc_current_a not None,
        double hysteresis,
        const double[:] voltage_v=None,
        double current_a=0.0,
        const double[:] series_factor=None,
        const double[:] series_sigma_frac=None,
        bint powers=True,
    ):
        """(discharge, charge), each a kernels.limits_model.Limit. One value a cell, but for the currents behind the RC
        pairs and the hysteresis (+1 after discharge), which the string shares. Current is positive on discharge.

        `voltage_v`: what each cell shows now, at `current_a`. What the model says less is added to what it foretells,
        and fades as charge moves; of the errors then counts what does not show yet. NaN = not measured.

        `series_factor` and its `series_sigma_frac`: of R0, where it is known apart from the pairs; then the errors of
        both are independent, too.

        Holding the power leaves no window either, whose current changes as the voltage does: it is followed at the
        lowest voltages that the string may have. Without `powers` they are NaN, which takes a tenth of the time.

        A value that is absent (NaN) or cannot be gives 0 A in both
        directions. ValueError for other lengths."""
        cdef Py_ssize_t unknown
        self.check("soc_frac", soc_frac.shape[0], self.cells_n)
        self.check("soc_sigma_frac", soc_sigma_frac.shape[0], self.cells_n)
        self.check("resistance_factor", resistance_factor.shape[0], self.cells_n)
        self.check("resistance_sigma_frac", resistance_sigma_frac.shape[0], self.cells_n)
        self.check("capacity_ah", capacity_ah.shape[0], self.cells_n)
        self.check("capacity_sigma_frac", capacity_sigma_frac.shape[0], self.cells_n)
        self.check("temperature_degc", temperature_degc.shape[0], self.cells_n)
        self.check("rc_current_a", rc_current_a.shape[0], self.pulse.pairs)
        if voltage_v is not None:
            self.check("voltage_v", voltage_v.shape[0], self.cells_n)
        if series_factor is not None:
            self.check("series_factor", series_factor.shape[0], self.cells_n)
            if series_sigma_frac is None:
                raise ValueError("series_sigma_frac: expected with series_factor")
            self.check("series_sigma_frac", series_sigma_frac.shape[0], self.cells_n)
        unknown = self.take_string(rc_current_a, hysteresis)
        if unknown == self.cells_n:
            unknown = self.take_cells(
                soc_frac, soc_sigma_frac, resistance_factor, resistance_sigma_frac, capacity_ah, capacity_sigma_frac,
                temperature_degc,
            )
        if unknown == self.cells_n:
            unknown = self.take_series(series_factor, series_sigma_frac)
        if unknown < self.cells_n:
            return self.nothing(unknown), self.nothing(unknown)
        self.take_shown(voltage_v, current_a)
        return self.limit_of(False, self.model.window.discharge_current_a_max, powers), self.limit_of(
            True, self.model.window.charge_current_a_max, powers
        )

    cdef check(self, name, Py_ssize_t got, Py_ssize_t expected):
        if got != expected:
            raise ValueError(f"{name}: got {got} values, expected {expected}")

    cdef nothing(self, Py_ssize_t cell):
        n = self.horizon_s.size
        return Limit(np.zeros(n), np.zeros(n), np.full(n, UNKNOWN_BINDS, np.intp), np.full(n, cell, np.intp))

    cdef Py_ssize_t take_string(self, const double[:] rc_current_a, double hysteresis) noexcept nogil:
        """-1 where one of the string's values is unknown, else n."""
        cdef int j
        for j in range(self.pulse.pairs):
            self.rc_current_a[j] = rc_current_a[j]
            if not isfinite(rc_current_a[j]):
                return -1
        self.pulse.hysteresis = hysteresis
        return self.cells_n if isfinite(hysteresis) else -1

    cdef Py_ssize_t take_cells(
        self,
        const double[:] soc_frac,
        const double[:] soc_sigma_frac,
        const double[:] factor,
        const double[:] factor_sigma_frac,
        const double[:] capacity_ah,
        const double[:] capacity_sigma_frac,
        const double[:] temperature_degc,
    ) noexcept nogil:
        """The first cell of which something is unknown, else n."""
        cdef Py_ssize_t k
        for k in range(self.cells_n):
            if not (
                isfinite(soc_frac[k]) and isfinite(temperature_degc[k])
                and 0 < factor[k] < INFINITY and 0 < capacity_ah[k] < INFINITY
                and 0 <= soc_sigma_frac[k] < INFINITY and 0 <= factor_sigma_frac[k] < INFINITY
                and 0 <= capacity_sigma_frac[k] < INFINITY
            ):
                return k
            self.take_temperature(&self.cells[k], temperature_degc[k])
            self.cells[k].soc_frac = soc_frac[k]
            self.cells[k].soc_spread = self.sigmas * soc_sigma_frac[k]
            self.cells[k].window_spread = self.soc_sigmas * soc_sigma_frac[k]
            self.cells[k].factor = factor[k]
            self.cells[k].factor_spread = fmin(self.sigmas * factor_sigma_frac[k], 1)
            self.cells[k].capacity_spread = self.sigmas * capacity_sigma_frac[k]
            self.cells[k].soc_per_as = 1 / (3600 * capacity_ah[k])
            self.cells[k].swing_per_as *= self.cells[k].soc_per_as
        return self.cells_n

    cdef Py_ssize_t take_series(self, const double[:] factor, const double[:] sigma_frac) noexcept nogil:
        """As `take_cells`, after it."""
        cdef Py_ssize_t k
        for k in range(self.cells_n):
            if factor is None:
                self.cells[k].series_factor, self.cells[k].series_spread = self.cells[k].factor, -1
                continue
            if not (0 < factor[k] < INFINITY and 0 <= sigma_frac[k] < INFINITY):
                return k
            self.cells[k].series_factor = factor[k]
            self.cells[k].series_spread = fmin(self.sigmas * sigma_frac[k], 1)
        return self.cells_n

    cdef void take_shown(self, const double[:] voltage_v, double current_a) noexcept nogil:
        cdef Py_ssize_t k
        cdef double spread, volts
        cdef Cell *cell
        cdef Place place
        self.pulse.current_a, self.pulse.saturation_a = current_a, 0
        for k in range(self.pulse.pairs):
            self.pulse.rc_current_a[k] = self.rc_current_a[k]
        for k in range(self.cells_n):
            cell = &self.cells[k]
            cell.beyond_v = cell.beside_v[0] = cell.beside_v[1] = 0
            cell.drop = Drop(0, 0)
            if voltage_v is None or not isfinite(voltage_v[k]) or not isfinite(current_a):
                continue
            place = place_at(cell, cell.soc_frac, &self.pulse)
            volts = modelled(cell, cell.soc_frac, &place, self.pulse.hysteresis, &self.pulse, &cell.drop)
            cell.beyond_v = fmin(fmax(voltage_v[k] - volts, -SHOWN_MOST_V), SHOWN_MOST_V)
            spread = cell.soc_spread
            cell.beside_v[0] = beside(cell, cell.soc_frac, spread, &self.pulse)
            cell.beside_v[1] = beside(cell, cell.soc_frac, -spread, &self.pulse)

    cdef inline void take_temperature(self, Cell *cell, double degc) noexcept nogil:
        cdef double x = clipped(degc - self.first_degc, self.rows_n - 1)
        cdef Py_ssize_t j = <Py_ssize_t>x - (x >= self.rows_n - 1)
        cdef double warm = x - j
        cell.warm = warm
        cell.row = self.rows + j * self.pulse.row_size
        cell.swing_per_as = (1 - warm) * self.law[3 * j] + warm * self.law[3 * j + 3]
        cell.saturation_a = (1 - warm) * self.law[3 * j + 1] + warm * self.law[3 * j + 4]
        cell.lag_per_a = (1 - warm) * self.law[3 * j + 2] + warm * self.law[3 * j + 5]

    cdef limit_of(self, bint charge, double current_a_max, bint powers):
        n = self.horizon_s.size
        limit = Limit(np.zeros(n), np.full(n, np.nan), np.zeros(n, np.intp), np.zeros(n, np.intp))
        cdef double[::1] current_a = limit.current_a
        cdef double[::1] power_w = limit.power_w
        cdef Py_ssize_t[::1] bound = limit.bound
        cdef Py_ssize_t[::1] cell = limit.cell
        with nogil:
            self.run(charge, current_a_max, powers, current_a, power_w, bound, cell)
        return limit

    cdef void run(
        self, bint charge, double current_a_max, bint powers, double[::1] current_a, double[::1] power_w,
        Py_ssize_t[::1] bound, Py_ssize_t[::1] cell,
    ) noexcept nogil:
        """Each time can only narrow what the earlier ones left; the horizons are every second time from 1 on."""
        cdef Best best = Best(current_a_max, CURRENT_BINDS, -1)
        cdef Best charge_as = self.soc_left(charge)
        cdef double tolerance_a = TOLERANCE_FRAC * current_a_max, power = INFINITY
        cdef Py_ssize_t time, k
        for time in range(self.times_n):
            if charge_as.current_a < best.current_a * self.time_s[time]:
                best = Best(charge_as.current_a / self.time_s[time], SOC_BINDS, charge_as.cell)
            self.narrow(&best, time, charge, tolerance_a)
            if powers:
                power = fmin(self.power(best.current_a, charge_as.current_a, current_a_max, time, charge), power)
            if time % 2:
                k = time // 2
                current_a[k], bound[k], cell[k] = best.current_a, best.bound, best.cell
                if powers:
                    power_w[k] = power

    cdef Best soc_left(self, bint charge) noexcept nogil:
        """Charge (A s) until the first cell is at its SoC bound, at least 0."""
        cdef Best least = Best(INFINITY, SOC_BINDS, -1)
        cdef double left, left_as
        cdef Py_ssize_t k
        for k in range(self.cells_n):
            if charge:
                left = self.soc_frac_max - self.cells[k].soc_frac
            else:
                left = self.cells[k].soc_frac - self.soc_frac_min
            left_as = (left - self.cells[k].window_spread) / self.cells[k].soc_per_as
            if left_as < least.current_a:
                least = Best(left_as, SOC_BINDS, k)
        least.current_a = fmax(least.current_a, 0)
        return least

    cdef void narrow(self, Best *best, Py_ssize_t time, bint charge, double tolerance_a) noexcept nogil:
        """To what the voltages allow at this time; the cell that bound last is asked first, so that few others have to
        be solved for."""
        cdef Py_ssize_t k
        if best.cell >= 0:
            self.narrow_by(best, best.cell, time, charge, tolerance_a)
        self.set_pulse(best.current_a, time, charge)
        for k in range(self.cells_n):
            if not self.margin(k, charge) >= 0:
                self.narrow_by(best, k, time, charge, tolerance_a)
                self.set_pulse(best.current_a, time, charge)

    cdef void narrow_by(
        self, Best *best, Py_ssize_t cell, Py_ssize_t time, bint charge, double tolerance_a
    ) noexcept nogil:
        """The largest current of one cell by regula falsi that halves now and then; its safe side is taken. NaN fails
        every comparison: where no voltage can be told, no current is allowed."""
        cdef double low = 0, high = best.current_a, middle, margin, at_low, at_high
        cdef int step
        at_high = self.margin_at(high, cell, time, charge)
        if at_high >= 0:
            return
        best.bound, best.cell, best.current_a = VOLTAGE_BINDS, cell, 0
        at_low = self.margin_at(0, cell, time, charge)
        if not at_low >= 0:
            return
        for step in range(ITERATIONS):
            if high - low <= tolerance_a:
                break
            middle = (low + high) / 2 if step % 3 == 2 else low + (high - low) * at_low / (at_low - at_high)
            margin = self.margin_at(middle, cell, time, charge)
            if margin >= 0:
                low, at_low, at_high = middle, margin, at_high / 2
            else:
                high, at_high, at_low = middle, margin, at_low / 2
        best.current_a = low

    cdef inline double margin_at(self, double current_a, Py_ssize_t cell, Py_ssize_t time, bint charge) noexcept nogil:
        self.set_pulse(current_a, time, charge)
        return self.margin(cell, charge)

    cdef inline double margin(self, Py_ssize_t cell, bint charge) noexcept nogil:
        """Volts to the bound that the current moves towards."""
        cdef double voltage_v = voltage_at(&self.cells[cell], &self.pulse, 1 if charge else -1)
        return self.voltage_v_max - voltage_v if charge else voltage_v - self.voltage_v_min

    cdef inline void set_pulse(self, double magnitude_a, Py_ssize_t time, bint charge) noexcept nogil:
        """The current at the end; a pair never carries more than the larger of it and the mean."""
        cdef const double *decay = self.decay + time * PAIRS
        cdef double current_a = -magnitude_a if charge else magnitude_a
        cdef double past_a = current_a * fmax(self.charge_share, 1)
        cdef int j
        self.pulse.current_a = current_a
        self.pulse.charge_as = self.charge_share * current_a * self.time_s[time]
        self.pulse.towards = -1 if charge else 1
        self.pulse.saturation_a = 0
        for j in range(self.pulse.pairs):
            self.pulse.rc_current_a[j] = past_a + (self.rc_current_a[j] - past_a) * decay[j]

    cdef double power(
        self, double current_a, double charge_as, double current_a_max, Py_ssize_t time, bint charge
    ) noexcept nogil:
        """The largest that can be held up to a time for which the held current is known; `charge_as` flows at most.

        With a held power the current goes as 1/V: its mean by that at the end is the end's voltage by the mean over the
        charge, which the hold of the current tells. What the cells then allow at the end is solved for as a current is.
        The power passes neither that current nor the charge with it."""
        cdef double power, mean_a
        cdef Best end = Best(current_a_max, CURRENT_BINDS, -1)
        self.charge_share = self.total_v(current_a, time, charge) / self.mean_v(current_a, time, charge)
        if self.charge_share > 0 and self.time_s[time] > 0:
            end.current_a = fmin(current_a_max, charge_as / (self.charge_share * self.time_s[time]))
        self.narrow(&end, time, charge, TOLERANCE_FRAC * current_a_max)
        mean_a = self.charge_share * end.current_a
        power = end.current_a * self.total_v(end.current_a, time, charge)
        self.charge_share = 1
        power = fmin(power, mean_a * self.mean_v(mean_a, time, charge))
        if charge:
            power = fmin(power, current_a_max * self.total_v(current_a_max, 0, charge))
        return fmax(power, 0)

    cdef double mean_v(self, double current_a, Py_ssize_t time, bint charge) noexcept nogil:
        """Of the string over a hold of the current, by trapezoids."""
        cdef const double *decay = self.held_decay + time * (PARTS + 1) * PAIRS
        cdef double signed_a = -current_a if charge else current_a, total = 0
        cdef int part, j
        self.set_pulse(current_a, time, charge)
        for part in range(PARTS + 1):
            self.pulse.charge_as = signed_a * self.time_s[time] * part / PARTS
            self.pulse.saturation_a = 0
            for j in range(self.pulse.pairs):
                self.pulse.rc_current_a[j] = signed_a + (self.rc_current_a[j] - signed_a) * decay[part * PAIRS + j]
            total += (0.5 if part == 0 or part == PARTS else 1) * self.pulse_v()
        return total / PARTS

    cdef double total_v(self, double current_a, Py_ssize_t time, bint charge) noexcept nogil:
        self.set_pulse(current_a, time, charge)
        return self.pulse_v()

    cdef inline double pulse_v(self) noexcept nogil:
        """The string's at the end of the pulse, at least; above 0."""
        cdef double total_v = 0
        cdef Py_ssize_t k
        for k in range(self.cells_n):
            total_v += voltage_at(&self.cells[k], &self.pulse, -1)
        return fmax(total_v, LEAST_V)
