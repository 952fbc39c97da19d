"""`bms set`: what is no input of the site is refused in one line, and nothing is told without a running controller."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bms.cli import main
from bms.dispatch.applications.remote_power import RemotePower
from bms.site import Site, dump_site
from bms.state.files import StateFiles, encode, replace

REMOTE = RemotePower(kind="remote-power", charge_power_w_max=40e3, discharge_power_w_max=60e3)


@pytest.fixture
def site_file(site: Site, tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(dump_site(site.model_copy(update={"applications": (REMOTE,)})))
    return path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["power_w=5", "--for", "60"], "power_w=5: expected inputs.NAME=VALUE"),
        (["inputs.powr_w=5", "--for", "60"], "no application of site test listens to it, they listen to: power_w"),
        (["inputs.power_w=much", "--for", "60"], "inputs.power_w: expected a number (got much)"),
        (["inputs.power_w=nan", "--for", "60"], "inputs.power_w: expected a number (got nan)"),
        (["inputs.power_w=5", "--for", "1e6"], "--for 1e+06: expected at most 86400 s"),
        (["inputs.power_w=5", "--for", "60"], "no controller of site test runs there, and an input is not saved"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_one_line(
    site_file: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["set", *words, "--site", str(site_file)]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert not StateFiles(site_file.parent, "test").request.exists()


def test_errors_as_json(site_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["set", "inputs.power_w=x", "--for", "1", "--site", str(site_file), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["ok"] is False


@contextmanager
def silent_controller(files: StateFiles) -> Iterator[None]:
    """It has the lock and the socket, and hangs up on whoever asks, once."""
    with files.lock(), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(files.status))
        listening.listen()
        answers = threading.Thread(target=lambda: listening.accept()[0].close())
        answers.start()
        yield
        answers.join()


@pytest.mark.parametrize(
    "words",
    [
        ["set", "inputs.power_w=5", "--for", "5", "--site", "site.yaml"],
        ["reset", "site.yaml", "all"],
        ["reset", "site.yaml", "rack_maintenance"],
        ["maintain", "site.yaml", "rack1"],
        ["local", "site.yaml"],
    ],
)
def test_controller_that_does_not_answer_is_status_1_and_asked_nothing(
    site_file: Path, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site_file.parent)
    files = StateFiles(Path(), "test")
    locks = (
        [{"id": "rack_maintenance", "target": "rack2", "detail": "", "since": ""}]
        if "rack_maintenance" in words
        else []
    )
    state = {"saved_at": "", "starts": 1, "trips": {}, "latched": locks, "soc": {}, "racks": {}}
    replace(files, encode("test", state), keep=True)
    with silent_controller(files):
        assert main(words) == 1
    assert capsys.readouterr() == ("", "the running controller does not answer\n")
    assert not files.request.exists()
