"""NumPy twin of kernels.bank: the same filters, all hypotheses at once, for tests and for reading."""

import math

import numpy as np

from kernels.bank_model import (
    AXIS_S,
    AXIS_WORSE_SHARE,
    BIAS,
    CAPACITY,
    COLDER_SIGMA_PER_K,
    COUNT_S,
    ERROR,
    EXTRAPOLATED_COLD_K,
    EXTRAPOLATED_WARM_K,
    FIRST_RC,
    HYSTERESIS,
    LOAD_PER_H,
    LOG_FACTOR_MAX,
    OCV_ERROR,
    OCV_MOVED_V_PER_K,
    RESISTANCE,
    SOC,
    SOC_MAX,
    SOC_MIN,
    STEEP_V,
    UNTOLD_SIGMA_FRAC,
    WORSE_MAX,
    BankModel,
    Floats,
    Tuning,
)
from kernels.cell_tables import GRID_FIRST, GRID_LAST, GRID_POINTS, CellTables, surface_lag_h

STEP = (GRID_LAST - GRID_FIRST) / (GRID_POINTS - 1)


class Warmth:
    """Where a temperature lies between the tables' rows."""

    def __init__(self, model: BankModel, degc: float) -> None:
        low_degc, high_degc = model.cell.temperature_measured_degc
        self.outside_k = max(low_degc - degc, model.tuning.warm_share * (degc - high_degc), 0.0)
        self.worse = min(1 + model.tuning.error_per_k * self.outside_k, WORSE_MAX)
        self.ocv_moved_v = OCV_MOVED_V_PER_K * max(low_degc - degc, degc - high_degc, 0.0)
        self.axis_sigma = model.tuning.axis_sigma * (1 + AXIS_WORSE_SHARE * (self.worse - 1))
        inverse_k = model.inverse_k
        self.low, self.high, self.log_share = 0, 0, 0.0
        kelvin = np.clip(degc + 273.15, 1 / inverse_k[0] - EXTRAPOLATED_COLD_K, 1 / inverse_k[-1] + EXTRAPOLATED_WARM_K)
        if len(inverse_k) > 1:
            self.low = min(int((1 / (degc + 273.15) < inverse_k[1:-1]).sum()), len(inverse_k) - 2)
            self.high = self.low + 1
            self.log_share = float((1 / kelvin - inverse_k[self.low]) / (inverse_k[self.high] - inverse_k[self.low]))
        self.share = min(max(self.log_share, 0.0), 1.0)
        self.lag_per_a = surface_lag_h(model.cell.surface_lag_h, float(kelvin) - 273.15) / model.cell.capacity_ah
        unsure = self.between(model.cell.resistance_sigma_frac)
        self.drop_share = 0.5 * unsure * (unsure / UNTOLD_SIGMA_FRAC) ** 2
        self.drop_share += model.tuning.drop_per_k * self.outside_k
        self.rate = self.between(model.cell.hysteresis_rate)
        self.efficiency = self.between(model.cell.coulombic_efficiency)
        self.self_discharge_per_h = self.between(model.cell.self_discharge_per_h)
        rows = model.log_saturation
        self.saturation_a = math.exp(rows[self.low] * (1 - self.log_share) + rows[self.high] * self.log_share)

    def between(self, rows: Floats) -> float:
        return float(rows[self.low] * (1 - self.share) + rows[self.high] * self.share)

    def ocv_sigma_v(self, table_v: Floats) -> Floats:
        """From what the table says."""
        return np.minimum(table_v * self.worse, table_v + self.ocv_moved_v)

    def row(self, table: Floats) -> Floats:
        """One table's row at this temperature, [221]."""
        return np.asarray(table[self.low] * (1 - self.share) + table[self.high] * self.share)

    def log_row(self, table: Floats) -> Floats:
        return np.asarray(table[self.low] * (1 - self.log_share) + table[self.high] * self.log_share)


class SocBank:
    """As kernels.bank.SocBank."""

    def __init__(self, cell: CellTables, tuning: Tuning | None = None) -> None:
        self.model = BankModel(cell, tuning)
        self._nominal_ah = cell.capacity_ah
        self.start()

    def start(self, soc_frac: float | None = None, sigma_frac: float = 0.3) -> None:
        if soc_frac is not None and not 0 <= soc_frac <= 1:
            raise ValueError(f"soc_frac: got {soc_frac}, expected 0 to 1")
        if not 0 < sigma_frac <= 0.5:
            raise ValueError(f"sigma_frac: got {sigma_frac}, expected above 0, at most 0.5")
        places, weights, sigma = self.model.start(soc_frac, sigma_frac)
        tuning, states = self.model.tuning, self.model.states
        own = np.full(states, tuning.rc_sigma_per_h * self._nominal_ah)
        own[BIAS] = tuning.bias_sigma_per_h * self._nominal_ah
        own[ERROR], own[OCV_ERROR], own[RESISTANCE] = (
            tuning.model_error_v,
            tuning.ocv_error_v,
            self.model.resistance_sigma,
        )
        own[HYSTERESIS], own[CAPACITY] = tuning.hysteresis_sigma, self.model.capacity_sigma
        self._x = np.zeros((len(places), states))
        self._x[:, SOC] = places
        self._x[:, HYSTERESIS] = tuning.hysteresis_end * (
            np.clip(1 - places / 0.1, 0, 1) - np.clip(1 - (1 - places) / 0.1, 0, 1)
        )
        self._p = np.repeat(np.diag(own**2)[None], len(places), axis=0)
        self._p[:, SOC, SOC] = sigma**2
        self._log_weight = np.log(weights)
        self._predicted_v = np.zeros(len(places))
        self._drop_v = np.zeros(len(places))
        self._since_merge_s = self._colder_sigma = 0.0
        self._first = True
        self._show()
        self.voltage_predicted_v = math.nan

    @property
    def hypotheses(self) -> int:
        return len(self._x)

    def step(self, voltage_v: float, current_a: float, charge_ah: float, temperature_degc: float, dt_s: float) -> None:
        if not (math.isfinite(current_a) and math.isfinite(charge_ah) and math.isfinite(temperature_degc)):
            raise ValueError(f"got current_a {current_a}, charge_ah {charge_ah}, temperature_degc {temperature_degc}")
        if not (math.isfinite(dt_s) and dt_s >= 0):
            raise ValueError(f"dt_s: got {dt_s}, expected a finite value of at least 0")
        at = Warmth(self.model, temperature_degc)
        self._colder_sigma = COLDER_SIGMA_PER_K * max(
            self.model.cell.temperature_measured_degc[0] - temperature_degc, 0.0
        )
        if self._first:
            self._settle(current_a, at)
        if dt_s > 0:
            self._predict(charge_ah, dt_s, at)
        volts, slope, drop_v, steep_v = self._look(current_a, at)
        if dt_s > 0:
            self._p[:, OCV_ERROR, OCV_ERROR] += (at.drop_share * drop_v) ** 2 * self._renewed
        self._predicted_v, self._drop_v = volts, drop_v
        if math.isfinite(voltage_v):
            load = (current_a / (LOAD_PER_H * self._nominal_ah)) ** 4
            counts = self.model.tuning.noise_weight * load / (1 + load) * min(dt_s / COUNT_S, 1.0) if dt_s > 0 else 1.0
            self._update(voltage_v, dt_s, volts, slope, drop_v, steep_v, counts, at)
        self._since_merge_s += dt_s
        self._show()
        if self._since_merge_s >= self.model.tuning.merge_s:
            self._since_merge_s = 0.0
            self._merge()

    def gap(self, dt_s: float, charge_sigma_ah: float, current_sigma_a: float) -> None:
        if not (dt_s >= 0 and charge_sigma_ah >= 0 and current_sigma_a >= 0):
            raise ValueError(f"got dt_s {dt_s}, charge_sigma_ah {charge_sigma_ah}, current_sigma_a {current_sigma_a}")
        tuning, soc_sigma = self.model.tuning, charge_sigma_ah / self._nominal_ah
        factor = np.ones(self.model.states)
        factor[ERROR] = math.exp(-dt_s / tuning.model_error_s)
        factor[FIRST_RC:] = np.exp(-dt_s / self.model.cell.rc_tau_s)
        self._x *= factor
        self._p *= np.outer(factor, factor)
        self._p[:, SOC, SOC] += soc_sigma**2
        self._p[:, ERROR, ERROR] += tuning.model_error_v**2 * (1 - factor[ERROR] ** 2)
        self._p[:, HYSTERESIS, HYSTERESIS] += soc_sigma**2 * 100 if soc_sigma < 0.06 else 0.36
        for j in range(FIRST_RC, self.model.states):
            self._p[:, j, j] += current_sigma_a**2 * (1 - factor[j] ** 2)
        self._show()

    def shift(self, soc_frac: float) -> None:
        if not math.isfinite(soc_frac):
            raise ValueError(f"soc_frac: got {soc_frac}, expected a finite value")
        self._x[:, SOC] = np.clip(self._x[:, SOC] + soc_frac, SOC_MIN, SOC_MAX)
        self._show()

    def rest(self, current_a: float) -> None:
        if not math.isfinite(current_a):
            raise ValueError(f"current_a: got {current_a}, expected a finite value")
        least = (self.model.tuning.rest_sigma_per_h * self._nominal_ah) ** 2
        for x, p in zip(self._x, self._p, strict=True):
            own = p[BIAS, BIAS]
            if own > least:
                gain, spread = p[:, BIAS].copy(), own**2 / (own - least)
                x += gain / spread * (current_a - x[BIAS])
                p -= np.outer(gain, gain) / spread
        self._show()

    def widen_capacity(self, sigma_frac: float) -> None:
        known = self.model.capacity_sigma
        if not sigma_frac > known:
            raise ValueError(f"sigma_frac: got {sigma_frac}, expected above {known}")
        said, left_min = 1 / known**2 - 1 / sigma_frac**2, (known / sigma_frac) ** 2
        for x, p in zip(self._x, self._p, strict=True):
            gain = p[:, CAPACITY] * said / max(1 - p[CAPACITY, CAPACITY] * said, left_min)
            p += np.outer(gain, p[:, CAPACITY])
            x += gain * x[CAPACITY]
            x[CAPACITY] = np.clip(x[CAPACITY], -LOG_FACTOR_MAX, LOG_FACTOR_MAX)
        self._show()

    def save(self) -> Floats:
        return np.concatenate([self._log_weight[:, None], self._x, self._p.reshape(len(self._x), -1)], axis=1)

    def restore(self, state: Floats) -> None:
        state, states = self.model.checked_state(state), self.model.states
        self._log_weight, self._x = state[:, 0].copy(), state[:, 1 : 1 + states].copy()
        self._p = state[:, 1 + states :].reshape(-1, states, states).copy()
        self._predicted_v = np.zeros(len(state))
        self._drop_v = np.zeros(len(state))
        self._since_merge_s = self._colder_sigma = 0.0
        self._first = False
        self._show()
        self.voltage_predicted_v = math.nan

    def rc_current_a(self) -> Floats:
        weight = np.exp(self._log_weight)
        return np.asarray((weight / weight.sum()) @ self._x[:, FIRST_RC:])

    def _settle(self, amps: float, at: Warmth) -> None:
        self._first = False
        if abs(amps) > LOAD_PER_H * self._nominal_ah:
            lean = math.copysign(self.model.tuning.hysteresis_lean, amps)
            self._x[:, HYSTERESIS] += lean * (1 - np.abs(self._x[:, HYSTERESIS]))
        else:
            self._p[:, FIRST_RC:, FIRST_RC:] *= np.outer(self.model.rested_share, self.model.rested_share)
        ocv_sigma_v = self._interpolated(at.row(self.model.cell.ocv_sigma_v))
        self._p[:, RESISTANCE, RESISTANCE] += (self.model.tuning.resistance_per_k * at.outside_k) ** 2
        self._p[:, ERROR, ERROR] *= at.worse**2
        self._p[:, OCV_ERROR, OCV_ERROR] *= at.worse**2
        self._p[:, OCV_ERROR, OCV_ERROR] += at.ocv_sigma_v(ocv_sigma_v) ** 2

    def _predict(self, charge_ah: float, dt_s: float, at: Warmth) -> None:
        tuning, x, p, nominal = self.model.tuning, self._x, self._p, self._nominal_ah
        hours, ah = dt_s / 3600, self._nominal_ah * np.exp(x[:, CAPACITY])
        mean_a = charge_ah / hours - x[:, BIAS]
        moved = -mean_a * hours / ah
        pair = self.model.hysteresis_pair
        turning_a = mean_a if pair is None else x[:, FIRST_RC + pair].copy()
        keep = np.where(np.abs(turning_a) > 1e-4 * nominal, np.exp(-at.rate * np.abs(turning_a) * hours / ah), 1.0)
        moved = np.where(moved > 0, moved * at.efficiency, moved)
        factor = np.ones_like(x)
        factor[:, ERROR], factor[:, HYSTERESIS] = math.exp(-dt_s / tuning.model_error_s), keep
        factor[:, OCV_ERROR] = np.exp(-np.abs(moved) / tuning.ocv_error_soc)
        factor[:, FIRST_RC:] = np.exp(-dt_s / self.model.cell.rc_tau_s)
        before_v2 = self._curve_v2(at)
        x[:, SOC] += moved - at.self_discharge_per_h * hours
        curve_v2 = self._curve_v2(at)
        fades = factor[:, OCV_ERROR].copy()
        factor[:, OCV_ERROR] *= np.sqrt(np.maximum(curve_v2 / before_v2, 1.0))  # a curve beside: more volts there
        x *= factor
        x[:, HYSTERESIS] += (1 - keep) * np.where(turning_a > 1e-4 * nominal, 1.0, -1.0)
        x[:, FIRST_RC:] += (1 - factor[:, FIRST_RC:]) * mean_a[:, None]
        model_v = tuning.model_share * self._interpolated(at.row(self.model.cell.model_sigma_v))
        p *= factor[:, :, None] * factor[:, None, :]
        by_bias = np.zeros_like(x)
        by_bias[:, SOC], by_bias[:, FIRST_RC:] = hours / ah, -(1 - factor[:, FIRST_RC:])
        self._couple(BIAS, by_bias)
        by_capacity = np.zeros_like(x)
        by_capacity[:, SOC] = -moved
        self._couple(CAPACITY, by_capacity)
        p[:, SOC, SOC] += tuning.charge_walk**2 * dt_s + (tuning.gain_sigma_frac * moved) ** 2
        p[:, BIAS, BIAS] += (tuning.bias_walk_per_h * nominal) ** 2 * dt_s
        error_v2 = (tuning.model_error_v**2 + model_v**2) * at.worse**2
        p[:, ERROR, ERROR] += error_v2 * (1 - factor[:, ERROR] ** 2)
        self._renewed = 1 - fades**2
        p[:, OCV_ERROR, OCV_ERROR] += curve_v2 * self._renewed
        p[:, RESISTANCE, RESISTANCE] += tuning.resistance_walk**2 * dt_s
        p[:, HYSTERESIS, HYSTERESIS] += tuning.hysteresis_walk**2 * ((1 - keep) ** 2 + (1 - keep**2))
        p[:, CAPACITY, CAPACITY] += tuning.capacity_walk**2 * dt_s
        for j in range(FIRST_RC, self.model.states):
            p[:, j, j] += tuning.rc_walk_a**2 * dt_s

    def _curve_v2(self, at: Warmth) -> Floats:
        """How far the OCV curve may lie from the truth, by its height and by its place."""
        ocv_sigma_v = at.ocv_sigma_v(self._interpolated(at.row(self.model.cell.ocv_sigma_v)))
        beside_v = at.axis_sigma * np.maximum(self._slope(at.row(self.model.cell.ocv_v)) - STEEP_V, 0.0)
        return np.asarray((self.model.tuning.ocv_error_v * at.worse) ** 2 + ocv_sigma_v**2 + beside_v**2)

    def _couple(self, source: int, column: Floats) -> None:
        """P of x_new = x + column * x[source]; column[source] is 0."""
        row = self._p[:, :, source].copy()
        own = row[:, source]
        cross = column[:, :, None] * row[:, None, :]
        self._p += cross + cross.transpose(0, 2, 1) + column[:, :, None] * column[:, None, :] * own[:, None, None]

    def _interpolated(self, row: Floats) -> Floats:
        return _interpolated(row, self._x[:, SOC])

    def _slope(self, row: Floats) -> Floats:
        return _slope(row, self._x[:, SOC])

    def _look(self, amps: float, at: Warmth) -> tuple[Floats, Floats, Floats, Floats]:
        """Modelled voltage, its slopes over the states, the drop in it, and the slope over SoC for errors of the
        curves' places: that of a drop that is the surface's counts too."""
        cell, x = self.model.cell, self._x
        x[:, SOC] = np.clip(x[:, SOC], SOC_MIN, self.model.tuning.soc_frac_max)
        ocv, gap = at.row(cell.ocv_v), at.row(cell.hysteresis_v)
        gap_v, factor = self._interpolated(gap), np.exp(x[:, RESISTANCE])
        slope = np.zeros_like(x)
        slope[:, SOC] = np.maximum(self._slope(ocv) - x[:, HYSTERESIS] * self._slope(gap), 0.0)
        through_a = amps - x[:, BIAS]
        drop_v, drop_slope = np.zeros(len(x)), np.zeros(len(x))
        surface = x[:, SOC]
        if self.model.lag_pair is not None:
            surface = surface - at.lag_per_a * x[:, FIRST_RC + self.model.lag_pair]
        for j in range(self.model.pairs + 1):
            row = at.log_row(self.model.log_resistance[j])
            ohm, log_slope = factor * np.exp(_interpolated(row, surface)), _slope(row, surface)
            if j == 0:
                drop_v += ohm * through_a
                drop_slope += ohm * through_a * log_slope
                slope[:, BIAS] = ohm
                continue
            inner_a, gain = x[:, FIRST_RC + j - 1], ohm
            if j == 1 and at.saturation_a < 1e5:
                part = inner_a / at.saturation_a
                inner_a, gain = at.saturation_a * np.arcsinh(part), ohm / np.sqrt(1 + part**2)
            drop_v += ohm * inner_a
            drop_slope += ohm * inner_a * log_slope
            slope[:, FIRST_RC + j - 1] = -gain
        slope[:, ERROR] = slope[:, OCV_ERROR] = 1.0
        slope[:, RESISTANCE], slope[:, HYSTERESIS] = -drop_v, -gap_v
        volts = self._interpolated(ocv) - gap_v * x[:, HYSTERESIS] - drop_v + x[:, ERROR] + x[:, OCV_ERROR]
        steep_v = slope[:, SOC] if self.model.lag_pair is None else np.hypot(slope[:, SOC], drop_slope)
        return volts, slope, drop_v, steep_v

    def _update(
        self,
        voltage_v: float,
        dt_s: float,
        volts: Floats,
        slope: Floats,
        drop_v: Floats,
        steep_v: Floats,
        counts: float,
        at: Warmth,
    ) -> None:
        tuning, x, p = self.model.tuning, self._x, self._p
        seconds = dt_s if dt_s > 0.05 else 1.0
        white = max(tuning.voltage_noise_v**2 / seconds, tuning.voltage_noise_v_min**2)
        beside = at.axis_sigma * steep_v
        noise = white + ((tuning.ohmic_error_frac * drop_v) ** 2 + beside**2 * AXIS_S) / seconds
        if dt_s == 0:
            noise = tuning.voltage_first_v**2 + (tuning.ohmic_error_frac * drop_v) ** 2 + beside**2
        away = voltage_v - volts
        gain = np.einsum("qjk,qk->qj", p, slope)
        spread = noise + (gain * slope).sum(axis=1)
        squared = away**2 / spread
        self._log_weight -= 0.5 * (
            (tuning.tail + 1) * np.log(1 + squared / tuning.tail) + np.log(spread / noise) + counts * np.log(noise)
        )
        spread = np.where(squared > 1, spread * (tuning.tail + squared) / (tuning.tail + 1), spread)
        x += gain * (away / spread)[:, None]
        p -= gain[:, :, None] * gain[:, None, :] / spread[:, None, None]
        for j in range(self.model.states):
            p[:, j, j] = np.maximum(p[:, j, j], 1e-14)
        x[:, HYSTERESIS] = np.clip(x[:, HYSTERESIS], -1, 1)
        for j in (RESISTANCE, CAPACITY):
            x[:, j] = np.clip(x[:, j], -LOG_FACTOR_MAX, LOG_FACTOR_MAX)
        beyond = (x[:, SOC] < -0.03) | (x[:, SOC] > 1.03)
        self._log_weight -= np.where(beyond, 0.5 * seconds, 0.0)

    def _show(self) -> None:
        self._log_weight = self._log_weight - self._log_weight.max()
        weight = np.exp(self._log_weight)
        weight = weight / weight.sum()
        mean = weight @ self._x
        diagonal = np.diagonal(self._p, axis1=1, axis2=2)
        sigma = np.sqrt(weight @ (diagonal + (self._x - mean) ** 2))
        self.soc_frac = min(max(float(mean[SOC]), 0.0), 1.0)
        self.soc_sigma_frac = math.hypot(float(sigma[SOC]), self._colder_sigma)
        self.current_bias_a, self.hysteresis = float(mean[BIAS]), float(mean[HYSTERESIS])
        self.resistance_factor, self.resistance_factor_sigma = math.exp(mean[RESISTANCE]), float(sigma[RESISTANCE])
        self.capacity_ah = self._nominal_ah * math.exp(mean[CAPACITY])
        self.capacity_ah_sigma = self.capacity_ah * float(sigma[CAPACITY])
        self.voltage_predicted_v = float(weight @ self._predicted_v)
        self.drop_v = float(weight @ self._drop_v)

    def _merge(self) -> None:
        self._keep(np.flatnonzero(self._log_weight >= -self.model.tuning.prune).tolist())
        q = 0
        while q < self.hypotheses:
            r = q + 1
            while r < self.hypotheses:
                apart = abs(self._x[q, SOC] - self._x[r, SOC])
                near = 0.25 * math.sqrt(min(self._p[q, SOC, SOC], self._p[r, SOC, SOC]))
                if apart < near and apart < 0.01:
                    self._absorb(q, r)
                else:
                    r += 1
            q += 1

    def _absorb(self, q: int, r: int) -> None:
        """The likelier of both stays in place q with both weights; the last hypothesis moves to r."""
        both = np.logaddexp(self._log_weight[q], self._log_weight[r])
        places = list(range(self.hypotheses))
        if self._log_weight[r] > self._log_weight[q]:
            places[q] = r
        last = self.hypotheses - 1
        places[r] = last if r != last else places[r]
        self._keep(places[:last])
        self._log_weight[q] = both

    def _keep(self, places: list[int]) -> None:
        self._x, self._p = self._x[places], self._p[places]
        self._log_weight, self._predicted_v = self._log_weight[places], self._predicted_v[places]
        self._drop_v = self._drop_v[places]


def _interpolated(row: Floats, soc_frac: Floats) -> Floats:
    place = (np.clip(soc_frac, SOC_MIN, SOC_MAX) - GRID_FIRST) / STEP
    j = np.minimum(place.astype(np.int64), GRID_POINTS - 2)
    return np.asarray(row[j] * (1 - (place - j)) + row[j + 1] * (place - j))


def _slope(row: Floats, soc_frac: Floats) -> Floats:
    place = (np.clip(soc_frac, SOC_MIN, SOC_MAX) - GRID_FIRST) / STEP
    j = np.minimum(place.astype(np.int64), GRID_POINTS - 2)
    below, above = np.maximum(j - 1, 0), np.minimum(j + 2, GRID_POINTS - 1)
    return np.asarray((row[above] - row[below]) / ((above - below) * STEP))
