"""Ctrl-C while a command still loads its modules."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.processes import BMS, HIL

RAISES_SIGINT = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"


@pytest.mark.parametrize("command", [[*HIL, "demo"], [*BMS, "run", "site.yaml"]], ids=["hil", "bms"])
def test_interrupt_among_the_imports_is_one_word(tmp_path: Path, command: list[str]) -> None:
    """A numpy.py before NumPy's own, in which the signal arrives."""
    (tmp_path / "numpy.py").write_text(RAISES_SIGINT)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr) == ("", "interrupted\n")
    assert done.returncode == 1
