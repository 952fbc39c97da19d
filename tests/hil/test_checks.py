"""Checks in a scenario's words: what they mean on curves, and what is no check."""

from pathlib import Path

import numpy as np
import pytest

from hil_rigs.checks import CheckError, Signals, parse_check
from hil_rigs.signals import SIGNALS as SIGNAL_TABLE

TIME_S = np.arange(0.0, 10.0, 0.01) + 0.01


def curve(*steps: tuple[float, float]) -> np.ndarray:
    """Steps of (from s, value)."""
    value = np.zeros(len(TIME_S))
    for from_s, level in steps:
        value[from_s - 1e-9 <= TIME_S] = level
    return value


SIGNALS = Signals(
    time_s=TIME_S,
    values={
        "power_command_w": curve((0.0, 50e3), (5.12, 0.0)),
        "battery_power_w": curve((0.0, -50e3), (5.2, 0.0)),
        "grid_power_w": curve((0.0, 1e6), (4.0, 1.3e6), (8.0, 1.1e6)),
        "cell_voltage_v_max": curve((0.0, 3.3), (5.0, 3.7), (5.05, 3.3), (7.0, 3.7), (7.12, 3.3)),
        "cell_voltage_v_min": curve((0.0, 3.2)),
        "contactors_closed": curve((0.0, 2.0), (5.5, 1.0)),
        "soc_frac_min": curve((0.0, 0.35)),
    },
    injected=[("cell-overvoltage", 5.0), ("meter-lost", 6.0)],
)


@pytest.mark.parametrize(
    ("text", "passed", "measured"),
    [
        ("within 200 ms: power_command_w == 0", True, "after 120 ms"),
        ("within 0.1 s: power_command_w == 0", False, "after 120 ms"),
        ("within 120 ms of cell-overvoltage: power_command_w == 0", True, "after 120 ms"),
        ("within 1 s of meter-lost: contactors_closed == 1", True, "after 0 ms"),
        ("within 10 s of meter-lost: contactors_closed == 0", False, "never"),
        ("within 2 s after 4 s: contactors_closed < 2", True, "after 1.50 s"),
        ("within 2 s after 1 min: contactors_closed < 2", False, "the run ended before"),
        ("never: cell_voltage_v > 3.65 for 200 ms", True, "for 120 ms from 7.00 s on"),
        ("never: cell_voltage_v > 3.65 for 120 ms", False, "for 120 ms from 7.00 s on"),
        ("never: cell_voltage_v > 3650 mV", False, "for 120 ms from 7.00 s on"),
        ("never: cell_voltage_v < 3.2", True, "never"),
        ("never after 1 min: cell_voltage_v < 3.2", False, "the run ended before"),
        ("never after 8 s: cell_voltage_v > 3.65", True, "never"),
        ("always: soc_frac >= 35 %", True, "always"),
        ("always: cell_voltage_v <= 3.65", False, "not at 5.00 s"),
        ("at the end: cell_voltage_v < 3.25", False, "cell_voltage_v_max 3.3"),
        ("always: contactors_closed == 2", False, "not at 5.50 s"),
        ("always after 6 s: contactors_closed == 1", True, "always"),
        ("at the end: contactors_closed == 1 and |battery_power_w| < 1 kW", True,
         "battery_power_w 0, contactors_closed 1"),
        ("at the end: grid <= 1.05 MW", False, "grid_power_w 1.1e+06"),
        ("always after 1 s: |battery_power_w| <= 50 kW", True, "always"),
        ("grid range <= 300 kW in any 5 s", True, "300 kW"),
        ("grid range <= 0.29 MW in any 5 s", False, "300 kW"),
        ("grid_power_w range <= 200 kW in any 3.5 s after 5 s", True, "200 kW"),
    ],
)  # fmt: skip
def test_check_on_curves(text: str, passed: bool, measured: str) -> None:
    finding = parse_check(text).judge(SIGNALS)
    assert (finding.measured, finding.passed) == (measured, passed)


def test_longer_than_the_run_is_not_taken_for_true() -> None:
    """The last stretch ends with the last sample."""
    held = Signals(TIME_S, {"contactors_closed": curve((9.9, 1.0))})
    assert parse_check("never: contactors_closed == 1 for 200 ms").judge(held).passed
    assert not parse_check("never: contactors_closed == 1 for 50 ms").judge(held).passed


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "no form of a check"),
        ("within 200: power_command_w == 0", "no form of a check"),
        ("within 200 parsec: power_command_w == 0", "no time: '200 parsec', expected a number with ms, s, min, h"),
        ("never: cell_volt_v > 3.65", "no signal 'cell_volt_v', expected cell_voltage_v perhaps"),
        ("never: cell_voltage_v > 3.65 kW",
         "no value of cell_voltage_v_max: '3.65 kW', expected a number, in mV, V, kV"),
        ("never: cell_voltage_v > nan", "no value of cell_voltage_v_max: 'nan', expected a number, in mV, V, kV"),
        ("always: soc_frac == 0.5",
         "soc_frac is one value of many cells, expected soc_frac_max or soc_frac_min with =="),
        ("never: power_command_w", "no condition: 'power_command_w', expected SIGNAL < VALUE, "
         "with <, <=, >, >=, == or !="),
        ("frid range <= 1 MW in any 5 s", "no signal 'frid', expected"),
        ("at the end: contactors_closed == 1 A", "no value of contactors_closed: '1 A', expected a number"),
    ],
)  # fmt: skip
def test_no_check_is_said_with_what_was_expected(text: str, wrong: str) -> None:
    with pytest.raises(CheckError) as caught:
        parse_check(text)
    assert str(caught.value).startswith(wrong)


def test_manual_lists_every_signal() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text()
    for signal in SIGNAL_TABLE.values():
        assert f"| `{signal.name}` | {signal.unit or '-'} | {signal.says} |" in manual
