"""Identifies a cell from measurements: open-circuit voltage, resistances, hysteresis, with their uncertainties."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bms.estimate.coarse_rows import coarse
from bms.estimate.log import Log
from hil_rigs.identify.chemistry import CHEMISTRIES, Chemistry
from hil_rigs.identify.covered import Basis, bases, touched_degc
from hil_rigs.identify.doubts import check_chemistry, doubts
from hil_rigs.identify.fit import SOC_KNOTS, Fit, Solution, Structure
from hil_rigs.identify.ocv import OcvBase, ocv_base
from hil_rigs.identify.possible import taken_logs
from hil_rigs.identify.runs import FLOWING_PER_H, IdentifyError, Run, capacity_of, run_of
from hil_rigs.identify.soc_range import spans
from hil_rigs.identify.tables import cell_tables
from hil_rigs.identify.usual import follows_law, quiet, resistance_told, unseen_seconds, untold, usual_ohm
from kernels.cell_tables import SOC_GRID, CellTables, usual_hysteresis_pair

__all__ = ["IdentifiedCell", "IdentifyError", "identify_cell"]

Floats = NDArray[np.float64]

KNOT_APART_K = 6.0
"""Runs whose mean temperatures lie closer share a temperature knot."""
RATES = (8.0, 15.0, 30.0, 60.0, 120.0)
RATE_USUAL = 30.0
LAG_WORTH = 0.97
"""The surface's SoC is told from the mean one where that leaves so much less of the residual."""
PLAIN_SHARE = 0.8
"""Of a residual: what is so much smaller did not come about by chance, nor by pairs that are not quite the cell's."""


@dataclass(frozen=True, slots=True)
class IdentifiedCell:
    """The cell's tables, how the fit went, and lines on what its user should know of the logs and of the result."""

    tables: CellTables
    runs: tuple[Run, ...]
    solution: Solution
    soc_spans: tuple[tuple[float, float], ...]
    """First and last SoC of each stretch that the runs went through; elsewhere the curve is the chemistry's."""
    warnings: tuple[str, ...] = ()

    @property
    def bases(self) -> tuple[Basis, ...]:
        """What each temperature of the tables stands on."""
        return bases(self.runs, self.tables.temperature_degc)


def identify_cell(
    logs: Sequence[Log], *, nominal_ah: float, chemistry: str, name: str = "identified"
) -> IdentifiedCell:
    """Any mix of slow, pulse, constant-current and dynamic runs, at one temperature or many. IdentifyError for logs
    that cannot be used."""
    if not logs:
        raise IdentifyError("no measurements given")
    kind = CHEMISTRIES[chemistry]
    logs, warnings = taken_logs(logs, kind, nominal_ah)
    capacity = capacity_of(logs, nominal_ah)
    runs = tuple(run_of(log, capacity.ah, kind) for log in logs)
    if all(np.abs(run.current_a).max() < FLOWING_PER_H * capacity.ah for run in runs):
        raise IdentifyError(f"{logs[0].path}: no current flows in any run: nothing but a voltage can be read from that")
    warnings += _far_apart(logs, capacity.ah)
    degc_knots = temperature_knots(runs)
    base = ocv_base(runs, degc_knots, kind)
    check_chemistry(logs, runs, base, kind, capacity.ah)
    pinned_ohm = None if resistance_told(runs, capacity.ah) else usual_ohm(runs, capacity.ah, kind)
    fit = _fit(runs, base, capacity.ah, degc_knots, kind, pinned_ohm)
    solution = fit.solve(_best_structure(fit, kind if pinned_ohm is None else quiet(kind), capacity.ah))
    if pinned_ohm is not None:
        warnings.append(untold(pinned_ohm, capacity.ah, kind))
    elif not fit.told.all():
        warnings.append(follows_law(degc_knots[~fit.told].tolist(), degc_knots[fit.told]))
    if fit.coarse_s is not None:
        warnings.append(unseen_seconds(fit.coarse_s, solution.structure.tau_s))
    warnings += doubts(logs, runs, base, solution, capacity, kind)
    source = f"identified from {len(runs)} runs: " + ", ".join(dict.fromkeys(run.name for run in runs))
    tables = cell_tables(solution, base, name, chemistry, source, capacity, touched_degc(runs))
    return IdentifiedCell(tables, runs, solution, tuple(spans(base.covered)), tuple(warnings))


def _far_apart(logs: Sequence[Log], capacity_ah: float) -> list[str]:
    """A line for each log whose rows do not tell what flowed between them, and that has not counted it."""
    found = [(log, coarse(log, capacity_ah)) for log in logs if log.ah is None]
    return [f"{log.named}: {apart.told}; a column ah would say it" for log, apart in found if apart is not None]


def temperature_knots(runs: Sequence[Run]) -> Floats:
    """The runs' mean temperatures, those close together taken as one."""
    groups: list[list[float]] = []
    for degc in sorted(run.mean_degc for run in runs):
        if groups and degc - np.mean(groups[-1]) < KNOT_APART_K:
            groups[-1].append(degc)
        else:
            groups.append([degc])
    return np.array([float(np.mean(group)) for group in groups])


def _fit(
    runs: Sequence[Run],
    base: OcvBase,
    capacity_ah: float,
    degc_knots: Floats,
    kind: Chemistry,
    pinned_ohm: float | None,
) -> Fit:
    base_v = [_base_at(run, base, degc_knots) for run in runs]
    sigma_v = np.repeat(base.sigma_v[:, None], len(SOC_KNOTS), axis=1)
    gap_v, gap_sigma_v = (
        np.array([np.interp(SOC_KNOTS, SOC_GRID, row) for row in rows])
        for rows in (base.half_gap_v, base.half_gap_sigma_v)
    )
    return Fit(runs, base_v, capacity_ah, degc_knots, sigma_v, gap_v, gap_sigma_v, kind.shares_weight, pinned_ohm)


def _base_at(run: Run, base: OcvBase, degc_knots: Floats) -> Floats:
    """The base curve at each row, linear between temperature knots."""
    at_knots = np.array([np.interp(run.soc_frac, SOC_GRID, row) for row in base.curve_v])
    if len(degc_knots) == 1:
        return np.asarray(at_knots[0])
    degc = np.clip(run.temperature_degc, degc_knots[0], degc_knots[-1])
    below = np.clip(np.searchsorted(degc_knots, degc, "right") - 1, 0, len(degc_knots) - 2)
    share = (degc - degc_knots[below]) / (degc_knots[below + 1] - degc_knots[below])
    rows = np.arange(len(degc))
    return np.asarray(at_knots[below, rows] * (1 - share) + at_knots[below + 1, rows] * share)


def _best_structure(fit: Fit, kind: Chemistry, capacity_ah: float) -> Structure:
    """The one with the smallest residual: first time constants and saturation, then how far the surface lags, then the
    rate of the hysteresis. That the cell's own current turns it where another is usual must be plain from the runs."""

    def structure(tau_s: tuple[float, ...], saturation_per_h: float) -> Structure:
        ohmic, first, other = kind.activation_k
        activation = (ohmic, first, *[other] * (len(tau_s) - 1))
        pair = usual_hysteresis_pair(kind.name, tau_s)
        return Structure(tau_s, pair, RATE_USUAL, saturation_per_h * capacity_ah, activation)

    shapes = [structure(tau, saturation) for tau in kind.tau_s for saturation in kind.saturation_per_h]
    best = min(shapes, key=fit.residual_v)
    lagging = [replace(best, surface_lag_h=lag_h) for lag_h in kind.surface_lag_h]
    if lagging:
        most = min(lagging, key=fit.residual_v)
        best = most if fit.residual_v(most) < LAG_WORTH * fit.residual_v(best) else best
    usual = min((replace(best, hysteresis_rate=rate) for rate in RATES), key=fit.residual_v)
    if usual.hysteresis_pair is None:
        return usual
    own = min((replace(usual, hysteresis_pair=None, hysteresis_rate=rate) for rate in RATES), key=fit.residual_v)
    return own if fit.residual_v(own) < PLAIN_SHARE * fit.residual_v(usual) else usual
