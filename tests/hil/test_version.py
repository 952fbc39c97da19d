"""`--version` of both commands: what is installed, by its own metadata."""

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import bms.cli
import hil_rigs.cli

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("main", [bms.cli.main, hil_rigs.cli.main])
def test_version_is_that_of_the_distribution(
    main: Callable[[Sequence[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr() == (f"cellward {PROJECT['version']}\n", "")
