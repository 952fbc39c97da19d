"""The unit file that docs/deploy.md shows: systemd and the command itself take it as it is."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bms.cli import main

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy.md"


def shown(section: str) -> str:
    """The first block that begins with this section."""
    match = re.search(rf"```ini\n(\[{section}\]\n.*?)```", DEPLOY.read_text(encoding="utf-8"), re.DOTALL)
    assert match is not None
    return match.group(1)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_unit_is_one_that_systemd_understands(tmp_path: Path) -> None:
    unit = tmp_path / "cellward.service"
    unit.write_text(shown("Unit").replace("/opt/cellward/bin/bms", "/bin/true").replace("User=cellward", "User=root"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []


def test_command_of_the_unit_is_one_that_bms_takes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = re.search(r"^ExecStart=/opt/cellward/bin/bms (.*)$", shown("Unit"), re.MULTILINE)
    assert words is not None
    missing = tmp_path / "site.yaml"
    assert main([str(missing) if word == "/etc/cellward/site.yaml" else word for word in words.group(1).split()]) == 2
    assert capsys.readouterr().err.startswith(f"{missing}:1:1: cannot be read ")
