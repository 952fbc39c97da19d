"""One least-squares fit over all runs: resistances, hysteresis and OCV correction over SoC and temperature together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import lsq_linear

from hil_rigs.identify.basis import arrhenius, hat_matrix, hysteresis, low_pass
from hil_rigs.identify.prior import Prior
from hil_rigs.identify.runs import Run, rows_inside
from hil_rigs.identify.temperature_law import over_temperature
from hil_rigs.identify.usual import (
    COARSE_SIGMA_FRAC,
    USUAL_SIGMA_FRAC,
    coarse_s,
    law_sigma_frac,
    slow_drop_v,
    told_knots,
    unknown_drop_v,
)
from kernels.cell_tables import LAG_ACTIVATION_K, minutes_pair

Floats = NDArray[np.float64]

SOC_KNOTS: Floats = np.array(
    [0, 0.02, 0.045, 0.08, 0.12, 0.17, 0.23, 0.3, 0.38, 0.46, 0.54, 0.62, 0.7, 0.78, 0.85, 0.91, 0.96, 1.0]
)
ROWS_MAX = 40_000
"""Rows of one run that take part; a longer one is thinned."""
CORRELATION_S = 300.0
"""A residual of a run keeps its sign about this long: so many seconds count as one sample."""
FREEDOM_MIN = 0.25
"""Of the samples, where the tables have as many values: there the usual ones hold the rest."""
LOW_RATE_WEIGHT = 0.4
"""Slow curves say where the OCV is, dynamic runs how the cell behaves: the former must not outweigh the latter."""
LARGE_DROP_V, LARGE_DROP_UNSURE_V, LARGE_DROP_K = 0.15, 0.1, 3500.0
"""A drop that is larger than the first (at 25 degC, elsewhere by the usual activation) is not in proportion to the
current; one that is larger by the second, too, has seven tenths of the weight of others."""
RESISTANCE_OHM_MIN = 1e-7
RESISTANCE_SIGMA_FRAC_MAX = 0.5
SEEN_ROWS = 5.0


@dataclass(frozen=True, slots=True)
class Structure:
    """What is chosen before the linear fit."""

    tau_s: tuple[float, ...]
    hysteresis_pair: int | None
    """Whose current turns the hysteresis; None = the cell's own."""
    hysteresis_rate: float
    saturation_a: float
    """At 25 degC, 0 = linear."""
    activation_k: tuple[float, ...]
    """Of R0 and of each pair."""
    surface_lag_h: float = 0.0
    """Of the SoC at the particles' surface, whose resistances they are, behind the mean one, at 25 degC."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Tables [T, Z] on `degc_knots` and SOC_KNOTS: `resistance_ohm[1 + k]`, `hysteresis_v`, `ocv_correction_v` and its
    sigma, `model_sigma_v` what varies around both. `residual_v` is the weighted RMS, `run_residual_v` that of each run,
    `resistance_sigma_frac[T]` the relative sigma of all resistances together."""

    structure: Structure
    degc_knots: Floats
    resistance_ohm: Floats
    hysteresis_v: Floats
    ocv_correction_v: Floats
    ocv_sigma_v: Floats
    model_sigma_v: Floats
    resistance_sigma_frac: Floats
    residual_v: float
    run_residual_v: tuple[float, ...] = ()


class Fit:
    """The runs with their OCV base, ready to be fitted with one structure after another."""

    def __init__(
        self,
        runs: Sequence[Run],
        base_v: Sequence[Floats],
        base_rise_v: Floats,
        capacity_ah: float,
        degc_knots: Floats,
        ocv_sigma_v: Floats,
        hysteresis_v: Floats,
        hysteresis_sigma_v: Floats,
        shares_weight: float,
        usual_ohm: float | None = None,
        *,
        measured: bool,
    ) -> None:
        """`base_v[r]` is the OCV base at each row of run r, `base_rise_v[T, Z - 1]` what it rises from each SoC knot to
        the next; [T, Z]: how far the true OCV may lie from the base, and the half gap that hysteresis is expected to
        have, with its sigma. `usual_ohm` is given where the runs do not tell the resistance; `measured`: the base
        stands on slow runs."""
        self._runs, self._base_v, self._capacity_ah = runs, base_v, capacity_ah
        self._degc_knots, self._base_rise_v = degc_knots, base_rise_v
        self._usual_ohm = usual_ohm
        self.told = told_knots(runs, capacity_ah, degc_knots)
        self.coarse_s = None if usual_ohm is not None else coarse_s(runs, capacity_ah)
        self._inner_a: dict[tuple[int, float], Floats] = {}
        self._gaps: dict[tuple[int, float, float], Floats] = {}
        self._surfaces: dict[tuple[int, float, float], sparse.csr_matrix] = {}
        self._picks = [_picked(run) for run in runs]
        self._weights = [self._weight(run, pick) for run, pick in zip(runs, self._picks, strict=True)]
        if not measured:
            self._weights = [
                weight * _linear_share((run.voltage_v - base)[pick], run.temperature_degc[pick])
                for weight, run, base, pick in zip(self._weights, runs, base_v, self._picks, strict=True)
            ]
        self._hats = [
            hat_matrix(run.soc_frac[pick], run.temperature_degc[pick], SOC_KNOTS, degc_knots)
            for run, pick in zip(runs, self._picks, strict=True)
        ]
        rows = sum(np.asarray(hats.sum(axis=0)).reshape(-1, len(SOC_KNOTS)) for hats in self._hats)
        unseen = np.asarray(rows).sum(axis=0) <= SEEN_ROWS
        self._prior = Prior(ocv_sigma_v, hysteresis_v, hysteresis_sigma_v, shares_weight, usual_ohm, unseen)

    def residual_v(self, structure: Structure) -> float:
        """Weighted RMS of a quick solution (bounds ignored): to compare structures by."""
        normal, right, total = self._normal(structure)
        prior, prior_right = self._prior.of(normal, structure.tau_s)
        solution: Floats = np.asarray(np.linalg.solve(normal + prior, right + prior_right), dtype=np.float64)
        return self._rms(normal, right, total, solution)

    def solve(self, structure: Structure) -> Solution:
        """The bounded solution: no negative resistance, no negative hysteresis, no OCV that falls over SoC. Where it is
        lifted in one place, as near empty where a drop can stand for it, the curve beyond must not be levelled by it
        afterwards: what was measured there would be lost. Temperatures whose runs do not tell a resistance get what
        follows from those that do."""
        normal, right, total = self._normal(structure)
        prior, prior_right = self._prior.of(normal, structure.tau_s)
        solution = self._bounded(structure, normal + prior, right + prior_right)
        if self._usual_ohm is None and not self.told.all():
            held, held_right = self._prior.holding(normal, self._by_law(structure, solution))
            prior, prior_right = prior + held, prior_right + held_right
            solution = self._bounded(structure, normal + prior, right + prior_right)
        residual_v = self._rms(normal, right, total, solution)
        inverse = np.linalg.inv((normal + prior) / self._correlated())
        sample_v2 = max(residual_v, 0.002) ** 2 / self._freedom(normal, prior)
        covariance: Floats = np.asarray(inverse * sample_v2, dtype=np.float64)
        variance = np.diag(covariance).copy()
        common_v2, own_v2 = self._left_v2(structure, solution)
        variance[-self._block :] += common_v2
        if self._usual_ohm is not None:
            variance[-self._block :] += unknown_drop_v(self._runs, self._usual_ohm) ** 2
        ohm_v2 = self._total_variance(covariance, len(structure.tau_s) + 1)
        found = self._solution(structure, solution, variance, own_v2, ohm_v2, residual_v)
        if self._usual_ohm is not None:
            found = replace(found, resistance_sigma_frac=np.full(len(self._degc_knots), USUAL_SIGMA_FRAC))
        elif not self.told.all():
            found = self._less_sure_by_law(found)
        if self.coarse_s is not None:
            sigma_frac = np.hypot(found.resistance_sigma_frac, COARSE_SIGMA_FRAC)
            found = replace(found, resistance_sigma_frac=np.minimum(sigma_frac, USUAL_SIGMA_FRAC))
        return replace(found, run_residual_v=self._run_residuals_v(structure, solution))

    def _bounded(self, structure: Structure, normal: Floats, right: Floats) -> Floats:
        factor, of_rises = np.linalg.cholesky(normal), self._of_rises(structure)
        bounds = self._least(structure), np.inf
        found = lsq_linear(factor.T @ of_rises, np.linalg.solve(factor, right), bounds=bounds)
        return np.asarray(of_rises @ found.x)

    def _by_law(self, structure: Structure, solution: Floats) -> Floats:
        """[R0 and pairs, T * Z] as the fit has them, at 25 degC: NaN where the runs tell."""
        knots, usual_k = self._degc_knots, np.array(structure.activation_k)
        factors = np.array([arrhenius(knots, k) for k in usual_k.tolist()])[:, :, None]
        ohm = solution[: -2 * self._block].reshape(len(usual_k), len(knots), len(SOC_KNOTS)) * factors
        law = over_temperature(ohm[:, self.told], knots[self.told], knots, usual_k) / factors
        law[:, self.told] = np.nan
        return np.asarray(law.reshape(len(usual_k), -1))

    def _less_sure_by_law(self, found: Solution) -> Solution:
        """The sigma of what follows, and what it may have taken for a part of the OCV."""
        sigma_frac, ocv_sigma_v = found.resistance_sigma_frac.copy(), found.ocv_sigma_v.copy()
        nearest = np.array([np.abs(run.mean_degc - self._degc_knots).argmin() for run in self._runs])
        told = sigma_frac[self.told], self._degc_knots[self.told]
        for t in np.flatnonzero(~self.told).tolist():
            sigma_frac[t] = law_sigma_frac(*told, float(self._degc_knots[t]))
            runs = [run for run, at in zip(self._runs, nearest.tolist(), strict=True) if at == t]
            ohm = float(np.median(found.resistance_ohm[:, t].sum(axis=0)))
            ocv_sigma_v[t] = np.hypot(ocv_sigma_v[t], sigma_frac[t] * slow_drop_v(runs, ohm))
        return replace(found, resistance_sigma_frac=sigma_frac, ocv_sigma_v=ocv_sigma_v)

    def _run_residuals_v(self, structure: Structure, solution: Floats) -> tuple[float, ...]:
        squares = []
        for r, run in enumerate(self._runs):
            y = self._weights[r] * (run.voltage_v - self._base_v[r])[self._picks[r]]
            left = y - self._rows(r, run, structure) @ solution
            squares.append(float(left @ left) / float(self._weights[r] @ self._weights[r]))
        return tuple(math.sqrt(square) for square in squares)

    def _total_variance(self, covariance: Floats, resistances: int) -> Floats:
        """Variance of the sum of R0 and all pairs at each knot, in which their errors cancel."""
        size = resistances * self._block
        parts = covariance[:size, :size].reshape(resistances, self._block, resistances, self._block)
        return np.asarray(np.einsum("ikjk->k", parts))

    def _left_v2(self, structure: Structure, solution: Floats) -> tuple[Floats, Floats]:
        """What the fit leaves at each knot: mean square of the runs' mean residuals there (errors of curve and
        hysteresis, which no number of samples averages out), and of what varies within the runs."""
        common, own, runs, samples = (np.full(self._block, tiny) for tiny in (1e-12, 1e-12, 1e-6, 1e-6))
        for r, run in enumerate(self._runs):
            rows = self._rows(r, run, structure)
            weight = np.maximum(self._weights[r], 1e-12)
            left_v = (run.voltage_v - self._base_v[r])[self._picks[r]] - (rows @ solution) / weight
            seen = np.asarray(self._hats[r].sum(axis=0)).ravel()
            mean_v = (self._hats[r].T @ left_v) / np.maximum(seen, 1e-9)
            here = seen > SEEN_ROWS
            common[here] += mean_v[here] ** 2
            runs[here] += 1.0
            own += self._hats[r].T @ (left_v - self._hats[r] @ mean_v) ** 2
            samples += seen
        return common / runs, own / samples

    def _normal(self, structure: Structure) -> tuple[Floats, Floats, float]:
        """Normal matrix, right side and sum of squares, weighted."""
        size = self._blocks(structure) * self._block
        normal, right, total = np.zeros((size, size)), np.zeros(size), 0.0
        for r, run in enumerate(self._runs):
            rows = self._rows(r, run, structure)
            y = self._weights[r] * (run.voltage_v - self._base_v[r])[self._picks[r]]
            normal += (rows.T @ rows).toarray()
            right += rows.T @ y
            total += float(y @ y)
        return normal, right, total

    def _rows(self, r: int, run: Run, structure: Structure) -> sparse.csr_matrix:
        pick, weight, hats, surface = self._picks[r], self._weights[r], self._hats[r], self._surface(r, run, structure)
        degc = run.temperature_degc[pick]
        inner = [run.current_a] + [self._low_pass(r, tau) for tau in structure.tau_s]
        drops, others = [], [-self._hysteresis(r, structure)[pick], np.ones(len(pick))]
        for j, current_a in enumerate(inner):
            seen_a = self._saturated(current_a[pick], degc, structure) if j == 1 else current_a[pick]
            drops.append(-seen_a * arrhenius(degc, structure.activation_k[j]))
        parts = [sparse.diags(column * weight) @ surface for column in drops]
        parts += [sparse.diags(column * weight) @ hats for column in others]
        return sparse.hstack(parts, format="csr")

    def _surface(self, r: int, run: Run, structure: Structure) -> sparse.csr_matrix:
        """The hats at the SoC that the resistances are those of."""
        pair, lag_h = minutes_pair(structure.tau_s), structure.surface_lag_h
        if lag_h == 0.0 or pair is None:
            return self._hats[r]
        tau_s, pick = structure.tau_s[pair], self._picks[r]
        if (r, lag_h, tau_s) not in self._surfaces:
            degc = run.temperature_degc[pick]
            lag = lag_h * arrhenius(degc, LAG_ACTIVATION_K) * self._low_pass(r, tau_s)[pick] / self._capacity_ah
            surface = np.maximum(run.soc_frac[pick] - lag, 0.0)
            self._surfaces[r, lag_h, tau_s] = hat_matrix(surface, degc, SOC_KNOTS, self._degc_knots)
        return self._surfaces[r, lag_h, tau_s]

    def _low_pass(self, r: int, tau_s: float) -> Floats:
        if (r, tau_s) not in self._inner_a:
            self._inner_a[r, tau_s] = low_pass(self._runs[r].time_s, self._runs[r].current_a, tau_s)
        return self._inner_a[r, tau_s]

    def _hysteresis(self, r: int, structure: Structure) -> Floats:
        pair, rate = structure.hysteresis_pair, structure.hysteresis_rate
        tau_s = 0.0 if pair is None else structure.tau_s[pair]
        if (r, rate, tau_s) not in self._gaps:
            run = self._runs[r]
            turning_a = run.current_a if pair is None else self._low_pass(r, tau_s)
            self._gaps[r, rate, tau_s] = hysteresis(run.time_s, turning_a, self._capacity_ah, rate, run.hysteresis)
        return self._gaps[r, rate, tau_s]

    def _saturated(self, current_a: Floats, degc: Floats, structure: Structure) -> Floats:
        if structure.saturation_a == 0.0:
            return current_a
        scale_a = structure.saturation_a * arrhenius(degc, -structure.activation_k[1])
        return scale_a * np.arcsinh(current_a / scale_a)

    def _weight(self, run: Run, pick: NDArray[np.int64]) -> Floats:
        """Rows near empty bend too much to be trusted; slow curves and thinned rows count by their time."""
        soc = run.soc_frac[pick]
        weight = np.where(soc < 0.1, 0.5, 1.0) * np.where(soc < 0.03, 0.4, 1.0) * np.where(soc > 0.985, 0.5, 1.0)
        seconds = np.ptp(run.time_s) / max(len(pick), 1)
        slow = np.zeros(len(run.soc_frac), np.bool_)
        for sweep in run.sweeps:
            slow[sweep.rows] = True
        return np.asarray(weight * np.sqrt(np.clip(seconds, 0.2, 5.0)) * np.where(slow[pick], LOW_RATE_WEIGHT, 1.0))

    @property
    def _block(self) -> int:
        return len(self._degc_knots) * len(SOC_KNOTS)

    def _blocks(self, structure: Structure) -> int:
        return len(structure.tau_s) + 3

    def _of_rises(self, structure: Structure) -> Floats:
        """The unknowns from such in which the OCV's correction is its first value and its rises from knot to knot."""
        size = self._blocks(structure) * self._block
        matrix = np.eye(size)
        sums = np.tril(np.ones((len(SOC_KNOTS), len(SOC_KNOTS))))
        matrix[-self._block :, -self._block :] = np.kron(np.eye(len(self._degc_knots)), sums)
        return matrix

    def _least(self, structure: Structure) -> Floats:
        least = np.full(self._blocks(structure) * self._block, -np.inf)
        least[: -2 * self._block] = RESISTANCE_OHM_MIN
        least[-2 * self._block : -self._block] = 0.0
        least[-self._block :].reshape(-1, len(SOC_KNOTS))[:, 1:] = -self._base_rise_v
        return least

    def _rms(self, normal: Floats, right: Floats, total: float, solution: Floats) -> float:
        squares = float(total - 2 * right @ solution + solution @ normal @ solution)
        weights = sum(float(weight @ weight) for weight in self._weights)
        return math.sqrt(max(squares, 0.0) / weights)

    def _freedom(self, normal: Floats, prior: Floats) -> float:
        """Share of the samples that the fit does not use up: as many values as samples fit any error and leave none."""
        samples = sum(len(pick) for pick in self._picks) / self._correlated()
        fitted = float(np.trace(np.linalg.solve(normal + prior, normal)))
        return max(1.0 - fitted / samples, FREEDOM_MIN)

    def _correlated(self) -> float:
        """Rows that share one error."""
        seconds = np.mean([np.ptp(run.time_s) / len(pick) for run, pick in zip(self._runs, self._picks, strict=True)])
        return max(CORRELATION_S / float(seconds), 1.0)

    def _solution(
        self,
        structure: Structure,
        solution: Floats,
        variance: Floats,
        own_v2: Floats,
        total_variance: Floats,
        residual_v: float,
    ) -> Solution:
        shape = len(self._degc_knots), len(SOC_KNOTS)
        tables, variances = solution.reshape(-1, *shape), variance.reshape(-1, *shape)
        factors = np.array([arrhenius(self._degc_knots, e) for e in structure.activation_k])[:, :, None]
        total = tables[:-2].sum(axis=0)
        return Solution(
            structure=structure,
            degc_knots=self._degc_knots,
            resistance_ohm=tables[:-2] * factors,
            hysteresis_v=tables[-2],
            ocv_correction_v=tables[-1],
            ocv_sigma_v=np.sqrt(variances[-1]),
            model_sigma_v=np.sqrt(own_v2).reshape(shape),
            resistance_sigma_frac=np.minimum(
                np.median(np.sqrt(total_variance.reshape(shape)) / total, axis=1), RESISTANCE_SIGMA_FRAC_MAX
            ),
            residual_v=residual_v,
        )


def _linear_share(off_v: Floats, degc: Floats) -> Floats:
    """How much of a row's weight stays where the voltage is so far from the base curve. Near empty a drop grows faster
    than the current, and a straight line through two of them meets no current far above the curve: without slow runs it
    is there that a fit puts the curve. In the cold all drops are larger."""
    beyond_v = np.maximum(np.abs(off_v) / arrhenius(degc, LARGE_DROP_K) - LARGE_DROP_V, 0.0)
    return np.asarray(1.0 / np.hypot(1.0, beyond_v / LARGE_DROP_UNSURE_V))


def _picked(run: Run) -> NDArray[np.int64]:
    """Rows that take part: inside the SoC range, thinned to ROWS_MAX."""
    inside = rows_inside(run.soc_frac)
    return inside[:: max(1, -(-len(inside) // ROWS_MAX))]
