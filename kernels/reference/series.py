"""Cells in series as float32 array expressions, operation by operation: what kernels.series must equal."""

from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.cell_tables import CellTables
from kernels.checks import Floats, positive
from kernels.series_model import BIN_K, LANES, ROWS, Floats32, SeriesModel, Spread, check_means

__all__ = ["SeriesCells"]

F = np.float32


class SeriesCells:
    """See kernels.series.SeriesCells."""

    def __init__(
        self,
        cell: CellTables,
        strings: int,
        cells_per_string: int,
        spread: Spread | None = None,
        bleed_ohm: float = 33.0,
    ) -> None:
        self.model = SeriesModel(cell, strings, cells_per_string, spread or Spread(), bleed_ohm)
        self._rule: Any = SimpleNamespace(**{name: F(value) for name, value in asdict(self.model.rule).items()})
        padded = (len(ROWS), strings, self.model.groups * LANES)
        self._state: dict[str, Floats32] = dict(zip(ROWS, np.zeros(padded, F), strict=True))
        for name, value in zip(ROWS, self.model.start(), strict=True):
            self._state[name][:] = value
        self._slope_v, self._bend_v2 = np.zeros((2, *padded[1:]), F)
        self._forget_pending()
        self.shift_frac, self.curvature_v = np.full((2, strings), np.nan)
        self.soc_frac, self.soc_sigma_frac = np.full((2, strings, cells_per_string), F(np.nan))

    def step(
        self, voltage_v: Floats, mean: NDArray[np.void], dt_s: float, bleeding: NDArray[np.uint8] | None = None
    ) -> None:
        for name, given in (("voltage_v", voltage_v), ("bleeding", bleeding)):
            if given is not None and given.shape != (self.model.strings, self.model.cells):
                raise ValueError(f"{name}: got {given.shape}, expected {self.model.strings} x {self.model.cells}")
        if mean.shape != (self.model.strings,):
            raise ValueError(f"mean: got {mean.shape}, expected {self.model.strings} strings")
        positive("dt_s", dt_s)
        check_means(mean)
        self._curve_v = self.model.curves_v[self._bins(mean["temperature_degc"])]
        self._mean = mean["soc_frac"].astype(F)[:, None]
        self._drop_v = mean["drop_v"].astype(F)[:, None]
        measured_v = self._padded(voltage_v)
        mean_ocv_v = self._ocv_v(self._place(self._mean))
        self._moved += mean["charge_ah"] / mean["capacity_ah"]
        self._elapsed_s += dt_s
        if bleeding is not None:
            self._bleed(measured_v, bleeding, mean_ocv_v, dt_s, mean["capacity_ah"])
        self._carry(self._due())
        own, own_ocv_v, off_v = self._expect(measured_v)
        self._look(self._look_due(mean), own, own_ocv_v, mean)
        common_v, gain = self._common(off_v)
        own = self._update(own, off_v, common_v, gain, mean["soc_sigma_frac"], dt_s)
        self.shift_frac = (self._sum(own) / F(self.model.cells)).astype(np.float64)
        self._centre += self.shift_frac
        self.curvature_v = (self._sum(own_ocv_v) / F(self.model.cells) - mean_ocv_v[:, 0]).astype(np.float64)

    @property
    def resistance_factor(self) -> tuple[Floats32, Floats32]:
        return 1 + self._row("resistance"), np.sqrt(self._row("rr"))

    @property
    def capacity_factor(self) -> tuple[Floats32, Floats32]:
        factor = np.reciprocal(1 + self._row("inverse"))
        return factor, np.square(factor) * np.sqrt(self._row("ii"))

    def save(self) -> Floats32:
        self._carry(np.ones(self.model.strings, bool))
        return np.stack([self._row(name) for name in ROWS], axis=1)

    def restore(self, state: Floats32) -> None:
        state = self.model.checked_state(state)
        for k, (name, start) in enumerate(zip(ROWS, self.model.start(), strict=True)):
            self._state[name][:] = start
            self._state[name][:, : self.model.cells] = state[:, k]
        self._forget_pending()

    def _forget_pending(self) -> None:
        self._moved, self._elapsed_s, self._bled, self._centre = np.zeros((4, self.model.strings))
        self._seen_soc, self._seen_sigma = np.full((2, self.model.strings), np.nan)

    def _row(self, name: str) -> Floats32:
        return self._state[name][:, : self.model.cells]

    def _bins(self, temperature_degc: Floats) -> NDArray[np.intp]:
        place = np.clip((temperature_degc - self.model.bin_degc) * (1.0 / BIN_K), 0, len(self.model.curves_v) - 1)
        return np.floor(place + 0.5).astype(np.intp)

    def _padded(self, voltage_v: Floats) -> Floats32:
        padded = np.full((self.model.strings, self.model.groups * LANES), F(np.nan))
        with np.errstate(over="ignore"):
            padded[:, : self.model.cells] = voltage_v
        return padded

    def _place(self, soc: Floats32) -> Floats32:
        place = (soc - self._rule.grid_first) * self._rule.grid_per_frac
        return np.asarray(np.clip(place, F(0), self._rule.grid_end))

    def _curve_at(self, points: NDArray[np.int32]) -> Floats32:
        return np.take_along_axis(self._curve_v, points, axis=1)

    def _ocv_v(self, place: Floats32) -> Floats32:
        low = place.astype(np.int32)
        low_v = self._curve_at(low)
        return low_v + (place - low.astype(F)) * (self._curve_at(low + np.int32(1)) - low_v)

    def _bleed(
        self, measured_v: Floats32, bleeding: NDArray[np.uint8], typical_v: Floats32, dt_s: float, capacity_ah: Floats
    ) -> None:
        frac_per_v = (dt_s * np.float64(self._rule.bleed_s) / (3600.0 * capacity_ah)).astype(F)
        n = self.model.cells
        v = np.where(np.abs(measured_v[:, :n]) < self._rule.absent_v, measured_v[:, :n], typical_v)
        taken = frac_per_v[:, None] * v * (F(1) + self._row("inverse"))
        self._row("remainder")[...] -= np.where(bleeding != 0, taken, F(0))
        self._bled += np.where((bleeding != 0).any(axis=1), frac_per_v * self._rule.absent_v, F(0))

    def _due(self) -> NDArray[np.bool_]:
        rule = self._rule
        return np.asarray(
            (np.abs(self._moved) > rule.moved_frac_max)
            | (self._elapsed_s > rule.elapsed_s_max)
            | (self._bled > rule.bled_frac_max)
            | (np.abs(self._centre) > rule.centre_frac_max)
        )

    def _carry(self, due: NDArray[np.bool_]) -> None:
        if not due.any():
            return
        rule, row = self._rule, {name: values[due] for name, values in self._state.items()}
        moved, centre, s = (x[due].astype(F)[:, None] for x in (self._moved, self._centre, self._elapsed_s))
        kept = np.exp(-self._elapsed_s[due] / np.float64(rule.offset_s)).astype(F)[:, None]
        old, change = row["deviation"], row["remainder"] - (moved * row["inverse"] + centre)
        row["deviation"] = old + change
        part = row["deviation"] - old
        row["remainder"] = (old - (row["deviation"] - part)) + (change - part)
        ss = row["ss"] - F(2) * moved * row["si"] + moved * moved * row["ii"] + rule.soc_walk_per_s * s
        row["ss"] = np.clip(ss, rule.soc_min2, rule.soc_max2)
        row["sr"] = row["sr"] - moved * row["ri"]
        row["si"] = row["si"] - moved * row["ii"]
        row["cs"] = kept * (row["cs"] - moved * row["ci"])
        row["rr"] = np.minimum(row["rr"] + rule.resistance_walk_per_s * s, rule.resistance_max2)
        row["ii"] = np.minimum(row["ii"] + rule.inverse_walk_per_s * s, rule.inverse_max2)
        row["cr"] = row["cr"] * kept
        row["ci"] = row["ci"] * kept
        for name, values in row.items():
            self._state[name][due] = values
        for pending in (self._moved, self._elapsed_s, self._bled, self._centre):
            pending[due] = 0.0
        self._seen_soc[due] = np.nan

    def _expect(self, measured_v: Floats32) -> tuple[Floats32, Floats32, Floats32]:
        state = self._state
        moved, centre = self._moved.astype(F)[:, None], self._centre.astype(F)[:, None]
        own = (state["deviation"] + state["remainder"]) - (moved * state["inverse"] + centre)
        own_ocv_v = self._ocv_v(self._place(self._mean + own))
        off_v = measured_v - (own_ocv_v - self._drop_v * (F(1) + state["resistance"]))
        return own, own_ocv_v, off_v

    def _common(self, off_v: Floats32) -> tuple[Floats32, Floats32]:
        """The strings' common errors, and 1 - 1/n of the n cells present: one cell alone tells nothing of itself."""
        rough_v, count = self._mean_within(off_v, F(0), self._rule.absent_v)
        common_v, few = self._mean_within(off_v, rough_v[:, None], self._rule.outlier_v)
        common_v = np.where(F(2) * few < count, rough_v, common_v)
        gain = np.where(count > 0, F(1) - F(1) / np.maximum(count, F(1)), F(0))
        return common_v[:, None], gain[:, None]

    def _mean_within(self, off_v: Floats32, centre: Floats32 | F, window: float) -> tuple[Floats32, Floats32]:
        difference = off_v - centre
        within = np.abs(difference) < window
        count = self._sum(within.astype(F))
        total = self._sum(np.where(within, difference, F(0)))
        start = np.broadcast_to(np.ravel(centre), count.shape)
        return np.where(count > 0, start + total / np.maximum(count, F(1)), start), count

    def _update(
        self, own: Floats32, off_v: Floats32, common_v: Floats32, gain: Floats32, mean_sigma: Floats, dt_s: float
    ) -> Floats32:
        rule, state = self._rule, self._state
        mean2 = (mean_sigma * mean_sigma).astype(F)[:, None]
        noise_v2 = rule.noise_v2 * max(F(1), rule.noise_s / F(dt_s))
        lasting = max(F(1), rule.model_s / F(dt_s))
        ohmic_v2 = rule.ohmic_error2 * self._drop_v * self._drop_v
        ss, sr, si, rr, ri, ii, cs, cr, ci = (state[name] for name in ROWS[4:])
        h_s, h_r, h_c = gain * self._slope_v, -gain * self._drop_v, gain
        a_s = h_s * ss + h_r * sr + h_c * cs
        a_r = h_s * sr + h_r * rr + h_c * cr
        a_i = h_s * si + h_r * ri + h_c * ci
        a_c = h_s * cs + h_r * cr + h_c * rule.offset_v2
        spread_v2 = np.maximum(h_s * a_s + h_r * a_r + h_c * a_c, F(0)) + (
            noise_v2 + (ohmic_v2 + self._bend_v2) * lasting
        )
        present = np.abs(off_v) < rule.absent_v
        e = np.where(present, off_v - common_v, F(0))
        bound_v2 = np.maximum(spread_v2, e * e * (F(1) / (rule.gate * rule.gate)))
        scale = np.where(present, spread_v2 / (bound_v2 * bound_v2), F(0))
        k_s, k_r, k_i = a_s * scale, a_r * scale, a_i * scale
        step = k_s * e
        state["deviation"] += step
        state["resistance"] += k_r * e
        state["inverse"] += k_i * e
        state["ss"] = np.maximum(ss - k_s * a_s, rule.soc_min2)
        state["sr"] = sr - k_s * a_r
        state["si"] = si - k_s * a_i
        state["rr"] = np.maximum(rr - k_r * a_r, rule.resistance_min2)
        state["ri"] = ri - k_r * a_i
        state["ii"] = np.maximum(ii - k_i * a_i, rule.inverse_min2)
        state["cs"] = cs - k_s * a_c
        state["cr"] = cr - k_r * a_c
        state["ci"] = ci - k_i * a_c
        own = own + step
        n = self.model.cells
        self.soc_frac = np.clip(self._mean + own, F(0), F(1))[:, :n]
        self.soc_sigma_frac = np.sqrt(state["ss"] + mean2)[:, :n]
        return own

    def _look_due(self, mean: NDArray[np.void]) -> NDArray[np.bool_]:
        rule = self._rule
        near = np.abs(mean["soc_frac"] - self._seen_soc) <= rule.seen_frac_max
        bound = rule.seen_sigma_max * self._seen_sigma + rule.seen_frac_max
        return np.asarray(~(near & (np.abs(mean["soc_sigma_frac"] - self._seen_sigma) <= bound)))

    def _look(self, due: NDArray[np.bool_], own: Floats32, own_ocv_v: Floats32, mean: NDArray[np.void]) -> None:
        """Slope of the chord over one sigma to both sides, and the variance of what the curve does beside it."""
        if not due.any():
            return
        rule, ss, own, curve_v = self._rule, self._state["ss"][due], own[due], self._curve_v[due]
        mean2 = np.square(mean["soc_sigma_frac"][due]).astype(F)[:, None]
        both2 = ss + mean2
        place, reach = self._place(self._mean[due] + own), np.sqrt(both2) * rule.grid_per_frac
        low = np.maximum(place - reach, F(0)).astype(np.int32)
        high = np.minimum(place + reach, rule.grid_end).astype(np.int32) + np.int32(1)
        low_v = np.take_along_axis(curve_v, low, axis=1)
        per_point = (np.take_along_axis(curve_v, high, axis=1) - low_v) / (high - low).astype(F)
        bend = (low_v + per_point * (place - low.astype(F)) - own_ocv_v[due]) / both2
        astray, own_reach = np.sqrt(F(3) * mean2) * rule.grid_per_frac, np.sqrt(ss) * rule.grid_per_frac
        above = self._slope_at(curve_v, place + astray, own_reach) - per_point
        below = self._slope_at(curve_v, place - astray, own_reach) - per_point
        slope2 = (above * above + below * below) * F(1 / 6)
        self._slope_v[due] = per_point * rule.grid_per_frac
        slope_v2 = slope2 * (rule.place_share * (rule.grid_per_frac * rule.grid_per_frac))
        bend2 = bend * bend * (ss * ss + F(4) * mean2 * (own * own))
        self._bend_v2[due] = bend2 + slope_v2 * (ss + own * own)
        self._seen_soc[due], self._seen_sigma[due] = mean["soc_frac"][due], mean["soc_sigma_frac"][due]

    def _slope_at(self, curve_v: Floats32, place: Floats32, reach: Floats32) -> Floats32:
        low = np.maximum(place - reach, F(0)).astype(np.int32)
        high = np.maximum(np.minimum(place + reach, self._rule.grid_end), F(0)).astype(np.int32) + np.int32(1)
        low = np.minimum(low, high - np.int32(1))
        rise_v = np.take_along_axis(curve_v, high, axis=1) - np.take_along_axis(curve_v, low, axis=1)
        return np.asarray(rise_v / (high - low).astype(F))

    def _sum(self, values: Floats32) -> Floats32:
        """Over the real cells, lane by lane: the order of the compiled sums."""
        values = values.copy()
        values[:, self.model.cells :] = 0
        lanes: Floats32 = values.reshape(self.model.strings, self.model.groups, LANES).sum(axis=1, dtype=F)
        for half in (8, 4, 2, 1):
            lanes = lanes[:, :half] + lanes[:, half:]
        return lanes[:, 0]
