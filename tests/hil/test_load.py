"""Loads: tables from files, and AI training with and without smoothing."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hil_rigs.plant.ai_load import AiJitter, AiTrainingLoad, GpuSmoothing
from hil_rigs.plant.load import LoadProfile, load_profile, shipped_iteration
from hil_rigs.plant.load_file import LoadFileError

RATED_W = 150e6
TWO_RUNS = "time_s,power_w,run\n0,10,1\n2,20,1\n0,100,2\n2,300,2\n4,100,2\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    return write(tmp_path / "load.csv", "# site 7\ntime_s, power_w\n10,1000\n12,3000\n\n16,1000\n")


def ai_power_w(smoothing: GpuSmoothing | None, seed: int = 7, seconds: float = 300.0) -> np.ndarray:
    load = AiTrainingLoad(RATED_W, np.random.default_rng(seed), smoothing, AiJitter(drop_frac=0.3), horizon_s=170.0)
    return np.array([load.power_w(t_s) for t_s in np.arange(0.0, seconds, 0.01)])


@pytest.mark.parametrize(
    ("t_s", "power_w"), [(0, 1000), (1, 2000), (2, 3000), (4, 2000), (6, 1000), (7, 2000), (6002, 3000)]
)
def test_profile_is_linear_between_samples_and_repeats(csv_file: Path, t_s: float, power_w: float) -> None:
    assert load_profile(csv_file).power_w(t_s) == pytest.approx(power_w)


def test_scale_multiplies_power(csv_file: Path) -> None:
    assert load_profile(csv_file, scale=2.5).power_w(1.0) == pytest.approx(5000)


def test_one_sample_is_a_constant(tmp_path: Path) -> None:
    assert load_profile(write(tmp_path / "one.csv", "time_s,power_w\n5,42\n")).power_w(1e6) == 42


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    power_w, time_s = pa.array([1000.0, 3000.0], pa.float32()), pa.array([0.0, 2.0], pa.float32())
    table = pa.table({"power_w": power_w, "time_s": time_s})
    pq.write_table(table, tmp_path / "load.parquet")
    assert load_profile(tmp_path / "load.parquet").power_w(0.5) == pytest.approx(1500)


def test_run_picks_one_of_several(tmp_path: Path) -> None:
    load = load_profile(write(tmp_path / "runs.csv", TWO_RUNS), run=2)
    assert [load.power_w(t_s) for t_s in (0, 1, 2, 3)] == pytest.approx([100, 200, 300, 200])


@pytest.mark.parametrize(
    ("text", "run", "message"),
    [
        ("time_s,power_w\n0,1\n2,1\n1,1\n", None, "row 3: time_s does not increase (1 after 2)"),
        ("time_s,power_w\n0,1\n0,1\n", None, "row 2: time_s does not increase (0 after 0)"),
        (TWO_RUNS, None, "row 3: time_s does not increase (0 after 2); the file has several runs, pick one with --run"),
        (TWO_RUNS.replace("4,100,2", "1,100,2"), 2, "row 5: time_s does not increase (1 after 2)"),
        (TWO_RUNS, 3, "no run 3 (it has: 1, 2)"),
        ("time_s,power_w\n0,1\n", 1, "no column run (it has: time_s, power_w)"),
        ("time_s,power_kw\n0,1\n", None, "no column power_w (it has: time_s, power_kw)"),
        ("time_s,power_w\n0,1\n1,nan\n", None, "row 2: power_w is nan, expected a finite number"),
        ("time_s,power_w\ninf,1\n", None, "row 1: time_s is inf, expected a finite number"),
        ("time_s,power_w\n0,1\n1,-\n", None, "row 2: expected numbers in time_s, power_w, got ['1', '-']"),
        ("time_s,power_w\n0,1\n1\n", None, "row 2: expected numbers in time_s, power_w, got ['1']"),
        ("time_s,power_w\n", None, "no rows"),
        ("", None, "no column time_s (it has: nothing)"),
    ],
)
def test_bad_csv_is_refused_naming_file_and_row(tmp_path: Path, text: str, run: int | None, message: str) -> None:
    path = write(tmp_path / "bad.csv", text)
    with pytest.raises(LoadFileError) as refusal:
        load_profile(path, run=run)
    assert str(refusal.value) == f"{path}: {message}"


def test_bad_parquet_is_refused_naming_file_and_row(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    pq.write_table(pa.table({"time_s": [0.0, 1.0, 2.0], "power_w": [1.0, 1.0, None]}), path)
    with pytest.raises(LoadFileError, match=r"bad\.parquet: row 3: power_w is nan"):
        load_profile(path)


@pytest.mark.parametrize(("name", "message"), [("gone.csv", "no such file"), ("load.txt", r"expected a \.csv or")])
def test_unusable_path_is_refused(tmp_path: Path, name: str, message: str) -> None:
    if name == "load.txt":
        write(tmp_path / name, "time_s,power_w\n0,1\n")
    with pytest.raises(LoadFileError, match=message):
        load_profile(tmp_path / name)


def test_file_that_is_no_parquet_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(LoadFileError) as refusal:
        load_profile(write(tmp_path / "fake.parquet", "time_s,power_w\n0,1\n"))
    assert "cannot be read" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_profile_refuses_time_that_stands_still() -> None:
    with pytest.raises(ValueError, match="increase"):
        LoadProfile(np.array([0.0, 0.0]), np.array([1.0, 2.0]))


def test_shipped_iteration_is_the_published_one() -> None:
    time_s, power_pu = shipped_iteration()
    assert (time_s[0], time_s[-1]) == (0.0, 16.9)
    assert power_pu[0] == power_pu[-1] == 0.266
    assert power_pu.max() == 0.917
    assert len(time_s) == 27


def test_ai_load_repeats_itself_for_the_same_seed_only() -> None:
    assert np.array_equal(ai_power_w(None, seed=1), ai_power_w(None, seed=1))
    assert not np.array_equal(ai_power_w(None, seed=1), ai_power_w(None, seed=2))


def test_unsmoothed_ai_load_swings_by_more_than_half_of_rated_within_5_s() -> None:
    power_w = ai_power_w(None)
    swings_w = [np.ptp(power_w[at : at + 500]) for at in range(0, len(power_w) - 500, 50)]
    assert max(swings_w) > 0.5 * RATED_W
    assert power_w.max() <= RATED_W
    assert power_w.min() > 0.2 * RATED_W


def test_unsmoothed_ai_load_drops_within_50_ms() -> None:
    power_w = ai_power_w(None)
    assert (power_w[:-5] - power_w[5:]).max() > 0.4 * RATED_W


def test_ai_load_has_micro_swings_on_the_plateau() -> None:
    calm = AiJitter(period_frac=0, amplitude_frac=0, drop_frac=0)
    load = AiTrainingLoad(1.0, np.random.default_rng(1), jitter=calm, horizon_s=16.9)
    assert load.period_s == pytest.approx(16.9)
    mean = 0.80 - 0.06 * (10.0 - 6.3) / 7.7
    crest_s = 0.55 * 18.25
    assert load.power_w(crest_s) == pytest.approx(mean + 0.06, abs=0.002)
    assert load.power_w(crest_s + 0.275) == pytest.approx(mean - 0.06, abs=0.004)


def test_smoothed_ai_load_keeps_floor_and_ramp_across_the_repetition() -> None:
    power_w = ai_power_w(GpuSmoothing())
    ramp_w_per_s = np.abs(np.diff(power_w)) / 0.01
    assert power_w.min() == pytest.approx(75e6)
    assert ramp_w_per_s.max() <= 30e6 * (1 + 1e-6)
    assert power_w.max() > 0.7 * RATED_W


def test_slow_ramp_is_kept_where_the_table_starts_again() -> None:
    ramp_w_per_s = np.abs(np.diff(ai_power_w(GpuSmoothing(ramp_frac_per_s=0.01)))) / 0.01
    assert ramp_w_per_s.max() <= 1.5e6 * (1 + 1e-6)


def test_ai_load_is_linear_between_grid_points() -> None:
    load = AiTrainingLoad(RATED_W, np.random.default_rng(1), horizon_s=17.0)
    middle_w = (load.power_w(0.10) + load.power_w(0.11)) / 2
    assert math.isclose(load.power_w(0.105), middle_w, rel_tol=1e-9)


def test_load_beyond_any_site_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    path.write_text("time_s,power_w\n0,1e300\n1,1e308\n")
    with pytest.raises(LoadFileError, match=r"huge.csv: power up to 1e\+308 W, expected at most 1e\+10 W"):
        load_profile(path)
