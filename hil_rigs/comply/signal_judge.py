"""How services that follow a command are judged, on the site without wires: what a signal does through the controller's
inputs takes seconds to minutes, and they hold for hours."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bms.dispatch.applications.signal_following import SignalFollowing
from hil_rigs.comply.frequency_judge import small_battery
from hil_rigs.comply.quick_site import QuickCurves, QuickSite, run_quick
from hil_rigs.comply.service import Chart, Judged, Order, Row

POWER_W = 200e3
REST_S = 60.0
THERE_FRAC = 0.99
SIGNAL = "command"


@dataclass(frozen=True, slots=True)
class Commanded:
    """What is required: full power so long after a command, for so long, and the energy back within `back_s`;
    `update_s` is how often commands come."""

    product: str
    full_s: float
    hold_s: float
    back_s: float
    update_s: float
    tolerance_frac: float = 0.1


def judge_commanded(order: Order, commanded: Commanded, nominal_hz: float) -> Judged:
    """A command to full power in each direction (the short form: discharge), and one that wanders."""
    sides = (1,) if order.short else (1, -1)
    parts = [_held(commanded, nominal_hz, side, 5.0 if order.short else 1.0) for side in sides]
    parts.append(_followed(order, commanded, nominal_hz))
    return Judged([row for part in parts for row in part.rows], [chart for part in parts for chart in part.charts])


def sold_signal(product: str, power_w: float = POWER_W) -> SignalFollowing:
    return SignalFollowing(
        kind="signal-following", product=product, signal=SIGNAL, discharge_power_w=power_w, charge_power_w=power_w
    )


def run_signal(
    sold: SignalFollowing, hold_s: float, side: int, nominal_hz: float, duration_s: float, period_s: float,
    signal: Callable[[float], float],
) -> QuickCurves:  # fmt: skip
    """The battery begins where one direction only just lasts; `side` 0: in the middle."""
    battery = small_battery(sold, hold_s, side)
    site = QuickSite(
        [sold], battery, load_w=lambda _: 0.0, period_s=period_s, frequency_hz=lambda _: nominal_hz,
        inputs=lambda now_s: {SIGNAL: signal(now_s)},
    )  # fmt: skip
    return run_quick(site, duration_s)


def _held(commanded: Commanded, nominal_hz: float, side: int, period_s: float) -> Judged:
    end_s = REST_S + commanded.hold_s
    sold = sold_signal(commanded.product)
    curves = run_signal(
        sold, commanded.hold_s, side, nominal_hz, end_s + commanded.back_s, period_s,
        lambda now_s: float(side) if REST_S <= now_s < end_s else 0.0,
    )  # fmt: skip
    share = side * curves.battery_w / POWER_W
    there = curves.time_s[(share >= THERE_FRAC) & (curves.time_s > REST_S)]
    full_s = float(there[0]) - REST_S if there.size else np.inf
    held = share[(curves.time_s > REST_S + full_s) & (curves.time_s <= end_s)]
    held_frac = float(held.min()) if held.size else 0.0
    before, after = (float(curves.soc_frac[curves.time_s <= at_s][-1]) for at_s in (REST_S, end_s))
    back_frac = (float(curves.soc_frac[-1]) - after) / (before - after)
    name = f"{'discharge' if side > 0 else 'charge'}, {nominal_hz:g} Hz, without wires"
    minutes = commanded.hold_s / 60.0
    rows = [
        Row(f"full power after a command: {name}", f"<= {commanded.full_s / 60.0:g} min", f"{full_s:.0f} s",
            full_s <= commanded.full_s),
        Row(f"full power held: {name}", f">= 99% for {minutes:g} min", f"{held_frac:.1%}", held_frac >= THERE_FRAC),
        Row(f"energy back: {name}", f">= 95% within {commanded.back_s / 60.0:g} min", f"{back_frac:.0%}",
            back_frac >= 0.95),
    ]  # fmt: skip
    return Judged(rows, [Chart(f"command, {name}", "W", curves.time_s, {"battery": curves.battery_w})])


def _followed(order: Order, commanded: Commanded, nominal_hz: float) -> Judged:
    """Commands that wander, one each `update_s`, about as many upwards as downwards."""
    duration_s = 900.0 if order.short else 4.0 * 3600.0
    rng = np.random.default_rng([order.seed, 13])
    levels, level = [], 0.0
    for _ in range(int(duration_s / commanded.update_s) + 1):
        level += -0.1 * level + 0.25 * rng.standard_normal()
        levels.append(float(np.clip(level, -1.0, 1.0)))

    def signal(now_s: float) -> float:
        return levels[int(now_s / commanded.update_s)]

    curves = run_signal(sold_signal(commanded.product), commanded.hold_s, 0, nominal_hz, duration_s, 1.0, signal)
    asked_w = POWER_W * np.array([signal(time_s - 1.0) for time_s in curves.time_s])
    error_frac = float(np.abs(curves.battery_w - asked_w).max()) / POWER_W
    name = f"wandering commands each {commanded.update_s:g} s, {nominal_hz:g} Hz, without wires"
    row = Row(f"distance from {name}", f"<= {commanded.tolerance_frac:.0%} of full power", f"{error_frac:.2%}",
              error_frac <= commanded.tolerance_frac)  # fmt: skip
    return Judged([row], [Chart(name, "W", curves.time_s, {"battery": curves.battery_w, "asked": asked_w})])
