"""`bms reset` where no controller runs: what it ends, what it leaves, and what it says when there is nothing to do."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bms.cli import main
from bms.site import Site, dump_site
from bms.state.files import StateFiles, encode, replace
from bms.state.saved import LatchedFault, SavedState, find_state

HIGH = LatchedFault("cell_voltage_high", "rack1", "cell 1 3.700, limit 3.650", "2026-07-01T12:00:00.250Z")
OTHER = LatchedFault("cell_voltage_high", "rack2", "cell 4 3.700, limit 3.650", "2026-07-01T12:00:00.350Z")
STOP = LatchedFault("guard_stop", "guard", "rack 1: current above maximum", "2026-07-01T12:00:01.000Z")
STATE = SavedState("2026-07-01T12:00:03.000Z", 3, {"cell_voltage_high": 2}, (HIGH, OTHER, STOP), {}, {})


@pytest.fixture
def files(site: Site, tmp_path: Path) -> StateFiles:
    """The folder of a site file, and a state with three latched faults in it."""
    (tmp_path / "site.yaml").write_text(dump_site(site))
    files = StateFiles(tmp_path, "test")
    replace(files, encode("test", asdict(STATE)), keep=True)
    return files


def reset(files: StateFiles, *words: str) -> int:
    return main(["reset", str(files.folder / "site.yaml"), *words])


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["cell_voltage_high"], (STOP,)),
        (["cell_voltage_high", "--target", "rack2"], (HIGH, STOP)),
        (["all"], ()),
        (["all", "--target", "guard"], (HIGH, OTHER)),
    ],
)
def test_chosen_faults_end_and_nothing_else_changes(
    files: StateFiles, words: list[str], left: tuple[LatchedFault, ...]
) -> None:
    assert reset(files, *words) == 0
    after = find_state(files).document
    assert after is not None
    assert (after.latched, after.starts, after.trips, after.saved_at) == (left, 3, STATE.trips, STATE.saved_at)


def test_reset_is_in_the_log(files: StateFiles) -> None:
    reset(files, "guard_stop")
    event = json.loads(files.events.read_bytes())
    event.pop("at")
    assert event == {
        "event": "reset",
        "fault": "guard_stop",
        "target": "guard",
        "detail": "rack 1: current above maximum",
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cell_voltage_low"], "no such fault is latched (got cell_voltage_low), latched: cell_voltage_high (rack1), "),
        (["guard_stop", "--target", "rack1"], "no such fault is latched (got guard_stop at rack1), latched: "),
    ],
)
def test_fault_that_is_not_latched_is_status_2_with_those_that_are(
    files: StateFiles, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    before = files.current.read_bytes()
    assert reset(files, *words) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(said)
    assert files.current.read_bytes() == before


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [("cell_voltage_hgih", "cell_voltage_high"), ("emergencystop", "emergency_stop"), ("cell_voltage_low", None)],
)
def test_mistyped_fault_names_the_one_that_was_meant(
    files: StateFiles, capsys: pytest.CaptureFixture[str], mistyped: str, meant: str | None
) -> None:
    assert reset(files, mistyped) == 2
    said = capsys.readouterr().err
    assert said.endswith(f"; did you mean {meant}?\n") if meant else "did you mean" not in said


def test_damaged_state_is_left_to_the_controller(files: StateFiles, capsys: pytest.CaptureFixture[str]) -> None:
    files.current.write_bytes(b"torn")
    assert reset(files, "all") == 2
    assert capsys.readouterr().err == (f"{files.current}: refused: no JSON, or cut short; start the controller first\n")
    assert files.current.read_bytes() == b"torn"


def test_site_that_never_ran_has_no_state(files: StateFiles, capsys: pytest.CaptureFixture[str]) -> None:
    files.current.unlink()
    assert reset(files, "all") == 2
    assert capsys.readouterr().err == f"{files.current}: there is no saved state; start the controller first\n"


def test_all_of_none_is_fine(files: StateFiles, capsys: pytest.CaptureFixture[str]) -> None:
    assert reset(files, "all") == 0
    capsys.readouterr()
    assert reset(files, "all") == 0
    assert capsys.readouterr() == ("no fault is latched\n", "")


def test_json_names_what_was_reset(files: StateFiles, capsys: pytest.CaptureFixture[str]) -> None:
    assert reset(files, "guard_stop", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "ok": True,
        "reset": [asdict(STOP)],
        "again": [],
        "running": False,
    }
