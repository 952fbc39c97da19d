"""What a start loads, and what it leaves alone."""

import subprocess
import sys
from importlib import import_module

import pytest

from hil_rigs.cli import BAD_INPUT

HEAVY = {"pandas", "asammdf", "scipy.signal", "scipy.optimize", "matplotlib", "optuna"}
"""Packages that take tenths of a second each."""


@pytest.mark.parametrize("module", ["bms.fleet.run", "hil_rigs.run_command"])
def test_what_most_commands_start_with_loads_no_heavy_package(module: str) -> None:
    shows = f"import sys, {module}; print(*sorted({HEAVY} & sys.modules.keys()))"
    loaded = subprocess.run([sys.executable, "-c", shows], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []


def test_a_record_is_written_as_mdf4_after_the_bus_library_was_loaded() -> None:
    import_module("drivers.links.can")
    assert import_module("asammdf").MDF.__name__ == "MDF"


@pytest.mark.parametrize(("module", "name"), BAD_INPUT.items())
def test_every_module_with_an_error_of_one_line_has_it(module: str, name: str) -> None:
    assert issubclass(getattr(import_module(module), name), Exception)
