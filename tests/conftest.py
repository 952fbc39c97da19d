"""For all tests: an interrupt interrupts."""

import signal

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """A shell ignores SIGINT in what it starts in the background, and children inherit that: an interrupted command
    would not be interrupted then, and the tests of that would fail for where they run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
