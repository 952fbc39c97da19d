"""How every page begins: its title, its look, which program made it and when, and the rule that it fetches nothing."""

from datetime import UTC, datetime
from html import escape

from bms.install import program

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)
"""Content-Security-Policy of a page: a browser then fetches nothing, whatever addresses the charts' code holds."""

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#24292f;background:#fff}
table{border-collapse:collapse;width:100%;margin-bottom:.8em}
td,th{padding:4px 10px;text-align:left;border-bottom:1px solid #d0d7de}
th{font-weight:600}th.n,td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.pass{color:#1a7f37;font-weight:600}.fail{color:#cf222e;font-weight:600}
details{border:1px solid #d0d7de;border-radius:6px;margin:.6em 0;padding:.4em .9em}summary{cursor:pointer}
details[open] summary{margin-bottom:.5em}code,pre{font:13px ui-monospace,monospace}pre{white-space:pre-wrap}
.chart{height:260px}.says{color:#57606a}
"""


def head(title: str) -> str:
    """Everything before the first heading; the policy comes before all that could fetch."""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f'<meta http-equiv=Content-Security-Policy content="{POLICY}">'
        f"<title>{escape(title)}</title><meta name=viewport content='width=device-width'><style>{STYLE}</style>"
    )


def made_by(made_at: datetime) -> str:
    """One line: the program, its version, and when, in UTC."""
    return f"<p class=says>{escape(program())}, {made_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC</p>"
