"""The writing process from inside: which copy knows what, and what a broken disk costs."""

import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bms.state.files import StateFiles, encode
from bms.state.saved import SavedState, find_state
from bms.state.writer import Writer

FAULT = {"id": "guard_stop", "target": "guard", "detail": "hot", "since": "2026-07-01T12:00:00.000Z"}


def state(starts: int, latched: tuple[dict[str, str], ...] = (), **changes: Any) -> dict[str, Any]:
    saved = {"saved_at": "2026-07-01T12:00:03.000Z", "starts": starts, "trips": {}, "latched": list(latched)}
    return {**saved, "soc": {}, "racks": {}, **changes}


def lines(*said: dict[str, Any]) -> list[bytes]:
    return [json.dumps(one).encode() for one in said]


@pytest.fixture
def files(tmp_path: Path) -> StateFiles:
    return StateFiles(tmp_path, "demo")


@pytest.fixture
def start() -> Iterator[Callable[[StateFiles], Writer]]:
    started: list[Writer] = []

    def claimed(files: StateFiles) -> Writer:
        started.append(Writer(files))
        started[-1].claim(0.0)
        return started[-1]

    yield claimed
    for writer in started:
        writer.release()


@pytest.fixture
def writer(files: StateFiles, start: Callable[[StateFiles], Writer]) -> Writer:
    return start(files)


def found(files: StateFiles) -> SavedState:
    document = find_state(files).document
    assert document is not None
    return document


def test_copy_that_stands_in_for_a_damaged_file_knows_the_newest_latched_fault(
    files: StateFiles, writer: Writer
) -> None:
    writer.take(lines({"state": state(1)}))
    writer.take(lines({"state": state(1)}))
    writer.take(lines({"state": state(1, (FAULT,))}))
    files.current.write_bytes(b"torn")
    assert [fault.id for fault in found(files).latched] == ["guard_stop"]


def test_damaged_file_never_takes_the_place_of_the_good_copy(
    files: StateFiles, start: Callable[[StateFiles], Writer]
) -> None:
    files.previous.write_bytes(encode("demo", state(1, (FAULT,))))
    files.current.write_bytes(b"torn")
    writer = start(files)
    writer.take(lines({"state": state(2, (FAULT,))}))
    assert files.refused.read_bytes() == b"torn"
    files.current.write_bytes(b"torn again")
    assert found(files).starts == 2


def test_only_the_newest_of_many_waiting_states_is_written_and_every_event(files: StateFiles, writer: Writer) -> None:
    said = [{"event": {"event": "tripped", "number": number}} for number in range(5)]
    writer.take(lines(*said, *({"state": state(starts)} for starts in range(1, 4))))
    writer.take([])
    assert found(files).starts == 3
    assert [json.loads(line)["number"] for line in files.events.read_bytes().splitlines()] == [0, 1, 2, 3, 4]


def test_full_disk_costs_nothing_once_there_is_room_again(
    files: StateFiles, writer: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    writer.take(lines({"state": state(1)}))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        writer.take(lines({"event": {"event": "tripped"}}, {"state": state(1, (FAULT,))}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (found(files).latched, files.events.read_bytes()) == ((), b"")
    writer.take([])
    assert [fault.id for fault in found(files).latched] == ["guard_stop"]
    assert files.events.read_bytes() == b'{"event": "tripped"}\n'
    fault = f"{files.current}: cannot be saved: File too large"
    assert [json.loads(line)["fault"] for line in capsys.readouterr().out.splitlines()] == ["", fault, ""]


def test_request_is_passed_on_once(files: StateFiles, writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    files.request.write_text('{"reset": [["guard_stop", "guard"]]}')
    writer.look_for_request()
    writer.look_for_request()
    assert capsys.readouterr().out == '{"reset": [["guard_stop", "guard"]]}\n'
    assert not files.request.exists()


def test_input_is_passed_on_with_its_time(
    files: StateFiles, writer: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    files.request.write_text('{"set": [["power_w", -50000, 60]]}')
    writer.look_for_request()
    assert capsys.readouterr().out == '{"set": [["power_w", -50000.0, 60.0]]}\n'
    files.request.write_text('{"set": [["power_w", -50000, 60]], "asked_s": 1200.5}')
    writer.look_for_request()
    assert capsys.readouterr().out == '{"set": [["power_w", -50000.0, 60.0]], "asked_s": 1200.5}\n'


TOLD = ('"much", 60', "NaN, 60", "5, Infinity", "5, 86401", "5, 0", "5")
NO_INPUTS = [f'{{"set": [["power_w", {told}]]}}' for told in TOLD]
NO_TIMES = [f'{{"local": true, "asked_s": {asked}}}' for asked in ("NaN", '"now"', "[]")]


@pytest.mark.parametrize(
    "text", ["", "all", "[1]", "{}", '{"a": 1}', '[["guard_stop"]]', "[" * 9000, *NO_INPUTS, *NO_TIMES]
)
def test_request_that_cannot_be_read_resets_nothing(
    files: StateFiles, writer: Writer, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    files.request.write_text(text)
    writer.look_for_request()
    assert capsys.readouterr().out == ""
    assert not files.request.exists()


def test_request_from_before_the_start_is_not_carried_out(
    files: StateFiles, start: Callable[[StateFiles], Writer], capsys: pytest.CaptureFixture[str]
) -> None:
    files.request.write_text('{"reset": [["guard_stop", "guard"]]}')
    start(files).look_for_request()
    assert capsys.readouterr().out == ""


def test_state_that_another_controller_keeps_is_not_touched(files: StateFiles, writer: Writer) -> None:
    with pytest.raises(BlockingIOError):
        Writer(files).claim(0.0)


def test_state_without_soc_keeps_the_one_before_over_a_restart_of_the_writer(
    files: StateFiles, start: Callable[[StateFiles], Writer]
) -> None:
    first = start(files)
    first.take(lines({"state": state(1, soc={"rack-1": {"mean": "A"}})}))
    small = {key: value for key, value in state(2, (FAULT,)).items() if key != "soc"}
    first.take(lines({"state": small}))
    assert (found(files).soc, found(files).starts) == ({"rack-1": {"mean": "A"}}, 2)
    first.release()
    start(files).take(lines({"state": small | {"starts": 3}}))
    assert (found(files).soc, found(files).starts) == ({"rack-1": {"mean": "A"}}, 3)
