"""What speaks against an identification: logs of another cell or chemistry, a stuck sensor, a fit that does not fit."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bms.estimate.log import Log
from hil_rigs.identify.basis import arrhenius
from hil_rigs.identify.chemistry import Chemistry
from hil_rigs.identify.fit import Solution
from hil_rigs.identify.ocv import OcvBase
from hil_rigs.identify.runs import Capacity, IdentifyError, Run, charge_ah, reference_ah, rows_inside
from hil_rigs.identify.soc_range import LEAST_COVERED, percent, share_of, spans
from hil_rigs.identify.usual import SLOW_DROP_K
from kernels.cell_tables import SOC_GRID

Floats = NDArray[np.float64]

OFF_V, OFF_LFP_V = 0.4, 0.3
"""The cells of one chemistry differ by less (an NMC pouch by 0.25 V, LFP by 0.05 V) where their curve is flat; under
load a drop comes on top."""
LOADED_V = 0.3
FLAT = 0.1, 0.95
"""SoC."""
REST_PER_H, ROWS_MIN = 0.05, 10
RESIDUAL_V = 0.040
"""Cold drive cycles of cells that fit leave 10 to 30 mV (NCR18650PF at -10 degC), warm ones 3 to 12 mV."""
OHM_OFF = 6.0
"""Times the usual resistance, or a share of it: strong and weak cells differ by a third of that."""
CAPACITY_OFF = 0.15
STUCK_SOC, STUCK_PER_H, STUCK_FLAT_SOC = 0.1, 0.1, 0.3
"""So much charge through a voltage that does not change at all, while the current does; or so much of one current: on a
plateau a coarse sensor shows one value for long."""


def check_chemistry(logs: Sequence[Log], runs: Sequence[Run], base: OcvBase, chemistry: Chemistry, ah: float) -> None:
    """IdentifyError where a run's voltages are far from the usual curve, and no slow run gives another."""
    if base.measured:
        return
    for log, run in zip(logs, runs, strict=True):
        rows = rows_inside(run.soc_frac)
        soc = run.soc_frac[rows]
        flat = rows[(soc > FLAT[0]) & (soc < FLAT[1])]
        resting = flat[np.abs(run.current_a[flat]) < REST_PER_H * ah]
        at, more_v = (resting, 0.0) if len(resting) >= ROWS_MIN else (flat, LOADED_V)
        if len(at) < ROWS_MIN:
            continue
        away_v = float(np.median(run.voltage_v[at] - chemistry.ocv_v(run.soc_frac[at])))
        if abs(away_v) > _off_v(chemistry) + more_v:
            raise IdentifyError(
                f"{log.named}: its voltages lie {_away(away_v)} those of {chemistry.name} cells: expected another "
                "--chemistry, or slow runs beside it (up to C/8, through half of the range), which give the curve"
            )


def _off_v(chemistry: Chemistry) -> float:
    return OFF_LFP_V if chemistry.name == "lfp" else OFF_V


def _away(away_v: float) -> str:
    return f"{abs(away_v):.2f} V {'below' if away_v < 0 else 'above'}"


def doubts(
    logs: Sequence[Log],
    runs: Sequence[Run],
    base: OcvBase,
    solution: Solution,
    capacity: Capacity,
    chemistry: Chemistry,
) -> list[str]:
    """One line for each that there is."""
    found = [_coverage(base), _curve(base, chemistry), _apart(logs, capacity), _residual(logs, solution)]
    found += [_stuck(log, run, capacity.ah) for log, run in zip(logs, runs, strict=True)]
    return [line for line in (*found, *_ohm(solution, capacity.ah, chemistry)) if line is not None]


def _coverage(base: OcvBase) -> str | None:
    if share_of(base.covered) >= LEAST_COVERED:
        return None
    where = percent(spans(base.covered))
    return (
        f"the runs go through {100 * share_of(base.covered):.0f} % of the SoC range only ({where}): elsewhere the "
        "tables are the chemistry's usual ones"
    )


def _curve(base: OcvBase, chemistry: Chemistry) -> str | None:
    low, high = FLAT
    at = base.covered & (low < SOC_GRID) & (high > SOC_GRID)
    if not base.measured or not at.any():
        return None
    away_v = float(np.median(base.curve_v[:, at] - chemistry.ocv_v(SOC_GRID[at])))
    if abs(away_v) <= _off_v(chemistry):
        return None
    return (
        f"the slow runs' voltages lie {_away(away_v)} those of {chemistry.name} cells: is --chemistry right? What the "
        "runs do not tell follows it"
    )


def _apart(logs: Sequence[Log], capacity: Capacity) -> str | None:
    shown = [(ah, log) for log in logs if (ah := reference_ah(log, capacity.ah)) is not None]
    ah, log = max(shown, key=lambda pair: abs(pair[0] - capacity.ah), default=(capacity.ah, None))
    if log is None or abs(ah - capacity.ah) <= CAPACITY_OFF * capacity.ah:
        return None
    return f"{log.named}: by its soc and current its cell has {ah:.3g} Ah, the runs together {capacity.ah:.3g} Ah"


def _residual(logs: Sequence[Log], solution: Solution) -> str | None:
    left_v, log = max(zip(solution.run_residual_v, logs, strict=True), key=lambda pair: pair[0])
    if left_v <= RESIDUAL_V:
        return None
    others = sum(other_v > RESIDUAL_V for other_v in solution.run_residual_v) - 1
    more = f"; {others} more above {1e3 * RESIDUAL_V:.0f} mV" if others else ""
    return (
        f"{log.named}: fits worst, with a residual of {1e3 * left_v:.0f} mV (all runs "
        f"{1e3 * solution.residual_v:.0f} mV{more}): of this cell and chemistry, and sound?"
    )


def _stuck(log: Log, run: Run, ah: float) -> str | None:
    edges = np.concatenate([[0], np.flatnonzero(np.diff(run.voltage_v) != 0) + 1, [len(run.voltage_v)]])
    moved = charge_ah(run.time_s, np.abs(run.current_a)) / ah
    spent = moved[edges[1:] - 1] - moved[edges[:-1]]
    at = int(spent.argmax())
    rows = slice(edges[at], edges[at + 1])
    swings = np.ptp(run.current_a[rows]) > STUCK_PER_H * ah
    if spent[at] <= (STUCK_SOC if swings else STUCK_FLAT_SOC):
        return None
    hours = np.ptp(run.time_s[rows]) / 3600
    return (
        f"{log.named}: voltage_v stands still at {run.voltage_v[rows][0]:.3f} V for {hours:.1f} h while "
        f"{spent[at] * ah:.3g} Ah flow: its sensor hung"
    )


def _ohm(solution: Solution, ah: float, chemistry: Chemistry) -> Iterator[str]:
    for degc, table in zip(solution.degc_knots.tolist(), solution.resistance_ohm.sum(axis=0), strict=True):
        ohm = float(np.median(table))
        usual = chemistry.resistance_ohm_ah / ah * float(arrhenius(np.array([degc]), SLOW_DROP_K)[0])
        if not usual / OHM_OFF < ohm < usual * OHM_OFF:
            yield (
                f"the resistance at {degc:.0f} degC, {1e3 * ohm:.3g} mOhm, is far from the {1e3 * usual:.3g} mOhm "
                f"that are usual for {chemistry.name} cells of {ah:.3g} Ah: the runs may not tell it"
            )
