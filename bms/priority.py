"""The processes beside a controller: its ticks go before them."""

import contextlib
import os


def step_back(nice: int = 0) -> None:
    """Leave the real-time class that a service may have given to the controller, and be nicer than it."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(nice)
