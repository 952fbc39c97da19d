"""`hil tune`: trials in virtual time in processes of their own, a table's figures and a fragment that a site takes."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bms.dispatch.applications.grid_smoothing import GridSmoothing
from bms.site import dump_site, load_site
from drivers.config.config_yaml import ConfigErrors, parse_strict
from hil_rigs.cli import main
from hil_rigs.rig import FOLDER as RIGS
from hil_rigs.rig import CanEndpoint, Endpoints, ModbusEndpoint, find_rig, make_site
from hil_rigs.tune.study import Cost, Searched, Study, find_study
from tests.bms.test_site_docs import row

STUDY = """
name: short
says: two settings, half a minute
application: grid-smoothing
duration_s: 32
settle_time_s: 25
seeds: [1]
searched:
  - {setting: smoothing_time_s, low: 30, high: 120, log: true}
  - {setting: lead_time_s, low: 0, high: 0.05}
"""
PAGE = (Path(__file__).parents[2] / "docs" / "tune.md").read_text(encoding="utf-8")
WORSE = """
name: worse
says: a follower so quick that it works the battery for nothing
application: grid-smoothing
duration_s: 10
settle_time_s: 7
seeds: [1]
searched:
  - {setting: smoothing_time_s, low: 0.05, high: 0.06}
cost: {grid_range_5s_per_kw: 0, throughput_per_kwh: 1}
"""


def site_with(fragment: str) -> str:
    """The site file of the demo rig with the fragment in place of its list of applications."""
    modbus = ModbusEndpoint("127.0.0.1", 502, 1)
    racks = tuple(CanEndpoint("virtual", f"can{index}") for index in range(2))
    site = yaml.safe_load(dump_site(make_site(find_rig("demo"), Endpoints(modbus, modbus, racks))))
    return yaml.safe_dump(site | yaml.safe_load(fragment))


def test_study_ends_with_the_best_and_a_fragment_that_a_site_takes(tmp_path: Path) -> None:
    study = tmp_path / "short.yaml"
    study.write_text(STUDY)
    command = [sys.executable, "-m", "hil_rigs.cli", "tune", str(study), "--trials", "2", "--jobs", "2", "--json"]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    costs = [trial["mean"]["cost"] for trial in document["best"]]
    assert len(costs) == document["trials"] == 2
    assert costs == sorted(costs)
    with (tmp_path / "trials.csv").open() as file:
        assert sorted(float(row["cost"]) for row in csv.DictReader(file)) == costs
    assert document["now"]["cost"] > costs[0]
    assert document["deploy"] == document["best"][0]["number"]
    (tmp_path / "site.yaml").write_text(site_with((tmp_path / "site-fragment.yaml").read_text()))
    (tuned,) = load_site(tmp_path / "site.yaml").applications
    assert isinstance(tuned, GridSmoothing)
    assert 30.0 <= tuned.smoothing_time_s <= 120.0
    assert tuned.lead_time_s == float(f"{document['best'][0]['settings']['lead_time_s']:.4g}")
    assert (tuned.grid_power_w_max, tuned.ramp_w_per_s_max) == (1_250_000.0, 12_000.0)


def test_trials_worse_than_what_the_rig_has_leave_its_settings_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, older = tmp_path / "worse.yaml", tmp_path / "site-fragment.yaml"
    study.write_text(WORSE)
    older.write_text("applications: []")
    assert main(["tune", str(study), "--trials", "1", "--json", "--out", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["deploy"] is None
    assert document["best"][0]["mean"]["cost"] > document["now"]["cost"]
    kept = older.read_text()
    assert "No trial was better than the settings as they were: smoothing_time_s" in kept
    (tmp_path / "site.yaml").write_text(site_with(kept))
    (application,) = load_site(tmp_path / "site.yaml").applications
    assert isinstance(application, GridSmoothing)
    assert application.smoothing_time_s == 90.0
    assert (tmp_path / "trials.csv").exists()
    assert main(["tune", str(study), "--trials", "1", "--plain"]) == 0
    assert (
        "no trial is better than what the rig has now, which is the fragment below; "
        f"search longer with --trials 10, or other ranges in the study:\n\n{kept}"
    ) in capsys.readouterr().out


def test_study_with_an_unknown_setting_is_refused_with_its_place(tmp_path: Path) -> None:
    study = tmp_path / "short.yaml"
    study.write_text(STUDY.replace("lead_time_s", "leed_time_s"))
    command = [sys.executable, "-m", "hil_rigs.cli", "tune", str(study)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "short.yaml:10:15: searched.1.setting: no numeric setting of grid-smoothing" in done.stderr


def test_faults_that_every_trial_trips_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = (RIGS / "demo.yaml").read_text()
    (tmp_path / "hot.yaml").write_text(demo.replace("ambient_degc: 25", "ambient_degc: 79"))
    study = tmp_path / "worse.yaml"
    study.write_text(WORSE + "rig: hot.yaml\n")
    assert main(["tune", str(study), "--trials", "1", "--plain", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "every trial trips faults: discharge_temperature_high, " in told
    assert "; see to their cause first. The fragment is what the rig has now:\n" in told
    assert "search longer" not in told
    with (tmp_path / "trials.csv").open() as file:
        assert [each["tripped"].split()[0] for each in csv.DictReader(file)] == ["discharge_temperature_high"]


def test_rig_of_a_study_is_looked_for_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text((RIGS / "demo.yaml").read_text().replace("name: demo", "name: mine"))
    study = tmp_path / "short.yaml"
    study.write_text(STUDY + "rig: mine.yaml\n")
    assert find_study(str(study)).rig == str(tmp_path / "mine.yaml")
    study.write_text(STUDY + "rig: others.yaml\n")
    with pytest.raises(ConfigErrors, match=r"short\.yaml:11:6: rig: .*/others\.yaml:1:1: cannot be read"):
        find_study(str(study))


def test_interrupted_study_shows_what_is_done(tmp_path: Path) -> None:
    """Ctrl-C in a terminal reaches the workers too."""
    study = tmp_path / "short.yaml"
    study.write_text(STUDY.replace("high: 120", "high: 31"))  # all better than now
    command = [sys.executable, "-m", "hil_rigs.cli", "tune", str(study), "--trials", "50", "--jobs", "2", "--plain"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("trial 0: ")
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert err.startswith("interrupted after")
    assert err.count("\n") == 1
    assert "fragment for the site file" in out
    assert running.returncode == 0


def test_page_has_every_key_of_a_study_and_its_example_is_one() -> None:
    for model in (Study, Searched, Cost):
        for name, field in model.model_fields.items():
            assert row(name, field) in PAGE
    example = PAGE.split("```yaml\n")[1].split("```")[0]
    study = parse_strict(example, Study, file="mine.yaml", folder=Path("/"))
    assert (study.name, [each.setting for each in study.searched]) == (
        "my-study",
        ["smoothing_time_s", "ramp_w_per_s_max"],
    )
