"""Rows that are far apart do not say what flowed between them: sigma says it, and one line does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bms.estimate.coarse_rows import coarse, doubted
from bms.estimate.log import Log
from bms.estimate.replay import Start, replay
from bms.estimate.string import StringEstimator
from kernels.parameters import load_tables

CELL = load_tables("lfp-280ah")
AH = CELL.capacity_ah


def regulation(hours: float = 8.0) -> Log:
    """Rows each second of a current that changes every 20 s, from 60 % on, with the voltage of OCV and R0."""
    current_a = np.repeat(np.random.default_rng(5).normal(0.0, 0.6 * AH, int(hours * 180)), 20)
    soc = 0.6 - np.cumsum(current_a) / 3600 / AH
    ohm = float(CELL.resistance_ohm[1, 110])
    voltage_v = np.interp(soc, np.linspace(-0.05, 1.05, 221), CELL.ocv_v[1]) - ohm * current_a
    time_s = np.arange(len(soc), dtype=float)
    return Log(Path("log"), time_s, current_a, voltage_v, np.full(len(soc), 25.0), soc, None, None)


def every(log: Log, seconds: int) -> Log:
    """Its samples."""
    return replace(
        log,
        **{name: getattr(log, name)[::seconds] for name in ("time_s", "current_a", "voltage_v", "temperature_degc")},
        soc_frac=None if log.soc_frac is None else log.soc_frac[::seconds],
    )


def means(log: Log, seconds: int) -> Log:
    """Of its stretches, at their ends."""
    rows = len(log.time_s) // seconds * seconds

    def mean(name: str) -> np.ndarray:
        return np.asarray(getattr(log, name)[:rows].reshape(-1, seconds).mean(axis=1))

    assert log.soc_frac is not None
    return replace(
        log,
        time_s=log.time_s[seconds - 1 : rows : seconds],
        current_a=mean("current_a"),
        voltage_v=mean("voltage_v"),
        temperature_degc=mean("temperature_degc"),
        soc_frac=log.soc_frac[seconds - 1 : rows : seconds],
    )


@pytest.mark.parametrize("seconds", [30, 60])
@pytest.mark.parametrize("kind", [every, means])
def test_sigma_covers_what_flowed_between_rows(kind: object, seconds: int) -> None:
    log = doubted(kind(regulation(), seconds), AH)  # type: ignore[operator]
    done = replay(log, StringEstimator(CELL), Start(0.6, 0.02))
    assert log.soc_frac is not None
    late = log.time_s > 600
    assert (np.abs(done.soc_frac - log.soc_frac) < 3 * done.soc_sigma_frac)[late].mean() > 0.98


def test_a_line_tells_how_far_apart_rows_are_and_what_is_not_known() -> None:
    found = coarse(every(regulation(), 60), AH)
    assert found is not None
    assert found.apart_s == 60.0
    assert found.sigma_a == pytest.approx(0.6 * AH, rel=0.25)
    assert found.told.startswith("its rows are 60 s apart while its current changes from one to the next: what flowed ")
    unknown = coarse(every(regulation(), 300), AH)
    assert unknown is not None
    assert unknown.told == "its rows are 300 s apart: what flowed between them is not known"


def test_rows_of_a_steady_current_or_of_seconds_are_as_good_as_ever() -> None:
    steady = replace(every(regulation(), 60), current_a=np.full(480, 20.0))
    for log in (every(regulation(), 10), steady):
        assert coarse(log, AH) is None
        sigma_ah = doubted(log, AH).charge_sigma_ah
        assert sigma_ah is not None
        assert sigma_ah.max() == pytest.approx(0.0, abs=1e-9)
