"""Identification judges itself: what the runs do not tell is usual and wide, what does not fit is told or refused."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bms.estimate.log import Log
from hil_rigs.cli import main
from hil_rigs.identify import IdentifiedCell, IdentifyError, identify_cell
from kernels.cell_tables import SOC_GRID

Floats = NDArray[np.float64]
NMC = ((0.0, 3.0), (0.05, 3.3), (0.1, 3.42), (0.3, 3.6), (0.5, 3.72), (0.7, 3.92), (0.9, 4.08), (1.0, 4.2))
LFP = ((0.0, 2.6), (0.05, 3.1), (0.1, 3.2), (0.3, 3.27), (0.6, 3.29), (0.7, 3.325), (0.95, 3.337), (1.0, 3.43))
TITANATE = ((0.0, 1.95), (0.05, 2.15), (0.5, 2.3), (0.9, 2.5), (1.0, 2.7))
HYSTERESIS_V = 0.008


def cell(
    name: str, current_a: Floats, *, ah: float, ohm: float, ocv: Sequence[tuple[float, float]] = NMC, dt_s: float = 1.0,
    start: float = 1.0, hysteresis_v: float = 0.0
) -> Log:  # fmt: skip
    """R0 and hysteresis that a hundredth of the charge turns, at 25 degC, with 0.5 mV of noise."""
    time_s = dt_s * np.arange(len(current_a))
    moved = np.concatenate([[0.0], np.cumsum(0.5 * (current_a[1:] + current_a[:-1]) * dt_s / 3600)]) / ah
    turned, gap = -1.0 if start > 0.5 else 1.0, []
    for amps in current_a.tolist():
        keep = np.exp(-100 * abs(amps) * dt_s / 3600 / ah)
        turned = keep * turned + (1 - keep) * np.sign(amps)
        gap.append(turned)
    noise_v = np.random.default_rng(2).normal(0, 0.0005, len(time_s))
    soc = start - moved
    points, volts = np.array(ocv).T
    voltage_v = np.interp(soc, points, volts) - ohm * current_a - hysteresis_v * np.array(gap) + noise_v
    return Log(Path(name), time_s, current_a, voltage_v, np.full(len(time_s), 25.0), soc, None, None)


def dynamic(ah: float, depth: float, seed: int = 3) -> Floats:
    steps = np.random.default_rng(seed).normal(0.4, 0.7, int(depth * 450))
    return ah * np.repeat(steps * depth * 180 / steps.sum(), 20)


def slow(ah: float, sign: int = 1, depth: float = 0.97) -> Floats:
    return np.full(int(depth * 2400), sign * ah / 20)


def found_from(*logs: Log, ah: float, chemistry: str = "nmc") -> IdentifiedCell:
    return identify_cell(logs, nominal_ah=ah, chemistry=chemistry)


def at_25(found: IdentifiedCell, table: Floats, soc: float = 0.5) -> float:
    row = int(np.abs(found.tables.temperature_degc - 25.0).argmin())
    return float(np.interp(soc, SOC_GRID, table[row]))


def ohm(found: IdentifiedCell) -> float:
    return at_25(found, found.tables.resistance_ohm + found.tables.rc_resistance_ohm.sum(axis=0))


@pytest.mark.parametrize(("ah", "true_ohm"), [(2.5, 0.040), (100.0, 0.0015)])
@pytest.mark.parametrize("signs", [(1,), (-1,), (1, -1)])
def test_slow_runs_alone_give_the_usual_resistance_and_say_so(ah: float, true_ohm: float, signs: tuple[int]) -> None:
    logs = [cell(f"slow {s}", slow(ah, s), ah=ah, ohm=true_ohm, ocv=LFP, dt_s=30.0, start=0.98 if s > 0 else 0.01,
                 hysteresis_v=HYSTERESIS_V) for s in signs]  # fmt: skip
    found = found_from(*logs, ah=ah, chemistry="lfp")
    assert ohm(found) == pytest.approx(0.12 / ah, rel=0.05)
    assert abs(ohm(found) - true_ohm) < 3 * found.tables.resistance_sigma_frac[0] * ohm(found)
    assert found.tables.resistance_sigma_frac == pytest.approx(0.5)
    assert [line.split(":")[0] for line in found.warnings] == [
        "no run has steps of its current or more than C/5 for a minute"
    ]
    off_v = at_25(found, found.tables.ocv_v) - float(np.interp(0.5, *np.array(LFP).T))
    assert abs(off_v) < 3 * at_25(found, found.tables.ocv_sigma_v)


def test_slow_charge_and_discharge_leave_no_room_for_a_usual_resistance_above_their_gap() -> None:
    """A cell made for power: 20 mOhm where 76 are usual."""
    logs = [
        cell(f"slow {s}", slow(2.5, s), ah=2.5, ohm=0.020, dt_s=30.0, start=0.98 if s > 0 else 0.01) for s in (1, -1)
    ]
    assert ohm(found_from(*logs, ah=2.5)) == pytest.approx(0.020, rel=0.1)


def test_a_minute_of_load_that_two_temperatures_share_is_taken_as_it_is() -> None:
    """40 s of 1C at 25 and at 45 degC, amid rest: enough for one resistance, for neither alone."""
    current_a = np.repeat([0.0, 2.5, 0.0], [600, 40, 600])
    cold = cell("cool", current_a, ah=2.5, ohm=0.040, start=0.6)
    hot = replace(cell("hot", current_a, ah=2.5, ohm=0.040, start=0.6), temperature_degc=np.full(1240, 45.0))
    slowly = cell("slow", slow(2.5), ah=2.5, ohm=0.040, dt_s=30.0)
    assert ohm(found_from(slowly, cold, hot, ah=2.5)) > 0.0


def test_small_steps_of_the_current_tell_a_resistance() -> None:
    """C/10 for 6 min, 6 min of rest, and again: no usual value is taken."""
    log = cell("steps", np.tile(np.repeat([0.25, 0.0], 36), 90), ah=2.5, ohm=0.120, dt_s=10.0)
    found = found_from(log, ah=2.5)
    assert found.warnings == ()
    assert ohm(found) == pytest.approx(0.120, rel=0.1)


@pytest.mark.parametrize("ocv", [NMC, tuple((soc, volts + 0.1 - 0.25 * (1 - soc) ** 4) for soc, volts in NMC)])
@pytest.mark.parametrize("slow_too", [False, True])
def test_where_no_run_went_the_curve_is_as_unsure_as_usual_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ocv: Sequence[tuple[float, float]], slow_too: bool
) -> None:
    """Runs from full to 45 %; the same with a slow one to 40 %."""
    logs = [cell("dynamic", dynamic(3.0, 0.55), ah=3.0, ohm=0.050, ocv=ocv)]
    logs += [cell("slow", slow(3.0, depth=0.6), ah=3.0, ohm=0.050, ocv=ocv, dt_s=30.0)] if slow_too else []
    found = found_from(*logs, ah=3.0)
    for soc, least_v in ((0.02, 0.15), (0.1, 0.07), (0.2, 0.05), (0.3, 0.04)):
        off_v = at_25(found, found.tables.ocv_v, soc) - float(np.interp(soc, *np.array(ocv).T))
        assert at_25(found, found.tables.ocv_sigma_v, soc) > least_v
        assert abs(off_v) < 3 * at_25(found, found.tables.ocv_sigma_v, soc), soc
    for soc in (0.6, 0.9):
        assert at_25(found, found.tables.ocv_sigma_v, soc) < 0.04
    out, paths = tmp_path / "cell.yaml", [csv(tmp_path, log) for log in logs]
    assert main(["identify", *paths, "--nominal-ah", "3", "--chemistry", "nmc", "--out", str(out)]) == 0
    said, text = capsys.readouterr().out, out.read_text()
    assert re.search(
        r"measured SoC: (39|40|41|44|45|46) to 100 %; elsewhere the OCV is the chemistry's usual one", said
    )
    assert re.search(r"\n# measured: (39|40|41|44|45|46) to 100 % SoC\nsoc: ", text)


def test_a_log_of_a_small_part_of_the_range_is_told() -> None:
    found = found_from(cell("few", dynamic(3.0, 0.1), ah=3.0, ohm=0.050, start=0.7), ah=3.0)
    (said,) = [line for line in found.warnings if "SoC range" in line]
    assert re.fullmatch(
        r"the runs go through 1\d % of the SoC range only \((59|60) to 7\d %\): elsewhere the tables are the "
        "chemistry's usual ones",
        said,
    )


def csv(folder: Path, log: Log) -> str:
    path = folder / f"{log.path.name}.csv"
    assert log.soc_frac is not None
    columns = np.column_stack([log.time_s, log.current_a, log.voltage_v, log.temperature_degc, log.soc_frac])
    np.savetxt(path, columns, delimiter=",", header="time_s,current_a,voltage_v,temperature_c,soc", comments="")
    return str(path)


GOOD = cell("good", dynamic(3.0, 0.9), ah=3.0, ohm=0.050)
LFP_RUN = cell("lfp", dynamic(3.0, 0.9), ah=3.0, ohm=0.030, ocv=LFP)
SLOW = cell("slow", slow(3.0), ah=3.0, ohm=0.050, dt_s=30.0)
SLOW_LFP = cell("slow lfp", slow(3.0), ah=3.0, ohm=0.050, ocv=LFP, dt_s=30.0)


def test_cells_of_different_kinds_are_told_by_the_log_that_fits_worst(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = replace(GOOD, path=Path("again"), current_a=GOOD.current_a + 1e-6)
    paths = [csv(tmp_path, log) for log in (SLOW, GOOD, again, LFP_RUN)]
    options = ["--nominal-ah", "3", "--chemistry", "nmc", "--out", str(tmp_path / "cell.yaml"), "--json"]
    assert main(["identify", *paths, *options]) == 0
    said = capsys.readouterr()
    warnings = json.loads(said.out)["warnings"]
    assert said.err == "".join(f"WARNING: {line}\n" for line in warnings)
    (fits,) = [line for line in warnings if "fits worst" in line]
    assert re.match(rf"{re.escape(paths[3])}: fits worst, with a residual of \d\d\d mV \(all runs \d+ mV", fits)


def test_cells_of_different_capacity_are_told() -> None:
    small = cell("small", dynamic(2.0, 0.9), ah=2.0, ohm=0.050)
    other = cell("other", dynamic(3.0, 0.8, seed=8), ah=3.0, ohm=0.050)
    warnings = found_from(GOOD, other, small, ah=3.0).warnings
    assert "small: by its soc and current its cell has 2 Ah, the runs together 3 Ah" in warnings


def test_a_sensor_that_hangs_is_told() -> None:
    stuck_v = np.where(GOOD.time_s > 2000, GOOD.voltage_v[2000], GOOD.voltage_v)
    warnings = found_from(SLOW, replace(GOOD, voltage_v=stuck_v), ah=3.0).warnings
    (hung,) = [line for line in warnings if "stands still" in line]
    assert re.fullmatch(
        r"good: voltage_v stands still at 3\.\d+ V for 1\.\d h while \S+ Ah flow: its sensor hung", hung
    )
    assert any("fits worst, with a residual of" in line for line in warnings)


def test_a_resistance_far_from_the_usual_one_is_told() -> None:
    log = cell("flat", dynamic(3.0, 0.9), ah=3.0, ohm=0.002)
    (said,) = [line for line in found_from(log, ah=3.0).warnings if "the resistance" in line]
    assert re.match(r"the resistance at 25 degC, [23]\S* mOhm, is far from the 63.3 mOhm that are usual for nmc", said)


@pytest.mark.parametrize(
    ("log", "chemistry", "says"),
    [
        (GOOD, "lfp", r"good: \d\d % of voltage_v \(from .* to 4.\d\d V\) is no lfp cell's, expected 1.00 to 3.90 V"),
        (cell("half", dynamic(3.0, 0.5), ah=3.0, ohm=0.050, start=0.6), "lfp",
         r"half: its voltages lie 0.\d\d V above those of lfp cells: expected another --chemistry, or slow runs"),
        (cell("lto", dynamic(3.0, 0.9), ah=3.0, ohm=0.010, ocv=TITANATE), "nmc",
         r"lto: its voltages lie 1.\d\d V below those of nmc cells"),
        (cell("pulses", np.tile(np.repeat([0.0, 3.0, 0.0], (90, 60, 150)), 54), ah=3.0, ohm=0.010, ocv=TITANATE), "nmc",
         r"pulses: its voltages lie 1.\d\d V below those of nmc cells"),
    ],
)  # fmt: skip
def test_voltages_of_another_chemistry_are_refused(log: Log, chemistry: str, says: str) -> None:
    with pytest.raises(IdentifyError, match=says):
        found_from(log, ah=3.0, chemistry=chemistry)


def test_slow_runs_of_a_chemistry_without_a_name_give_its_curve() -> None:
    lto = [cell("lto", dynamic(3.0, 0.9), ah=3.0, ohm=0.010, ocv=TITANATE),
           cell("slow lto", slow(3.0), ah=3.0, ohm=0.010, ocv=TITANATE, dt_s=30.0)]  # fmt: skip
    found = found_from(*lto, ah=3.0)
    assert at_25(found, found.tables.ocv_v) == pytest.approx(2.3, abs=0.01)
    assert found.warnings[0].startswith("the slow runs' voltages lie 1.")


def test_cells_that_fit_are_not_doubted() -> None:
    assert found_from(SLOW, GOOD, ah=3.0).warnings == ()
    assert found_from(SLOW_LFP, LFP_RUN, ah=3.0, chemistry="lfp").warnings == ()
