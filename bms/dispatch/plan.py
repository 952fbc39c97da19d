"""The cheapest use of a battery over steps of known prices: a linear program, solved by HiGHS."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BOTH_W = 1.0
"""A step that charges and discharges by more than this is one that no battery can do."""
SOLVE_S_MAX = 5.0
GAP = 1e-3


@dataclass(frozen=True, slots=True)
class PlanTask:
    """n steps of `hours[n]`: prices (money per Wh; selling never above buying), net load in W, and the battery: powers
    in W, energies in Wh, one-way efficiency, money per Wh discharged that it ages by, value of a Wh left at the end."""

    hours: Floats
    buy: Floats
    sell: Floats
    net_w: Floats
    charge_power_w_max: float
    discharge_power_w_max: float
    energy_wh: float
    energy_wh_min: float
    energy_wh_max: float
    efficiency_frac: float
    ageing: float
    end_value: float
    import_w_max: float
    export_w_max: float


def solve(task: PlanTask) -> Floats | None:
    """The battery's power in each step, discharge positive; None where connection and battery allow no plan.

    Columns are charge, discharge, import, export and stored energy. Charging and discharging in one step pays where
    prices are negative: then the program is solved again with a choice between the two (and a gap of 0.1 %).
    """
    solved = _linear(task)
    if solved is not None and (np.minimum(solved[0], solved[1]) > BOTH_W).any():
        solved = _with_choices(task)
    return None if solved is None else np.asarray(solved[1] - solved[0], np.float64)


def _linear(task: PlanTask) -> Floats | None:
    from scipy.optimize import linprog  # half a second of import that only a site with prices needs

    rows, right = _balances(task)
    lows, highs = _bounds(task)
    bounds = np.stack([lows, highs], axis=1)
    found = linprog(_costs(task), A_eq=rows, b_eq=right, bounds=bounds, method="highs")
    return None if found.x is None else np.asarray(found.x, np.float64).reshape(5, -1)


def _with_choices(task: PlanTask) -> Floats | None:
    from scipy import sparse
    from scipy.optimize import Bounds, LinearConstraint, milp

    count = len(task.hours)
    one, none = sparse.identity(count, format="csr"), sparse.csr_matrix((count, count))
    rows, right = _balances(task)
    lows, highs = _bounds(task)
    charge_w, discharge_w = task.charge_power_w_max, task.discharge_power_w_max
    either = sparse.bmat(
        [[one, none, none, none, none, -charge_w * one], [none, one, none, none, none, discharge_w * one]]
    )
    most = np.concatenate([np.zeros(count), np.full(count, discharge_w)])
    found = milp(
        np.concatenate([_costs(task), np.zeros(count)]),
        constraints=[
            LinearConstraint(sparse.hstack([rows, sparse.csr_matrix((2 * count, count))]), right, right),
            LinearConstraint(either, -np.inf, most),
        ],
        bounds=Bounds(np.concatenate([lows, np.zeros(count)]), np.concatenate([highs, np.ones(count)])),
        integrality=np.concatenate([np.zeros(5 * count), np.ones(count)]),
        options={"time_limit": SOLVE_S_MAX, "mip_rel_gap": GAP},
    )
    return None if found.x is None else np.asarray(found.x[: 5 * count], np.float64).reshape(5, -1)


def _balances(task: PlanTask) -> tuple[Any, Floats]:
    """Power of the site in each step, and energy of the battery from step to step."""
    from scipy import sparse

    count = len(task.hours)
    one, none = sparse.identity(count, format="csr"), sparse.csr_matrix((count, count))
    rise = one - sparse.diags([np.ones(count - 1)], [-1], format="csr")
    stored = sparse.diags([task.efficiency_frac * task.hours], [0])
    taken = sparse.diags([task.hours / task.efficiency_frac], [0])
    rows = sparse.bmat([[one, -one, -one, one, none], [-stored, taken, none, none, rise]], format="csr")
    start = np.concatenate([[task.energy_wh], np.zeros(count - 1)])
    return rows, np.concatenate([-task.net_w, start])


def _bounds(task: PlanTask) -> tuple[Floats, Floats]:
    """A battery that is outside its band may stay there, and comes back."""
    count = len(task.hours)
    each = np.ones(count)
    lows = np.concatenate([np.zeros(4 * count), min(task.energy_wh_min, task.energy_wh) * each])
    highs = np.concatenate(
        [
            task.charge_power_w_max * each,
            task.discharge_power_w_max * each,
            task.import_w_max * each,
            task.export_w_max * each,
            max(task.energy_wh_max, task.energy_wh) * each,
        ]
    )
    return lows, highs


def _costs(task: PlanTask) -> Floats:
    hours, count = task.hours, len(task.hours)
    stored = np.zeros(count)
    stored[-1] = -task.end_value
    return np.concatenate(
        [np.zeros(count), task.ageing * hours, task.buy * hours, -np.minimum(task.sell, task.buy) * hours, stored]
    )
