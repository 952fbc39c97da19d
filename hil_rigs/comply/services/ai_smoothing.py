"""AI smoothing: the grid's power in any 5 s, by the ERCOT proposal for large electronic loads: 10 MW at 150 MW."""

from hil_rigs.comply.service import Chart, Judged, Order, Row, Service
from hil_rigs.load_spec import AiTraining
from hil_rigs.report.summary import summarise_power
from hil_rigs.run import simulate

RANGE_FRAC = 10.0 / 150.0
SETTLE_S, FULL_S, SHORT_S = 30.0, 600.0, 60.0


def judge(order: Order) -> Judged:
    """The deployed controller on the simulated wire, judged at the plant's own steps."""
    outcome = simulate(order.rig, seed=order.seed, duration_s=SHORT_S if order.short else FULL_S, load=order.load)
    curves = outcome.curves
    judged = curves.time_s >= SETTLE_S
    time_s = curves.time_s[judged]
    grid = summarise_power(time_s, curves.grid_power_w[judged])
    load = summarise_power(time_s, curves.load_power_w[judged])
    rated_w = _rated_w(order) or load.peak_w
    limit_w = RANGE_FRAC * rated_w
    return Judged(
        rows=[
            Row("grid range in any 5 s", f"<= {limit_w / 1e3:.1f} kW", f"{grid.range_5s_w / 1e3:.1f} kW",
                grid.range_5s_w <= limit_w),
            Row("range without battery", "more", f"{load.range_5s_w / 1e3:.1f} kW", load.range_5s_w > grid.range_5s_w),
            Row("faults", "none", ", ".join(trip.fault_id for trip in outcome.trips) or "none", not outcome.trips),
        ],
        charts=[
            Chart("power", "W", curves.time_s,
                  {"grid": curves.grid_power_w, "load": curves.load_power_w, "battery": curves.battery_power_w}),
        ],
    )  # fmt: skip


def _rated_w(order: Order) -> float | None:
    """Of the load, where it says so: a recording has only its peak."""
    load = order.load or order.rig.load
    return load.rated_power_w * load.scale if isinstance(load, AiTraining) else None


SERVICE = Service("ai-smoothing", "a slow, capped version of an AI training load at the grid meter", ("demo",), judge)
