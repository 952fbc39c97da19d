"""The limit solver as array expressions and plain bisection: what kernels.limits must equal."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels.cell_tables import GRID_FIRST, SOC_GRID, CellTables
from kernels.checks import Floats
from kernels.limits_model import (
    COLUMNS,
    HELD_PARTS,
    HORIZONS_S,
    SHOWN_SOC_FRAC,
    SHOWN_V_MAX,
    SIGMAS,
    SOC_SIGMAS,
    Bound,
    Integers,
    Limit,
    LimitModel,
    Window,
)

Bools = NDArray[np.bool_]

BISECTIONS = 40
LEAST_V = 1e-6
SMALLEST = float(np.finfo(np.float64).smallest_subnormal)


class LimitSolver:
    """See kernels.limits.LimitSolver."""

    def __init__(
        self,
        tables: CellTables,
        cells_n: int,
        window: Window,
        horizon_s: ArrayLike = HORIZONS_S,
        sigmas: float = SIGMAS,
        soc_sigmas: float = SOC_SIGMAS,
    ) -> None:
        self.model = LimitModel(tables, cells_n, window, horizon_s, sigmas, soc_sigmas)

    @property
    def horizon_s(self) -> Floats:
        return self.model.horizon_s

    def solve(
        self,
        soc_frac: Floats,
        soc_sigma_frac: Floats,
        resistance_factor: Floats,
        resistance_sigma_frac: Floats,
        capacity_ah: Floats,
        capacity_sigma_frac: Floats,
        temperature_degc: Floats,
        rc_current_a: Floats,
        hysteresis: float,
        voltage_v: Floats | None = None,
        current_a: float = 0.0,
        series_factor: Floats | None = None,
        series_sigma_frac: Floats | None = None,
        powers: bool = True,
    ) -> tuple[Limit, Limit]:
        model = self.model
        _check("rc_current_a", rc_current_a, model.rc_tau_s.size)
        measured_v = np.full(model.cells_n, np.nan) if voltage_v is None else voltage_v
        _check("voltage_v", measured_v, model.cells_n)
        if series_factor is not None and series_sigma_frac is None:
            raise ValueError("series_sigma_frac: expected with series_factor")
        self._apart = series_factor is not None
        series = resistance_factor if series_factor is None else series_factor
        series_sigma = resistance_sigma_frac if series_sigma_frac is None else series_sigma_frac
        known = np.ones(model.cells_n, dtype=np.bool_)
        for name, values, least in (
            ("soc_frac", soc_frac, -np.inf),
            ("soc_sigma_frac", soc_sigma_frac, 0.0),
            ("resistance_factor", resistance_factor, SMALLEST),
            ("resistance_sigma_frac", resistance_sigma_frac, 0.0),
            ("capacity_ah", capacity_ah, SMALLEST),
            ("capacity_sigma_frac", capacity_sigma_frac, 0.0),
            ("temperature_degc", temperature_degc, -np.inf),
            ("series_factor", series, SMALLEST),
            ("series_sigma_frac", series_sigma, 0.0),
        ):
            _check(name, values, model.cells_n)
            known &= np.isfinite(values) & (values >= least)
        if not (np.isfinite(rc_current_a).all() and np.isfinite(hysteresis)):
            return self._nothing(-1), self._nothing(-1)
        if not known.all():
            return self._nothing(int(known.argmin())), self._nothing(int(known.argmin()))
        self._take(resistance_factor, resistance_sigma_frac, capacity_ah, temperature_degc)
        self._series_factor = series
        self._series_spread = np.minimum(model.sigmas * series_sigma, 1)
        self._soc_frac, self._soc_sigma_frac = soc_frac, soc_sigma_frac
        self._capacity_sigma_frac = capacity_sigma_frac
        self._rc_current_a, self._hysteresis = rc_current_a, hysteresis
        self._anchor(measured_v, current_a)
        return self._limit(1.0, powers), self._limit(-1.0, powers)

    def _nothing(self, cell: int) -> Limit:
        n = self.model.horizon_s.size
        return Limit(np.zeros(n), np.zeros(n), np.full(n, int(Bound.UNKNOWN)), np.full(n, cell))

    def _take(self, factor: Floats, sigma_frac: Floats, capacity_ah: Floats, degc: Floats) -> None:
        model = self.model
        self._factor, self._factor_spread = factor, np.minimum(model.sigmas * sigma_frac, 1)
        self._capacity_as = 3600 * capacity_ah
        x = np.clip(degc - model.first_degc, 0, len(model.rows) - 1)
        j = np.minimum(x.astype(np.intp), len(model.rows) - 2)
        warm = x - j
        self._rows = (1 - warm)[:, None, None] * model.rows[j] + warm[:, None, None] * model.rows[j + 1]
        law = (1 - warm)[:, None] * model.law[j] + warm[:, None] * model.law[j + 1]
        self._rate, self._saturation_a, self._lag_per_a = law.T

    def _anchor(self, measured_v: Floats, current_a: float) -> None:
        """What each cell shows now beyond the model, and what of the errors is in it; 0 where nothing was measured."""
        *drops_v, modelled_v = self._modelled(
            self._soc_frac, np.full(self.model.cells_n, current_a), self._now_a(), self._hysteresis
        )
        seen = np.isfinite(measured_v) & np.isfinite(current_a)
        self._seen = seen.astype(np.float64)
        self._beyond_v = np.where(seen, np.clip(measured_v - modelled_v, -SHOWN_V_MAX, SHOWN_V_MAX), 0.0)
        self._series_now_v, self._pairs_now_v = (np.where(seen, drop_v, 0.0) for drop_v in drops_v)

    def _now_a(self) -> Floats:
        return np.tile(self._rc_current_a, (self.model.cells_n, 1))

    def _limit(self, sign: float, powers: bool) -> Limit:
        """`sign` is 1 for discharge, -1 for charge; arrays over [times, cells], then the least over cells and times."""
        window, time_s = self.model.window, self.model.time_s
        most_a = window.discharge_current_a_max if sign > 0 else window.charge_current_a_max
        left = self._soc_frac - window.soc_frac_min if sign > 0 else window.soc_frac_max - self._soc_frac
        left_as = np.maximum((left - self.model.soc_sigmas * self._soc_sigma_frac) * self._capacity_as, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            by_soc = left_as / time_s[:, None]
        by_soc[0] = np.inf
        most = np.minimum(by_soc.min(axis=1), most_a)
        by_voltage = np.array([self._by_voltage(sign, time, most[time]) for time in range(len(time_s))])
        by_cell = np.minimum(by_soc, by_voltage)
        cell, lowest = by_cell.argmin(axis=1), by_cell.min(axis=1)
        bound = np.where(by_voltage.min(axis=1) < by_soc.min(axis=1), int(Bound.VOLTAGE), int(Bound.SOC))
        limit = self._so_far(most_a, lowest, bound, cell)
        if powers:
            so_far = np.minimum(np.minimum.accumulate(lowest), most_a).tolist()
            held_w = [self._power(sign, each, float(left_as.min()), most_a, time) for time, each in enumerate(so_far)]
            limit.power_w[:] = np.minimum.accumulate(held_w)[1::2]
        return limit

    def _so_far(self, most_a: float, lowest: Floats, bound: Integers, cell: Integers) -> Limit:
        """The first time that allows least up to each horizon."""
        n = self.model.horizon_s.size
        limit = Limit(np.empty(n), np.full(n, np.nan), np.empty(n, np.intp), np.empty(n, np.intp))
        for k in range(n):
            first = int(lowest[: 2 * k + 2].argmin())
            free = lowest[first] >= most_a
            limit.current_a[k] = min(lowest[first], most_a)
            limit.bound[k], limit.cell[k] = (Bound.CURRENT, -1) if free else (bound[first], cell[first])
        return limit

    def _power(self, sign: float, current_a: float, left_as: float, most_a: float, time: int) -> float:
        share = self._total_v(sign * current_a, time, 1.0) / self._mean_v(sign * current_a, time)
        end_a = min(most_a, left_as / (share * self.model.time_s[time])) if time else most_a
        end_a = min(end_a, float(self._by_voltage(sign, time, end_a, share).min()))
        at_end_w = end_a * self._total_v(sign * end_a, time, share)
        power_w = min(at_end_w, share * end_a * self._mean_v(sign * share * end_a, time))
        return min(power_w, most_a * self._total_v(-most_a, 0, 1.0)) if sign < 0 else power_w

    def _mean_v(self, current_a: float, time: int) -> float:
        """Of the string over a hold of the current, by trapezoids."""
        voltage_v = []
        for part in range(HELD_PARTS + 1):
            kept, charge_as = self.model.held_decay[time, part], current_a * self.model.time_s[time] * part / HELD_PARTS
            rc_a = current_a + (self._rc_current_a - current_a) * kept
            voltage_v.append(self._at_end_v(current_a, charge_as, rc_a))
        return (sum(voltage_v) - (voltage_v[0] + voltage_v[-1]) / 2) / HELD_PARTS

    def _total_v(self, current_a: float, time: int, share: float) -> float:
        past_a = current_a * max(share, 1.0)
        rc_a = past_a + (self._rc_current_a - past_a) * self.model.rc_decay[time]
        return self._at_end_v(current_a, share * current_a * self.model.time_s[time], rc_a)

    def _at_end_v(self, current_a: float, charge_as: float, rc_a: Floats) -> float:
        """Of the string at the end of a pulse, at least; above 0."""
        cells = np.ones(self.model.cells_n)
        voltage_v = self._from(current_a * cells, charge_as * cells, np.tile(rc_a, (self.model.cells_n, 1)), -1.0)
        return max(float(voltage_v.sum()), LEAST_V)

    def _by_voltage(self, sign: float, time: int, most_a: float, share: float = 1.0) -> Floats:
        """What each cell's voltage allows at one time, infinite where that is more than `most_a`."""
        low, high = np.zeros(self.model.cells_n), np.full(self.model.cells_n, most_a)
        free = self._within(sign, high, time, share)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            within = self._within(sign, middle, time, share)
            low, high = np.where(within, middle, low), np.where(within, high, middle)
        return np.where(free, np.inf, low)

    def _within(self, sign: float, magnitude_a: Floats, time: int, share: float) -> Bools:
        voltage_v = self._voltage_v(sign * magnitude_a, time, -sign, share)
        window = self.model.window
        return np.asarray(voltage_v >= window.voltage_v_min if sign > 0 else voltage_v <= window.voltage_v_max)

    def _voltage_v(self, current_a: Floats, time: int, side: float, share: float) -> Floats:
        """Each cell's at the end of a pulse, as low (side -1) or high (1) as the errors leave it; the current was
        `share` of that in the mean."""
        past_a = current_a[:, None] * max(share, 1.0)
        rc_a = past_a + (self._rc_current_a - past_a) * self.model.rc_decay[time]
        return self._from(current_a, share * current_a * self.model.time_s[time], rc_a, side)

    def _from(self, current_a: Floats, charge_as: Floats, rc_a: Floats, side: float) -> Floats:
        moved = charge_as / self._capacity_as
        soc_frac, spread = self._soc_frac - moved, np.hypot(self._soc_sigma_frac, self._capacity_sigma_frac * moved)
        swing = np.exp(-self._rate * np.abs(moved))
        hysteresis = np.sign(current_a) + (self._hysteresis - np.sign(current_a)) * swing
        series_v, pairs_v, modelled_v = self._modelled(soc_frac, current_a, rc_a, hysteresis)
        kept = np.exp(-np.abs(moved) / SHOWN_SOC_FRAC)
        ocv_error_v = np.zeros_like(modelled_v)
        for way in (-1.0, 1.0):
            then_v = self._ocv_beside(soc_frac, way * self.model.sigmas * spread)
            now_v = self._seen * self._ocv_beside(self._soc_frac, way * self.model.sigmas * self._soc_sigma_frac)
            ocv_error_v = np.maximum(ocv_error_v, side * (then_v - kept * now_v))
        series_v, pairs_v = series_v - kept * self._series_now_v, pairs_v - kept * self._pairs_now_v
        drop_error_v = self._factor_spread * (series_v + pairs_v)
        if self._apart:
            drop_error_v = np.hypot(self._series_spread * series_v, self._factor_spread * pairs_v)
        return np.asarray(modelled_v + kept * self._beyond_v + side * np.hypot(ocv_error_v, drop_error_v))

    def _ocv_beside(self, soc_frac: Floats, away_frac: Floats) -> Floats:
        return np.asarray(self._at(soc_frac + away_frac)[:, 0] - self._at(soc_frac)[:, 0])

    def _modelled(
        self, soc_frac: Floats, current_a: Floats, rc_a: Floats, hysteresis: Floats | float
    ) -> tuple[Floats, Floats, Floats]:
        """Of each cell: the drop of R0, that of the pairs, and the voltage."""
        at, pair = self._at(soc_frac), self.model.lag_pair
        surface = at if pair is None else self._at(soc_frac - self._lag_per_a * rc_a[:, pair])
        transfer_a = rc_a.copy()
        if rc_a.shape[1]:
            transfer_a[:, 0] = self._saturation_a * np.arcsinh(rc_a[:, 0] / self._saturation_a)
        series_v = self._series_factor * surface[:, 2] * current_a
        pairs_v = np.asarray(self._factor * (surface[:, COLUMNS:] * transfer_a).sum(axis=1))
        return series_v, pairs_v, at[:, 0] - at[:, 1] * hysteresis - series_v - pairs_v

    def _at(self, soc_frac: Floats) -> Floats:
        """Every table of each cell at its SoC, linear between points, [cells, columns]."""
        x = np.clip((soc_frac - GRID_FIRST) * self.model.grid_per_soc, 0, SOC_GRID.size - 1)
        j = np.minimum(x.astype(np.intp), SOC_GRID.size - 2)
        part = (x - j)[:, None]
        cells = np.arange(self.model.cells_n)
        return np.asarray((1 - part) * self._rows[cells, j] + part * self._rows[cells, j + 1])


def _check(name: str, values: Floats, n: int) -> None:
    if values.shape != (n,):
        raise ValueError(f"{name}: got {values.size} values, expected {n}")
