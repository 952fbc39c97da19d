"""The resistance that is usual for a chemistry and a capacity, for runs that do not tell it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bms.estimate.coarse_rows import COARSE_S
from hil_rigs.identify.basis import KELVIN, arrhenius
from hil_rigs.identify.chemistry import Chemistry
from hil_rigs.identify.ocv import NEAR_K, sweep_curve
from hil_rigs.identify.runs import GAP_S, Run, Sweep, charge_ah

Floats = NDArray[np.float64]
Knots = NDArray[np.bool_]

FAST_PER_H, FAST_S = 0.2, 60.0
"""A current that moves the voltage by more than slow runs leave unexplained, and how long one has to flow."""
STEP_PER_H, STEPS_MIN, STEPS_PER_CAPACITY = 0.02, 6, 10.0
"""Steps of a smaller current tell a resistance, too, where there are many for the charge that is moved."""
USUAL_SIGMA_FRAC = 0.5
"""Of the usual resistance: cells made for power have half of it, such for energy twice."""
CHANGING_SHARE, COARSE_SIGMA_FRAC = 0.2, 0.35
"""Where rows COARSE_S apart have a current that changes over that share of the time, the resistances found there are
good for so much: A123, NCR18650PF and E2 by means and samples of 30 and 60 s came to 0.5 to 1.6 times those of 1 s."""
LAW_SIGMA_K = 1200.0
"""Of the activation energy that carries a resistance from one temperature to another."""
GAP_SOC: Floats = np.linspace(0.2, 0.8, 61)
LEAST_SHARE = 0.1
"""Of the usual resistance, where charge and discharge lie so near that there seems to be none."""
SLOW_DROP_K = 3500.0
"""Activation of the drop of a slow run, which pairs of minutes and hours make."""


def resistance_told(runs: Sequence[Run], capacity_ah: float) -> bool:
    """Whether some run has a current that says how large the resistances are."""
    fast_s = sum(float(_fast_seconds(run, capacity_ah).sum()) for run in runs)
    return fast_s >= FAST_S or any(_stepped(run, capacity_ah) for run in runs)


def told_knots(runs: Sequence[Run], capacity_ah: float, degc_knots: Floats) -> Knots:
    """[T]: which temperatures have a run that says how large the resistances are, by rows that lie nearest to them; all
    where none has enough by itself."""
    fast_s, stepped = np.zeros(len(degc_knots)), np.zeros(len(degc_knots), np.bool_)
    for run in runs:
        nearest = np.abs(run.temperature_degc[:, None] - degc_knots).argmin(axis=1)
        fast_s += np.bincount(nearest, _fast_seconds(run, capacity_ah), len(degc_knots))
        stepped[np.abs(run.mean_degc - degc_knots).argmin()] |= _stepped(run, capacity_ah)
    told = (fast_s >= FAST_S) | stepped
    return told if told.any() else ~told


def law_sigma_frac(told_sigma_frac: Floats, told_degc: Floats, degc: float) -> float:
    """Of a resistance that follows the law over temperature from the nearest of those that were told."""
    inverse = 1 / (told_degc + KELVIN)
    away = np.abs(1 / (degc + KELVIN) - inverse)
    nearest = int(away.argmin())
    return min(float(np.hypot(told_sigma_frac[nearest], LAW_SIGMA_K * away[nearest])), USUAL_SIGMA_FRAC)


def follows_law(degc: Sequence[float], told_degc: Floats) -> str:
    """The line that tells of it."""
    listed, told = (", ".join(f"{each:.0f}" for each in row) for row in (degc, told_degc.tolist()))
    return (
        f"no run at {listed} degC has steps of its current or more than C/{1 / FAST_PER_H:.0f} for a minute: the "
        f"resistance there is not measured but follows from the one at {told} degC by its usual course over temperature"
    )


def coarse_s(runs: Sequence[Run], capacity_ah: float) -> float | None:
    """How far the rows are apart of the runs that tell a resistance, where none of them has rows near enough (COARSE_S)
    to see what pairs of seconds do. A current that stays the same from row to row is seen all the same."""
    apart = [_apart_s(run, capacity_ah) for run in runs if _fast_seconds(run, capacity_ah).sum() >= FAST_S]
    return min(apart) if apart and min(apart) >= COARSE_S else None


def unseen_seconds(apart_s: float, tau_s: Sequence[float]) -> str:
    """The line that tells of it."""
    short = ", ".join(f"{tau:g}" for tau in tau_s if tau < 2 * apart_s)
    pairs = f" and the pairs of {short} s" if short else ""
    return (
        f"rows are {apart_s:.3g} s apart while the current changes from one to the next: R0{pairs} cannot be told from "
        f"each other, and their sum to ± {100 * COARSE_SIGMA_FRAC:.0f} % at best: log every second or few"
    )


def _apart_s(run: Run, capacity_ah: float) -> float:
    """Between rows whose current differs, in the middle; 0 where hardly any do."""
    dt_s = np.diff(run.time_s)
    known = dt_s < GAP_S
    steps = known & (np.abs(np.diff(run.current_a)) > STEP_PER_H * capacity_ah)
    share = float(dt_s[steps].sum() / max(dt_s[known].sum(), 1e-9))
    return float(np.median(dt_s[steps])) if share > CHANGING_SHARE else 0.0


def usual_ohm(runs: Sequence[Run], capacity_ah: float, chemistry: Chemistry) -> float:
    """R0 and all pairs together at 25 degC; not more than would leave hysteresis nothing of the gap between slow charge
    and discharge."""
    usual = chemistry.resistance_ohm_ah / capacity_ah
    sweeps = [(run, sweep) for run in runs for sweep in run.sweeps]
    most = [
        _gap_ohm(down, up)
        for down in sweeps
        for up in sweeps
        if down[1].direction > up[1].direction and abs(down[0].mean_degc - up[0].mean_degc) < NEAR_K
    ]
    return max(min([usual, *most]), LEAST_SHARE * usual)


def untold(ohm: float, capacity_ah: float, chemistry: Chemistry) -> str:
    """The line that tells of it."""
    return (
        f"no run has steps of its current or more than C/{1 / FAST_PER_H:.0f} for a minute: the resistance is not "
        f"measured but the usual one of {chemistry.name} cells of {capacity_ah:.3g} Ah, {1e3 * ohm:.3g} mOhm at "
        f"25 degC ± {100 * USUAL_SIGMA_FRAC:.0f} %"
    )


def _gap_ohm(down: tuple[Run, Sweep], up: tuple[Run, Sweep]) -> float:
    """As if all of the gap were a drop, at 25 degC."""
    gap_v = float(np.median(np.interp(GAP_SOC, *sweep_curve(*up)) - np.interp(GAP_SOC, *sweep_curve(*down))))
    apart_a = sum(float(np.median(np.abs(run.current_a[sweep.rows]))) for run, sweep in (down, up))
    return gap_v / apart_a / float(arrhenius(np.array([down[0].mean_degc]), SLOW_DROP_K)[0])


def quiet(chemistry: Chemistry) -> Chemistry:
    """With one structure to choose: residuals of slow runs cannot tell which is the better one."""
    return replace(chemistry, tau_s=chemistry.tau_s[:1], saturation_per_h=(0.0,), surface_lag_h=())


def slow_drop_v(runs: Sequence[Run], ohm: float) -> float:
    """What runs of one temperature lose to a resistance there, on their mean current: charge and discharge cancel."""
    return abs(float(np.mean([ohm * _mean_a(run) for run in runs])))


def unknown_drop_v(runs: Sequence[Run], usual_ohm: float) -> float:
    """What the usual resistance may be wrong by, on the mean current of the runs: charge and discharge cancel."""
    drops_v = [usual_ohm * float(arrhenius(np.array([run.mean_degc]), SLOW_DROP_K)[0]) * _mean_a(run) for run in runs]
    return USUAL_SIGMA_FRAC * abs(float(np.mean(drops_v)))


def _fast_seconds(run: Run, capacity_ah: float) -> Floats:
    """Of each row; in a pause of the logger nothing is seen of the voltage."""
    seconds = np.diff(run.time_s, append=run.time_s[-1])
    seen = (seconds < GAP_S) & np.isfinite(run.voltage_v)
    return np.where(seen & (np.abs(run.current_a) > FAST_PER_H * capacity_ah), seconds, 0.0)


def _stepped(run: Run, capacity_ah: float) -> bool:
    near = np.diff(run.time_s) <= GAP_S
    steps = int((near & (np.abs(np.diff(run.current_a)) > STEP_PER_H * capacity_ah)).sum())
    moved = float(charge_ah(run.time_s, np.abs(run.current_a))[-1]) / capacity_ah
    return steps >= max(STEPS_MIN, STEPS_PER_CAPACITY * moved)


def _mean_a(run: Run) -> float:
    """Over the time in which some flows."""
    seconds = np.minimum(np.diff(run.time_s, append=run.time_s[-1]), GAP_S)
    flowing = float((seconds * np.abs(run.current_a)).sum())
    return float((seconds * run.current_a * np.abs(run.current_a)).sum()) / flowing if flowing > 0 else 0.0
