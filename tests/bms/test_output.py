"""What a command does when its output cannot be written, or nobody reads it to the end."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest

import bms.cli
import hil_rigs.cli
from bms.site import Site, dump_site


@contextlib.contextmanager
def full_disk() -> Iterator[TextIO]:
    output = open("/dev/full", "w")  # noqa: SIM115  (closing it fails as well)
    try:
        yield output
    finally:
        with contextlib.suppress(OSError):
            output.close()


@contextlib.contextmanager
def left_reader() -> Iterator[TextIO]:
    """As with `| head`, once it has read its fill."""
    unread, written = os.pipe()
    os.close(unread)
    with open(written, "w") as output:
        yield output


@pytest.fixture
def site_file(site: Site, tmp_path: Path) -> str:
    (tmp_path / "site.yaml").write_text(dump_site(site))
    return str(tmp_path / "site.yaml")


@pytest.mark.parametrize("command", [["status", "SITE"], ["check", "SITE"], ["faults"], ["faults", "--json"]])
def test_full_disk_is_one_line_and_status_2(
    site_file: str, command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with full_disk() as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert bms.cli.main([site_file if word == "SITE" else word for word in command]) == 2
    assert capsys.readouterr().err == "output: No space left on device\n"


@pytest.mark.parametrize(
    ("main", "command"),
    [
        (bms.cli.main, ["faults"]),
        (bms.cli.main, ["faults", "--json"]),
        (hil_rigs.cli.main, ["faults"]),
    ],
)
def test_list_that_nobody_reads_to_the_end_is_fine(
    main: Callable[[list[str]], int],
    command: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with left_reader() as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert main(command) == 0
    assert capsys.readouterr().err == ""


def test_verdict_that_nobody_reads_is_not_fine(
    site_file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with left_reader() as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert bms.cli.main(["check", site_file]) == 1
    assert capsys.readouterr().err == ""
