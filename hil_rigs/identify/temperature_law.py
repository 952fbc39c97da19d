"""How resistances go over temperature: between those that were measured, and beyond."""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from hil_rigs.identify.basis import KELVIN, arrhenius

Floats = NDArray[np.float64]

BRIDGED_K = 15.0
"""A cell under load warms itself by 5 to 15 K: between knots no further apart the fit has seen what lies there."""
ACTIVATION_K = 500.0, 7000.0
COLD_ACTIVATION_K = 4800.0
"""Least activation energy of the pairs below the measured temperatures: what is 2000-3000 K in the warm, is 4000-5600 K
in the cold (A123 26650, NCR18650PF)."""


def over_temperature(ohm: Floats, knots: Floats, degc: Floats, usual_k: Floats) -> Floats:
    """Resistances [R0 and pairs, T, Z] at `degc`: between knots that are near each other as fitted, else ln R goes over
    1/T as a monotone curve, which is steeper when cold; beyond the knots each goes on with the median slope of its end
    (pairs in the cold with COLD_ACTIVATION_K at least), or with the usual activation energies where there is only one
    temperature."""
    at, to, log_ohm = 1 / (knots[::-1] + KELVIN), 1 / (degc + KELVIN), np.log(ohm[:, ::-1])
    inside = np.clip(to, at[0], at[-1])
    within, cold_k, warm_k = np.repeat(log_ohm, len(degc), axis=1), usual_k, usual_k
    if len(knots) > 1:
        curve = PchipInterpolator(at, log_ohm, axis=1)
        within = curve(inside)
        warm_k, cold_k = np.clip(np.median(curve.derivative()(at[[0, -1]]), axis=2), *ACTIVATION_K).T
        cold_k = np.concatenate([cold_k[:1], np.maximum(cold_k[1:], COLD_ACTIVATION_K)])
        near = _near(knots, degc)
        within[:, near] = np.log(_as_fitted(ohm, knots, degc[near], usual_k))
    beyond = np.where(to > inside, cold_k[:, None], warm_k[:, None]) * (to - inside)
    return np.asarray(np.exp(within + beyond[:, :, None]))


def _near(knots: Floats, degc: Floats) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    """Which of `degc` lie between two knots that are no more than BRIDGED_K apart."""
    above = np.clip(np.searchsorted(knots, degc), 1, len(knots) - 1)
    inside = (degc >= knots[0]) & (degc <= knots[-1])
    return np.asarray(inside & (knots[above] - knots[above - 1] <= BRIDGED_K))


def _as_fitted(ohm: Floats, knots: Floats, degc: Floats, usual_k: Floats) -> Floats:
    """Between the knots as the fit has it: linear, by the usual activation energies."""
    rows = [
        linear(table / arrhenius(knots, k)[:, None], knots, degc) * arrhenius(degc, k)[:, None]
        for table, k in zip(ohm, usual_k.tolist(), strict=True)
    ]
    return np.array(rows)


def linear(rows: Floats, knots: Floats, degc: Floats) -> Floats:
    """Rows [T, ...] at the knots, at each of `degc`: straight between them, the end ones beyond."""
    return np.array([np.interp(degc, knots, column) for column in rows.T]).T
