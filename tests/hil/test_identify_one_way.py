"""Identification where something usual is missing: slow runs of one direction only, or none at all."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bms.estimate.accuracy import accuracy
from bms.estimate.log import Log, read_log
from bms.estimate.replay import Start, replay
from bms.estimate.string import StringEstimator
from tests.hil.test_identify_doubts import LFP, NMC, at_25, cell, dynamic, found_from, slow

DATA = Path(os.environ.get("CELLWARD_DATA", Path(__file__).parents[2] / "../shared/data"))
SILICON_V, LFP_V = 0.035, 0.020
AH, OHM = 5.0, 0.030


def at(log: Log, degc: float) -> Log:
    return replace(log, temperature_degc=np.full(len(log.time_s), degc))


@pytest.mark.parametrize("sign", [1, -1])
def test_hysteresis_that_no_pair_of_slow_runs_shows_is_told_by_a_drive(sign: int) -> None:
    """Silicon in the anode makes 35 mV where graphite has 2."""
    made = {"ah": AH, "ohm": OHM, "hysteresis_v": SILICON_V}
    one_way = cell("slow", slow(AH, sign), dt_s=30.0, start=1.0 if sign > 0 else 0.02, **made)
    found = found_from(one_way, cell("drive", dynamic(AH, 0.9), **made), ah=AH)
    for soc, volts in NMC[3:6]:
        assert at_25(found, found.tables.hysteresis_v, soc) > 0.5 * SILICON_V
        assert at_25(found, found.tables.ocv_v, soc) == pytest.approx(volts, abs=0.015)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_slow_run_of_one_direction_is_on_one_side_of_the_gap_that_others_have(sign: int) -> None:
    """On LFP's plateau half of it is a fifth of the SoC."""
    made = {"ah": AH, "ohm": 0.010, "ocv": LFP, "hysteresis_v": LFP_V}
    down, up = (cell("slow", slow(AH, way), dt_s=30.0, start=1.0 if way > 0 else 0.02, **made) for way in (1, -1))
    drive = cell("drive", dynamic(AH, 0.9), **made)
    one_way = down if sign > 0 else up
    found = found_from(at(one_way, 25.0), at(drive, 25.0), at(down, 5.0), at(up, 5.0), ah=AH, chemistry="lfp")
    for soc in (0.3, 0.5, 0.8):
        volts = float(np.interp(soc, *np.array(LFP).T))
        assert at_25(found, found.tables.ocv_v, soc) == pytest.approx(volts, abs=0.004)


def measured(folder: str, *names: str) -> list[Log]:
    """Logs of a folder of measurements; skips where it is absent."""
    if not (DATA / folder).is_dir():
        pytest.skip(f"measurements are not there: {DATA / folder} (CELLWARD_DATA names their folder)")
    return [read_log(DATA / folder / f"{name}.parquet", charge_positive=True) for name in names]


def test_large_drops_near_empty_do_not_level_the_plateau_of_a_measured_cell() -> None:
    """A straight line through C/2 and 1C meets no current 100 mV above the curve at 10 %: all beyond lay there, too."""
    names = ("char_cc_co2_25c", "char_cc_1c_25c", "drive_wltp_like_25c", "char_cc_co20_25c")
    *runs, slowly = measured("cells/aboutenergy_lfp_18650_2ah", *names)
    found = found_from(*runs, ah=2.0, chemistry="lfp")
    assert slowly.soc_frac is not None
    for soc in (0.1, 0.2, 0.5, 0.8):
        slow_v = float(slowly.voltage_v[int(np.argmax(slowly.soc_frac < soc))])
        assert 0.0 < at_25(found, found.tables.ocv_v, soc) - slow_v < 0.09
    assert at_25(found, found.tables.ocv_v, 0.9) - at_25(found, found.tables.ocv_v, 0.2) > 0.04


def test_drops_that_are_large_for_the_cold_alone_count_like_others() -> None:
    """A model of 0 degC, 10 K colder: with less weight for its loads the curve lay 9 % of SoC beside the truth."""
    names = ("char_hppc_0c", "drive_cycle_1_0c", "drive_us06_0c", "drive_udds_0c", "drive_hwfet_0c", "drive_hwfet_n10c")
    *runs, colder = measured("cells/panasonic_ncr18650pf", *names)
    found = found_from(*runs, ah=2.9, chemistry="nca")
    estimate = replay(colder, StringEstimator(found.tables), Start(0.7, 0.3))
    assert colder.soc_frac is not None
    told = accuracy(colder.time_s, estimate.soc_frac, estimate.soc_sigma_frac, colder.soc_frac)
    assert told is not None
    assert told.rmse_pct < 3.0
    assert told.coverage_3sigma_pct > 95.0
