"""`bms status`: what it says of a controller that does not run, and with which exit status."""

import json
import shlex
import socket
from dataclasses import asdict
from pathlib import Path

import pytest

from bms.cli import main
from bms.site import Site, dump_site
from bms.state.files import StateFiles, encode, replace
from bms.state.saved import LatchedFault, SavedState

HIGH = LatchedFault("cell_voltage_high", "rack1", "cell 1 3.700, limit 3.650", "2026-07-01T12:00:00.250Z")


@pytest.fixture
def files(site: Site, tmp_path: Path) -> StateFiles:
    (tmp_path / "site.yaml").write_text(dump_site(site))
    return StateFiles(tmp_path, "test")


def status(files: StateFiles, *words: str) -> int:
    return main(["status", str(files.folder / "site.yaml"), *words])


def test_site_that_never_ran_is_status_3_in_one_line(files: StateFiles, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(files.folder.iterdir())
    assert status(files) == 3
    assert capsys.readouterr() == ("test: not running\n", "")
    assert sorted(files.folder.iterdir()) == before


def test_stopped_controller_has_its_latched_faults_and_how_to_end_them(
    files: StateFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    state = SavedState("2026-07-01T12:00:03.000Z", 3, {}, (HIGH,), {}, {})
    replace(files, encode("test", asdict(state)), keep=True)
    assert status(files) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "test: not running, state of 2026-07-01T12:00:03.000Z",
        "cell_voltage_high (rack1: cell 1 3.700, limit 3.650), latched",
    ]
    assert lines[-1].startswith("  reset: ")
    assert lines[-1].endswith(f"bms reset {files.folder}/site.yaml cell_voltage_high --target rack1")
    assert status(files, "--state", str(files.folder), "--json") == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["running"], document["ok"], document["status"]) == (False, False, None)
    assert document["faults"][0]["reset"].endswith(
        f"bms reset {files.folder}/site.yaml cell_voltage_high --target rack1 --state {files.folder}"
    )


def test_socket_that_a_kill_left_behind_is_no_controller(files: StateFiles) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(files.status))
    assert status(files) == 3


def test_controller_that_starts_has_the_lock_and_no_socket_yet(
    files: StateFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    with files.lock():
        assert status(files) == 1
    assert capsys.readouterr().out == f"{files.folder}: a controller of test starts or ends there\n"


def test_fleet_and_broken_site_are_bad_input(files: StateFiles, capsys: pytest.CaptureFixture[str]) -> None:
    (files.folder / "site.yaml").write_text("name: x\nunits: []\n")
    assert status(files) == 2
    assert capsys.readouterr().err.endswith("a fleet is not asked; ask its units, each on its own gateway\n")
    (files.folder / "site.yaml").write_text("name: [\n")
    assert status(files) == 2


def test_command_that_is_said_is_one_that_bms_takes(files: StateFiles, capsys: pytest.CaptureFixture[str]) -> None:
    replace(files, encode("test", asdict(SavedState("2026-07-01T12:00:03.000Z", 3, {}, (HIGH,), {}, {}))), keep=True)
    status(files, "--json")
    command = json.loads(capsys.readouterr().out)["faults"][0]["reset"]
    assert main(shlex.split(command)[1:]) == 0
    status(files, "--json")
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["faults"] == []


def test_torn_state_is_said_beside_what_the_previous_copy_knows(
    files: StateFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        replace(
            files, encode("test", asdict(SavedState("2026-07-01T12:00:03.000Z", 3, {}, (HIGH,), {}, {}))), keep=True
        )
    files.current.write_bytes(files.current.read_bytes()[:100])
    torn = f"{files.current}: refused: no JSON, or cut short"
    assert status(files) == 3
    assert capsys.readouterr().out.splitlines()[:4] == [
        "test: not running, state of 2026-07-01T12:00:03.000Z",
        f"state: {torn}",
        "state: this is the previous copy",
        "cell_voltage_high (rack1: cell 1 3.700, limit 3.650), latched",
    ]
    assert status(files, "--json") == 3
    assert json.loads(capsys.readouterr().out)["refused"] == [torn]
    files.previous.unlink()
    assert status(files) == 3
    assert capsys.readouterr().out.splitlines() == [
        "test: not running",
        f"state: {torn}",
        "state: which faults were latched is not known",
    ]


def test_folder_that_is_none_is_bad_input(files: StateFiles, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(files, "--state", str(files.folder / "nope")) == 2
    assert capsys.readouterr() == ("", f"{files.folder}/nope: no such folder\n")
    assert status(files, "--state", str(files.folder / "site.yaml"), "--json") == 2
    assert json.loads(capsys.readouterr().out)["errors"] == [f"{files.folder}/site.yaml: not a folder"]
