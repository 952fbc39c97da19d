"""Commands on the simulated wire: from the moment that somebody tells the controller until the plant's power is there,
how near it then is, and what happens once a command has expired."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bms.state.store import Told
from hil_rigs.comply.frequency_judge import PHASE_S, fault_row
from hil_rigs.comply.grid_course import SETTLE_S, Driven, drive_points
from hil_rigs.comply.service import Chart, Floats, Judged, Order, Row
from hil_rigs.comply.signal_judge import POWER_W, SIGNAL, Commanded, sold_signal
from hil_rigs.grid_spec import GridPoint

HELD_S, WATCHED_S = 3.0, 2.8
"""When a command expires, and for how long each is watched: the next one comes after that."""
THERE_FRAC = 0.01
"""Of full power: so near it is there."""
REST_S = 0.5
LEVELS = (1.0, -1.0, 0.5, -0.25, 0.1)


@dataclass(frozen=True, slots=True)
class Step:
    """A command of `level`, per unit of what is sold, after one of `before`."""

    at_s: float
    before: float
    level: float


def judge_on_wire(order: Order, commanded: Commanded, nominal_hz: float) -> Judged:
    """Steps to full power and between on each side, at other phases of the controller's cycle; the last one expires.
    The short form has the two steps to full power."""
    levels = LEVELS[:2] if order.short else 3 * LEVELS
    steps = _steps(levels)
    expires_s = steps[-1].at_s + HELD_S
    driven = run_commands(
        order, commanded.product, nominal_hz, [(step.at_s, Told(SIGNAL, step.level, HELD_S)) for step in steps],
        expires_s + HELD_S,
    )  # fmt: skip
    times_s = [_there_s(driven, step) for step in steps]
    errors = [float(np.abs(_rest(driven, step.at_s) - step.level).max()) for step in steps]
    left = float(np.abs(_rest(driven, expires_s)).max())
    full_s, tolerance_frac = commanded.full_s, commanded.tolerance_frac
    name = f"{commanded.product}, {nominal_hz:g} Hz, on the wire"
    rows = [
        Row(f"full power after a command: {name}", f"<= {full_s:g} s",
            f"{max(times_s):.2f} s (worst of {len(steps)} commands)", max(times_s) <= full_s),
        Row(f"distance from a command at rest: {name}", f"<= {tolerance_frac:.0%} of full power",
            f"{max(errors):.2%}", max(errors) <= tolerance_frac),
        Row(f"power after the last command has expired: {name}", f"<= {THERE_FRAC:.0%} of full power",
            f"{left:.2%}", left <= THERE_FRAC),
        fault_row(driven),
    ]  # fmt: skip
    lines = {"battery": driven.power_w, "asked": POWER_W * _asked(steps, driven.time_s)}
    return Judged(rows, [Chart(f"commands, {name}", "W", driven.time_s, lines)])


def run_commands(
    order: Order, product: str, nominal_hz: float, tell: Sequence[tuple[float, Told]], duration_s: float
) -> Driven:
    """The site sells POWER_W of the product in each direction, on a grid that stays at its nominal frequency."""
    grid = [GridPoint(time_s=0.0, frequency_hz=nominal_hz)]
    return drive_points(order, grid, round(nominal_hz), duration_s, [sold_signal(product)], tell)


def _steps(levels: Sequence[float]) -> list[Step]:
    before = (0.0, *levels[:-1])
    at_s = [SETTLE_S + number * (WATCHED_S + PHASE_S) for number in range(len(levels))]
    return [Step(*each) for each in zip(at_s, before, levels, strict=True)]


def _there_s(driven: Driven, step: Step) -> float:
    """From when on the power is what was asked, until the next command; infinite when it is not."""
    after = (driven.time_s >= step.at_s) & (driven.time_s < step.at_s + WATCHED_S)
    off = np.abs(driven.power_w[after] / POWER_W - step.level)
    missing = np.flatnonzero(off > THERE_FRAC)
    if missing.size and missing[-1] + 1 == off.size:
        return np.inf
    return float(driven.time_s[after][missing[-1] + 1]) - step.at_s if missing.size else 0.0


def _rest(driven: Driven, at_s: float) -> Floats:
    """Share of full power at the end of the time that begins there."""
    end_s = at_s + WATCHED_S
    return driven.power_w[(driven.time_s >= end_s - REST_S) & (driven.time_s < end_s)] / POWER_W


def _asked(steps: Sequence[Step], time_s: Floats) -> Floats:
    asked = np.zeros_like(time_s)
    for step in steps:
        asked[(time_s >= step.at_s) & (time_s < step.at_s + HELD_S)] = step.level
    return asked
