"""Demand cap: no 30-minute mean of the import above the contract.

In Japan the contract's power follows the largest of the means over 30 minutes by the meter's clock: below 500 kW that
of the last 12 months (TEPCO, tepco.co.jp/ep/corporate/charge_c2/decision03.html; Yonden,
yonden.co.jp/business/price/determine.html), above that as agreed. What a battery could have held is judged by a plan
with perfect foresight over the whole span, with the same battery and the same SoC band. The contract is 5 % above the
lowest one that this plan can hold.

Bench without wires, one control tick each 10 s: a window has 180 of them.
"""

from dataclasses import dataclass

import numpy as np

from bms.dispatch.applications.demand_cap import DemandCap
from hil_rigs.comply.aggregate import quick_battery
from hil_rigs.comply.foresight import Floats, Foresight, Task, foresee
from hil_rigs.comply.quick_site import QuickBattery, QuickCurves, QuickSite, run_quick
from hil_rigs.comply.service import Chart, Judged, Order, Row, Service
from hil_rigs.comply.site_loads import DAY_S, MONDAY_S, factory_load, measured, of_time
from hil_rigs.plant.build import build_load
from hil_rigs.rig_plant import load_config

STEP_S, WINDOW_S = 10.0, 1800.0
FULL_DAYS, SHORT_DAYS = 30, 3
PEAK_PER_CONVERTER, ROOM_FRAC = 2.5, 1.05
SOC_START, SOC_RESERVE, SOC_TARGET = 0.9, 0.2, 0.9
HELD_WH = 1.0
MEASURED = {"load_simbench_15min_2016.parquet": ("p_g3_a", "p_g1_b", "p_bl_h")}
MEASURED_STEP_S = 900.0


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    load_w: Floats
    """Each STEP_S, from Monday at midnight on."""


def judge(order: Order) -> Judged:
    rows, charts = [], []
    for case in _cases(order):
        more, chart = _judge(case, quick_battery(order.rig, SOC_START))
        rows += more
        charts.append(chart)
    return Judged(rows, charts)


def _cases(order: Order) -> list[_Case]:
    days, rng = SHORT_DAYS if order.short else FULL_DAYS, np.random.default_rng(order.seed)
    peak_w = PEAK_PER_CONVERTER * order.rig.plant.inverter_power_w
    time_s = np.arange(int(days * DAY_S / STEP_S) + 1) * STEP_S
    if order.load is not None:
        load = build_load(load_config(order.load), rng)
        return [_Case("given load", np.array([load.power_w(each_s) for each_s in time_s]))]
    cases = [_Case("factory", factory_load(days, STEP_S, peak_w, rng))]
    for file, columns in {} if order.short else MEASURED.items():
        for column in columns:
            share = measured(file, column)
            if share is not None:
                first = 3 * 96  # 4 January 2016 was a Monday
                there_s = (np.arange(len(share) - first)) * MEASURED_STEP_S
                load_w = np.interp(time_s, there_s, share[first:])
                cases.append(_Case(f"SimBench {column}", peak_w * load_w / load_w.max()))
    return cases


def _judge(case: _Case, battery: QuickBattery) -> tuple[list[Row], Chart]:
    load_w = case.load_w[1:].reshape(-1, round(WINDOW_S / STEP_S)).mean(axis=1)
    contract_w = ROOM_FRAC * _lowest_w(load_w, battery)
    plan = _plan(load_w, battery, contract_w)
    settings = DemandCap(
        kind="demand-cap", contract_power_w=contract_w, soc_frac_min=SOC_RESERVE, soc_frac_target=SOC_TARGET
    )
    site = QuickSite(
        [settings], battery, of_time(case.load_w, STEP_S), period_s=STEP_S, meter_age_s=0.0, start_utc_s=MONDAY_S
    )
    curves = run_quick(site, len(load_w) * WINDOW_S)
    mean_w = curves.grid_w.reshape(len(load_w), -1).mean(axis=1)
    holdable = plan.excess_w * WINDOW_S / 3600.0 < HELD_WH
    broken = int(((mean_w > contract_w) & holdable).sum())
    unholdable = int((~holdable).sum())
    over = int((load_w > contract_w).sum())
    lowest = float(curves.soc_frac.min())
    rows = [
        Row(f"{case.name}: windows above {contract_w / 1e3:.0f} kW that a plan with perfect foresight holds",
            "0", f"{broken} of {int(holdable.sum())} ({over} without battery, {unholdable} that no plan holds)",
            broken == 0),
        Row(f"{case.name}: largest 30-minute mean where it can be held", f"<= {contract_w / 1e3:.1f} kW",
            f"{mean_w[holdable].max() / 1e3:.1f} kW", bool(mean_w[holdable].max() <= contract_w)),
        Row(f"{case.name}: lowest SoC", f">= {SOC_RESERVE:.0%} (reserve)", f"{lowest:.1%}",
            lowest >= SOC_RESERVE - 1e-6),
        _losses(case, curves),
    ]  # fmt: skip
    middle_s = np.asarray((np.arange(len(load_w)) + 0.5) * WINDOW_S, np.float64)
    chart = Chart(f"{case.name}: 30-minute means", "W", middle_s,
                  {"load": load_w, "grid": mean_w, "grid with perfect foresight": plan.grid_w,
                   "contract": np.full(len(load_w), contract_w)})  # fmt: skip
    return rows, chart


def _losses(case: _Case, curves: QuickCurves) -> Row:
    given_wh = np.maximum(curves.battery_w, 0.0).sum() * STEP_S / 3600.0
    load_wh = curves.load_w.sum() * STEP_S / 3600.0
    losses_wh = curves.losses_wh
    stated = (
        f"{losses_wh / 1e3:.0f} kWh lost for {given_wh / 1e3:.0f} kWh discharged, {losses_wh / load_wh:.2%} of load"
    )
    return Row(f"{case.name}: energy losses", "stated", stated, True)


def _plan(load_w: Floats, battery: QuickBattery, cap_w: float) -> Foresight:
    price = np.full(len(load_w), 1e-3)
    task = Task(load_w, WINDOW_S, battery, price, price, SOC_RESERVE, SOC_TARGET, cap_w=cap_w, ageing=1e-4)
    return foresee(task)


def _lowest_w(load_w: Floats, battery: QuickBattery) -> float:
    """Lowest contract that a plan with perfect foresight holds in every window, to 0.1 %."""
    low_w, high_w = float(load_w.mean()), float(load_w.max())
    while high_w - low_w > 1e-3 * high_w:
        middle_w = (low_w + high_w) / 2.0
        if _plan(load_w, battery, middle_w).excess_w.sum() * WINDOW_S / 3600.0 < HELD_WH:
            high_w = middle_w
        else:
            low_w = middle_w
    return high_w


SERVICE = Service("demand-cap", "no 30-minute mean of the import above the contract, over 30 days", ("demo",), judge)
