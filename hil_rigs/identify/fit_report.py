"""The report of an identification: one HTML page with its curves, nothing to be fetched."""

from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil_rigs.evaluate.svg import Chart
from hil_rigs.identify import IdentifiedCell
from hil_rigs.identify.covered import measured_degc
from kernels.cell_tables import SOC_GRID, CellTables

Floats = NDArray[np.float64]

COLOURS = ("#0550ae", "#1a7f37", "#bc4c00", "#8250df", "#cf222e", "#57606a", "#0a7ea4", "#9a6700")
INSIDE = slice(10, -10)
STYLE = (
    "body{font:15px sans-serif;max-width:800px;margin:2em auto;color:#24292f}td,th{padding:2px 12px;text-align:right}"
)


def write_fit_report(found: IdentifiedCell, folder: Path) -> Path:
    """Writes `index.html` into the folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(_page(found), encoding="utf-8")
    return path


def _page(found: IdentifiedCell) -> str:
    tables = found.tables
    rows = _measured_rows(found)
    ohm = tables.resistance_ohm + tables.rc_resistance_ohm.sum(axis=0)
    charts = [
        _ocv(tables, rows),
        _lines(tables, rows, "R0 and all pairs together", "mOhm", 1e3 * ohm),
        _lines(tables, rows, "Hysteresis, half gap", "mV", 1e3 * tables.hysteresis_v),
        _lines(tables, rows, "What the voltage does around the model", "mV", 1e3 * tables.model_sigma_v),
    ]
    facts = (
        f"{tables.capacity_ah:.3f} Ah ± {100 * tables.capacity_sigma_frac:.1f} %, RC pairs of "
        + ", ".join(f"{tau:g} s" for tau in tables.rc_tau_s)
        + f", residual {1e3 * found.solution.residual_v:.1f} mV"
    )
    return "\n".join(
        [
            f"<!doctype html><meta charset=utf-8><title>{escape(tables.name)}</title><style>{STYLE}</style>",
            f"<h1>{escape(tables.name)} ({escape(tables.chemistry)})</h1><p>{escape(facts)}</p>",
            *charts,
            *_temperatures(found),
            "<h2>Runs</h2><table><tr><th>run<th>hours<th>degC<th>SoC</tr>",
            *(
                f"<tr><td>{escape(run.name)}<td>{np.ptp(run.time_s) / 3600:.1f}<td>{run.mean_degc:.1f}"
                f"<td>{np.nanmin(run.soc_frac):.2f} … {np.nanmax(run.soc_frac):.2f}</tr>"
                for run in found.runs
            ),
            "</table>",
        ]
    )


def _temperatures(found: IdentifiedCell) -> list[str]:
    """Every row of the tables, at half charge, and whether it is measured."""
    tables, (low, high) = found.tables, measured_degc(found.runs)
    half = len(SOC_GRID) // 2
    ohm = tables.resistance_ohm[:, half] + tables.rc_resistance_ohm[:, :, half].sum(axis=0)
    return [
        f"<h2>Temperatures</h2><p>Measured from {low:.1f} to {high:.1f} degC (the middle 90 % of each run); rows "
        "beyond are extrapolated. The charts show the runs' mean temperatures.</p>",
        "<table><tr><th>degC<th>basis<th>R total mOhm<th>±%</tr>",
        *(
            f"<tr><td>{degc:.1f}<td>{basis}<td>{1e3 * ohm[t]:.3f}<td>{100 * tables.resistance_sigma_frac[t]:.1f}</tr>"
            for t, (degc, basis) in enumerate(zip(tables.temperature_degc, found.bases, strict=True))
        ),
        "</table>",
    ]


def _measured_rows(found: IdentifiedCell) -> list[int]:
    """The tables' rows at the temperatures of the runs; those between and beyond follow from them."""
    return [int(np.abs(found.tables.temperature_degc - degc).argmin()) for degc in found.solution.degc_knots]


def _ocv(tables: CellTables, rows: list[int]) -> str:
    low, high = (
        np.array([tables.ocv_v[t] + side * tables.ocv_sigma_v[t] for t in rows])[:, INSIDE] for side in (-1, 1)
    )
    chart = Chart(
        "Open-circuit voltage ± sigma", "SoC %", "V", (0.0, 100.0), _around(float(low.min()), float(high.max()))
    )
    for colour, t in zip(COLOURS, rows, strict=False):
        row, sigma = tables.ocv_v[t], tables.ocv_sigma_v[t]
        chart.band(_soc(), (row - sigma)[INSIDE], (row + sigma)[INSIDE], colour, "")
        chart.line(_soc(), row[INSIDE], colour, _name(tables, t))
    return chart.text()


def _lines(tables: CellTables, rows: list[int], title: str, unit: str, values: Floats) -> str:
    chart = Chart(title, "SoC %", unit, (0.0, 100.0), (0.0, 1.05 * float(values[rows][:, INSIDE].max()) + 1e-9))
    for colour, t in zip(COLOURS, rows, strict=False):
        chart.line(_soc(), values[t][INSIDE], colour, _name(tables, t))
    return chart.text()


def _around(low: float, high: float) -> tuple[float, float]:
    """With some room at both ends."""
    room = 0.03 * (high - low)
    return low - room, high + room


def _soc() -> Floats:
    return 100 * SOC_GRID[INSIDE]


def _name(tables: CellTables, t: int) -> str:
    return f"{round(float(tables.temperature_degc[t]))} degC"
