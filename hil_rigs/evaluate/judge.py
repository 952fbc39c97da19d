"""From the cases' figures to the rows of the tables, and what misses its target."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from hil_rigs.evaluate.cases import Limits, Plan
from hil_rigs.evaluate.measure import ESTIMATORS, OURS, Measured

COVERAGE_PCT = 95.0
BEYOND_S = 60.0
SIGMA_BY_RMSE, SIGMA_PCT = 2.0, 1.5
"""Sigma may be this many times the RMSE, or this; a larger one is honest but of no use."""


@dataclass(frozen=True, slots=True)
class Row:
    """One group of cases, all in %: of each case the worse sign of the sensor's errors counts.

    `rmse_pct` are medians over the cases, `worst_rmse_pct` and `error_pct` the largest, `coverage_pct` the least of any
    case and sign, by estimator; `beyond_s` and `sigma_pct` (the median over cases) are ours, and so is
    `first_sign_pct`, the median RMSE with the first sign alone. `misses` says in words what ours misses, empty =
    nothing."""

    group: str
    cases: int
    limits: Limits
    rmse_pct: dict[str, float]
    worst_rmse_pct: dict[str, float]
    error_pct: dict[str, float]
    coverage_pct: dict[str, float]
    beyond_s: float
    sigma_pct: float
    first_sign_pct: float
    misses: tuple[str, ...]

    @property
    def is_short(self) -> bool:
        """Behind the best RMSE known on these logs."""
        return self.limits.goal_pct is not None and self.rmse_pct[OURS] > self.limits.goal_pct


def rows_of(plan: Plan, measured: Sequence[Measured]) -> list[Row]:
    """The plan's groups in its order; one without a finished case has no row."""
    groups = {group: [each for each in measured if each.case.group == group] for group in plan.groups}
    return [_row(group, cases, plan) for group, cases in groups.items() if cases]


def _row(group: str, cases: Sequence[Measured], plan: Plan) -> Row:
    worse = {name: [each.worse(name) for each in cases] for name in ESTIMATORS}
    every = {name: [figures for each in cases for figures in each.figures[name]] for name in ESTIMATORS}
    row = Row(
        group,
        len(cases),
        plan.groups[group],
        {name: median(figures.rmse_pct for figures in worse[name]) for name in ESTIMATORS},
        {name: max(figures.rmse_pct for figures in worse[name]) for name in ESTIMATORS},
        {name: max(figures.max_error_pct for figures in every[name]) for name in ESTIMATORS},
        {name: min(figures.coverage_3sigma_pct for figures in every[name]) for name in ESTIMATORS},
        max(figures.beyond_3sigma_s_max for figures in every[OURS]),
        median(figures.median_sigma_pct for figures in worse[OURS]),
        median(each.figures[OURS][0].rmse_pct for each in cases),
        (),
    )
    return replace(row, misses=tuple(_misses(row, whole=plan.whole)))


def _misses(row: Row, *, whole: bool) -> list[str]:
    """Of a group that is not `whole` what holds of each log is judged, but not its medians."""
    limits, rmse_pct, missed = row.limits, row.rmse_pct[OURS], []
    if limits.rmse_pct is not None and rmse_pct > limits.rmse_pct:
        missed.append(f"RMSE {rmse_pct:.2f} %, at most {limits.rmse_pct:g} %")
    if limits.error_pct is not None and row.error_pct[OURS] > limits.error_pct:
        missed.append(f"largest error {row.error_pct[OURS]:.1f} %, at most {limits.error_pct:g} %")
    if row.coverage_pct[OURS] < COVERAGE_PCT:
        missed.append(f"within 3 sigma {row.coverage_pct[OURS]:.1f} % of rows, at least {COVERAGE_PCT:g} %")
    if row.beyond_s > BEYOND_S:
        missed.append(f"beyond 3 sigma for {row.beyond_s:.0f} s, at most {BEYOND_S:g} s")
    if whole and row.sigma_pct > (bound := max(SIGMA_BY_RMSE * rmse_pct, SIGMA_PCT)):
        missed.append(f"median sigma {row.sigma_pct:.2f} %, at most {bound:.2f} %")
    return missed
