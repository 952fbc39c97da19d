"""The report of runs as one HTML page: a table of verdicts, and for each scenario its faults and curves. Nothing is
fetched: the charts' code is in the page."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from pathlib import Path

from hil_rigs.campaign import Job, Result
from hil_rigs.faults.spec import FaultSpec
from hil_rigs.report.head import head, made_by
from hil_rigs.signals import CHARTS, SIGNALS
from hil_rigs.thin import Curve

DRAW = """
const layout = (title, unit, marks) => ({title: {text: title, font: {size: 13}, x: 0.01}, height: 260,
  margin: {l: 70, r: 20, t: 34, b: 36}, xaxis: {title: {text: 's'}}, yaxis: {title: {text: unit}},
  legend: {orientation: 'h', y: 1.18, x: 1, xanchor: 'right'},
  shapes: marks.map(m => ({type: 'line', x0: m.at, x1: m.at, yref: 'paper', y0: 0, y1: 1,
    line: {color: m.fault ? '#cf222e' : '#8250df', width: 1, dash: 'dot'}}))});
function draw(details) {
  if (details.dataset.drawn) return;
  details.dataset.drawn = 1;
  const data = JSON.parse(details.querySelector('script').textContent);
  for (const chart of data.charts) {
    const place = document.createElement('div');
    place.className = 'chart';
    details.appendChild(place);
    Plotly.newPlot(place, chart.lines.map(l => ({x: l.x, y: l.y, name: l.name, mode: 'lines', line: {width: 1.3}})),
      layout(chart.title, chart.unit, data.marks), {displayModeBar: false, responsive: true});
  }
}
document.querySelectorAll('details').forEach(d => {
  d.addEventListener('toggle', () => d.open && draw(d));
  if (d.open) draw(d);
});
function showTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) { target.open = true; target.scrollIntoView(); }
}
addEventListener('hashchange', showTarget);
showTarget();
"""


def write_page(results: Sequence[Result], unfinished: Sequence[Job], path: Path, made_at: datetime) -> None:
    """Records are linked as files beside the page, named like their scenarios. `unfinished` is what an interruption
    left out."""
    from plotly.offline import get_plotlyjs

    path.write_text(_page(results, unfinished, made_at, get_plotlyjs()), encoding="utf-8")


def _page(results: Sequence[Result], unfinished: Sequence[Job], made_at: datetime, charts_code: str) -> str:
    passed = sum(result.passed for result in results)
    total = len(results) + len(unfinished)
    verdict = "pass" if passed == total else "fail"
    words = f"interrupted, {passed} of {total} passed" if unfinished else f"{passed} of {total} passed"
    return "\n".join(
        [
            head("hil run"),
            f"<h1>hil run: <span class={verdict}>{words}</span></h1>",
            made_by(made_at),
            "<table><tr><th>scenario<th>rig<th>verdict<th>what failed"
            "<th class=n>seed<th class=n>simulated<th class=n>took</tr>",
            *(_row(result) for result in results),
            *(_unfinished_row(job) for job in unfinished),
            "</table>",
            *(part for result in results for part in _section(result)),
            f"<script>{charts_code}</script><script>{DRAW}</script></html>",
        ]
    )


def _row(result: Result) -> str:
    job = result.job
    failed = [f"{v.criterion}: {v.required}, measured {v.measured}" for v in result.verdicts if not v.passed]
    why = result.error.splitlines()[-1] if result.error else "; ".join(failed)
    return (
        f"<tr><td><a href='#{job.scenario.name}'>{escape(job.scenario.name)}</a><td>{escape(job.scenario.rig)}"
        f"<td>{_word(result.passed)}<td>{escape(why)}<td class=n>{job.seed}"
        f"<td class=n>{job.duration_s:g} s<td class=n>{result.took_s:.1f} s</tr>"
    )


def _unfinished_row(job: Job) -> str:
    return (
        f"<tr><td>{escape(job.scenario.name)}<td>{escape(job.scenario.rig)}<td><span class=fail>not finished</span>"
        f"<td>interrupted<td class=n>{job.seed}<td class=n>{job.duration_s:g} s<td class=n></tr>"
    )


def _section(result: Result) -> Iterator[str]:
    job, scenario = result.job, result.job.scenario
    yield f"<details id='{scenario.name}'{'' if result.passed else ' open'}>"
    yield f"<summary>{_word(result.passed)} <b>{escape(scenario.name)}</b> <span class=says>{escape(scenario.says)}"
    yield "</span></summary>"
    if result.error:
        yield f"<pre>{escape(result.error)}</pre>"
    yield "<table><tr><th>criterion<th>required<th>measured<th></tr>"
    for v in result.verdicts:
        cells = "<td>".join(escape(text) for text in (v.criterion, v.required, v.measured))
        yield f"<tr><td>{cells}<td>{_word(v.passed)}</tr>"
    yield "</table>"
    yield from _events(result)
    link = "" if result.error or job.record is None else f" · <a href='{job.record.name}'>record</a>"
    yield f"<p><code>{escape(job.replay)}</code>{link}</p>"
    yield f"<script type='application/json'>{_charts(result)}</script></details>"


def _events(result: Result) -> Iterator[str]:
    events = [(fault.at_s, f"injected: {fault.kind} {fault.target or ''}") for fault in _faults(result)]
    events += [(trip.at_s, f"{trip.fault_id} ({trip.target}: {trip.detail})") for trip in result.trips]
    if not events:
        return
    yield "<table><tr><th class=n>s<th>what happened</tr>"
    for at_s, what in sorted(events):
        yield f"<tr><td class=n>{at_s:.3f}<td>{escape(what)}</tr>"
    yield "</table>"


def _charts(result: Result) -> str:
    by_name = {curve.name: curve for curve in result.curves}
    charts = [
        {"title": title, "unit": unit, "lines": [_trace(by_name[name], scale) for name in names if name in by_name]}
        for title, unit, scale, names in CHARTS
    ]
    marks = [{"at": fault.at_s, "fault": True} for fault in _faults(result)]
    marks += [{"at": trip.at_s, "fault": False} for trip in result.trips]
    document = {"charts": [chart for chart in charts if chart["lines"]], "marks": marks}
    return json.dumps(document, separators=(",", ":")).replace("</", "<\\/")


def _trace(curve: Curve, scale: float) -> dict[str, object]:
    value = [float(f"{scale * v:.5g}") for v in curve.value]
    return {"name": SIGNALS[curve.name].says.split(",")[0], "x": curve.time_s, "y": value}


def _faults(result: Result) -> list[FaultSpec]:
    return [*result.job.scenario.faults, *result.job.faults]


def _word(passed: bool) -> str:
    return f"<span class={'pass' if passed else 'fail'}>{'pass' if passed else 'FAIL'}</span>"
