"""The document: tables with what misses its target marked, and a figure of the error over time for some cases."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bms.estimate.accuracy import REFERENCE_SIGMA_FRAC, SETTLE_S
from hil_rigs.evaluate.cases import Plan
from hil_rigs.evaluate.judge import BEYOND_S, COVERAGE_PCT, SIGMA_BY_RMSE, SIGMA_PCT, Row
from hil_rigs.evaluate.measure import ESTIMATORS, GAIN_ERROR, OURS, Measured, Trace
from hil_rigs.evaluate.svg import Chart

NAME = "accuracy"
MISSED, SHORT = "✗", "○"
COLOURS = {"coulomb counting": "#8c959f", "plain EKF": "#d1740c", "SPKF": "#2da44e", OURS: "#0550ae"}
ERROR_SHOWN_PCT = (4.0, 20.0)
"""A figure's axis reaches at least and at most so far from 0."""

INTRODUCTION = f"""# Accuracy of the state-of-charge estimate

Written by `hil evaluate`; the measurements are not part of the project. Every log is estimated with a model that was
not made from it. The current sensor is wrong by gain +{100 * GAIN_ERROR:g} % and offset -C/200, then with both signs
turned; of each log the worse of the two counts. All figures are in % SoC, over the rows from {SETTLE_S / 60:g} min
after the first one on.

- *RMSE*: the median over the logs of a line, by estimator. *Best known*: the smallest that we know of on these logs,
  with gain +{100 * GAIN_ERROR:g} % and offset -C/200; *ours, that sign*: ours with the same sensor. For the simulated
  run the best in print on a like one (J. Energy Storage 2024, 10.1016/j.est.2024.112042).
- *Within 3 sigma*: the least share of rows of any log. *Beyond*: the longest time without a break. Both with
  {100 * REFERENCE_SIGMA_FRAC:g} % for the reference's own error, added to sigma by squares.
- Coulomb counting, the plain EKF (SoC and two RC pairs) and the SPKF (sigma points; hysteresis too) get the same
  samples, the same model and the same start.

Targets: the limits in the tables; at least {COVERAGE_PCT:g} % within 3 sigma and never beyond for more than
{BEYOND_S:g} s; a median sigma of at most {SIGMA_BY_RMSE:g} RMSE or {SIGMA_PCT:g} %. {MISSED} marks what misses,
{SHORT} an RMSE above the best known.
"""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A plan, its finished cases and the rows made of them."""

    plan: Plan
    measured: tuple[Measured, ...]
    rows: tuple[Row, ...]


def write_report(evaluated: Sequence[Evaluated], folder: Path, note: str = "") -> Path:
    """`accuracy.md` and `accuracy/*.svg` in the folder, which is made where it is missing; the document's path. `note`
    says what the figures lack. OSError when it cannot be written."""
    figures = folder / NAME
    figures.mkdir(parents=True, exist_ok=True)
    for each in evaluated:
        for measured in each.measured:
            if measured.trace is not None:
                _write(figures / f"{_slug(each, measured)}.svg", figure(_title(each.plan, measured), measured.trace))
    document = folder / f"{NAME}.md"
    _write(document, markdown(evaluated, note))
    return document


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def markdown(evaluated: Sequence[Evaluated], note: str = "") -> str:
    sections = [INTRODUCTION]
    if note:
        sections.append(f"**{note}**\n")
    sections.append(_missed(evaluated))
    sections += [_section(each) for each in evaluated]
    sections.append(_every_log(evaluated))
    return "\n".join(sections)


def _missed(evaluated: Sequence[Evaluated]) -> str:
    lines = [
        f"- {each.plan.name}, {row.group}: {'; '.join(row.misses)}"
        for each in evaluated
        for row in each.rows
        if row.misses
    ]
    return "\n".join(["## What misses its target", "", *(lines or ["Nothing."]), ""])


def _section(each: Evaluated) -> str:
    plan = each.plan
    lines = [f"## {plan.name}", "", f"{plan.says[0].upper()}{plan.says[1:]}.", ""]
    if plan.absent:
        lines += [f"Not evaluated: {len(plan.absent)} of its files are absent, such as `{plan.absent[0].name}`.", ""]
    if each.rows:
        head = ["", "logs", *ESTIMATORS, "limit", "best known", "ours, that sign", "worst log", "largest error"]
        lines += [*_table(head, [_accuracy_cells(row) for row in each.rows]), ""]
        head = [
            "",
            "plain EKF within 3 sigma",
            "SPKF within 3 sigma",
            "ours within 3 sigma",
            "beyond 3 sigma",
            "median sigma",
        ]
        lines += [*_table(head, [_sigma_cells(row) for row in each.rows]), ""]
    for measured in each.measured:
        if measured.trace is not None:
            lines += [f"![{_title(each.plan, measured)}]({NAME}/{_slug(each, measured)}.svg)", ""]
    return "\n".join(lines)


def _accuracy_cells(row: Row) -> list[str]:
    limits, missed = row.limits, " ".join(row.misses)
    rmse = [f"{row.rmse_pct[name]:.2f}" for name in ESTIMATORS if name != OURS]
    ours = _marked(f"{row.rmse_pct[OURS]:.2f}", any(text.startswith("RMSE") for text in row.misses))
    if row.is_short and MISSED not in ours:
        ours = f"{ours} {SHORT}"
    error = _marked(f"{row.error_pct[OURS]:.1f}", "largest error" in missed)
    limit, goal = (("-" if value is None else f"{value:g}") for value in (limits.rmse_pct, limits.goal_pct))
    more = f"{row.first_sign_pct:.2f}", f"{row.worst_rmse_pct[OURS]:.2f}"
    return [row.group, str(row.cases), *rmse, ours, limit, goal, *more, error]


def _sigma_cells(row: Row) -> list[str]:
    missed = " ".join(row.misses)
    others = [f"{row.coverage_pct[name]:.0f} %" for name in ("plain EKF", "SPKF")]
    ours = _marked(f"{row.coverage_pct[OURS]:.1f} %", "within 3 sigma" in missed)
    beyond = _marked(f"{row.beyond_s:.0f} s", "beyond" in missed)
    return [row.group, *others, ours, beyond, _marked(f"{row.sigma_pct:.2f}", "median sigma" in missed)]


def _marked(text: str, missed: bool) -> str:
    return f"{text} {MISSED}" if missed else text


def _every_log(evaluated: Sequence[Evaluated]) -> str:
    rows = []
    for each in evaluated:
        for measured in each.measured:
            ours = measured.worse(OURS)
            others = [f"{measured.worse(name).rmse_pct:.2f}" for name in ESTIMATORS if name != OURS]
            within = [_since(ours.time_to_5pct_s), _since(ours.time_to_2pct_s)]
            figures = [
                f"{ours.rmse_pct:.2f}",
                f"{ours.max_error_pct:.1f}",
                f"{ours.coverage_3sigma_pct:.1f} %",
                *within,
            ]
            rows.append([each.plan.name, measured.case.group, measured.case.source.name, *others, *figures])
    head = ["cell", "start", "log", *ESTIMATORS, "largest error", "within 3 sigma", "in 5 % from", "in 2 % from"]
    return "\n".join(["## Every log", "", "With the worse sign. *In 5 % from*: the time from which on the error stays "
                      "within 5 % to the log's end.", "", *_table(head, rows, texts=3), ""])  # fmt: skip


def _since(time_s: float | None) -> str:
    return "never" if time_s is None else f"{time_s:.0f} s"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> list[str]:
    rule = ["---"] * texts + ["---:"] * (len(head) - texts)
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]


def _title(plan: Plan, measured: Measured) -> str:
    return f"{plan.name}, {measured.case.source.name}: {measured.case.group}"


def _slug(each: Evaluated, measured: Measured) -> str:
    words = f"{each.plan.name.split(',')[0]} {measured.case.source.name} {measured.case.group}"
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def figure(title: str, trace: Trace) -> str:
    """The error of every estimator over time, and ours with its band of 3 sigma."""
    reach = max(float(np.percentile(np.abs(trace.error_pct[OURS]) + 3 * trace.sigma_pct, 90)), ERROR_SHOWN_PCT[0])
    reach = min(1.15 * reach, ERROR_SHOWN_PCT[1])
    time_h = trace.time_h
    chart = Chart(title, "time, h", "error, % SoC", (0.0, float(time_h[-1])), (-reach, reach))
    ours = trace.error_pct[OURS]
    chart.band(time_h, ours - 3 * trace.sigma_pct, ours + 3 * trace.sigma_pct, COLOURS[OURS], "ours ± 3 sigma")
    for name, error_pct in trace.error_pct.items():
        chart.line(time_h, error_pct, COLOURS[name], name, 2.2 if name == OURS else 1.2)
    return chart.text()
