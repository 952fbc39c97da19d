"""From a fit to a cell's tables, and from those to the file that estimator, rigs and people read."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from hil_rigs.identify.basis import arrhenius
from hil_rigs.identify.chemistry import CHEMISTRIES
from hil_rigs.identify.covered import Basis
from hil_rigs.identify.efficiency import efficiency_over_temperature
from hil_rigs.identify.fit import SOC_KNOTS, Solution, Structure
from hil_rigs.identify.ocv import WARM_DEGC, OcvBase
from hil_rigs.identify.runs import Capacity
from hil_rigs.identify.soc_range import Points, percent
from hil_rigs.identify.temperature_law import BRIDGED_K, linear, over_temperature
from kernels.cell_tables import LINEAR_A, SOC_GRID, CellTables, extended, frozen_tables

Floats = NDArray[np.float64]

FILE_SOC: Floats = np.unique(
    np.concatenate(
        [np.arange(0, 0.06, 0.005), np.arange(0.06, 0.955, 0.01), np.arange(0.96, 1.001, 0.005), [1.0]]
    ).round(4)
)
"""Where the file has its table points: denser where the curve bends."""
STEP_K, NEAR_STEP_K = 7.0, 2.5
COLDER_K, WARMER_K = (20.0, 10.0), (15.0,)
"""Rows beyond the measured temperatures, for what a resistance usually does there."""
OCV_V_PER_K = -0.0005, 0.0005
"""Entropy moves an open-circuit voltage by no more than this."""
OCV_SIGMA_V = 0.002, 0.020
UNSLOW_SIGMA_V, UNSLOW_PLACE_SIGMA, FITTED_PLACE_SIGMA_MAX = 0.007, 0.01, 0.03
"""Curves fitted to drives and pulses alone lie 4 to 15 mV beside those of slow runs of the same cells in the middle,
and about 1 % of SoC at steep ends."""
MODEL_SIGMA_V = 0.001, 0.040
"""Least and most: near empty a small error of the SoC looks like a large one of the voltage."""


def cell_tables(
    solution: Solution,
    base: OcvBase,
    name: str,
    chemistry: str,
    source: str,
    capacity: Capacity,
    measured: tuple[float, float],
) -> CellTables:
    """`measured` = lowest and highest degC that the runs tell of."""
    structure, knots = solution.structure, solution.degc_knots
    degc = dense(knots)
    ohm = over_temperature(solution.resistance_ohm, knots, degc, np.array(structure.activation_k))
    ocv_sigma_v = linear(_over_soc(solution.ocv_sigma_v), knots, degc)
    ocv_v = _ocv_over_temperature(base.curve_v + _over_soc(solution.ocv_correction_v), knots, degc)
    if base.measured:
        ocv_sigma_v = np.clip(ocv_sigma_v, *OCV_SIGMA_V)
    else:
        ocv_v = _from_known(ocv_v, base.covered & (ocv_sigma_v < OCV_SIGMA_V[1]).all(axis=0))
        ocv_sigma_v = _without_slow_runs(ocv_sigma_v, ocv_v, chemistry)
    return frozen_tables(
        name=name,
        chemistry=chemistry,
        source=source,
        capacity_ah=capacity.ah,
        capacity_sigma_frac=capacity.sigma_frac,
        temperature_degc=degc,
        temperature_measured_degc=measured,
        ocv_v=np.array([extended(SOC_GRID[10:-10], row[10:-10]) for row in ocv_v]),
        ocv_sigma_v=np.hypot(ocv_sigma_v, base.unseen_sigma_v),
        model_sigma_v=np.clip(linear(_over_soc(solution.model_sigma_v), knots, degc), *MODEL_SIGMA_V),
        resistance_ohm=_over_soc(ohm[0]),
        resistance_sigma_frac=np.interp(degc, knots, solution.resistance_sigma_frac),
        rc_tau_s=np.array(structure.tau_s),
        rc_resistance_ohm=np.array([_over_soc(table) for table in ohm[1:]]),
        hysteresis_v=linear(_over_soc(solution.hysteresis_v), knots, degc),
        hysteresis_rate=np.full(len(degc), structure.hysteresis_rate),
        hysteresis_tau_s=0.0 if structure.hysteresis_pair is None else structure.tau_s[structure.hysteresis_pair],
        saturation_current_a=_saturation_a(structure, degc),
        surface_lag_h=structure.surface_lag_h,
        coulombic_efficiency=efficiency_over_temperature(capacity.efficiency, degc),
        self_discharge_per_h=np.zeros(len(degc)),
    )


def dense(knots: Floats) -> Floats:
    """The knots, points between them at most STEP_K apart (NEAR_STEP_K between knots that are near each other, where
    the tables follow the fit), and some beyond both ends."""
    parts = [np.linspace(a, b, _steps(b - a), endpoint=False) for a, b in pairwise(knots.tolist())]
    colder, warmer = knots[0] - np.array(COLDER_K), knots[-1] + np.array(WARMER_K)
    return np.concatenate([colder, *parts, knots[-1:], warmer])


def _steps(apart_k: float) -> int:
    return math.ceil(apart_k / (NEAR_STEP_K if apart_k <= BRIDGED_K else STEP_K))


def _ocv_over_temperature(rows: Floats, knots: Floats, degc: Floats) -> Floats:
    """OCV [T, 221] at `degc`: linear between the knots; beyond them on with the slope that the warm ones have."""
    within, warm = linear(rows, knots, degc), knots >= WARM_DEGC
    if warm.sum() < 2:
        return within
    away = knots[warm] - knots[warm].mean()
    slope = (away[:, None] * rows[warm]).sum(axis=0) / (away**2).sum()
    smooth = np.convolve(np.pad(slope, 5, mode="edge"), np.ones(11) / 11, "valid")
    return np.asarray(within + np.outer(degc - np.clip(degc, knots[0], knots[-1]), np.clip(smooth, *OCV_V_PER_K)))


def _from_known(rows: Floats, known: Points) -> Floats:
    """What lies below the lowest known point held below it: a usual curve must not lift a measured one."""
    lowest = int(np.argmax(known))
    below = np.minimum.accumulate(rows[:, lowest::-1], axis=1)[:, ::-1]
    return np.concatenate([below, rows[:, lowest + 1 :]], axis=1)


def _without_slow_runs(sigma_v: Floats, ocv_v: Floats, chemistry: str) -> Floats:
    """What a fit says of its OCV, as far as that can be, and what it cannot say without a slow run: a height that
    passes for a drop or for hysteresis, and the place of a steep end."""
    slope_v = np.maximum(*(np.gradient(v, SOC_GRID, axis=-1) for v in (ocv_v, CHEMISTRIES[chemistry].ocv_v(SOC_GRID))))
    most_v = np.hypot(OCV_SIGMA_V[1], FITTED_PLACE_SIGMA_MAX * slope_v)
    return np.asarray(
        np.sqrt(np.minimum(sigma_v, most_v) ** 2 + UNSLOW_SIGMA_V**2 + (UNSLOW_PLACE_SIGMA * slope_v) ** 2)
    )


def _over_soc(table: Floats) -> Floats:
    inside = np.clip(SOC_GRID, 0, 1)
    return np.array([np.interp(inside, SOC_KNOTS, row) for row in table])


def _saturation_a(structure: Structure, degc: Floats) -> Floats:
    if not structure.saturation_a:
        return np.full(len(degc), LINEAR_A)
    return np.asarray(structure.saturation_a * arrhenius(degc, -structure.activation_k[1]))


def write_cell(
    tables: CellTables, path: Path, bases: Sequence[Basis] = (), soc_spans: Sequence[tuple[float, float]] = ()
) -> None:
    """Writes the file that `kernels.parameters.load_tables` reads; over an older one only when all of it is there.
    `bases` of its temperatures and the `soc_spans` measured become remarks in it."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(cell_yaml(tables, bases, soc_spans), encoding="utf-8")
    draft.replace(path)


def cell_yaml(tables: CellTables, bases: Sequence[Basis] = (), soc_spans: Sequence[tuple[float, float]] = ()) -> str:
    """One line per key, one per table row."""
    rows = [(key, getattr(tables, key)) for key in ("name", "chemistry", "source")]
    lines = [yaml.safe_dump({key: value}, allow_unicode=True, width=110).strip() for key, value in rows]
    lines += [f"capacity_ah: {tables.capacity_ah:.5g}", f"capacity_sigma_frac: {tables.capacity_sigma_frac:.3g}"]
    lines += _remarks(tables.temperature_degc, bases)
    lines += [_row("temperature_degc", tables.temperature_degc, "%.2f")]
    lines += ["# Lowest and highest of the runs but for stray rows: outside the estimator trusts the tables less"]
    lines += [_row("temperature_measured_degc", tables.temperature_measured_degc, "%.1f")]
    lines += [f"# measured: {percent(soc_spans)} SoC"] if soc_spans else []
    lines += [_row("soc", FILE_SOC, "%.4g")]
    lines += _table("ocv_v", tables.ocv_v, "%.4f") + _table("ocv_sigma_v", tables.ocv_sigma_v, "%.2g")
    lines += _table("model_sigma_v", tables.model_sigma_v, "%.2g")
    lines += _table("resistance_ohm", tables.resistance_ohm, "%.3e")
    lines += [_row("resistance_sigma_frac", tables.resistance_sigma_frac, "%.2g"), "rc:"]
    for tau_s, table in zip(tables.rc_tau_s, tables.rc_resistance_ohm, strict=True):
        lines += [f"  - tau_s: {tau_s:g}"] + ["    " + line for line in _table("resistance_ohm", table, "%.3e")]
    lines += _table("hysteresis_v", tables.hysteresis_v, "%.2e")
    lines += [_row("hysteresis_rate", tables.hysteresis_rate, "%.3g")]
    if tables.hysteresis_tau_s is not None:
        lines += [f"hysteresis_tau_s: {tables.hysteresis_tau_s:g}"]
    lines += [_row("coulombic_efficiency", tables.coulombic_efficiency, "%.4f")]
    lines += [_row("self_discharge_per_h", tables.self_discharge_per_h, "%.3g")]
    lines += [_row("saturation_current_a", tables.saturation_current_a, "%.4g")]
    if tables.surface_lag_h:
        lines += [f"surface_lag_h: {tables.surface_lag_h:g}"]
    return "\n".join(lines) + "\n"


def _remarks(temperature_degc: Floats, bases: Sequence[Basis]) -> list[str]:
    """A line for each basis that there is, with its temperatures."""
    of = {each: [t for t, basis in zip(temperature_degc, bases, strict=False) if basis is each] for each in Basis}
    return [f"# {each}: " + ", ".join(f"{t:.2f}" for t in found) + " degC" for each, found in of.items() if found]


def _table(key: str, table: Floats, style: str) -> list[str]:
    at_points = [np.interp(FILE_SOC, SOC_GRID, row) for row in table]
    return [f"{key}:"] + ["  - [" + ", ".join(_number(v, style) for v in row) + "]" for row in at_points]


def _row(key: str, values: Sequence[float] | Floats, style: str) -> str:
    return f"{key}: [" + ", ".join(_number(value, style) for value in values) + "]"


def _number(value: float, style: str) -> str:
    """YAML reads an exponent as a number only with a point before it."""
    text = style % value
    mantissa, e, exponent = text.partition("e")
    return text if not e or "." in mantissa else f"{mantissa}.0e{exponent}"
