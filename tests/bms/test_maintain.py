"""`bms maintain` and `bms local`: a lock holds over restarts, the others go on, and `bms reset` ends it."""

import json
from pathlib import Path

import pytest

from bms.cli import main
from bms.site import Site, dump_site
from bms.state.files import StateFiles, encode, replace
from bms.state.saved import SavedState, find_state

EMPTY = {
    "saved_at": "2026-07-01T12:00:03.000Z", "starts": 3, "trips": {}, "latched": [], "soc": {}, "racks": {},
}  # fmt: skip


@pytest.fixture
def files(site: Site, tmp_path: Path) -> StateFiles:
    """The folder of a site file, and a state with nothing latched in it."""
    (tmp_path / "site.yaml").write_text(dump_site(site))
    files = StateFiles(tmp_path, "test")
    replace(files, encode("test", EMPTY), keep=True)
    return files


def bms(files: StateFiles, command: str, *words: str) -> int:
    return main([command, str(files.folder / "site.yaml"), *words])


def latched(files: StateFiles) -> list[tuple[str, str]]:
    state: SavedState | None = find_state(files).document
    assert state is not None
    return [(fault.id, fault.target) for fault in state.latched]


def test_rack_is_out_of_service_once_until_it_is_given_back(files: StateFiles) -> None:
    assert bms(files, "maintain", "rack2") == 0
    assert bms(files, "maintain", "rack2") == 0
    assert latched(files) == [("rack_maintenance", "rack2")]
    assert bms(files, "reset", "rack_maintenance", "--target", "rack2") == 0
    assert latched(files) == []
    events = [json.loads(line) for line in files.events.read_bytes().splitlines()]
    assert [(event["event"], event["fault"], event["target"]) for event in events] == [
        ("tripped", "rack_maintenance", "rack2"),
        ("reset", "rack_maintenance", "rack2"),
    ]


@pytest.mark.parametrize(
    ("command", "what"),
    [(["maintain", "rack2"], "rack2 is out of service"), (["local"], "test is under local control")],
)
def test_second_time_says_that_it_was_so_before_and_since_when(
    files: StateFiles, capsys: pytest.CaptureFixture[str], command: list[str], what: str
) -> None:
    assert bms(files, *command) == 0
    assert capsys.readouterr().out == f"{what}; the controller does not run, its next start finds it so\n"
    state = find_state(files).document
    assert state is not None
    since = state.latched[0].since
    before = files.current.read_bytes()
    assert bms(files, *command) == 0
    assert capsys.readouterr().out == f"{what} already, since {since}: nothing changed\n"
    with files.lock():  # as a running controller has it
        assert bms(files, *command, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "running": True, "since": since}
    assert files.current.read_bytes() == before


def test_unknown_rack_is_named_with_those_there_are(files: StateFiles, capsys: pytest.CaptureFixture[str]) -> None:
    assert bms(files, "maintain", "rack9") == 2
    assert capsys.readouterr().err == "no rack 'rack9', expected one of rack1, rack2\n"
    assert latched(files) == []


def test_without_a_state_there_is_one_clear_line(files: StateFiles, capsys: pytest.CaptureFixture[str]) -> None:
    files.current.unlink()
    assert bms(files, "maintain", "rack1", "--json") == 2
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert document["errors"][0].endswith("there is no saved state; start the controller first")


def test_site_is_under_local_control_once_until_it_is_given_back(files: StateFiles) -> None:
    assert bms(files, "local") == 0
    assert bms(files, "local") == 0
    assert latched(files) == [("local_control", "site")]
    assert bms(files, "reset", "local_control") == 0
    assert latched(files) == []


@pytest.mark.parametrize(
    ("command", "lock"),
    [(["maintain", "rack2"], ("rack_maintenance", "rack2")), (["local"], ("local_control", "site"))],
)
def test_lock_holds_whichever_copy_of_the_state_is_lost(
    files: StateFiles, command: list[str], lock: tuple[str, str]
) -> None:
    assert bms(files, *command) == 0
    for torn in (files.current, files.previous):
        whole = torn.read_bytes()
        torn.write_bytes(whole[:100])
        assert latched(files) == [lock]
        torn.write_bytes(whole)


def test_lock_is_set_beside_a_torn_state_which_is_kept_for_whoever_wants_it(files: StateFiles) -> None:
    replace(files, encode("test", EMPTY), keep=True)
    files.current.write_bytes(b"torn")
    assert bms(files, "maintain", "rack1") == 0
    assert files.refused.read_bytes() == b"torn"
    assert files.current.read_bytes() == files.previous.read_bytes()
    assert latched(files) == [("rack_maintenance", "rack1")]


def test_lock_that_cannot_be_saved_whole_is_in_the_copy_before_first(files: StateFiles) -> None:
    """The current one cannot be replaced: nothing says that the lock is set, and no copy knows less than before."""
    files.current.unlink()
    files.current.mkdir()
    files.previous.write_bytes(encode("test", EMPTY))
    assert bms(files, "maintain", "rack1") == 2
    assert latched(files) == [("rack_maintenance", "rack1")]
