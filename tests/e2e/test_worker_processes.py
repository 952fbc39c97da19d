"""Work shared out to processes ends with Ctrl-C, whatever is running."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from hil_rigs.worker_processes import WorkerProcesses

SCRIPT = """
import time
from hil_rigs.worker_processes import WorkerProcesses
if __name__ == "__main__":
    with WorkerProcesses(2) as workers:
        running = [workers.submit(time.sleep, seconds) for seconds in (0, 0, 10_000, 10_000)]
        for future in running[:2]:
            workers.result(future)
        print("begun", flush=True)
        workers.finished(running[2:])
"""


@pytest.fixture
def begun() -> Iterator["subprocess.Popen[str]"]:
    """Two processes that sleep for hours, and their parent; a group of its own, like a terminal's."""
    words = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        yield running
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)


def test_interrupt_ends_what_runs(begun: "subprocess.Popen[str]") -> None:
    os.killpg(begun.pid, signal.SIGINT)
    _, err = begun.communicate(timeout=30)
    assert err.endswith("KeyboardInterrupt\n")
    assert err.count("Traceback") == 1
    assert begun.returncode == -signal.SIGINT


def test_results_and_errors_come_back() -> None:
    with WorkerProcesses(2) as workers:
        seven, failed = workers.submit(abs, -7), workers.submit(int, "seven")
        assert workers.result(seven) == 7
        with pytest.raises(ValueError, match="seven"):
            workers.result(failed)


def test_error_of_the_user_ends_what_runs() -> None:
    before = signal.getsignal(signal.SIGINT)
    start_s = time.monotonic()
    with pytest.raises(ValueError, match="seven"), WorkerProcesses(2) as workers:
        workers.result([workers.submit(time.sleep, 10_000), workers.submit(int, "seven")][1])
    assert time.monotonic() - start_s < 60
    assert signal.getsignal(signal.SIGINT) is before
