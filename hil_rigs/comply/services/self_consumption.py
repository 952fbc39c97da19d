"""Self-consumption of a home's PV over a week, against a battery that knew everything beforehand.

Self-consumption is the share of the PV's energy that is not exported, self-sufficiency the share of the load's energy
that is not imported. Both are compared with those of a
linear program with perfect foresight over the same week, the same battery and SoC band and the same SoC at the end.

Bench without wires at 10 s; the ideal battery plans means over 5 minutes, inside which it may net for nothing.
"""

import numpy as np

from bms.dispatch.applications.self_consumption import SelfConsumption
from hil_rigs.comply.aggregate import quick_battery
from hil_rigs.comply.foresight import Floats, Task, foresee
from hil_rigs.comply.quick_site import QuickBattery, QuickCurves, QuickSite, run_quick
from hil_rigs.comply.service import Chart, Judged, Order, Row, Service
from hil_rigs.comply.site_loads import DAY_S, MONDAY_S, household_load, of_time, pv_power
from hil_rigs.plant.build import build_load
from hil_rigs.rig_plant import load_config

STEP_S, PLAN_STEP_S = 10.0, 300.0
FULL_DAYS, SHORT_DAYS = 7, 2
SHARE_OF_IDEAL = 0.97
MEAN_LOAD_FRAC, PV_FRAC = 0.12, 0.8
"""Of the converter's power, as in a home with 5 kW and 8 kWh: 600 W on average beside 4 kW of PV."""
SOC_MIN, SOC_MAX = 0.2, 0.9
DEADBAND_FRAC = 0.002
REST_W = 1.0


def judge(order: Order) -> Judged:
    battery = quick_battery(order.rig, 0.5)
    days, rng = SHORT_DAYS if order.short else FULL_DAYS, np.random.default_rng(order.seed)
    rated_w = battery.discharge_power_w_max
    load_w = _load(order, days, rated_w, rng)
    pv_w = pv_power(days, STEP_S, PV_FRAC * rated_w, rng)
    settings = SelfConsumption(
        kind="self-consumption", deadband_w=DEADBAND_FRAC * rated_w, soc_frac_min=SOC_MIN, soc_frac_max=SOC_MAX
    )
    site = QuickSite(
        [settings], battery, of_time(load_w, STEP_S), of_time(pv_w, STEP_S), period_s=STEP_S, meter_age_s=0.0,
        start_utc_s=MONDAY_S,
    )  # fmt: skip
    curves = run_quick(site, days * DAY_S)
    ideal_w = _ideal_grid_w(curves, battery)
    ours, ideal = _shares(curves, curves.grid_w, STEP_S), _shares(curves, ideal_w, PLAN_STEP_S)
    rows = [
        Row(f"{name} over {days} days", f">= {SHARE_OF_IDEAL:.0%} of the ideal battery's {best:.1%}", f"{got:.1%}",
            got >= SHARE_OF_IDEAL * best)
        for name, got, best in zip(("self-consumption", "self-sufficiency"), ours, ideal, strict=True)
    ]  # fmt: skip
    flips = own_flips(curves.load_w - curves.pv_w, curves.battery_w)
    rows += [
        Row("turns between charge and discharge that load and PV did not make", "0", str(flips), flips == 0),
        Row("SoC band", f"{SOC_MIN:.0%} to {SOC_MAX:.0%}",
            f"{curves.soc_frac.min():.1%} to {curves.soc_frac.max():.1%}",
            bool(curves.soc_frac.min() >= SOC_MIN - 1e-6 and curves.soc_frac.max() <= SOC_MAX + 1e-6)),
        Row("energy losses", "stated", f"{curves.losses_wh / 1e3:.0f} kWh", True),
    ]  # fmt: skip
    chart = Chart("power", "W", curves.time_s,
                  {"load": curves.load_w, "PV": curves.pv_w, "battery": curves.battery_w,
                   "grid": curves.grid_w})  # fmt: skip
    return Judged(rows, [chart, Chart("SoC", "", curves.time_s, {"SoC": curves.soc_frac})])


def own_flips(net_w: Floats, battery_w: Floats) -> int:
    """Turns of the battery between charge and discharge with no change of sign of the net load since it last had the
    direction before."""
    signs = np.sign(battery_w) * (np.abs(battery_w) > REST_W)
    sign_of_net, flips = np.sign(net_w), 0
    last = -1
    for number in np.flatnonzero(signs):
        if last >= 0 and signs[number] != signs[last]:
            between = sign_of_net[max(last - 1, 0) : number + 1]
            flips += int((between == between[0]).all())
        last = int(number)
    return flips


def _load(order: Order, days: int, rated_w: float, rng: np.random.Generator) -> Floats:
    if order.load is None:
        return household_load(days, STEP_S, MEAN_LOAD_FRAC * rated_w, rng)
    load = build_load(load_config(order.load), rng)
    return np.array([load.power_w(number * STEP_S) for number in range(int(days * DAY_S / STEP_S) + 1)])


def _ideal_grid_w(curves: QuickCurves, battery: QuickBattery) -> Floats:
    net_w = (curves.load_w - curves.pv_w).reshape(-1, round(PLAN_STEP_S / STEP_S)).mean(axis=1)
    price = np.ones(len(net_w))
    task = Task(net_w, PLAN_STEP_S, battery, price, 0.0 * price, SOC_MIN, SOC_MAX, ageing=1e-6,
                end_soc_frac=float(curves.soc_frac[-1]) - 1e-6)  # fmt: skip
    return foresee(task).grid_w


def _shares(curves: QuickCurves, grid_w: Floats, step_s: float) -> tuple[float, float]:
    """Self-consumption and self-sufficiency."""
    imported_ws, exported_ws = np.maximum(grid_w, 0.0).sum() * step_s, np.maximum(-grid_w, 0.0).sum() * step_s
    consumption = 1.0 - exported_ws / (curves.pv_available_w.sum() * STEP_S)
    return float(consumption), float(1.0 - imported_ws / (curves.load_w.sum() * STEP_S))


SERVICE = Service(
    "self-consumption", "a home's PV stays at home, over a week against the ideal battery", ("demo",), judge
)
