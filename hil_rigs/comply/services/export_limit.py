"""Export limit and zero export under clouds and load drops.

Required: exports above the limit end within 5 s (ENA EREC G100 for export limitation schemes, Great Britain). Judged at
the plant's own steps; above means more than 1 % of rated PV over the limit, the accuracy of a class 1 meter.

Simulated wire: the battery counts as full in every second case, so that PV has to be curtailed. The site aims by that
accuracy below its limit (`margin_w`): in full sun nothing else makes up for what a load gives to the grid that drops.
The short form is a site of half the size, for a minute, which has one drop of the load in it as each minute has.
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bms.dispatch.applications.export_limit import ExportLimit
from bms.site import Site
from hil_rigs.comply.aggregate import halved
from hil_rigs.comply.service import Chart, Judged, Order, Row, Service
from hil_rigs.load_spec import LoadFile, LoadSpec
from hil_rigs.run import simulate
from hil_rigs.truth import Floats

OVER_S, OVER_FRAC = 5.0, 0.01
SETTLE_S, FULL_S, SHORT_S = 25.0, 600.0, 85.0
DROP_S = 35.0


def judge(order: Order) -> Judged:
    rows, charts = [], []
    rig = halved(order.rig) if order.short else order.rig
    pv = rig.pv
    rated_w = 0.0 if pv is None else pv.rated_power_w
    cases = [("zero export", 0.0, False), ("zero export, battery full", 0.0, True)]
    if not order.short:
        cases += [("30 % of rated", 0.3 * rated_w, False), ("30 % of rated, battery full", 0.3 * rated_w, True)]
    for name, limit_w, full in cases:
        settings = ExportLimit(
            kind="export-limit", export_power_w_max=limit_w, margin_w=OVER_FRAC * rated_w,
            soc_frac_max=0.3 if full else 0.95,
        )  # fmt: skip
        with TemporaryDirectory() as folder:
            load = order.load or _dropping(Path(folder), rated_w)
            outcome = simulate(
                rig, seed=order.seed, duration_s=SHORT_S if order.short else FULL_S, load=load,
                adjust=partial(_with, settings),
            )  # fmt: skip
        curves = outcome.curves
        chosen = curves.time_s >= SETTLE_S
        export_w = -curves.grid_power_w[chosen]
        longest_s = longest(export_w > limit_w + OVER_FRAC * rated_w, curves.time_s[chosen])
        rows += [
            Row(f"{name}: longest export above the limit", f"<= {OVER_S:g} s", f"{longest_s:.2f} s",
                longest_s <= OVER_S),
            Row(f"{name}: mean export", f"<= {limit_w / 1e3:.0f} kW", f"{export_w.mean() / 1e3:.1f} kW",
                bool(export_w.mean() <= limit_w)),
        ]  # fmt: skip
        lines = {"load": curves.load_power_w, "PV": curves.pv_power_w, "battery": curves.battery_power_w,
                 "grid": curves.grid_power_w}  # fmt: skip
        charts.append(Chart(name, "W", curves.time_s, lines))
    return Judged(rows, charts)


def longest(held: np.ndarray[tuple[int], np.dtype[np.bool_]], time_s: Floats) -> float:
    """Longest unbroken time in s for which it held."""
    best_s, since_s = 0.0, None
    for now_s, is_held in zip(time_s, held, strict=True):
        if not is_held:
            since_s = None
        elif since_s is None:
            since_s = now_s
        else:
            best_s = max(best_s, float(now_s - since_s))
    return best_s


def _with(settings: ExportLimit, site: Site) -> Site:
    return site.model_copy(update={"applications": (settings,)})


def _dropping(folder: Path, rated_w: float) -> LoadSpec:
    """From 60 % of the PV's rating to 5 % within 20 ms, and again each minute."""
    file, rows = folder / "load.csv", ["time_s,power_w"]
    for minute in range(int(FULL_S / 60.0) + 2):
        start_s = 60.0 * minute
        rows += [f"{start_s + at_s},{share * rated_w}" for at_s, share in
                 ((0.0, 0.6), (DROP_S, 0.6), (DROP_S + 0.02, 0.05), (59.9, 0.05))]  # fmt: skip
    file.write_text("\n".join([*rows, ""]), encoding="utf-8")
    return LoadFile(kind="file", path=str(file))


SERVICE = Service("export-limit", "never more to the grid than allowed, under clouds and load drops", ("solar",), judge)
