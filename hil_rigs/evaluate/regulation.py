"""Two days of frequency regulation on a simulated LFP string that the estimator's model only resembles."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq

from bms.estimate.log import Log
from bms.estimate.log_table import Floats
from hil_rigs.evaluate.cases import Begin, Case, Fold, Limits, Plan, Simulated
from hil_rigs.plant import spread
from kernels.cellsim import CellPack
from kernels.parameters import load_cell

CELL = "lfp-280ah"
CELLS = 16
DEGC = 25.0
VOLTAGE_NOISE_V = 0.001
SEED, MAKE_SEED = 5, 6
"""Of the string and its sensors; of what all cells of the make share: their deviation from the cell file's OCV."""

START_FRAC = 0.62
RATE_PER_H = 1.0
"""C-rate at full regulation signal."""
RECENTRE_PER_H = 0.1
"""C-rate, by SoC's distance from the middle, that the site adds to hold the string there."""
STEP_S = 2.0
SIGNAL_TAU_S, SIGNAL_DRIFT_TAU_S, SIGNAL_GAIN = 150.0, 600.0, 0.35

LAB_RATE_PER_H, LAB_STEP_S = 1 / 30, 10.0
LAB_LEVELS_PER_H = (-0.6, -0.2, 0.0, 0.3, 0.6, 1.0)
LAB_LEVEL_S = 20
LIMITS = Limits(4.0, 1.1)

LabKind = Literal["discharge", "charge", "dynamic"]
Current = Callable[[CellPack], float | None]
"""The current of the next step; None = the run is over."""


def regulation_plan(data: Path, hours: float) -> Plan:
    """One string, its model once from the shipped cell file and once identified on one more cell of the make."""
    signal = data / "restricted/site/pjm_regd_2s.parquet"
    known = signal if signal.is_file() else None
    made_from = "PJM RegD" if known else "a made-up signal like PJM RegD"
    log = Simulated(
        "48 h of regulation" if hours == 48 else f"{hours:g} h of regulation", regulation_log, (known, hours)
    )
    lab = tuple(Simulated(f"lab {kind}", lab_log, (kind,)) for kind in ("discharge", "charge", "dynamic"))
    sheet, identified = (
        Case(f"model {group}", log, Begin.UNKNOWN, plotted=True) for group in ("from the data sheet", "identified")
    )
    return Plan(
        "Simulated 280 Ah string, LFP",
        f"{hours:g} h of frequency regulation ({made_from}, {RATE_PER_H:g} C at full signal) by {CELLS} cells, SoC "
        "unknown at the start; the plant has a slow and a fast RC pair and an OCV error of up to 2 mV that the cell "
        "file does not know of",
        "lfp",
        load_cell(CELL).capacity_ah,
        {sheet.group: LIMITS, identified.group: LIMITS},
        (Fold("shipped cell file", (sheet,), shipped=CELL), Fold("one more cell in the lab", (identified,), lab)),
    )


def regulation_log(signal: Path | None, hours: float) -> Log:
    """The string's mean cell with an exact current and a good voltage sensor; `soc_frac` is the truth."""
    rng = np.random.default_rng(SEED)
    pack, capacity_ah = _pack(CELLS, START_FRAC, rng), load_cell(CELL).capacity_ah
    levels = iter(regulation_signal(signal, round(hours * 3600 / STEP_S), rng).tolist())

    def current_a(pack: CellPack) -> float | None:
        level = next(levels, None)
        off_centre = float(pack.soc_frac.mean()) - 0.5
        return None if level is None else capacity_ah * (RATE_PER_H * level + RECENTRE_PER_H * off_centre)

    return _driven(pack, current_a, STEP_S, rng, "regulation")


def lab_log(kind: LabKind) -> Log:
    """One cell of the make on a cycler: C/30 between empty and full, or random steps from full down to 5 %."""
    rng = np.random.default_rng([SEED, len(kind)])
    capacity_ah = load_cell(CELL).capacity_ah
    pack = _pack(1, 0.0 if kind == "charge" else 1.0, rng)
    if kind == "dynamic":
        return _driven(pack, _steps(capacity_ah, rng), 1.0, rng, "lab-dynamic")
    slow_a = LAB_RATE_PER_H * capacity_ah * (-1.0 if kind == "charge" else 1.0)

    def current_a(pack: CellPack) -> float | None:
        soc_frac = float(pack.soc_frac[0])
        return slow_a if (soc_frac < 1.0 if slow_a < 0 else soc_frac > 0.0) else None

    return _driven(pack, current_a, LAB_STEP_S, rng, f"lab-{kind}")


def _steps(capacity_ah: float, rng: np.random.Generator) -> Current:
    left, level = 600, 0.0

    def current_a(pack: CellPack) -> float | None:
        nonlocal left, level
        if left == 0:
            left, level = LAB_LEVEL_S, float(rng.choice(LAB_LEVELS_PER_H))
        left -= 1
        soc_frac = float(pack.soc_frac[0])
        return None if soc_frac < 0.05 else capacity_ah * (level if soc_frac < 0.97 else abs(level))

    return current_a


def _pack(cells: int, soc_frac: float, rng: np.random.Generator) -> CellPack:
    """Cells of one make: they share the OCV, and differ in resistance and capacity."""
    cell = load_cell(CELL)
    resistance, capacity = (
        1.0 + sigma * rng.standard_normal(cells) for sigma in (spread.RESISTANCE_SIGMA, spread.CAPACITY_SIGMA)
    )
    return CellPack(
        ocv_v=spread.disturbed_ocv(cell.ocv_v, np.random.default_rng(MAKE_SEED)),
        resistance_ohm=cell.resistance_ohm * resistance,
        rc_resistance_ohm=cell.rc_resistance_ohm
        * np.outer(resistance, (1.0, spread.FAST_RC_SHARE, spread.SLOW_RC_SHARE)),
        rc_tau_s=np.array([cell.rc_tau_s, spread.FAST_RC_TAU_S, spread.SLOW_RC_TAU_S]),
        capacity_ah=cell.capacity_ah * capacity,
        soc_frac=np.full(cells, soc_frac),
        hysteresis_v=cell.hysteresis_v,
        heat_capacity_j_per_k=cell.heat_capacity_j_per_k,
        cooling_w_per_k=spread.COOLING_W_PER_K,
        temperature_degc=np.full(cells, DEGC),
    )


def regulation_signal(path: Path | None, rows: int, rng: np.random.Generator) -> Floats:
    """-1..1, +1 = discharge: the file's repeated to the length, or noise with the same band and no mean."""
    if path is not None:
        level = np.array(pq.read_table(path, columns=["regd_pu"])["regd_pu"].to_numpy(), dtype=np.float64)
        return np.resize(level, rows)
    fast, slow = (1 - np.exp(-STEP_S / tau_s) for tau_s in (SIGNAL_TAU_S, SIGNAL_DRIFT_TAU_S))
    level, wander, drift = np.empty(rows), 0.0, 0.0
    for row, kick in enumerate(rng.standard_normal(rows).tolist()):
        wander += -fast * wander + (2 * fast) ** 0.5 * kick
        drift += slow * (wander - drift)
        level[row] = SIGNAL_GAIN * (wander - drift)
    return np.clip(level, -1.0, 1.0)


def _driven(pack: CellPack, current_a: Current, step_s: float, rng: np.random.Generator, name: str) -> Log:
    bleed_a = np.zeros(len(pack.soc_frac))
    rows = []
    while (now_a := current_a(pack)) is not None:
        pack.step(now_a, bleed_a, DEGC, step_s)
        rows.append((now_a, pack.voltage_v.mean(), pack.temperature_degc.mean(), pack.soc_frac.mean()))
    flow_a, voltage_v, temperature_degc, soc_frac = np.array(rows).T
    return Log(
        path=Path(f"simulated-{name}"),
        time_s=np.linspace(0.0, step_s * (len(rows) - 1), len(rows)),
        current_a=flow_a,
        voltage_v=voltage_v + VOLTAGE_NOISE_V * rng.standard_normal(len(rows)),
        temperature_degc=temperature_degc,
        soc_frac=soc_frac,
        ah=None,
        run=None,
    )
