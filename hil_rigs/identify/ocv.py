"""The base of the open-circuit voltage: slow charge and discharge, else the chemistry's usual curve."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hil_rigs.identify.chemistry import Chemistry
from hil_rigs.identify.runs import Run, Sweep
from hil_rigs.identify.soc_range import Points, bends_v, covered, unseen_sigma_v
from kernels.cell_tables import SOC_GRID, extended

Floats = NDArray[np.float64]

NEAR_K = 6.0
"""A slow run within this many kelvin of a knot is that knot's."""
MEASURED_SIGMA_V = 0.010
ONE_DIRECTION_SIGMA_V = 0.015
ELSEWHERE_SIGMA_V = 0.015
GENERIC_SIGMA_V = 0.15
GENERIC_LFP_SIGMA_V = 0.01
"""Where a usual curve is flat; LFP's plateaus are those of the same two phases in every cell. Beside that it is off by
what cells differ in where the curve bends (`bends_v`)."""
WARM_DEGC = 2.0
"""Below this the drop of a slow run is too large to be halved by taking the mean of both directions."""
SMOOTH_POINTS = 5
REACHED = 0.03
"""A slow run that ends so near to full or empty has got there."""
GAP_USUAL, GAP_SHARE, GAP_SIGMA_V, BEYOND_SHARE = 3.0, 0.3, 0.002, 0.5
"""Sigma of the expected half gap: a share of it, a least value, and a share of what was measured beyond it."""
OPEN_GAP_SIGMA_V = 0.02
"""The same where no slow run goes both ways and the gap is not the usual one: silicon in the anode makes 30 to 50 mV of
graphite's 2 (an NMC pouch 35), and whether there is some is not told by the chemistry."""


@dataclass(frozen=True, slots=True)
class OcvBase:
    """`curve_v[T, 221]` on SOC_GRID and `sigma_v[T, 221]`, how far the truth may lie from it; `half_gap_v[T, 221]` that
    hysteresis is expected to have, and its `half_gap_sigma_v`. `measured`: by slow runs; `gap_measured`: by such of
    both directions. `covered[221]`: the SoC that the runs went through; `unseen_sigma_v[221]`: how far off any curve
    may be elsewhere."""

    curve_v: Floats
    sigma_v: Floats
    half_gap_v: Floats
    half_gap_sigma_v: Floats
    measured: bool
    gap_measured: bool
    covered: Points
    unseen_sigma_v: Floats


def ocv_base(runs: Sequence[Run], degc_knots: Floats, chemistry: Chemistry, *, gap_is_open: bool = False) -> OcvBase:
    """One curve per temperature knot: measured there, else that of the nearest one moved by the usual slope over
    temperature, else the chemistry's. `gap_is_open`: where no runs measure it, hysteresis is left to the fit and not
    taken to be about the chemistry's."""
    found = {float(degc): each for degc in degc_knots if (each := _at(runs, degc, chemistry)) is not None}
    usable = _centred(_usable(found), gap_is_open=gap_is_open)
    slope = _slope([found.curve_v for found in usable.values()], np.array(list(usable)))
    curves, sigmas = [], []
    for degc in degc_knots.tolist():
        if not usable:
            curves.append(chemistry.ocv_v(np.clip(SOC_GRID, 0, 1)))
            sigmas.append(_generic_sigma_v(chemistry))
            continue
        near = min(usable, key=lambda other: abs(other - degc))
        curves.append(usable[near].curve_v + slope * (degc - near))
        sigmas.append(np.full(len(SOC_GRID), usable[near].sigma_v if near == degc else ELSEWHERE_SIGMA_V))
    gap, gap_sigma = (
        np.tile(row, (len(degc_knots), 1)) for row in _gap(list(usable.values()), chemistry, gap_is_open=gap_is_open)
    )
    smooth = [extended(SOC_GRID[10:-10], curve[10:-10]) for curve in curves]
    points = covered(runs)
    unseen_v = unseen_sigma_v(points, chemistry)
    both = any(each.half_gap_v is not None for each in usable.values())
    return OcvBase(np.array(smooth), np.array(sigmas), gap, gap_sigma, bool(usable), both, points, unseen_v)


def _generic_sigma_v(chemistry: Chemistry) -> Floats:
    flat_v = GENERIC_LFP_SIGMA_V if chemistry.name == "lfp" else GENERIC_SIGMA_V
    return np.hypot(flat_v, bends_v(chemistry))


@dataclass(frozen=True, slots=True)
class _Measured:
    """`direction` of the one sweep that there is (+1 = discharge), 0 = there are both and `half_gap_v` is measured."""

    curve_v: Floats
    half_gap_v: Floats | None
    sigma_v: float
    direction: int = 0


def _usable(measured: dict[float, _Measured]) -> dict[float, _Measured]:
    """Those of warm cells, or whatever there is."""
    warm = {degc: found for degc, found in measured.items() if degc >= WARM_DEGC}
    return warm or measured


def _at(runs: Sequence[Run], degc: float, chemistry: Chemistry) -> _Measured | None:
    near = [(run, sweep) for run in runs if abs(run.mean_degc - degc) < NEAR_K for sweep in run.sweeps]
    down = [sweep_curve(run, sweep) for run, sweep in near if sweep.direction > 0]
    up = [sweep_curve(run, sweep) for run, sweep in near if sweep.direction < 0]
    if down and up:
        low = max(down[0][0][0], up[0][0][0])
        high = min(down[0][0][-1], up[0][0][-1])
        inside = np.clip(SOC_GRID, low, high)
        gap = np.interp(inside, *up[0]) - np.interp(inside, *down[0])
        curve = _going_on(down[0], chemistry, up[0]) + 0.5 * gap
        return _Measured(np.maximum.accumulate(curve), 0.5 * np.maximum(gap, 0.0), MEASURED_SIGMA_V)
    one = down or up
    return _Measured(_going_on(one[0], chemistry), None, ONE_DIRECTION_SIGMA_V, 1 if down else -1) if one else None


def _centred(usable: dict[float, _Measured], *, gap_is_open: bool) -> dict[float, _Measured]:
    """Those of one direction moved to the middle of the gap, by half of it as measured at the next temperature that has
    both: on an LFP plateau that is a fifth of the SoC range. Where none has both, an open gap makes them less sure."""
    both = {degc: each.half_gap_v for degc, each in usable.items() if each.half_gap_v is not None}
    if not both:
        less_v = OPEN_GAP_SIGMA_V if gap_is_open else 0.0
        return {degc: replace(each, sigma_v=math.hypot(each.sigma_v, less_v)) for degc, each in usable.items()}
    centred = {}
    for degc, each in usable.items():
        half_v = both[min(both, key=partial(_apart_k, degc))]
        centred[degc] = replace(each, curve_v=np.maximum.accumulate(each.curve_v + each.direction * half_v))
    return centred


def _apart_k(degc: float, other_degc: float) -> float:
    return abs(other_degc - degc)


def _going_on(curve: tuple[Floats, Floats], chemistry: Chemistry, other: tuple[Floats, Floats] | None = None) -> Floats:
    """The curve on SOC_GRID. Where it ends before full or empty it goes on in the shape of the other direction's, if
    that goes further, and then in the chemistry's usual one."""
    soc, volts = curve
    grid = np.clip(SOC_GRID, 0, 1)
    shapes = [(other[0][[0, -1]], np.interp(grid, *other))] if other is not None else []
    for reach, shape_v in [*shapes, (np.array([0.0, 1.0]), chemistry.ocv_v(grid))]:
        low, high = soc[0], soc[-1]
        below = (grid < low) & (grid >= reach[0]) & (low > REACHED)
        above = (grid > high) & (grid <= reach[-1]) & (high < 1 - REACHED)
        at_low_v, at_high_v = np.interp([low, high], grid, shape_v)
        soc = np.concatenate([grid[below], soc, grid[above]])
        volts = np.concatenate([shape_v[below] - at_low_v + volts[0], volts, shape_v[above] - at_high_v + volts[-1]])
    return np.interp(grid, soc, volts)


def sweep_curve(run: Run, sweep: Sweep) -> tuple[Floats, Floats]:
    """(soc, volts), rising and smoothed."""
    soc, volts, current_a = (part[sweep.rows] for part in (run.soc_frac, run.voltage_v, run.current_a))
    flowing = (np.sign(current_a) == sweep.direction) & np.isfinite(soc)
    soc, volts = soc[flowing], volts[flowing]
    order = np.argsort(soc, kind="stable")
    grid = np.linspace(soc[order][0], soc[order][-1], 600)
    smooth = np.interp(grid, soc[order], volts[order])
    half = SMOOTH_POINTS // 2
    smooth = np.convolve(np.pad(smooth, half, mode="edge"), np.ones(SMOOTH_POINTS) / SMOOTH_POINTS, "valid")
    return grid, np.maximum.accumulate(smooth)


def _slope(curves: Sequence[Floats], degc: Floats) -> Floats:
    """V per K of the measured curves, smoothed over SoC; 0 where there is only one."""
    if len(curves) < 2:
        return np.zeros(len(SOC_GRID))
    away = degc - degc.mean()
    slope = (away[:, None] * (np.array(curves) - np.mean(curves, axis=0))).sum(axis=0) / (away**2).sum()
    return np.asarray(np.convolve(np.pad(slope, 5, mode="edge"), np.ones(11) / 11, "valid"))


def _gap(measured: Sequence[_Measured], chemistry: Chemistry, *, gap_is_open: bool) -> tuple[Floats, Floats]:
    """The warmest measured half gap, where the drop is smallest, and its sigma. What is beyond GAP_USUAL times the
    chemistry's may be hysteresis (silicon in the anode) or a drop: the fit decides."""
    gaps = [found.half_gap_v for found in measured if found.half_gap_v is not None]
    if not gaps:
        gap = np.full(len(SOC_GRID), chemistry.hysteresis_v)
        return gap, np.full(len(SOC_GRID), OPEN_GAP_SIGMA_V) if gap_is_open else GAP_SHARE * gap + GAP_SIGMA_V
    usual = np.full(len(SOC_GRID), 0.4 * chemistry.hysteresis_v)
    gap = np.maximum(np.minimum(gaps[-1], GAP_USUAL * chemistry.hysteresis_v), usual)
    return gap, GAP_SHARE * gap + GAP_SIGMA_V + BEYOND_SHARE * np.maximum(gaps[-1] - gap, 0.0)
