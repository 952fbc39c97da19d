"""Runs one fold's identification, and one case through all estimators with both signs of the sensor's errors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bms.estimate.accuracy import Accuracy, accuracy
from bms.estimate.coulomb import CoulombCounter
from bms.estimate.log import Log
from bms.estimate.log_table import Floats
from bms.estimate.plain_ekf import PlainEkf
from bms.estimate.replay import Estimator, SensorError, Start, replay
from bms.estimate.string import StringEstimator
from hil_rigs.evaluate.cases import Case, EvaluateError, Fold, Plan
from hil_rigs.evaluate.spkf import SigmaPointFilter
from kernels.cell_tables import CellTables
from kernels.parameters import load_tables

GAIN_ERROR, OFFSET_PER_H = 0.01, 1 / 200
"""Of the current sensor: gain 1.01 and offset -C/200 (positive on charge, as the logs have it), then both turned."""
TRACE_POINTS = 500

OURS = "ours"
ESTIMATORS: dict[str, Callable[[CellTables], Estimator]] = {
    "coulomb counting": CoulombCounter,
    "plain EKF": PlainEkf,
    "SPKF": SigmaPointFilter,
    OURS: StringEstimator,
}


@dataclass(frozen=True, slots=True)
class Trace:
    """The error over time with the sign that was worse for ours, thinned for a figure; `sigma_pct` is ours."""

    time_h: Floats
    error_pct: dict[str, Floats]
    sigma_pct: Floats


@dataclass(frozen=True, slots=True)
class Measured:
    """One case: by estimator, one Accuracy for each sign of the sensor's errors."""

    case: Case
    figures: dict[str, tuple[Accuracy, ...]]
    trace: Trace | None

    def worse(self, estimator: str) -> Accuracy:
        """The sign with the larger RMSE."""
        return max(self.figures[estimator], key=lambda figures: figures.rmse_pct)


def model_of(fold: Fold, plan: Plan) -> CellTables:
    """The cell's tables: the shipped ones, or identified from the fold's own sources. EvaluateError, LogError."""
    if fold.shipped is not None:
        return load_tables(fold.shipped)
    from hil_rigs.identify import IdentifyError, identify_cell

    logs = [source.log() for source in fold.sources]
    try:
        return identify_cell(logs, nominal_ah=plan.nominal_ah, chemistry=plan.chemistry).tables
    except IdentifyError as error:
        raise EvaluateError(f"{plan.name}, {fold.name}: {error}") from error


def measure(case: Case, tables: CellTables, nominal_ah: float) -> Measured:
    """EvaluateError, LogError."""
    log = case.source.log()
    start = case.begin.start(_true_frac(log))
    signs = [_run(sensor.on(log), tables, start) for sensor in _sensors(nominal_ah)]
    figures = {name: tuple(sign[name][0] for sign in signs) for name in ESTIMATORS}
    worse = max(signs, key=lambda sign: sign[OURS][0].rmse_pct)
    return Measured(case, figures, _trace(log, worse) if case.plotted else None)


Outcome = tuple[Accuracy, Floats, Floats]


def _sensors(nominal_ah: float) -> list[SensorError]:
    """As SensorError has them: current positive on discharge."""
    return [SensorError(1 + sign * GAIN_ERROR, sign * OFFSET_PER_H * nominal_ah) for sign in (1, -1)]


def _run(log: Log, tables: CellTables, start: Start) -> dict[str, Outcome]:
    return {name: _outcome(log, make(tables), start) for name, make in ESTIMATORS.items()}


def _outcome(log: Log, estimator: Estimator, start: Start) -> Outcome:
    done = replay(log, estimator, start)
    reference = _reference(log)
    figures = accuracy(log.time_s, done.soc_frac, done.soc_sigma_frac, reference)
    if figures is None:
        raise EvaluateError(f"{log.path}: no reference SoC after the first 10 min")
    return figures, 100 * (done.soc_frac - reference), 100 * done.soc_sigma_frac


def _reference(log: Log) -> Floats:
    if log.soc_frac is None:
        raise EvaluateError(f"{log.path}: no reference SoC")
    return log.soc_frac


def _true_frac(log: Log) -> float:
    reference = _reference(log)
    return float(np.clip(reference[np.isfinite(reference)][0], 0.0, 1.0))


def _trace(log: Log, outcomes: dict[str, Outcome]) -> Trace:
    rows = np.unique(np.linspace(0, len(log.time_s) - 1, TRACE_POINTS).round().astype(np.int64))
    return Trace(
        time_h=(log.time_s - log.time_s[0])[rows] / 3600,
        error_pct={name: outcome[1][rows] for name, outcome in outcomes.items()},
        sigma_pct=outcomes[OURS][2][rows],
    )
