"""Children of the tests never outlive them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bms.state.files import StateFiles
from tests.e2e.processes import BMS, Process, Rig


@pytest.fixture
def started() -> Iterator[list[Process]]:
    """Put processes here: whatever still runs at the end is killed."""
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.kill()


@pytest.fixture
def rig(tmp_path: Path, started: list[Process]) -> Callable[..., Rig]:
    def start(*options: str) -> Rig:
        made = Rig(tmp_path / "site.yaml", *options)
        started.append(made)
        return made

    return start


@pytest.fixture
def files(tmp_path: Path) -> StateFiles:
    return StateFiles(tmp_path, "demo")


@pytest.fixture
def run(tmp_path: Path, started: list[Process]) -> Callable[..., Process]:
    def start(*options: str) -> Process:
        made = Process(*BMS, "run", str(tmp_path / "site.yaml"), "--plain", *options)
        started.append(made)
        return made

    return start
