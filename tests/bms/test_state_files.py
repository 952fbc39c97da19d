"""State files: what was saved comes back; a damaged one is refused and never taken for one without latched faults."""

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms.state.files import (
    StateFiles,
    StateRefusedError,
    append_events,
    decode,
    encode,
    replace,
)
from bms.state.saved import LatchedFault, RackCounters, SavedState, find_state, parse_state

FAULT = {
    "id": "cell_voltage_high",
    "target": "rack-1",
    "detail": "cell 3 3.712, limit 3.650",
    "since": "2026-07-01T12:00:00.250Z",
}


def state(starts: int = 3, **changes: Any) -> dict[str, Any]:
    counters = {
        "charged_ah": 1.5,
        "discharged_ah": 2.5,
        "charged_wh": 2000.0,
        "discharged_wh": 3300.0,
        "contactor_closings": 7,
    }
    saved = {
        "saved_at": "2026-07-01T12:00:03.000Z",
        "starts": starts,
        "trips": {"cell_voltage_high": 1},
        "latched": [FAULT],
        "soc": {"rack-1": {"soc_frac": "AAAAPw=="}, "rack-2": None},
        "racks": {"rack-1": counters},
    }
    return {**saved, **changes}


@pytest.fixture
def files(tmp_path: Path) -> StateFiles:
    return StateFiles(tmp_path, "demo")


def save(files: StateFiles, **changes: Any) -> None:
    replace(files, encode("demo", state(**changes)), keep=True)


def test_saved_state_comes_back_as_types(files: StateFiles) -> None:
    save(files)
    found = find_state(files)
    assert found == (
        SavedState(
            saved_at="2026-07-01T12:00:03.000Z",
            starts=3,
            trips={"cell_voltage_high": 1},
            latched=(LatchedFault(**FAULT),),
            soc={"rack-1": {"soc_frac": "AAAAPw=="}, "rack-2": None},
            racks={"rack-1": RackCounters(1.5, 2.5, 2000.0, 3300.0, 7)},
        ),
        (),
    )


def test_nothing_saved_is_nothing_lost(files: StateFiles) -> None:
    found = find_state(files)
    assert (found.document, found.refusals, found.lost) == (None, (), False)


DAMAGE = {
    "empty": (b"", "refused: empty"),
    "torn": (encode("demo", state())[:200], "refused: no JSON, or cut short"),
    "other words": (b"SoC 50 %\n", "refused: no JSON, or cut short"),
    "other JSON": (b"[1, 2]", "refused: no state of a site"),
    "deep": (b"[" * 100_000, "refused: no JSON, or cut short"),
    "changed": (encode("demo", state()).replace(b'"starts": 3', b'"starts": 4'), "refused: its checksum does not fit"),
    "foreign": (encode("other", state()), "refused: belongs to site 'other'"),
    "newer": (b'{"version": 2, "site": "demo"}', "refused: version 2, this controller knows 1"),
    "wrong type": (encode("demo", state(starts="3")), "refused: starts: Input should be a valid integer"),
    "negative": (encode("demo", state(starts=-1)), "refused: starts: Input should be greater than or equal to 0"),
    "no latches": (
        encode("demo", {name: value for name, value in state().items() if name != "latched"}),
        "refused: latched: Field required",
    ),
    "not a number": (b'{"version": 1, "site": "demo", "starts": NaN}', "refused: holds what is no number"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "why"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damaged_file_is_refused_in_a_line_and_the_previous_copy_counts(
    files: StateFiles, data: bytes, why: str
) -> None:
    save(files, starts=3)
    save(files, starts=4)
    files.current.write_bytes(data)
    found = find_state(files)
    assert found.document is not None
    assert (found.document.starts, found.refusals) == (3, (f"{files.current}: {why}",))


@pytest.mark.parametrize(("data", "why"), DAMAGE.values(), ids=DAMAGE.keys())
def test_two_damaged_files_are_a_lost_state(files: StateFiles, data: bytes, why: str) -> None:
    files.current.write_bytes(data)
    files.previous.write_bytes(data)
    found = find_state(files)
    assert (found.document, found.lost) == (None, True)
    assert found.refusals == (f"{files.current}: {why}", f"{files.previous}: {why}")


def test_missing_file_beside_a_previous_copy_is_said(files: StateFiles) -> None:
    save(files, starts=3)
    save(files, starts=4)
    files.current.unlink()
    found = find_state(files)
    assert found.document is not None
    assert (found.document.starts, found.refusals) == (3, (f"{files.current}: is missing",))


def test_file_that_cannot_be_opened_is_a_lost_state(files: StateFiles) -> None:
    files.current.mkdir()
    assert find_state(files).lost


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_and_nothing_else(data: bytes) -> None:
    with pytest.raises(StateRefusedError):
        parse_state(decode(data, "demo"))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_a_document_with_any_value_in_it_is_refused_or_right(value: Any) -> None:
    """Also where checksum and JSON are right."""
    for name in ("latched", "starts", "soc", "trips", "saved_at"):
        try:
            saved = parse_state(decode(encode("demo", state(**{name: value})), "demo"))
        except ValueError:
            continue
        assert json.loads(json.dumps(getattr(saved, name))) == value


@given(st.integers(0, len(encode("demo", state())) - 1), st.integers(1, 255))
def test_one_changed_byte_is_refused_or_changes_nothing(place: int, flip: int) -> None:
    data = bytearray(encode("demo", state()))
    data[place] ^= flip
    try:
        document = decode(bytes(data), "demo")
    except StateRefusedError:
        return
    assert document == {"version": 1, "site": "demo", **state()}


@given(st.integers(0, len(encode("demo", state())) - 2))
def test_every_torn_file_is_refused(length: int) -> None:
    with pytest.raises(StateRefusedError):
        decode(encode("demo", state())[:length], "demo")


def test_file_that_was_not_believed_is_set_aside_and_the_previous_copy_kept(files: StateFiles) -> None:
    save(files, starts=3)
    save(files, starts=4)
    files.current.write_bytes(b"torn")
    replace(files, encode("demo", state(5)), keep=False)
    assert files.refused.read_bytes() == b"torn"
    assert parse_state(decode(files.previous.read_bytes(), "demo")).starts == 3
    assert parse_state(decode(files.current.read_bytes(), "demo")).starts == 5


def test_leftovers_of_a_kill_between_two_steps_hinder_nothing(files: StateFiles) -> None:
    save(files, starts=1)
    files.unfinished.write_bytes(b"half")
    os.link(files.current, files.previous)
    os.link(files.current, files.previous.with_suffix(".step"))
    save(files, starts=2)
    save(files, starts=3)
    found = find_state(files)
    assert found.document is not None
    assert (found.document.starts, found.refusals) == (3, ())
    assert parse_state(decode(files.previous.read_bytes(), "demo")).starts == 2


@contextmanager
def full_disk() -> Iterator[None]:
    """Files of this process may not grow above 1000 bytes. No longer than needed: the tests' own output may be one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_leaves_the_files_as_they_were(files: StateFiles) -> None:
    save(files, starts=3)
    save(files, starts=4)
    with full_disk(), pytest.raises(OSError, match="File too large"):
        save(files, starts=5, trips={f"fault_{number}": 1 for number in range(100)})
    found = find_state(files)
    assert found.document is not None
    assert (found.document.starts, found.refusals) == (4, ())


def test_event_that_a_full_disk_does_not_take_leaves_whole_lines(files: StateFiles) -> None:
    append_events(files, [b'{"event": "tripped"}'])
    with full_disk(), pytest.raises(OSError, match="File too large"):
        append_events(files, [b'"' + b"x" * 2000 + b'"'])
    append_events(files, [b'{"event": "cleared"}'])
    assert files.events.read_bytes() == b'{"event": "tripped"}\n{"event": "cleared"}\n'


def test_unfinished_line_of_a_power_cut_spoils_no_other(files: StateFiles) -> None:
    files.events.write_bytes(b'{"event": "tripped"}\n{"ev')
    append_events(files, [b'{"event": "started"}'])
    assert files.events.read_bytes().splitlines() == [b'{"event": "tripped"}', b'{"ev', b'{"event": "started"}']
