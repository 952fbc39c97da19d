"""Automatic generation control: PJM's fast regulation signal, scored as PJM scored it until October 2025 (see
regulation_score.py). The signal is a recording of RegD where CELLWARD_DATA has one, and made up like it otherwise.
Steps are judged on the simulated wire, and so is the score over little more than the shortest span that has one; hours
without wires. The delay that PJM's manual forgives is 10 s."""

import os
from pathlib import Path

import numpy as np

from bms.state.store import Told
from hil_rigs.comply.frequency_judge import joined
from hil_rigs.comply.grid_course import SETTLE_S
from hil_rigs.comply.regulation_score import PASSED, SAMPLE_S, Score, score
from hil_rigs.comply.service import Chart, Floats, Judged, Order, Row, Service
from hil_rigs.comply.signal_judge import POWER_W, SIGNAL, Commanded, run_signal, sold_signal
from hil_rigs.comply.signal_wire import judge_on_wire, run_commands
from hil_rigs.evaluate.regulation import STEP_S, regulation_signal

HOUR_S = 3600.0
HOLD_S = 900.0
HEARD_LATE_S = 2.0
"""From when the grid operator sends a signal until the site hears it: one of its periods."""
COMMANDED = Commanded("agc", full_s=10.0, hold_s=HOLD_S, back_s=0.0, update_s=STEP_S)
WIRE_S, RENEWED_S = 660.0, 6.0
"""How long the score is taken on the wire, and how long a command holds that no other follows."""
RECORDING = "restricted/site/pjm_regd_2s.parquet"


def judge(order: Order) -> Judged:
    """The short form has no score on the wire."""
    wire = () if order.short else (_scored_on_wire(order),)
    return joined(judge_on_wire(order, COMMANDED, 60.0), *wire, _scored_over_hours(order))


def _scored_on_wire(order: Order) -> Judged:
    count = round(WIRE_S / STEP_S)
    levels = regulation_signal(recording(), count + 1, np.random.default_rng(order.seed))
    begin_s = SETTLE_S + HEARD_LATE_S
    told = [
        (begin_s + number * STEP_S, Told(SIGNAL, float(level), RENEWED_S))
        for number, level in enumerate(levels[:count])
    ]
    driven = run_commands(order, "agc", 60.0, told, SETTLE_S + WIRE_S)
    time_s = np.arange(0.5 * SAMPLE_S, WIRE_S, SAMPLE_S)
    asked = _at(levels, time_s)
    given = np.interp(time_s, driven.time_s - SETTLE_S, driven.power_w) / POWER_W
    found = score(asked, given)
    return Judged(
        [Row(f"score over {WIRE_S / 60.0:g} min, on the wire", f">= {PASSED:g}", _words(found), found.total >= PASSED)],
        [Chart("signal and response, on the wire", "1", time_s, {"signal": asked, "response": given})],
    )


def _scored_over_hours(order: Order) -> Judged:
    """One hour in the short form, otherwise as many as the recording has, twelve."""
    hours = 1 if order.short else 12
    path = recording()
    levels = regulation_signal(path, round(hours * HOUR_S / STEP_S) + 1, np.random.default_rng(order.seed))
    sold = sold_signal("agc")
    curves = run_signal(
        sold, HOLD_S, 0, 60.0, hours * HOUR_S, 0.1,
        lambda now_s: float(levels[max(int((now_s - HEARD_LATE_S) / STEP_S), 0)]),
    )  # fmt: skip
    time_s = np.arange(0.5 * SAMPLE_S, hours * HOUR_S, SAMPLE_S)
    asked = _at(levels, time_s)
    given = np.interp(time_s, curves.time_s, curves.battery_w) / POWER_W
    scores = [score(a, g) for a, g in zip(np.split(asked, hours), np.split(given, hours), strict=True)]
    low_frac, high_frac = float(curves.soc_frac.min()), float(curves.soc_frac.max())
    of = "PJM RegD" if path else "a signal like PJM RegD"
    worst = min(scores, key=lambda each: each.total)
    return Judged(
        [
            Row(f"score, worst of {hours} h of {of}, without wires", f">= {PASSED:g}", _words(worst),
                worst.total >= PASSED),
            Row(f"score, mean of {hours} h", f">= {PASSED:g}", f"{np.mean([each.total for each in scores]):.3f}",
                bool(np.mean([each.total for each in scores]) >= PASSED)),
            Row("SoC, without wires", f"within {sold.soc_frac_min:.0%} to {sold.soc_frac_max:.0%}",
                f"{low_frac:.0%} to {high_frac:.0%}",
                low_frac >= sold.soc_frac_min and high_frac <= sold.soc_frac_max),
        ],
        [
            Chart("signal and response", "1", time_s, {"signal": asked, "response": given}),
            Chart("SoC", "1", curves.time_s, {"SoC": curves.soc_frac}),
        ],
    )  # fmt: skip


def recording() -> Path | None:
    """RegD, where it is."""
    folder = os.environ.get("CELLWARD_DATA")
    path = Path(folder) / RECORDING if folder else None
    return path if path is not None and path.is_file() else None


def _at(levels: Floats, time_s: Floats) -> Floats:
    """What the signal is at those times."""
    return np.asarray(levels[(time_s / STEP_S).astype(int)])


def _words(found: Score) -> str:
    return (
        f"{found.total:.3f} (correlation {found.correlation:.3f}, delay {found.delay:.3f}, "
        f"precision {found.precision:.3f})"
    )


SERVICE = Service("agc", "automatic generation control by PJM's fast signal and score", ("frequency",), judge)
