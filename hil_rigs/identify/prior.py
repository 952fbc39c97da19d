"""What is expected of the tables before any measurement: smoothness, usual hysteresis, an OCV near its base."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NOISE_V = 0.01
ROWS_A_SAMPLE = 30
"""Rows of a run that count as one independent sample against what is expected."""
SMOOTH_SOC, SMOOTH_DEGC, SMALL = 3e-3, 1e-2, 1e-6
"""Weights of a resistance's bend over SoC, slope over temperature and size, by its own excitation."""
OHMIC_SHARE = 0.4
SHARES_WEIGHT = 1e-3


class Prior:
    """Expectations for [T, Z] tables: `ocv_sigma_v` how far the OCV may lie from its base, `hysteresis_v` the half gap
    with `hysteresis_sigma_v`. The unknowns are blocks of T * Z values: R0, the pairs, hysteresis, OCV correction."""

    def __init__(self, ocv_sigma_v: Floats, hysteresis_v: Floats, hysteresis_sigma_v: Floats) -> None:
        self._ocv_sigma_v, self._hysteresis_v = ocv_sigma_v.ravel(), hysteresis_v.ravel()
        self._hysteresis_sigma_v = hysteresis_sigma_v.ravel()
        temperatures, knots = ocv_sigma_v.shape
        self._block = temperatures * knots
        bend = np.diff(np.eye(knots), 2, axis=0)
        rise = np.diff(np.eye(temperatures), 1, axis=0)
        self._over_soc = np.asarray(np.kron(np.eye(temperatures), bend.T @ bend), dtype=np.float64)
        self._over_degc = np.asarray(np.kron(rise.T @ rise, np.eye(knots)), dtype=np.float64)

    def of(self, normal: Floats, resistances: int) -> tuple[Floats, Floats]:
        """(matrix, right side) to be added to the normal equations of a fit with so many resistances."""
        prior, right = np.zeros_like(normal), np.zeros(len(normal))
        for j in range(resistances):
            part, scale = self._part(j), self._excitation(normal, j)
            smooth = SMOOTH_SOC * self._over_soc + SMOOTH_DEGC * self._over_degc + SMALL * np.eye(self._block)
            prior[part, part] = scale * smooth
        self._add_usual_shares(prior, normal, resistances)
        samples = self._excitation(normal, resistances + 1) / ROWS_A_SAMPLE
        self._expect_hysteresis(prior, right, samples, resistances)
        self._expect_ocv(prior, samples, resistances + 1)
        return prior + 1e-9 * np.eye(len(normal)), right

    def _part(self, j: int) -> slice:
        return slice(j * self._block, (j + 1) * self._block)

    def _excitation(self, normal: Floats, j: int) -> float:
        return float(np.diagonal(normal)[self._part(j)].mean())

    def _add_usual_shares(self, prior: Floats, normal: Floats, resistances: int) -> None:
        """A weak pull towards the usual division of the resistance between R0 and the pairs: constant-current runs
        alone do not say which of them carries the drop."""
        others = max(resistances - 1, 1)
        shares = np.array([OHMIC_SHARE] + [(1 - OHMIC_SHARE) / others] * (resistances - 1))
        seen = [self._excitation(normal, j) for j in range(resistances)]
        weight = SHARES_WEIGHT * float(np.mean(np.array(seen) * shares**2))
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
