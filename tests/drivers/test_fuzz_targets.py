"""The targets of the long fuzz campaign (tests/fuzz) hold for a moment here, so that none rots; without atheris the
campaign says clearly that it was skipped."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.campaign import main
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_target_bears_arbitrary_bytes(name: str) -> None:
    @settings(deadline=None, max_examples=25)
    @given(st.binary(max_size=600))
    def bears(data: bytes) -> None:
        TARGETS[name](data)

    bears()


@pytest.mark.skipif(importlib.util.find_spec("atheris") is not None, reason="atheris is installed")
def test_campaign_without_atheris_says_that_it_was_skipped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["served", "--seconds", "1", "--corpus", str(tmp_path)]) == 0
    assert capsys.readouterr() == (
        "",
        "skipped: atheris is not installed (pip install atheris); nothing was fuzzed beyond what ./test does\n",
    )


def test_unknown_target_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nothing"])
    assert ended.value.code == 2
    assert "no target 'nothing', expected one of sunspec-converter, " in capsys.readouterr().err


def test_an_input_is_run_again_without_atheris(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(bytes(range(64)))
    assert main(["--replay", "described", str(tmp_path / "input")]) == 0
