"""A log whose charge cannot be that of a cell of the capacity that somebody says it has."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bms.estimate.log import Log
from bms.estimate.log_charge import capacity_doubt, wrong_unit


def log_of(
    hours_and_amps: list[tuple[float, float]], capacity_ah: float, *, soc_known: bool, step_s: float = 60.0
) -> Log:
    """A cell of this capacity that begins full."""
    current_a = np.concatenate([np.full(round(hours * 3600 / step_s), amps) for hours, amps in hours_and_amps])
    taken_ah = np.concatenate([[0.0], np.cumsum((current_a[1:] + current_a[:-1]) * step_s / 7200)])
    rows = len(current_a)
    return Log(
        path=Path("log.csv"),
        time_s=step_s * np.arange(rows),
        current_a=current_a,
        voltage_v=np.full(rows, 3.3),
        temperature_degc=np.full(rows, 25.0),
        soc_frac=1.0 - taken_ah / capacity_ah if soc_known else None,
        ah=None,
        run=None,
    )


EMPTIED = [(2.0, 1.4)]
"""2.8 Ah in two hours."""


@pytest.mark.parametrize("nominal_ah", [2.5, 2.9, 4.5])
@pytest.mark.parametrize("soc_known", [True, False])
def test_nameplate_of_a_new_or_worn_cell_is_no_doubt(nominal_ah: float, soc_known: bool) -> None:
    assert capacity_doubt(log_of(EMPTIED, 2.9, soc_known=soc_known), nominal_ah, "--nominal-ah") is None


@pytest.mark.parametrize("nominal_ah", [0.29, 29.0])
def test_slip_of_a_digit_is_told_by_the_soc(nominal_ah: float) -> None:
    assert capacity_doubt(log_of(EMPTIED, 2.9, soc_known=True), nominal_ah, "--nominal-ah") == (
        f"log.csv: by its soc and current its cell has 2.9 Ah, far from the {nominal_ah:g} Ah of --nominal-ah"
    )


def test_more_charge_than_the_cell_can_hold_is_told_without_a_soc() -> None:
    assert capacity_doubt(log_of(EMPTIED, 2.9, soc_known=False), 0.29, "--nominal-ah") == (
        "log.csv: its current moves 2.78 Ah one way, more than the 0.29 Ah of --nominal-ah can hold"
    )
    assert capacity_doubt(log_of(EMPTIED, 2.9, soc_known=False), 29.0, "--nominal-ah") is None


def test_losses_of_many_cycles_are_no_charge_that_a_cell_holds() -> None:
    cycles = [(1.0, 2.5), (1.0, -2.6)] * 100
    assert capacity_doubt(log_of(cycles, 2.9, soc_known=False), 2.9, "--nominal-ah") is None


def test_what_flowed_while_the_logger_was_off_is_no_doubt() -> None:
    log = log_of(EMPTIED, 2.9, soc_known=True)
    seen = np.r_[0:10, 110:120]
    gap = Log(log.path, log.time_s[seen], log.current_a[seen], log.voltage_v[seen], log.temperature_degc[seen],
              log.soc_frac[seen] if log.soc_frac is not None else None, None, None)  # fmt: skip
    assert capacity_doubt(gap, 2.9, "--nominal-ah") is None


def in_ms(log: Log) -> Log:
    return replace(log, time_s=1000 * log.time_s)


@pytest.mark.parametrize("step_s", [0.1, 1.0, 60.0])
def test_milliseconds_are_told_by_the_soc(step_s: float) -> None:
    log = log_of([(0.1, 1.4)], 2.9, soc_known=True, step_s=step_s)
    assert wrong_unit(log, 2.9, "cell x") is None
    told = wrong_unit(in_ms(log), 2.9, "cell x")
    assert told is not None
    assert told.startswith("log.csv: time_s is in other units: its current moves 1")
    assert told.endswith(" Ah by its soc, expected s (not ms)")


def test_milliseconds_are_told_by_the_ah_whatever_the_capacity() -> None:
    log = log_of([(0.1, 1.4), (0.1, -1.4)] * 5, 2.9, soc_known=False)
    log = replace(log, ah=np.concatenate([[0.0], np.cumsum((log.current_a[1:] + log.current_a[:-1]) / 120)]))
    for capacity_ah in (1.0, 2.9, 5.0):
        assert wrong_unit(log, capacity_ah, "cell x") is None
        assert wrong_unit(in_ms(log), capacity_ah, "cell x") == (
            "log.csv: time_s is in other units: its current moves 117 Ah over it, 0.117 Ah by its ah, "
            "expected s (not ms)"
        )


def test_milliseconds_are_told_by_a_charge_that_no_cell_holds() -> None:
    assert wrong_unit(in_ms(log_of(EMPTIED, 2.9, soc_known=False)), 2.9, "cell x") == (
        "log.csv: its current moves 957 times the 2.9 Ah of cell x one way, "
        "expected time_s in s (not ms) and current_a in A (not mA)"
    )


def test_pause_of_a_month_amid_a_discharge_is_no_other_unit() -> None:
    log = log_of(EMPTIED, 2.9, soc_known=True)
    paused = replace(log, time_s=log.time_s + np.where(np.arange(len(log.time_s)) > 60, 30 * 86400.0, 0.0))
    assert wrong_unit(paused, 2.9, "cell x") is None
    assert wrong_unit(replace(paused, soc_frac=None), 2.9, "cell x") is None


def test_log_of_a_larger_cell_is_no_other_unit() -> None:
    assert wrong_unit(log_of(EMPTIED, 2.9, soc_known=True), 0.29, "cell x") is None
    assert wrong_unit(log_of(EMPTIED, 2.9, soc_known=False), 0.29, "cell x") is None
