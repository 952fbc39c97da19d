"""Logs with a row a minute: what they cannot tell is told, and not claimed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bms.estimate.log import Log
from hil_rigs.identify import IdentifiedCell, identify_cell

AH, OHM, PAIR_OHM, TAU_S = 3.0, 0.030, 0.020, 10.0


def drive() -> Log:
    """Rows each second of a current that changes every 7 s, from full to 7 %, of a cell with R0 and a pair of 10 s."""
    current_a = np.repeat(np.random.default_rng(6).normal(1.2, 2.5, 1196), 7)
    soc, keep, inner, x = 1 - np.cumsum(current_a) / 3600 / AH, np.exp(-1 / TAU_S), [], 0.0
    for amps in current_a.tolist():
        x = keep * x + (1 - keep) * amps
        inner.append(x)
    voltage_v = 3.0 + 0.9 * soc + 0.25 * np.tanh(soc / 0.05) - OHM * current_a - PAIR_OHM * np.array(inner)
    time_s = np.arange(len(soc), dtype=float)
    return Log(Path("drive"), time_s, current_a, voltage_v, np.full(len(soc), 25.0), soc, None, None)


def coarse(log: Log, seconds: int, kind: str) -> Log:
    """Samples, or means with the SoC at their ends."""
    rows = len(log.time_s) // seconds * seconds

    def of(values: np.ndarray) -> np.ndarray:
        every = values[:rows].reshape(-1, seconds)
        return np.asarray(every.mean(axis=1) if kind == "means" else every[:, -1])

    assert log.soc_frac is not None
    last = slice(seconds - 1, rows, seconds)
    return replace(
        log,
        time_s=log.time_s[last],
        current_a=of(log.current_a),
        voltage_v=of(log.voltage_v),
        temperature_degc=log.temperature_degc[last],
        soc_frac=log.soc_frac[last],
    )


def found_from(*logs: Log) -> IdentifiedCell:
    return identify_cell(logs, nominal_ah=AH, chemistry="nmc")


def away(found: IdentifiedCell) -> float:
    """Of the resistance at half charge, in sigma."""
    tables = found.tables
    row = int(np.abs(tables.temperature_degc - 25.0).argmin())
    ohm = float(tables.resistance_ohm[row, 110] + tables.rc_resistance_ohm[:, row, 110].sum())
    return abs(np.log(ohm / (OHM + PAIR_OHM))) / float(tables.resistance_sigma_frac[row])


@pytest.mark.parametrize("kind", ["means", "samples"])
@pytest.mark.parametrize("seconds", [30, 60])
def test_a_log_with_a_row_a_minute_does_not_claim_the_resistances_of_seconds(kind: str, seconds: int) -> None:
    found = found_from(coarse(drive(), seconds, kind))
    assert found.tables.resistance_sigma_frac.min() > 0.34
    assert away(found) < 2.0
    assert any(line.startswith(f"rows are {seconds} s apart while") for line in found.warnings)
    assert any(line.startswith(f"drive: its rows are {seconds} s apart while") for line in found.warnings)


@pytest.mark.parametrize("kind", ["means", "samples"])
def test_a_log_with_a_row_in_five_minutes_tells_no_resistance(kind: str) -> None:
    found = found_from(coarse(drive(), 300, kind))
    assert found.tables.resistance_sigma_frac == pytest.approx(0.5)
    assert any(line.startswith("drive: its rows are 300 s apart: what flowed between") for line in found.warnings)
    assert any(line.startswith("no run has steps of its current") for line in found.warnings)


def test_samples_far_apart_count_no_capacity_and_means_do() -> None:
    far, near = (found_from(coarse(drive(), 60, kind)).tables for kind in ("samples", "means"))
    assert near.capacity_ah == pytest.approx(AH, rel=0.02)
    assert (far.capacity_ah, far.capacity_sigma_frac) == (AH, 0.05)


def test_one_run_of_seconds_tells_what_those_of_minutes_do_not() -> None:
    found = found_from(drive(), coarse(drive(), 60, "means"))
    assert found.tables.resistance_sigma_frac.max() < 0.34
    assert not any(line.startswith("rows are") for line in found.warnings)
