"""Commands of an installed package in a folder that holds others of the same names: a source tree, say."""

import subprocess
import sys
from pathlib import Path


def test_demo_runs_in_a_source_tree_without_compiled_kernels(tmp_path: Path) -> None:
    """Rig, controller and the writers of record and state are children of the command: they import what it does."""
    for name in ("bms", "drivers", "hil_rigs", "kernels"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('the folder where the user stands')\n")
    command = [
        sys.executable,
        "-P",
        "-m",
        "hil_rigs.cli",
        "demo",
        "--duration",
        "4",
        "--plain",
        "--record",
        "run.parquet",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "where the user stands" not in done.stderr
    assert "record: run.parquet" in done.stdout
