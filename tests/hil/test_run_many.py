"""Several scenarios at once: verdicts, exit status, JUnit XML and the page."""

import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from asammdf import MDF

from hil_rigs.cli import main

QUIET = """\
name: quiet
says: nothing happens
duration_s: 7
expect:
  no_faults: true
  checks: ["always after 6 s: contactors_closed == 2", "at the end: frequency_hz == 60 Hz"]
"""
LOST = """\
name: lost
says: "the meter falls silent & <nobody> minds"
duration_s: 9
faults: [{kind: meter-lost, at_s: 7}]
expect:
  faults: [meter_lost]
  checks: ["within 100 ms: power_command_w == 1 MW"]
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """Exit status and folder of a report of one scenario that passes and one that fails."""
    folder = tmp_path_factory.mktemp("run")
    scenarios = folder / "scenarios"
    (scenarios / "deeper").mkdir(parents=True)
    (scenarios / "quiet.yaml").write_text(QUIET)
    (scenarios / "deeper" / "lost.yml").write_text(LOST)
    return main(
        ["run", str(scenarios), "--jobs", "2", "--plain", "--report", str(folder / "report")]
    ), folder / "report"


def test_exit_status_says_that_one_failed(report: tuple[int, Path]) -> None:
    assert report[0] == 1


def test_junit_has_a_case_for_each_with_its_replay(report: tuple[int, Path]) -> None:
    suite = ET.parse(report[1] / "junit.xml").getroot()[0]
    assert {key: suite.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "2", "failures": "1", "errors": "0",
    }  # fmt: skip
    cases = {case.get("name"): case for case in suite}
    assert cases["quiet"].find("failure") is None
    failure = cases["lost"].find("failure")
    assert failure is not None
    assert failure.get("message") == "check: required within 100 ms: power_command_w == 1 MW, measured never"
    assert (failure.text or "").splitlines()[-1].startswith("replay: hil run ")


def test_page_has_verdicts_and_curves_and_fetches_nothing(report: tuple[int, Path]) -> None:
    page = (report[1] / "index.html").read_text()
    own = page[: page.index("</table>")]
    assert "1 of 2 passed" in own
    assert "within 100 ms: power_command_w == 1 MW, measured never" in own
    assert "the meter falls silent &amp; &lt;nobody&gt; minds" in page
    assert "<script src" not in page
    assert "<link" not in page
    data = page[page.index("application/json'>") + len("application/json'>") :]
    charts = json.loads(data[: data.index("</script>")])["charts"]
    assert [chart["title"] for chart in charts] == ["Power", "Cells", "SoC", "Temperature", "Racks", "Current"]
    assert max(charts[4]["lines"][0]["y"]) == 2
    assert [line["name"] for line in charts[2]["lines"]] == ["highest SoC of a cell", "lowest SoC of a cell"]
    assert 0 < min(charts[2]["lines"][1]["y"]) < max(charts[2]["lines"][0]["y"]) <= 100


def test_page_forbids_its_browser_to_fetch(report: tuple[int, Path]) -> None:
    page = (report[1] / "index.html").read_text()
    policy = "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; script-src 'unsafe-inline'; "
    assert policy in page[: page.index("<title>")]
    assert "<script" not in page[: page.index(policy)]


def test_page_says_which_program_made_it_and_when(report: tuple[int, Path]) -> None:
    page = (report[1] / "index.html").read_text()
    own = page[: page.index("<table>")]
    made = re.search(r">cellward (\d+\.\d+\S*), (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC<", own)
    assert made is not None
    assert made[1] == version("cellward")
    assert abs(datetime.fromisoformat(made[2] + "+00:00") - datetime.now(UTC)) < timedelta(hours=1)


def test_every_run_leaves_its_record(report: tuple[int, Path]) -> None:
    assert {path.name for path in report[1].glob("*.parquet")} == {"lost.parquet", "quiet.parquet"}
    assert pq.read_metadata(report[1] / "quiet.parquet").metadata[b"scenario"] == b"quiet"


def test_records_of_a_report_are_mdf_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(QUIET.replace("quiet", "one").replace("duration_s: 7", "duration_s: 6.5"))
    words = ["run", str(tmp_path / "one.yaml"), "--plain", "--report", str(tmp_path / "report"), "--record-as", "mf4"]
    assert main(words) == 0
    with MDF(tmp_path / "report" / "one.mf4") as mdf:
        assert set(mdf.get("mode").samples) >= {b"running"}
    assert "<a href='one.mf4'>record</a>" in (tmp_path / "report" / "index.html").read_text()


def test_json_of_several_is_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(QUIET.replace("quiet", name).replace("duration_s: 7", "duration_s: 6.5"))
    assert main(["run", str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml"), "--json", "--jobs", "1"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["passed"] is True
    assert [run["scenario"] for run in document["runs"]] == ["one", "two"]


BAD = [
    (["{folder}"], "{folder}: no scenario in this folder, expected files that end in .yaml"),
    (["meter-lost", "fire", "--record", "{folder}/r.parquet"],
     "--record writes the record of one scenario: give --report DIR for those of several"),
    (["meter-lost", "meter-lost", "--report", "{folder}/report"],
     "meter-lost: is given twice, expected each scenario once"),
    (["meter-lost", "--fault", "overcurrent@1:rack-9"],
     "fault overcurrent: no rack 'rack-9', expected one of rack-1, rack-2"),
    (["inverter-lost", "--duration", "25", "--fault", "cell-overvoltage@25:rack-1/17:3.8"],
     "fault 'cell-overvoltage@25:rack-1/17:3.8': not before the run's end, expected less than 25 s"),
    (["inverter-lost", "--duration", "20"],
     "--duration 20: fault inverter-lost of inverter-lost comes at 20 s, give more than 20 s"),
    (["remote-power", "--duration", "5.5"],
     "--duration 5.5: tell power_w of remote-power comes at 6 s, give more than 6 s"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "line"), BAD, ids=[line for _, line in BAD])
def test_what_does_not_fit_is_one_line(
    words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert main(["run", *(word.format(folder=folder) for word in words)]) == 2
    assert capsys.readouterr().err == line.format(folder=folder) + "\n"
    assert list(folder.iterdir()) == []


def test_check_that_refers_to_no_fault_is_said_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "quiet.yaml"
    path.write_text(QUIET.replace("always after 6 s", "within 6 s"))
    assert main(["run", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"{path}:6:12: expect.checks.0: refers to a fault, which is not injected")
