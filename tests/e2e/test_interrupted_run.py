"""Ctrl-C in a campaign: its report takes what was finished for no more than that."""

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

SCENARIO = """\
name: {name}
says: nothing happens
duration_s: {duration_s}
expect: {{no_faults: true}}
"""


def test_interrupted_campaign_is_an_error_for_a_ci_server_and_red_on_its_page(tmp_path: Path) -> None:
    for name, duration_s in (("short", 1), ("endless", 100_000)):
        (tmp_path / f"{name}.yaml").write_text(SCENARIO.format(name=name, duration_s=duration_s))
    report = tmp_path / "report"
    command = [sys.executable, "-m", "hil_rigs.cli", "run", str(tmp_path), "--jobs", "2", "--plain"]
    with subprocess.Popen(
        [*command, "--report", str(report)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline().startswith("pass  short ")
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (1, "interrupted; 1 of 2 were finished\n")
    assert "1 of 2 passed" in out
    page = (report / "index.html").read_text()
    own = page[: page.index("</table>")]
    assert "<span class=fail>interrupted, 1 of 2 passed</span>" in own
    assert "<tr><td>endless<td>demo<td><span class=fail>not finished</span><td>interrupted" in own
    suite = ET.parse(report / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "0", "1")
    error = suite.find("testcase[@name='endless']/error")
    assert error is not None
    assert error.get("message") == "interrupted: not finished"
