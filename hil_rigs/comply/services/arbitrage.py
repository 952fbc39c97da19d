"""Arbitrage on a day-ahead market: money against a plan that knew the whole span, and against doing nothing.

The market is seeded: two peaks a day as in European and Japanese day-ahead prices of 2024 to 2026, cheap noons, hours
below zero. What is bought and sold is worth the same; discharging ages the battery by 5 a MWh. The controller knows the
prices of the next 24 hours; the linear program with perfect foresight knows the span and ends with the same SoC.

Bench without wires at 60 s, plans beside its ticks.
"""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bms.dispatch.applications.arbitrage import Arbitrage
from hil_rigs.comply.aggregate import quick_battery
from hil_rigs.comply.foresight import Floats, Task, foresee
from hil_rigs.comply.quick_site import QuickBattery, QuickSite, run_quick
from hil_rigs.comply.service import Chart, Judged, Order, Row, Service
from hil_rigs.comply.site_loads import DAY_S, MONDAY_S, factory_load, of_time
from hil_rigs.plant.build import build_load
from hil_rigs.rig_plant import load_config

STEP_S, MARKET_S = 60.0, 900.0
FULL_DAYS, SHORT_DAYS = 14, 2
SHARE_OF_IDEAL, OFF_FRAC = 0.95, 0.01
AGEING_PER_KWH = 0.005
SOC_MIN, SOC_MAX = 0.2, 0.9


def judge(order: Order) -> Judged:
    battery = quick_battery(order.rig, 0.5)
    days, rng = SHORT_DAYS if order.short else FULL_DAYS, np.random.default_rng(order.seed)
    prices = market(days + 1, rng)
    load_w = _load(order, days, battery, rng)
    connection_w = 1.05 * float(load_w.max()) + 0.3 * battery.charge_power_w_max
    with TemporaryDirectory() as folder:
        file = Path(folder) / "prices.csv"
        _write(file, prices)
        settings = Arbitrage(
            kind="arbitrage", file=str(file), soc_frac_min=SOC_MIN, soc_frac_max=SOC_MAX,
            ageing_cost_per_kwh=AGEING_PER_KWH, efficiency_frac=battery.efficiency_frac,
            import_power_w_max=connection_w, export_power_w_max=0.2 * battery.discharge_power_w_max,
        )  # fmt: skip
        site = QuickSite(
            [settings], battery, of_time(load_w, STEP_S), period_s=STEP_S, meter_age_s=0.0, start_utc_s=MONDAY_S
        )
        curves = run_quick(site, days * DAY_S)
    steps = round(days * DAY_S / MARKET_S)
    price, per_step = prices[:steps], (steps, -1)
    battery_w = curves.battery_w.reshape(per_step).mean(axis=1)
    net_w = curves.load_w.reshape(per_step).mean(axis=1)
    ours = _profit(price, battery_w)
    ideal = foresee(
        Task(net_w, MARKET_S, battery, price / 1e3, price / 1e3, SOC_MIN, SOC_MAX, cap_w=connection_w,
             export_w_max=settings.export_power_w_max, ageing=AGEING_PER_KWH / 1e3,
             end_soc_frac=float(curves.soc_frac[-1]) - 1e-6)
    )  # fmt: skip
    best = _profit(price, ideal.battery_w)
    wobble = np.abs(curves.battery_w.reshape(per_step) - battery_w[:, None]).mean() / battery.discharge_power_w_max
    moved_w = np.diff(curves.load_w, prepend=curves.load_w[0])
    import_w, export_w = curves.grid_w - np.maximum(moved_w, 0.0), -curves.grid_w + np.minimum(moved_w, 0.0)
    over_w = float(max(import_w.max() - connection_w, export_w.max() - settings.export_power_w_max))
    left_kwh = (curves.soc_frac[-1] - battery.soc_frac) * battery.energy_wh / 1e3
    gained = ours + left_kwh * float(price.mean())
    rows = [
        Row(f"profit over {days} days", f">= {SHARE_OF_IDEAL:.0%} of {best:.2f} with perfect foresight",
            f"{ours:.2f} ({ours / best:.1%})", ours >= SHARE_OF_IDEAL * best),
        Row("profit against doing nothing, what is left worth the mean price", "> 0", f"{gained:.2f}",
            bool(gained > 0.0)),
        Row("power inside a step of the market, mean distance from the step's", f"<= {OFF_FRAC:.0%} of rated",
            f"{wobble:.2%}", bool(wobble <= OFF_FRAC)),
        Row("connection", "import and export never beyond it, but for what the load moved since it was read",
            f"{max(over_w, 0.0):.0f} W beyond at most", over_w <= 1.0),
        Row("SoC band", f"{SOC_MIN:.0%} to {SOC_MAX:.0%}",
            f"{curves.soc_frac.min():.1%} to {curves.soc_frac.max():.1%}",
            bool(curves.soc_frac.min() >= SOC_MIN - 1e-3 and curves.soc_frac.max() <= SOC_MAX + 1e-3)),
        Row("energy losses", "stated", f"{curves.losses_wh / 1e3:.0f} kWh", True),
    ]  # fmt: skip
    middle_s = np.asarray((np.arange(steps) + 0.5) * MARKET_S, np.float64)
    return Judged(rows, [
        Chart("battery", "W", middle_s, {"ours": battery_w, "with perfect foresight": ideal.battery_w}),
        Chart("price", "per kWh", middle_s, {"price": price}),
        Chart("SoC", "", curves.time_s, {"SoC": curves.soc_frac}),
    ])  # fmt: skip


def market(days: int, rng: np.random.Generator) -> Floats:
    """Prices per kWh of each quarter of an hour."""
    hour = np.arange(days * 96) % 96 / 4.0
    shape = 0.10 + 0.07 * np.exp(-0.5 * ((hour - 8.0) / 1.5) ** 2) + 0.11 * np.exp(-0.5 * ((hour - 19.0) / 1.8) ** 2)
    sun = np.repeat(rng.uniform(0.0, 0.14, days), 96) * np.exp(-0.5 * ((hour - 13.0) / 2.0) ** 2)
    return np.asarray(shape - sun + rng.normal(0.0, 0.006, len(hour)), np.float64)


def _write(file: Path, prices: Floats) -> None:
    lines = [
        f"{datetime.fromtimestamp(MONDAY_S + number * MARKET_S, UTC).isoformat()},{price}"
        for number, price in enumerate(prices)
    ]
    file.write_text("\n".join(["time,price_per_kwh", *lines, ""]), encoding="utf-8")


def _load(order: Order, days: int, battery: QuickBattery, rng: np.random.Generator) -> Floats:
    if order.load is None:
        return factory_load(days, STEP_S, battery.discharge_power_w_max, rng)
    load = build_load(load_config(order.load), rng)
    return np.array([load.power_w(number * STEP_S) for number in range(int(days * DAY_S / STEP_S) + 1)])


def _profit(price: Floats, battery_w: Floats) -> float:
    """What the battery's power changed in money, without its ageing's cost."""
    kwh = battery_w * MARKET_S / 3600.0 / 1e3
    return float((price * kwh).sum() - AGEING_PER_KWH * np.maximum(kwh, 0.0).sum())


SERVICE = Service(
    "arbitrage", "money on a day-ahead market, against perfect foresight and doing nothing", ("demo",), judge
)
