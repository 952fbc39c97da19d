"""A service's judgement as one HTML page: the table, and charts whose code is in the page."""

import json
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from hil_rigs.comply.service import Chart, Judged, Order, Service
from hil_rigs.report.head import head, made_by
from hil_rigs.report.run_page import DRAW
from hil_rigs.thin import thinned


def write_page(service: Service, order: Order, judged: Judged, path: Path) -> None:
    from plotly.offline import get_plotlyjs

    word = "pass" if judged.passed else "fail"
    met = sum(row.passed for row in judged.rows)
    lines = [
        head(f"hil comply {service.name}"),
        f"<h1>{escape(service.name)}: <span class={word}>{met} of {len(judged.rows)} criteria met</span></h1>",
        f"<p class=says>{escape(service.says)}; rig {escape(order.rig.name)}, seed {order.seed}"
        f"{', short form' if order.short else ''}</p>",
        made_by(datetime.now(UTC)),
        "<table><tr><th>criterion<th>required<th>measured<th></tr>",
        *(
            f"<tr><td>{escape(row.criterion)}<td>{escape(row.required)}<td>{escape(row.measured)}"
            f"<td><span class={'pass' if row.passed else 'fail'}>{'pass' if row.passed else 'FAIL'}</span></tr>"
            for row in judged.rows
        ),
        "</table>",
        "<details open><summary>what happened</summary>",
        f"<script type='application/json'>{_charts(judged.charts)}</script></details>",
        f"<script>{get_plotlyjs()}</script><script>{DRAW}</script></html>",
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def _charts(charts: list[Chart]) -> str:
    drawn = [
        {
            "title": chart.title,
            "unit": chart.unit,
            "lines": [
                {"name": curve.name, "x": curve.time_s, "y": curve.value}
                for curve in thinned(chart.time_s, chart.lines)
            ],
        }
        for chart in charts
    ]
    return json.dumps({"charts": drawn, "marks": []}, separators=(",", ":")).replace("</", "<\\/")
