"""What is expected of the tables before any measurement: smoothness, usual hysteresis, an OCV near its base."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NOISE_V = 0.01
ROWS_A_SAMPLE = 30
"""Rows of a run that count as one independent sample against what is expected."""
SMOOTH_SOC, SMOOTH_DEGC, SMALL = 3e-3, 1e-2, 1e-6
"""Weights of a resistance's bend over SoC, slope over temperature and size, by its own excitation."""
LEVEL_SOC = 0.1
"""The same of its slope where no run went: unbent, one that rises towards the end of the runs would go on rising."""
OHMIC_SHARE = 0.4
PINNED = 1e4
"""Weight of a resistance that the runs do not tell, by its own excitation: whatever they seem to say, it stays."""
PAIR_SHARES = ((10.0, 0.10), (60.0, 0.20), (500.0, 0.25), (3500.0, 0.10), (np.inf, 0.05))
"""(time constant up to, s; weight): how the rest is usually divided among the pairs. Charge transfer and the first
minutes of diffusion carry most of it, hours little (A123 26650, NCR18650PF at 25 degC)."""


class Prior:
    """Expectations for [T, Z] tables: `ocv_sigma_v` how far the OCV may lie from its base, `hysteresis_v` the half gap
    with `hysteresis_sigma_v`, `shares_weight` of the usual division of the resistance. `pinned_ohm`: R0 and the pairs
    together at 25 degC where the runs do not tell it. `unseen[Z]`: where no run went, and resistances go on level. The
    unknowns are blocks of T * Z values: R0, the pairs, hysteresis, OCV correction."""

    def __init__(
        self,
        ocv_sigma_v: Floats,
        hysteresis_v: Floats,
        hysteresis_sigma_v: Floats,
        shares_weight: float,
        pinned_ohm: float | None,
        unseen: NDArray[np.bool_],
    ) -> None:
        self._ocv_sigma_v, self._hysteresis_v = ocv_sigma_v.ravel(), hysteresis_v.ravel()
        self._hysteresis_sigma_v = hysteresis_sigma_v.ravel()
        self._shares_weight, self._pinned_ohm = shares_weight, pinned_ohm
        temperatures, knots = ocv_sigma_v.shape
        self._block = temperatures * knots
        bend = np.diff(np.eye(knots), 2, axis=0)
        rise = np.diff(np.eye(temperatures), 1, axis=0)
        level = np.diff(np.eye(knots), 1, axis=0)[unseen[1:] | unseen[:-1]]
        self._where_unseen = np.asarray(np.kron(np.eye(temperatures), level.T @ level), dtype=np.float64)
        self._over_soc = np.asarray(np.kron(np.eye(temperatures), bend.T @ bend), dtype=np.float64)
        self._over_degc = np.asarray(np.kron(rise.T @ rise, np.eye(knots)), dtype=np.float64)

    def of(self, normal: Floats, tau_s: Sequence[float]) -> tuple[Floats, Floats]:
        """(matrix, right side) to be added to the normal equations of a fit with R0 and these pairs."""
        resistances = len(tau_s) + 1
        prior, right = np.zeros_like(normal), np.zeros(len(normal))
        for j in range(resistances):
            part, scale = self._part(j), self._excitation(normal, j)
            smooth = SMOOTH_SOC * self._over_soc + SMOOTH_DEGC * self._over_degc + SMALL * np.eye(self._block)
            prior[part, part] = scale * (smooth + LEVEL_SOC * self._where_unseen)
        self._add_usual_shares(prior, normal, usual_shares(tau_s))
        if self._pinned_ohm is not None:
            ohm = self._pinned_ohm * usual_shares(tau_s)
            held, held_right = self.holding(normal, np.tile(ohm[:, None], self._block))
            prior, right = prior + held, right + held_right
        samples = self._excitation(normal, resistances + 1) / ROWS_A_SAMPLE
        self._expect_hysteresis(prior, right, samples, resistances)
        self._expect_ocv(prior, samples, resistances + 1)
        return prior + 1e-9 * np.eye(len(normal)), right

    def holding(self, normal: Floats, ohm: Floats) -> tuple[Floats, Floats]:
        """(matrix, right side) that hold R0 and the pairs, [R, T * Z], at these values; NaN = free."""
        held, right = np.zeros(len(normal)), np.zeros(len(normal))
        for j, each in enumerate(ohm):
            part = self._part(j)
            held[part] = np.where(np.isfinite(each), PINNED * self._excitation(normal, j), 0.0)
            right[part] = held[part] * np.nan_to_num(each)
        return np.diag(held), right

    def _part(self, j: int) -> slice:
        return slice(j * self._block, (j + 1) * self._block)

    def _excitation(self, normal: Floats, j: int) -> float:
        return float(np.diagonal(normal)[self._part(j)].mean())

    def _add_usual_shares(self, prior: Floats, normal: Floats, shares: Floats) -> None:
        """A weak pull towards the usual division of the resistance between R0 and the pairs: constant-current runs
        alone do not say which of them carries the drop."""
        resistances = len(shares)
        seen = [self._excitation(normal, j) for j in range(resistances)]
        weight = self._shares_weight * float(np.mean(np.array(seen) * shares**2))
        for j in range(1, resistances):
            for a, b, sign in ((0, 0, 1.0), (j, j, 1.0), (0, j, -1.0), (j, 0, -1.0)):
                pull = sign * weight / (shares[a] * shares[b])
                prior[self._part(a), self._part(b)] += pull * np.eye(self._block)

    def _expect_hysteresis(self, prior: Floats, right: Floats, samples: float, j: int) -> None:
        sure = samples * NOISE_V**2 / self._hysteresis_sigma_v**2
        prior[self._part(j), self._part(j)] = np.diag(sure) + samples * (self._over_soc + self._over_degc)
        right[self._part(j)] = sure * self._hysteresis_v

    def _expect_ocv(self, prior: Floats, samples: float, j: int) -> None:
        sure = samples * NOISE_V**2 / self._ocv_sigma_v**2
        smooth = (self._over_soc + 2 * self._over_degc) * float(sure.mean())
        prior[self._part(j), self._part(j)] = np.diag(sure) + smooth


def usual_shares(tau_s: Sequence[float]) -> Floats:
    """Of R0 and of each pair, in all 1."""
    weights = [next(weight for most_s, weight in PAIR_SHARES if tau < most_s) for tau in tau_s]
    return np.array([OHMIC_SHARE, *(1 - OHMIC_SHARE) * np.array(weights) / sum(weights)])
