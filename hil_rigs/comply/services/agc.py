"""Automatic generation control: PJM's fast regulation signal, scored as PJM scored it until October 2025 (see
regulation_score.py). The signal is a recording of RegD where CELLWARD_DATA has one, and made up like it otherwise."""

import os
from pathlib import Path

import numpy as np

from hil_rigs.comply.regulation_score import PASSED, SAMPLE_S, Score, score
from hil_rigs.comply.service import Chart, Judged, Order, Row, Service
from hil_rigs.comply.signal_judge import POWER_W, run_signal, sold_signal
from hil_rigs.evaluate.regulation import STEP_S, regulation_signal

HOUR_S = 3600.0
HOLD_S = 900.0
HEARD_LATE_S = 2.0
"""From when the grid operator sends a signal until the site hears it: one of its periods."""
RECORDING = "restricted/site/pjm_regd_2s.parquet"


def judge(order: Order) -> Judged:
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
    asked = np.array([levels[int(each_s / STEP_S)] for each_s in time_s])
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


def _words(found: Score) -> str:
    return (
        f"{found.total:.3f} (correlation {found.correlation:.3f}, delay {found.delay:.3f}, "
        f"precision {found.precision:.3f})"
    )


SERVICE = Service("agc", "automatic generation control by PJM's fast signal and score", ("frequency",), judge)
