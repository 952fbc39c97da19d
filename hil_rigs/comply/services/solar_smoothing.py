"""Solar smoothing: the output of a PV plant changes by at most 10 % of its rated power in any minute.

The rule is that of the Puerto Rico Electric Power Authority's minimum technical requirements for PV plants (reviewed in
NREL/TP-5D00-57089, 2013). Judged at the plant's own steps on the simulated wire, in any window of 60 s.
"""

import numpy as np

from bms.dispatch.applications.solar_smoothing import SolarSmoothing
from bms.site import Site
from hil_rigs.comply.aggregate import halved
from hil_rigs.comply.service import Chart, Judged, Order, Row, Service
from hil_rigs.run import simulate
from hil_rigs.truth import Floats

RAMP_FRAC_PER_MIN, WINDOW_S = 0.1, 60.0
SETTLE_S, FULL_S, SHORT_S = 30.0, 1800.0, 95.0


def judge(order: Order) -> Judged:
    rig = halved(order.rig) if order.short else order.rig
    pv = rig.pv
    rated_w = 0.0 if pv is None else pv.rated_power_w
    settings = SolarSmoothing(kind="solar-smoothing", pv_power_w_rated=rated_w, ramp_frac_per_min=RAMP_FRAC_PER_MIN)

    def smoothed(site: Site) -> Site:
        return site.model_copy(update={"applications": (settings,)})

    outcome = simulate(
        rig, seed=order.seed, duration_s=SHORT_S if order.short else FULL_S, load=order.load, adjust=smoothed
    )
    curves = outcome.curves
    chosen = curves.time_s >= SETTLE_S
    step_s = float(curves.time_s[1] - curves.time_s[0])
    ours_frac = fastest_w(curves.grid_power_w[chosen], step_s) / rated_w
    pv_frac = fastest_w(curves.pv_power_w[chosen], step_s) / rated_w
    faults = ", ".join(trip.fault_id for trip in outcome.trips) or "none"
    rows = [
        Row("change of the output in any minute", f"<= {RAMP_FRAC_PER_MIN:.0%} of rated", f"{ours_frac:.1%}",
            ours_frac <= RAMP_FRAC_PER_MIN),
        Row("change of PV alone in any minute", "stated", f"{pv_frac:.1%} of rated", True),
        Row("faults", "none", faults, not outcome.trips),
    ]  # fmt: skip
    lines = {"PV": curves.pv_power_w, "battery": curves.battery_power_w, "output": -curves.grid_power_w}
    return Judged(rows, [Chart("power", "W", curves.time_s, lines)])


def fastest_w(power_w: Floats, step_s: float) -> float:
    """Largest distance of any two samples that are a minute apart or less."""
    width = round(WINDOW_S / step_s)
    thin = max(1, width // 600)
    samples = power_w[::thin]
    views = np.lib.stride_tricks.sliding_window_view(samples, min(width // thin, len(samples)))
    return float((views.max(axis=1) - views.min(axis=1)).max())


SERVICE = Service("solar-smoothing", "a PV plant's output changes by 10 % of rated a minute at most", ("solar",), judge)
