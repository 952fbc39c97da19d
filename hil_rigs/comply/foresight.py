"""What a battery could have done that knew everything beforehand: a linear program over the whole span (HiGHS)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil_rigs.comply.quick_site import QuickBattery

Floats = NDArray[np.float64]

EXCESS_COST = 1e3
"""Of a Wh above the cap: far above every price."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be planned over n steps of `step_s`: net load in W, prices in money per Wh, the SoC band, a cap of the
    import in W, what discharging ages the battery by (money per Wh) and the SoC that must be left at the end."""

    net_w: Floats
    step_s: float
    battery: QuickBattery
    buy: Floats
    sell: Floats
    soc_frac_min: float = 0.0
    soc_frac_max: float = 1.0
    cap_w: float | None = None
    export_w_max: float | None = None
    ageing: float = 0.0
    end_soc_frac: float = 0.0


@dataclass(frozen=True, slots=True)
class Foresight:
    """The cheapest plan: battery (discharge positive) and grid power, and how far the cap could not be kept, all [n] in
    W; its cost with ageing."""

    battery_w: Floats
    grid_w: Floats
    excess_w: Floats
    cost: float


def foresee(task: Task) -> Foresight:
    """RuntimeError with the solver's word where there is no plan."""
    from scipy import sparse
    from scipy.optimize import linprog

    count, hours, battery = len(task.net_w), task.step_s / 3600.0, task.battery
    one, none = sparse.identity(count, format="csr"), sparse.csr_matrix((count, count))
    rise = one - sparse.diags([np.ones(count - 1)], [-1], format="csr")
    gain = battery.efficiency_frac
    equal = sparse.bmat(  # columns: charge, discharge, import, export, stored, excess
        [[one, -one, -one, one, none, none], [-gain * hours * one, hours / gain * one, none, none, rise, none]]
    )
    start = np.concatenate([[battery.soc_frac * battery.energy_wh], np.zeros(count - 1)])
    capped = sparse.bmat([[none, none, one, none, none, -one]])
    cap_w = np.full(count, np.inf if task.cap_w is None else task.cap_w)
    zero = np.zeros(count)
    low_wh = np.full(count, task.soc_frac_min * battery.energy_wh)
    low_wh[-1] = max(low_wh[-1], task.end_soc_frac * battery.energy_wh)
    lows = np.concatenate([zero, zero, zero, zero, low_wh, zero])
    highs = np.concatenate(
        [
            np.full(count, battery.charge_power_w_max),
            np.full(count, battery.discharge_power_w_max),
            np.full(count, np.inf),
            np.full(count, np.inf if task.export_w_max is None else task.export_w_max),
            np.full(count, task.soc_frac_max * battery.energy_wh),
            np.full(count, np.inf),
        ]
    )
    costs = hours * np.concatenate(
        [zero, np.full(count, task.ageing), task.buy, -task.sell, zero, np.full(count, EXCESS_COST)]
    )
    finite = np.isfinite(cap_w)
    solved = linprog(
        costs,
        A_eq=equal,
        b_eq=np.concatenate([-task.net_w, start]),
        A_ub=capped.tocsr()[finite] if finite.any() else None,
        b_ub=cap_w[finite] if finite.any() else None,
        bounds=np.stack([lows, highs], axis=1),
        method="highs",
    )
    if solved.x is None:
        raise RuntimeError(f"no plan with perfect foresight: {solved.message}")
    charge_w, discharge_w, import_w, export_w, _, excess_w = solved.x.reshape(6, count)
    return Foresight(discharge_w - charge_w, import_w - export_w, excess_w, float(solved.fun))
