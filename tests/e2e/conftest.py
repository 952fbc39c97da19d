"""Children of the tests never outlive them."""

from collections.abc import Iterator

import pytest

from tests.e2e.processes import Process


@pytest.fixture
def started() -> Iterator[list[Process]]:
    """Put processes here: whatever still runs at the end is killed."""
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.kill()
