"""The limit solver: closed forms, what binds, fail-safe answers, monotone in horizon and errors, its twin."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels import limits
from kernels.cell_tables import LINEAR_A, SOC_GRID, CellTables
from kernels.limits_model import Bound, Window
from kernels.parameters import load_tables
from kernels.reference import limits as twin

LFP = load_tables("lfp-280ah")
NAN, INF = float("nan"), float("inf")
FLAT = np.ones((2, SOC_GRID.size))
OHM, RC_OHM, TAU_S = 0.001, 0.0005, 20.0
RESISTOR = replace(
    LFP,
    temperature_degc=np.array([0.0, 50.0]),
    ocv_v=FLAT * (2.5 + SOC_GRID),
    resistance_ohm=FLAT * OHM,
    rc_tau_s=np.empty(0),
    rc_resistance_ohm=np.empty((0, 2, SOC_GRID.size)),
    hysteresis_v=FLAT * 0,
    hysteresis_rate=np.full(2, 30.0),
    saturation_current_a=np.full(2, LINEAR_A),
)
"""1 milliohm behind an OCV that rises by 10 mV each per cent, the same at every temperature."""
PAIR = replace(RESISTOR, rc_tau_s=np.array([TAU_S]), rc_resistance_ohm=FLAT[None] * RC_OHM)
THREE = replace(
    LFP,
    rc_tau_s=np.array([4.0, 60.0, 900.0]),
    rc_resistance_ohm=LFP.rc_resistance_ohm * np.array([1.0, 0.6, 0.4])[:, None, None],
    saturation_current_a=np.linspace(100.0, 300.0, len(LFP.temperature_degc)),
)
LAGGING = replace(
    THREE,
    rc_tau_s=np.array([4.0, 300.0, 3000.0]),
    resistance_ohm=LFP.resistance_ohm * (2.0 - SOC_GRID),
    surface_lag_h=0.05,
)
OPEN = Window(2.0, 4.0, 0.0, 1.0, 5000.0, 5000.0)
SITE = Window(2.5, 3.65, 0.05, 0.95, 300.0, 400.0)

SOLVERS = pytest.mark.parametrize("kernel", [limits, twin], ids=["compiled", "twin"])
DIRECTIONS = pytest.mark.parametrize("direction", [0, 1], ids=["discharge", "charge"])


def solve(kernel: Any, tables: CellTables, window: Window, sigmas: float = 2.0, **state: Any) -> Any:
    """(discharge, charge) of exactly known cells at rest, half full, 100 Ah, 25 degC, but for what `state` says."""
    values = {
        "soc_frac": [0.5],
        "soc_sigma_frac": 0.0,
        "resistance_factor": 1.0,
        "resistance_sigma_frac": 0.0,
        "capacity_ah": 100.0,
        "capacity_sigma_frac": 0.0,
        "temperature_degc": 25.0,
    } | state
    string: dict[str, Any] = {name: values.pop(name, 0.0) for name in ("rc_current_a", "hysteresis")}
    string["current_a"], string["powers"] = values.pop("current_a", 0.0), values.pop("powers", True)
    cells = len(values["soc_frac"])
    options = {name: values.pop(name) for name in ("horizon_s", "soc_sigmas") if name in values}
    columns = {name: np.broadcast_to(np.asarray(value, np.float64), (cells,)) for name, value in values.items()}
    string["rc_current_a"] = np.broadcast_to(np.asarray(string["rc_current_a"]), tables.rc_tau_s.shape)
    solver = kernel.LimitSolver(tables, cells, window, sigmas=sigmas, **options)
    return solver.solve(**columns, **string)


@SOLVERS
def test_resistor_on_a_straight_ocv_is_the_closed_form(kernel: Any) -> None:
    discharge, charge = solve(kernel, RESISTOR, OPEN, soc_frac=[0.8, 0.6, 0.9], capacity_ah=1000.0)
    ohm = OHM + np.array([1.0, 10.0, 60.0, 1800.0]) / 3.6e6
    assert discharge.current_a == pytest.approx((3.1 - 2.0) / ohm, rel=1e-4)
    assert charge.current_a[:3] == pytest.approx((4.0 - 3.4) / ohm[:3], rel=1e-4)
    assert charge.current_a[3] == pytest.approx(0.1 * 3.6e6 / 1800)
    assert discharge.cell.tolist() == [1, 1, 1, 1]
    assert discharge.bound.tolist() == [Bound.VOLTAGE] * 4
    assert charge.cell.tolist() == [2, 2, 2, 2]
    assert charge.bound.tolist() == [Bound.VOLTAGE] * 3 + [Bound.SOC]


@SOLVERS
def test_pair_at_rest_is_the_closed_form(kernel: Any) -> None:
    discharge, _ = solve(kernel, PAIR, OPEN, soc_frac=[0.9], horizon_s=[10.0], capacity_ah=1e6)
    assert discharge.current_a[0] == pytest.approx(1.4 / (OHM + RC_OHM * (1 - np.exp(-10 / TAU_S))), rel=1e-3)


@SOLVERS
def test_charge_transfer_saturates(kernel: Any) -> None:
    tables = replace(PAIR, saturation_current_a=np.full(2, 50.0))
    discharge, _ = solve(kernel, tables, OPEN, horizon_s=[1000.0], capacity_ah=1e6)
    current_a = discharge.current_a[0]
    assert OHM * current_a + RC_OHM * 50 * np.arcsinh(current_a / 50) == pytest.approx(1.0, rel=1e-3)


@SOLVERS
@pytest.mark.parametrize("degc", [25.0, 0.0])
def test_resistance_is_that_of_the_soc_at_the_surface(kernel: Any, degc: float) -> None:
    """After an hour at 28 A the surface lies 0.05 h x 28 A / 280 Ah below the mean SoC, and further as the pulse goes
    on; in the cold 2.93 times as far."""
    pair = {"rc_tau_s": np.array([300.0]), "rc_resistance_ohm": FLAT[None] * 1e-9}
    tables = replace(RESISTOR, **pair, resistance_ohm=FLAT * (0.002 - 0.001 * SOC_GRID), surface_lag_h=0.05)
    discharge, _ = solve(
        kernel, tables, OPEN, rc_current_a=[28.0], current_a=28.0, temperature_degc=degc, horizon_s=[60.0]
    )
    amps = discharge.current_a[0]
    moved, behind_a = amps * 60.0 / 360_000, amps + (28.0 - amps) * np.exp(-60.0 / 300.0)
    surface_frac = 0.5 - moved - 0.05 * behind_a / 280.0 * (1.0 if degc == 25.0 else 2.928)
    assert amps * (0.002 - 0.001 * surface_frac) == pytest.approx(3.0 - moved - 2.0, abs=0.001)


@SOLVERS
def test_after_a_heavier_load_the_start_decides(kernel: Any) -> None:
    """1.0 V of room less 0.5 milliohm times 1,200 A; a minute later only 1.5 milliohm times the current itself."""
    discharge, _ = solve(kernel, PAIR, OPEN, rc_current_a=1200.0, capacity_ah=1e6)
    assert discharge.current_a == pytest.approx(np.full(4, (1.0 - 0.6) / OHM), abs=0.2)


@SOLVERS
def test_hysteresis_counts_against_its_own_direction(kernel: Any) -> None:
    tables = replace(RESISTOR, hysteresis_v=FLAT * 0.1)
    results = [solve(kernel, tables, OPEN, hysteresis=h, capacity_ah=1e6, horizon_s=[1.0]) for h in (-1.0, 1.0)]
    assert [discharge.current_a[0] for discharge, _ in results] == pytest.approx([1100.0, 900.0], rel=1e-3)
    assert [charge.current_a[0] for _, charge in results] == pytest.approx([900.0, 1100.0], rel=1e-3)


@SOLVERS
def test_uncertain_soc_and_resistance_add_as_independent_errors(kernel: Any) -> None:
    """At 1,000 A two sigmas are 60 mV of OCV (3 %) and 80 mV of drop (4 %): 100 mV together."""
    known = {"capacity_ah": 1e7, "horizon_s": [1.0]}
    window = replace(OPEN, voltage_v_min=1.9, voltage_v_max=4.1)
    uncertain = {"soc_sigma_frac": 0.03, "resistance_sigma_frac": 0.04}
    discharge, charge = solve(kernel, RESISTOR, window, soc_frac=[0.5], **uncertain, **known)
    assert discharge.current_a[0] == pytest.approx(1000.0, rel=1e-3)
    assert charge.current_a[0] == pytest.approx(1000.0, rel=1e-3)


@SOLVERS
def test_uncertain_capacity_counts_with_the_charge_moved(kernel: Any) -> None:
    """In half an hour 100 A moves 50 % of 100 Ah, two sigmas of it 5 %: 50 mV more than the 500 mV and 100 mV."""
    window = replace(OPEN, voltage_v_min=3.4 - 0.65)
    discharge, _ = solve(kernel, RESISTOR, window, soc_frac=[0.9], capacity_sigma_frac=0.05)
    assert discharge.current_a[3] == pytest.approx(100.0, rel=1e-4)


@SOLVERS
def test_what_a_cell_shows_beyond_the_model_is_added(kernel: Any) -> None:
    """At 10 A the model says 2.99 V and the cell shows 2.98 V: 10 mV less room down to 2 V, 10 mV more up to 4 V."""
    shown = {"voltage_v": 2.98, "current_a": 10.0}
    discharge, charge = solve(kernel, RESISTOR, OPEN, capacity_ah=1e7, horizon_s=[1.0], **shown)
    assert discharge.current_a[0] == pytest.approx(990.0, rel=1e-4)
    assert charge.current_a[0] == pytest.approx(1010.0, rel=1e-4)


@SOLVERS
def test_a_voltage_that_cannot_be_the_models_error_moves_a_limit_by_50_mv(kernel: Any) -> None:
    discharge, _ = solve(kernel, RESISTOR, OPEN, capacity_ah=1e7, horizon_s=[1.0], voltage_v=2.5)
    assert discharge.current_a[0] == pytest.approx(950.0, rel=1e-4)


@SOLVERS
def test_what_a_cell_shows_fades_as_charge_moves(kernel: Any) -> None:
    """100 A take 10 % of 500 Ah in half an hour: of 40 mV 14.7 mV are left."""
    window = replace(OPEN, voltage_v_min=3.0 - 0.1 - 0.1 + 0.04 * np.exp(-1.0))
    discharge, _ = solve(kernel, RESISTOR, window, capacity_ah=500.0, voltage_v=3.04)
    assert discharge.current_a[3] == pytest.approx(100.0, rel=1e-4)


@SOLVERS
def test_an_error_that_shows_already_does_not_count_again(kernel: Any) -> None:
    """On a straight curve that of SoC is all in the voltage; that of resistance with the 500 A that flow: 8 % of
    1 milliohm count for what is more."""
    sure = {"soc_sigma_frac": 0.03, "resistance_sigma_frac": 0.04, "capacity_ah": 1e7, "horizon_s": [1.0]}
    window = replace(OPEN, voltage_v_min=1.9)
    discharge, _ = solve(kernel, RESISTOR, window, voltage_v=2.5, current_a=500.0, **sure)
    assert discharge.current_a[0] == pytest.approx((1.1 + 0.04) / 0.00108, rel=1e-4)


@SOLVERS
def test_series_resistance_may_be_known_apart(kernel: Any) -> None:
    known = {"soc_frac": [0.9], "horizon_s": [10.0], "capacity_ah": 1e6, "resistance_factor": 2.0}
    pair_ohm = 2 * RC_OHM * (1 - np.exp(-10 / TAU_S))
    discharge, _ = solve(kernel, PAIR, OPEN, series_factor=3.0, series_sigma_frac=0.0, **known)
    assert discharge.current_a[0] == pytest.approx(1.4 / (3 * OHM + pair_ohm), rel=1e-3)
    spread_ohm = np.hypot(3 * OHM * 0.1, pair_ohm * 0.2)
    unsure = {"series_sigma_frac": 0.05, "resistance_sigma_frac": 0.1}
    discharge, _ = solve(kernel, PAIR, OPEN, series_factor=3.0, **unsure, **known)
    assert discharge.current_a[0] == pytest.approx(1.4 / (3 * OHM + pair_ohm + spread_ohm), rel=1e-3)


@SOLVERS
def test_series_resistance_needs_its_sigma(kernel: Any) -> None:
    with pytest.raises(ValueError, match="series_sigma_frac: expected with series_factor"):
        solve(kernel, PAIR, OPEN, series_factor=3.0)


@SOLVERS
def test_soc_window_is_held_against_the_estimate_unless_told_otherwise(kernel: Any) -> None:
    window = replace(OPEN, soc_frac_min=0.3)
    discharges = [solve(kernel, RESISTOR, window, soc_sigma_frac=0.02, soc_sigmas=k)[0] for k in (0.0, 3.0)]
    assert [discharge.current_a[3] for discharge in discharges] == pytest.approx([40.0, 28.0])


@SOLVERS
@DIRECTIONS
@pytest.mark.parametrize("beyond_frac", [0.0, 0.01])
def test_at_its_soc_bound_a_cell_gives_nothing(kernel: Any, direction: int, beyond_frac: float) -> None:
    soc_frac = SITE.soc_frac_max + beyond_frac if direction else SITE.soc_frac_min - beyond_frac
    results = solve(kernel, LFP, SITE, soc_frac=[0.5, soc_frac])
    assert results[direction].current_a == pytest.approx(np.zeros(4), abs=1e-9)
    assert results[direction].power_w == pytest.approx(np.zeros(4), abs=1e-6)
    assert results[direction].bound.tolist() == [Bound.SOC] * 4
    assert results[direction].cell.tolist() == [1] * 4
    assert (results[1 - direction].current_a > 50).all()


@SOLVERS
def test_cell_below_its_voltage_at_rest_may_only_be_charged(kernel: Any) -> None:
    window = replace(SITE, voltage_v_min=3.28)
    discharge, charge = solve(kernel, LFP, window, soc_frac=[0.5, 0.2])
    assert discharge.current_a.tolist() == [0.0] * 4
    assert discharge.bound.tolist() == [Bound.VOLTAGE] * 4
    assert discharge.cell.tolist() == [1] * 4
    assert charge.current_a[0] == 300.0


@SOLVERS
def test_strong_cells_leave_the_string_its_own_bound(kernel: Any) -> None:
    discharge, charge = solve(kernel, LFP, SITE, capacity_ah=1e4)
    assert discharge.current_a.tolist() == [400.0] * 4
    assert charge.current_a.tolist() == [300.0] * 4
    for limit in (discharge, charge):
        assert limit.bound.tolist() == [Bound.CURRENT] * 4
        assert limit.cell.tolist() == [-1] * 4


@SOLVERS
def test_power_keeps_the_current_within_its_bound_at_every_moment(kernel: Any) -> None:
    """Discharge ends with 400 A at 3.0 V - 0.4 V - 11.1 mV a cell, a little less for the smaller current before; charge
    begins with 300 A at 3.0 V + 0.3 V."""
    discharge, charge = solve(kernel, RESISTOR, replace(SITE, voltage_v_min=2.0), soc_frac=[0.5, 0.5], horizon_s=[10.0])
    assert discharge.power_w[0] == pytest.approx(2 * 400 * (2.6 - 3990.5 / 360_000), rel=2e-6)
    assert charge.power_w[0] == pytest.approx(2 * 300 * 3.3, rel=1e-6)


@SOLVERS
def test_power_held_until_a_cell_is_empty_moves_its_charge_at_the_mean_voltage(kernel: Any) -> None:
    """A straight OCV of 1 V over 100 Ah and no resistance to speak of: from 3.5 V to 2.5 V in half an hour, 200 A and
    600 W in the mean. The current of 200 A alone, at the lowest voltage, would be 500 W."""
    tables = replace(RESISTOR, resistance_ohm=FLAT * 1e-9)
    window = Window(2.5, 4.5, 0.0, 1.0, 1000.0, 1000.0)
    discharge, _ = solve(kernel, tables, window, soc_frac=[1.0], capacity_ah=100.0)
    assert discharge.current_a[3] == pytest.approx(200.0, rel=1e-4)
    assert discharge.power_w[3] == pytest.approx(600.0, rel=1e-3)


@SOLVERS
def test_without_powers_only_the_currents_are_solved_for(kernel: Any) -> None:
    discharge, charge = solve(kernel, RESISTOR, SITE, powers=False)
    for limit, other in zip((discharge, charge), solve(kernel, RESISTOR, SITE), strict=True):
        assert np.isnan(limit.power_w).all()
        assert limit.current_a.tolist() == other.current_a.tolist()


@SOLVERS
def test_power_beyond_its_peak_is_not_allowed_for_longer_either(kernel: Any) -> None:
    """2,861 A at the end of a minute leave 0.1 V: 286 W. The 400 A that last for half an hour could give 960 W."""
    window = Window(0.1, 4.0, 0.3, 1.0, 5000.0, 5000.0)
    discharge, _ = solve(kernel, RESISTOR, window, capacity_ah=1000.0)
    assert discharge.current_a[2:] == pytest.approx([2852.5, 400.0], rel=1e-4)
    assert discharge.power_w[2:] == pytest.approx([286.1, 286.1], rel=1e-3)


@SOLVERS
def test_power_after_a_strong_charge_allows_for_the_voltage_that_relaxes(kernel: Any) -> None:
    """300 A of the last charge still stand behind the pair: 0.1 V of it go, and then the current is 100 A at 3.15 V."""
    window = replace(SITE, charge_current_a_max=100.0)
    _, charge = solve(kernel, PAIR, window, rc_current_a=-300.0, capacity_ah=1e6, horizon_s=[1000.0])
    assert 314.9 <= charge.power_w[0] <= 100 * (3.0 + 0.1 + 0.05)


@SOLVERS
@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize(
    "name",
    [
        "soc_frac",
        "soc_sigma_frac",
        "resistance_factor",
        "resistance_sigma_frac",
        "capacity_ah",
        "capacity_sigma_frac",
        "temperature_degc",
    ],
)
def test_unknown_value_of_one_cell_allows_no_current(kernel: Any, name: str, value: float) -> None:
    assert_nothing(solve(kernel, LFP, SITE, **({"soc_frac": [0.5, 0.5]} | {name: [0.5, value]})), cell=1)


@SOLVERS
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("soc_sigma_frac", -0.01),
        ("resistance_factor", 0.0),
        ("resistance_sigma_frac", -0.01),
        ("capacity_ah", 0.0),
        ("capacity_sigma_frac", -0.01),
    ],
)
def test_impossible_value_of_one_cell_allows_no_current(kernel: Any, name: str, value: float) -> None:
    assert_nothing(solve(kernel, LFP, SITE, **({"soc_frac": [0.5, 0.5]} | {name: [0.5, value]})), cell=1)


@SOLVERS
@pytest.mark.parametrize("name", ["rc_current_a", "hysteresis"])
def test_unknown_value_of_the_string_allows_no_current(kernel: Any, name: str) -> None:
    assert_nothing(solve(kernel, LFP, SITE, **{name: NAN}), cell=-1)


@SOLVERS
def test_capacity_too_small_to_reckon_with_allows_no_current(kernel: Any) -> None:
    with np.errstate(all="ignore"):
        results = solve(kernel, LFP, SITE, soc_frac=[0.5, 0.5], capacity_ah=[280.0, 1e-310])
    for limit in results:
        assert limit.current_a == pytest.approx(np.zeros(4), abs=1e-6)


def assert_nothing(results: Any, cell: int) -> None:
    for limit in results:
        assert limit.current_a.tolist() == [0.0] * 4
        assert limit.power_w.tolist() == [0.0] * 4
        assert limit.bound.tolist() == [Bound.UNKNOWN] * 4
        assert limit.cell.tolist() == [cell] * 4


@SOLVERS
def test_colder_than_the_tables_allows_less_and_hotter_no_more(kernel: Any) -> None:
    degc = [-35.0, -20.0, 0.0, 45.0, 70.0]
    window = replace(SITE, discharge_current_a_max=1e4)
    current_a = [solve(kernel, LFP, window, temperature_degc=t, capacity_ah=280.0)[0].current_a[0] for t in degc]
    assert 0 < current_a[0] < 0.6 * current_a[1]
    assert current_a[1] < current_a[2] < current_a[3] == current_a[4]


@SOLVERS
@pytest.mark.parametrize("temperature_degc", [-30.5, -7.3, 12.5, 31.9])
def test_resistance_between_temperatures_follows_the_tables_law(kernel: Any, temperature_degc: float) -> None:
    """ln R linear in 1/T, 3500 K for this cell; the solver's own grid adds at most 0.2 %."""
    window = replace(OPEN, voltage_v_min=3.0, voltage_v_max=5.0)
    state: dict[str, Any] = {"capacity_ah": 1e9, "horizon_s": [1e-6]}
    flat = replace(LFP, hysteresis_v=LFP.hysteresis_v * 0)
    cold, warm = (
        solve(kernel, flat, window, temperature_degc=degc, **state)[0].current_a[0] for degc in (temperature_degc, 25.0)
    )
    factor = np.exp(3500 * (1 / (temperature_degc + 273.15) - 1 / 298.15))
    assert warm / cold == pytest.approx(factor, rel=0.002)


@SOLVERS
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cells_n": 0}, "cells_n: got 0"),
        ({"horizon_s": []}, "horizon_s: got shape"),
        ({"horizon_s": [1.0, 1.0]}, "horizon_s: got"),
        ({"horizon_s": [0.0]}, r"horizon_s\[0\]: got 0.0"),
        ({"sigmas": NAN}, "sigmas: got nan"),
        ({"soc_sigmas": -1.0}, "soc_sigmas: got -1.0"),
        ({"tables": replace(LFP, rc_tau_s=np.arange(1.0, 10.0))}, "rc_tau_s: got 9 RC pairs"),
    ],
)
def test_impossible_parameters_are_named(kernel: Any, changed: dict[str, Any], message: str) -> None:
    parameters = {"tables": LFP, "cells_n": 1, "window": SITE} | changed
    with pytest.raises(ValueError, match=message):
        kernel.LimitSolver(**parameters)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"voltage_v_min": 4.0}, "voltage_v_min, voltage_v_max: got 4.0 and 3.65"),
        ({"voltage_v_max": NAN}, "voltage_v_min, voltage_v_max: got"),
        ({"soc_frac_max": 1.1}, "soc_frac_min, soc_frac_max: got"),
        ({"charge_current_a_max": -1.0}, "charge_current_a_max: got -1.0"),
        ({"discharge_current_a_max": INF}, "discharge_current_a_max: got inf"),
    ],
)
def test_impossible_window_is_named(changed: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SITE, **changed)


@SOLVERS
@pytest.mark.parametrize("name", ["soc_frac", "resistance_factor", "temperature_degc", "rc_current_a"])
@pytest.mark.parametrize("length", [0, 3])
def test_values_of_another_length_are_refused(kernel: Any, name: str, length: int) -> None:
    cells = ("soc_frac", "soc_sigma_frac", "resistance_factor", "resistance_sigma_frac", "capacity_ah")
    state = {key: np.ones(2) for key in (*cells, "capacity_sigma_frac", "temperature_degc")}
    state["rc_current_a"] = np.zeros(1)
    with pytest.raises(ValueError, match=f"{name}: got {length} values, expected"):
        kernel.LimitSolver(LFP, 2, SITE).solve(**(state | {name: np.ones(length)}), hysteresis=0.0)


def column(low: float, high: float) -> Any:
    return st.lists(st.floats(low, high), min_size=3, max_size=3)


states = st.fixed_dictionaries(
    {
        "soc_frac": column(-0.02, 1.02),
        "soc_sigma_frac": column(0.0, 0.2),
        "resistance_factor": column(0.5, 3.0),
        "resistance_sigma_frac": column(0.0, 0.6),
        "capacity_ah": column(200.0, 300.0),
        "capacity_sigma_frac": column(0.0, 0.1),
        "temperature_degc": column(-60.0, 80.0),
        "hysteresis": st.floats(-1.0, 1.0),
    }
)
windows = st.sampled_from([SITE, OPEN, Window(2.8, 3.4, 0.1, 0.9, 2000.0, 2000.0)])
TABLES = {"one pair": LFP, "three pairs": THREE, "resistor": RESISTOR, "lagging": LAGGING}
names = st.sampled_from(list(TABLES))
rc_currents = st.lists(st.floats(-600.0, 600.0), min_size=3, max_size=3)


def of(which: str, rc_current_a: list[float]) -> NDArray[np.float64]:
    return np.array(rc_current_a[: len(TABLES[which].rc_tau_s)])


@settings(deadline=None, max_examples=60)
@given(names, windows, states, rc_currents, st.sampled_from([0.0, 1.0, 2.0]), st.sampled_from([0.0, 2.0]))
def test_compiled_equals_twin(
    which: str, window: Window, state: dict[str, Any], rc_a: list[float], sigmas: float, soc_sigmas: float
) -> None:
    parameters = {"rc_current_a": of(which, rc_a), "sigmas": sigmas, "soc_sigmas": soc_sigmas, **state}
    parameters["powers"] = False
    compiled, reference = (solve(kernel, TABLES[which], window, **parameters) for kernel in (limits, twin))
    for one, other in zip(compiled, reference, strict=True):
        np.testing.assert_allclose(one.current_a, other.current_a, atol=3e-6 * window.discharge_current_a_max)


@settings(deadline=None, max_examples=20)
@given(names, windows, states, rc_currents)
def test_powers_equal_the_twins(which: str, window: Window, state: dict[str, Any], rc_a: list[float]) -> None:
    parameters = {"rc_current_a": of(which, rc_a), "horizon_s": [10.0, 1800.0], **state}
    compiled, reference = (solve(kernel, TABLES[which], window, **parameters) for kernel in (limits, twin))
    for one, other in zip(compiled, reference, strict=True):
        np.testing.assert_allclose(one.power_w, other.power_w, atol=3e-5 * window.discharge_current_a_max)


shown = st.fixed_dictionaries(
    {
        "beyond_v": st.lists(st.floats(-0.02, 0.02) | st.just(NAN), min_size=3, max_size=3),
        "series_factor": column(0.5, 3.0),
        "series_sigma_frac": column(0.0, 0.3),
    }
)


@settings(deadline=None, max_examples=40)
@given(names, states, shown)
def test_compiled_equals_twin_with_what_cells_show(which: str, state: dict[str, Any], shown: dict[str, Any]) -> None:
    tables = TABLES[which]
    rest_v = np.interp(state["soc_frac"], SOC_GRID, tables.ocv_v[len(tables.ocv_v) // 2])
    known = {**shown, **state, "horizon_s": [1.0, 60.0]}
    known["voltage_v"], known["powers"] = rest_v + np.array(known.pop("beyond_v")), False
    compiled, reference = (solve(kernel, tables, SITE, **known) for kernel in (limits, twin))
    for one, other in zip(compiled, reference, strict=True):
        np.testing.assert_allclose(one.current_a, other.current_a, atol=3e-6 * SITE.discharge_current_a_max)


@settings(deadline=None)
@given(names, windows, states, rc_currents)
def test_longer_never_allows_more(which: str, window: Window, state: dict[str, Any], rc_a: list[float]) -> None:
    for limit in solve(limits, TABLES[which], window, rc_current_a=of(which, rc_a), **state):
        assert (np.diff(limit.current_a) <= 0).all()
        assert (np.diff(limit.power_w) <= 0).all()
        assert (limit.current_a >= 0).all()


@settings(deadline=None)
@given(names, windows, states, st.sampled_from(["resistance_factor", "resistance_sigma_frac", "soc_sigma_frac"]))
def test_worse_cells_never_allow_more(which: str, window: Window, state: dict[str, Any], name: str) -> None:
    """From rest: after a charge a higher resistance holds the voltage up for a while."""
    worse = state | {name: [1.3 * value for value in state[name]]}
    before, after = (solve(limits, TABLES[which], window, **cells) for cells in (state, worse))
    for one, other in zip(before, after, strict=True):
        assert (other.current_a <= one.current_a + 3e-6 * window.discharge_current_a_max).all()


@settings(deadline=None)
@given(names, windows, states, rc_currents)
def test_string_allows_what_its_worst_cell_alone_allows(
    which: str, window: Window, state: dict[str, Any], rc_a: list[float]
) -> None:
    string = {"rc_current_a": of(which, rc_a), "hysteresis": state.pop("hysteresis")}
    whole = solve(limits, TABLES[which], window, **state, **string)
    alone = [
        solve(limits, TABLES[which], window, **{name: [values[k]] for name, values in state.items()}, **string)
        for k in range(3)
    ]
    for direction, limit in enumerate(whole):
        least = np.min([one[direction].current_a for one in alone], axis=0)
        np.testing.assert_allclose(limit.current_a, least, atol=3e-6 * window.discharge_current_a_max)
        for horizon, cell in enumerate(limit.cell):
            binding = limit.current_a[horizon] if cell < 0 else alone[cell][direction].current_a[horizon]
            assert binding == pytest.approx(limit.current_a[horizon], abs=3e-6 * window.discharge_current_a_max)


class Held:
    """Cells at 25 degC stepped through the tables' equation, from rest but for the pairs' currents and hysteresis."""

    def __init__(self, which: CellTables, soc_frac: list[float], rc_current_a: Any, hysteresis: float) -> None:
        row = int(np.flatnonzero(which.temperature_degc == 25.0)[0])
        self.ocv_v, self.hysteresis_v = which.ocv_v[row], which.hysteresis_v[row]
        self.ohm, self.rc_ohm = which.resistance_ohm[row], which.rc_resistance_ohm[:, row]
        self.rate, self.saturation_a = which.hysteresis_rate[row], which.saturation_current_a[row]
        self.tau_s, self.x = which.rc_tau_s, np.array(rc_current_a)
        self.soc_frac, self.hysteresis = np.array(soc_frac), np.full(len(soc_frac), hysteresis)

    def emf_and_ohm(self) -> tuple[Any, Any]:
        f = self.x.copy()
        f[0] = self.saturation_a * np.arcsinh(f[0] / self.saturation_a)
        rc_v = sum(np.interp(self.soc_frac, SOC_GRID, ohm) * a for ohm, a in zip(self.rc_ohm, f, strict=True))
        swing_v = np.interp(self.soc_frac, SOC_GRID, self.hysteresis_v) * self.hysteresis
        emf_v = np.interp(self.soc_frac, SOC_GRID, self.ocv_v) - swing_v - rc_v
        return emf_v, np.interp(self.soc_frac, SOC_GRID, self.ohm)

    def step(self, current_a: float, dt_s: float) -> None:
        moved = current_a * dt_s / (3600 * 280.0)
        self.x += (current_a - self.x) * (1 - np.exp(-dt_s / self.tau_s))
        self.soc_frac = self.soc_frac - moved
        towards = np.sign(current_a)
        self.hysteresis = towards + (self.hysteresis - towards) * np.exp(-self.rate * abs(moved))


def hold(cells: Held, horizon_s: float, current_a: float, power_w: float | None) -> Any:
    """Lowest and highest voltage of any cell, the largest and the mean current while a current, or a power, is held."""
    seen, moved_a = [], 0.0
    for _ in range(150):
        emf_v, ohm = cells.emf_and_ohm()
        if power_w is not None:
            peak, total_ohm = emf_v.sum(), ohm.sum()
            current_a = (peak - np.sqrt(peak**2 - 4 * total_ohm * power_w)) / (2 * total_ohm)
        voltage_v = emf_v - ohm * current_a
        seen.append((voltage_v.min(), -voltage_v.max(), -abs(current_a)))
        cells.step(current_a, horizon_s / 150)
        moved_a += abs(current_a) / 150
    low, high, most = np.min(seen, axis=0)
    return low, -high, -most, moved_a


@settings(deadline=None, max_examples=20)
@given(
    st.sampled_from(["one pair", "three pairs"]),
    column(0.05, 0.95),
    st.lists(st.floats(-150.0, 150.0), min_size=3, max_size=3),
    st.floats(-1.0, 1.0),
    st.floats(0.2, 1.0),
)
def test_no_moment_of_a_hold_leaves_the_window(
    which: str, soc_frac: list[float], rc_a: list[float], hysteresis: float, part: float
) -> None:
    """At the limit or a part of it, as a current and as a power; 2 mV for what lies between the times looked at."""
    window = Window(2.7, 3.5, 0.0, 1.0, 1000.0, 1000.0)
    string = {"rc_current_a": of(which, rc_a), "hysteresis": hysteresis}
    results = solve(limits, TABLES[which], window, soc_frac=soc_frac, capacity_ah=280.0, sigmas=0.0, **string)
    for sign, limit in zip((1, -1), results, strict=True):
        for horizon_s, current_a, power_w in zip((1, 10, 60, 1800), limit.current_a, limit.power_w, strict=True):
            for power in (None, sign * part * power_w):
                cells = Held(TABLES[which], soc_frac, **string)
                low, high, most, mean_a = hold(cells, horizon_s, sign * part * current_a, power)
                if current_a > 0:
                    assert (low >= 2.698) if sign > 0 else (high <= 3.502)
                assert most <= (current_a if power is None else 1000.0) * (1 + 1e-6) + 1e-9
                if sign > 0:  # a discharge ends with its largest current, and what came before was less
                    assert mean_a <= current_a * (1 + 1e-3) + 1e-9
